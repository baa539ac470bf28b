//! Heartbeats of copies whose health a server judges by them.

use super::convert;
use super::reading::Reading;
use crate::util::keep_running;
use crate::util::lease::{Keeper, Renewal};
use causeway_core::{Error, Instance, InstanceId, ServiceKey};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Heartbeats on their way at once.
const AT_A_TIME: usize = 32;
/// A heartbeat that no server answered is repeated after this time; one that was refused, later.
const AGAIN: Duration = Duration::from_secs(1);
const SLOWLY: Duration = Duration::from_secs(5);
/// Copies are beaten for so many times within the time that they may go without.
const BEATS: u32 = 2;

type Key = (ServiceKey, InstanceId);

/// The copies that need heartbeats. None unless the cluster's settings ask for them.
pub(super) struct Beats {
    reading: Arc<Reading>,
    keeper: Arc<Keeper<Key>>,
    work: Mutex<JoinSet<()>>,
}

impl Beats {
    pub fn new(reading: Arc<Reading>) -> Self {
        Self { reading, keeper: Arc::default(), work: Mutex::default() }
    }

    /// Keeps a copy alive, as long as it is healthy; one that needs no heartbeats is let go.
    pub fn keep(&self, scope: &ServiceKey, record: &Instance) {
        let Some(ttl) = convert::beat_interval(record, &self.reading.options) else {
            return self.stop(scope, &record.id());
        };
        self.start();
        let (key, every) = ((scope.clone(), record.id()), Duration::from_secs(ttl.into()) / BEATS);
        // The first one at once.
        self.keeper.change(|leases| leases.renew_at(key, every, tokio::time::Instant::now()));
    }

    /// Sends no more heartbeats for a copy. That does not tell that it is unhealthy: a write does.
    pub fn stop(&self, scope: &ServiceKey, id: &InstanceId) {
        self.keeper.change(|leases| leases.remove(&(scope.clone(), id.clone())));
    }

    /// Ends all heartbeats.
    pub fn close(&self) {
        self.keeper.change(|leases| leases.clear());
        self.work.lock().abort_all();
    }

    fn start(&self) {
        let mut work = self.work.lock();
        if work.is_empty() {
            let (keeper, reading) = (self.keeper.clone(), self.reading.clone());
            let run = move || {
                let (keeper, reading) = (keeper.clone(), reading.clone());
                async move { keeper.run(AT_A_TIME, |key| beat(reading.clone(), key)).await }
            };
            work.spawn(async move { keep_running("sending heartbeats to Polaris", run, drop).await });
        }
    }
}

async fn beat(reading: Arc<Reading>, (scope, id): Key) -> Renewal {
    let name = match reading.wire_name(&scope) {
        Ok(name) => name,
        Err(_) => return Renewal::Failed(SLOWLY),
    };
    match reading.client.beat(&scope.namespace, &name, &id).await {
        Ok(()) => Renewal::Done(None),
        Err(Error::Unavailable(why)) => Renewal::Away(AGAIN, why.to_string()),
        Err(Error::Denied(why)) => Renewal::Away(SLOWLY, why),
        Err(Error::Throttled(wait)) => Renewal::Away(wait.max(AGAIN), format!("told to wait {wait:?}")),
        // One that the server has lost is written again when the watch shows that it is missing.
        Err(error) => {
            tracing::debug!(%scope, %id, %error, "a heartbeat was not taken");
            Renewal::Failed(SLOWLY)
        }
    }
}
