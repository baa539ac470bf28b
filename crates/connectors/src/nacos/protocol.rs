//! Whether a cluster speaks gRPC (2.x, 3.x) or only HTTP (1.x). Decided at run time: a server may be away when the cluster
//! is opened, and may be upgraded later.

use super::client::{DetectedVersion, Error as WireError, Generation, NacosClient};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the servers speak, as far as it is known.
pub(super) struct ServerProtocol {
    client: NacosClient,
    http: watch::Sender<Option<bool>>,
    asked: Mutex<Option<Instant>>,
    /// Held by the one who asks, with the last failure: many begin at once, and one asks for all who wait.
    asking: tokio::sync::Mutex<Option<(Instant, WireError)>>,
}

/// An answer serves all who ask within this time.
const FRESH: Duration = Duration::from_millis(500);

impl ServerProtocol {
    pub fn new(client: NacosClient) -> Self {
        Self { client, http: watch::Sender::new(None), asked: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Whether the servers are known to speak only HTTP.
    pub fn is_http(&self) -> bool {
        let known = *self.http.borrow();
        known.unwrap_or_else(|| self.client.known_version().is_some_and(|version| decide(&version, None)))
    }

    /// Whether they speak only HTTP; asked until it is known.
    pub async fn http(&self) -> Result<bool, WireError> {
        let known = *self.http.borrow();
        if let Some(http) = known {
            return Ok(http);
        }
        let began = Instant::now();
        let mut failure = self.asking.lock().await;
        let known = *self.http.borrow();
        match (known, &*failure) {
            (Some(http), _) => Ok(http),
            (None, Some((at, error))) if *at >= began => Err(error.clone()),
            (None, _) => {
                let asked = self.ask().await;
                *failure = asked.as_ref().err().map(|error| (Instant::now(), error.clone()));
                asked
            }
        }
    }

    /// Asks again: after an outage another version may be there.
    pub async fn ask_again(&self) -> Result<bool, WireError> {
        let known = *self.http.borrow();
        let fresh = self.asked.lock().is_some_and(|at| at.elapsed() < FRESH);
        match known {
            Some(http) if fresh => Ok(http),
            _ => {
                self.client.forget_version();
                self.ask().await
            }
        }
    }

    /// [`ServerProtocol::ask_again`] where nobody waits for the answer.
    pub async fn refresh(&self) {
        if let Err(error) = self.ask_again().await {
            tracing::debug!(%error, "the version is not told");
        }
    }

    async fn ask(&self) -> Result<bool, WireError> {
        let version = self.client.version().await?;
        *self.asked.lock() = Some(Instant::now());
        let mut now = false;
        self.http.send_if_modified(|known| {
            now = decide(&version, *known);
            known.replace(now) != Some(now)
        });
        Ok(now)
    }

    /// Tells when what they speak has changed.
    pub fn changes(&self) -> watch::Receiver<Option<bool>> {
        self.http.subscribe()
    }
}

/// A server that hides its version is told by its gRPC port, which may just be shut for a moment: that is no proof
/// against what was known.
fn decide(version: &DetectedVersion, known: Option<bool>) -> bool {
    let old = version.generation == Generation::V1;
    old && !(version.text.is_empty() && known == Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_version_is_no_proof_of_a_downgrade() {
        let of = |generation, text: &str| DetectedVersion { generation, text: text.into() };
        assert!(decide(&of(Generation::V1, "1.4.1"), Some(false)));
        assert!(decide(&of(Generation::V1, ""), None));
        assert!(!decide(&of(Generation::V1, ""), Some(false)));
        assert!(!decide(&of(Generation::V2, "2.5.0"), Some(true)));
    }
}
