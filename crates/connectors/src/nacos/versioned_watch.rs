//! Follows the services of a cluster whatever its servers speak, and across an upgrade from 1.x.

use super::poll::FingerprintPoller;
use super::protocol::ServerProtocol;
use super::reading::Reading;
use super::trigger::Trigger;
use super::watch::ServiceWatch;
use super::{client::Error as WireError, convert};
use causeway_core::{Error, Lost, Selector, Update};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;

/// Between two questions for the version while nothing answers.
const AGAIN: Duration = Duration::from_secs(1);
/// While pushes are away, the version is asked this often: another one may come back.
const AWAY: Duration = Duration::from_secs(2);

/// One endless watch.
pub(super) struct VersionedWatch {
    reading: Reading,
    select: Selector,
    named: Vec<String>,
    protocol: Arc<ServerProtocol>,
    changes: Receiver<Option<bool>>,
    watch: Option<(bool, ServiceWatch)>,
    told: bool,
    away: bool,
}

impl VersionedWatch {
    pub fn new(reading: Reading, select: Selector, named: Vec<String>) -> Self {
        let protocol = reading.publications.protocol().clone();
        let changes = protocol.changes();
        Self { reading, select, named, protocol, changes, watch: None, told: false, away: false }
    }

    /// The next thing to report. Never ends.
    pub async fn next(&mut self) -> Result<Update, Lost> {
        loop {
            let Some((http, watch)) = &mut self.watch else {
                match self.begin().await {
                    Ok(()) => continue,
                    Err(error) if !std::mem::replace(&mut self.told, true) => {
                        return Err(Lost { part: None, error: convert::error(error) });
                    }
                    Err(_) => sleep(AGAIN).await,
                }
                continue;
            };
            let away = self.away && !*http;
            tokio::select! {
                item = watch.next() => {
                    self.away = matches!(&item, Err(Lost { part: None, .. }));
                    return item;
                }
                changed = self.changes.changed() => {
                    if changed.is_ok() && self.protocol.is_http() != *http {
                        self.watch = None;
                        let text = "its servers are of another version now";
                        return Err(Lost { part: None, error: Error::unavailable(text) });
                    }
                }
                () = sleep(AWAY), if away => {
                    self.protocol.refresh().await;
                }
            }
        }
    }

    async fn begin(&mut self) -> Result<(), WireError> {
        let http = self.reading.publications.ready().await?;
        let trigger = match http {
            true => Trigger::Poll(FingerprintPoller::start(self.reading.client.clone(), self.protocol.clone())),
            false => Trigger::Push(self.reading.client.reader()),
        };
        let watch = ServiceWatch::new(self.reading.clone(), self.select.clone(), self.named.clone(), trigger);
        (self.watch, self.told, self.away) = (Some((http, watch)), false, false);
        Ok(())
    }
}
