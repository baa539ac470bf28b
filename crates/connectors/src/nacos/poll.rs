//! Follows a 1.x cluster, which pushes nothing over HTTP: one request a second and namespace tells which services have
//! changed.

use super::client::{Error as WireError, NacosClient, PendingLooks, Phase, Status};
use super::protocol::ServerProtocol;
use crate::util::keep_running;
use crate::util::poll::Pace;
use causeway_core::ServiceKey;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How often all namespaces are looked at.
const PACE: Pace = Pace { every: Duration::from_secs(1), rest: 10, longest: Duration::from_secs(10), outage: 2 };
/// What fingerprints do not show (the protect threshold) is seen by reading every service within this many looks.
const ROUND: usize = 60;
const AT_MOST: usize = 20;
/// Where the server gives no fingerprints, services are read in rotation: all of them within this many looks, as far as
/// the limit allows. (A change in the number of instances is seen at once.) So 300 services are followed within 3 s.
const BLIND_ROUND: usize = 3;
const BLIND_AT_MOST: usize = 100;
/// The version is asked again after this many looks: servers of a cluster are upgraded one by one, without an outage.
const VERSION: u64 = 30;

/// What is known of one namespace.
#[derive(Default)]
struct PolledNamespace {
    wanted: BTreeSet<ServiceKey>,
    seen: BTreeMap<ServiceKey, u64>,
    /// Read last in the slow round.
    last_in_turn: Option<ServiceKey>,
}

struct PollState {
    client: NacosClient,
    protocol: Arc<ServerProtocol>,
    namespaces: Mutex<BTreeMap<Arc<str>, PolledNamespace>>,
    looks: PendingLooks,
}

/// Follows services by polling. Dropping it ends the polls.
pub(super) struct FingerprintPoller {
    shared: Arc<PollState>,
    status: watch::Receiver<Status>,
    _polls: JoinSet<()>,
}

impl FingerprintPoller {
    /// Starts to poll. Must be called within a tokio runtime.
    pub fn start(client: NacosClient, protocol: Arc<ServerProtocol>) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let shared = PollState { client, protocol, namespaces: Mutex::default(), looks: PendingLooks::default() };
        let shared = Arc::new(shared);
        let mut polls = JoinSet::new();
        let polled = shared.clone();
        polls.spawn(async move {
            let told = |failed: Option<String>| {
                failed.into_iter().for_each(|why| down(&sender, WireError::Unavailable(why)));
            };
            keep_running("polling Nacos", || run(&polled, &sender), told).await;
        });
        Self { shared, status, _polls: polls }
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Follows a service, which is to be looked at now, or does so no longer.
    pub fn follow(&self, key: &ServiceKey, follow: bool) {
        let mut namespaces = self.shared.namespaces.lock();
        if follow {
            namespaces.entry(key.namespace.clone()).or_default().wanted.insert(key.clone());
            return self.shared.looks.add([key.clone()]);
        }
        let Some(namespace) = namespaces.get_mut(&key.namespace) else { return };
        namespace.wanted.remove(key);
        if namespace.wanted.is_empty() {
            namespaces.remove(&key.namespace);
        }
        drop(namespaces);
        self.shared.looks.remove(key);
    }

    /// The next service to look at again.
    pub async fn next(&self) -> ServiceKey {
        self.shared.looks.next().await
    }
}

impl PollState {
    /// Looks once at everything that is followed.
    async fn round(&self) -> Result<(), WireError> {
        // A refused login is an outage; a namespace that is refused is that namespace's own.
        self.client.sign_in().await?;
        let names: Vec<_> = self.namespaces.lock().keys().cloned().collect();
        if names.is_empty() {
            return self.protocol.ask_again().await.map(drop);
        }
        for name in names {
            let found = match self.client.fingerprints(&name).await {
                Ok(found) => Some(found.into_iter().collect()),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    tracing::debug!(namespace = %name, %error, "no fingerprints: reading in turns");
                    None
                }
            };
            let due = self.namespaces.lock().get_mut(&name).map(|namespace| namespace.due(found));
            self.looks.add(due.into_iter().flatten());
        }
        Ok(())
    }
}

impl PolledNamespace {
    /// Which services to look at, after these fingerprints (or none).
    fn due(&mut self, found: Option<BTreeMap<ServiceKey, u64>>) -> BTreeSet<ServiceKey> {
        let blind = found.is_none();
        let mut due = BTreeSet::new();
        if let Some(found) = found {
            due.extend(self.wanted.iter().filter(|key| found.get(*key) != self.seen.get(*key)).cloned());
            self.seen = found;
        }
        let (round, most) = if blind { (BLIND_ROUND, BLIND_AT_MOST) } else { (ROUND, AT_MOST) };
        let count = self.wanted.len().div_ceil(round).min(most);
        let after = self.wanted.iter().filter(|key| self.last_in_turn.as_ref().is_none_or(|last| *key > last));
        let next: Vec<_> = after.chain(self.wanted.iter()).take(count).cloned().collect();
        self.last_in_turn = next.last().cloned();
        due.extend(next);
        due
    }
}

async fn run(shared: &PollState, status: &watch::Sender<Status>) {
    let (mut failures, mut server, mut rounds) = (0, None, 0u64);
    loop {
        let began = Instant::now();
        match shared.round().await {
            Ok(()) => {
                failures = 0;
                let now = Some(shared.client.http_server());
                if now != server {
                    // Another server, or the same after an outage: perhaps of another version, and what it knows may
                    // be incomplete.
                    server = now;
                    shared.protocol.refresh().await;
                    let addresses = &shared.client.options().addresses;
                    let address = now.and_then(|index| addresses.get(index)).cloned();
                    status.send_modify(|status| {
                        status.phase = Phase::Ready;
                        status.generation += 1;
                        status.server = address;
                        status.error = None;
                    });
                }
            }
            Err(error) => {
                failures += 1;
                if failures >= PACE.outage || !error.is_transient() {
                    server = None;
                    down(status, error);
                }
            }
        }
        rounds += 1;
        if rounds.is_multiple_of(VERSION) {
            shared.protocol.refresh().await;
        }
        sleep(PACE.pause(began.elapsed())).await;
    }
}

fn down(status: &watch::Sender<Status>, error: WireError) {
    status.send_modify(|status| (status.phase, status.error) = (Phase::Down, Some(error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> ServiceKey {
        ServiceKey::new("n", "g", &format!("s{n:03}"))
    }

    fn namespace(count: usize) -> PolledNamespace {
        PolledNamespace { wanted: (0..count).map(key).collect(), ..PolledNamespace::default() }
    }

    #[test]
    fn what_changed_is_due_at_once() {
        let mut namespace = namespace(60);
        let mut prints: BTreeMap<_, _> = (0..60).map(|n| (key(n), 1)).collect();
        assert_eq!(namespace.due(Some(prints.clone())).len(), 60, "nothing was known");
        assert_eq!(namespace.due(Some(prints.clone())), [key(1)].into(), "its turn");
        prints.insert(key(40), 2);
        prints.remove(&key(50));
        assert_eq!(namespace.due(Some(prints)), [key(2), key(40), key(50)].into());
    }

    #[test]
    fn without_fingerprints_all_are_read_in_turns() {
        let mut namespace = namespace(300);
        let mut read = BTreeSet::new();
        for _ in 0..3 {
            let due = namespace.due(None);
            assert_eq!(due.len(), 100);
            read.extend(due);
        }
        assert_eq!(read.len(), 300);
        assert_eq!(namespace.due(None).first(), Some(&key(0)));
        let mut few = super::tests::namespace(1);
        assert_eq!(few.due(None), [key(0)].into());
        assert_eq!(few.due(None), [key(0)].into());
    }
}
