//! The beats themselves: a bounded number at a time, one at a time while the servers are away.

use super::Registrar;
use crate::nacos::client::Error as WireError;
use crate::nacos::convert;
use crate::util::lease::Renewal;
use causeway_core::{InstanceId, ServiceKey};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Beats under way at a time.
const BEATS: usize = 32;
/// A beat that failed is retried after this time.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// After a refusal for lack of rights, and where somebody else's record stands in the way.
pub(super) const SLOWLY: Duration = Duration::from_secs(5);

/// Services that are being restored.
type Restoring = Mutex<BTreeSet<ServiceKey>>;

/// Keeps what is kept, until it is dropped.
pub(super) async fn run(registrar: Arc<Registrar>) {
    let leases = registrar.kept.lock().leases();
    let (registrar, restoring) = (&*registrar, &Restoring::default());
    leases.run(BEATS, |(scope, id)| renew(registrar, restoring, scope, id)).await;
}

async fn renew(registrar: &Registrar, restoring: &Restoring, scope: ServiceKey, id: InstanceId) -> Renewal {
    let record = registrar.kept.lock().record(&scope, &id);
    let Some(record) = record.filter(|_| !restoring.lock().contains(&scope)) else { return Renewal::Failed(AGAIN) };
    if record.healthy {
        match registrar.client.beat_http(&scope, &convert::write(&record)).await {
            Ok(Some(interval)) => return Renewal::Done(registrar.kept.lock().paced(&scope, &id, Some(interval))),
            // The server has lost it: its siblings too, as a rule.
            Ok(None) => {}
            Err(error) => return failed(&scope, error),
        }
    }
    if !restoring.lock().insert(scope.clone()) {
        return Renewal::Failed(AGAIN);
    }
    let outcome = restore(registrar, &scope, record.healthy).await;
    restoring.lock().remove(&scope);
    match outcome {
        // Each record is planned already, if it is still kept.
        Ok(()) => Renewal::Failed(AGAIN),
        Err(error) => {
            registrar.retry(&scope);
            failed(&scope, error)
        }
    }
}

/// `lost`: the server does not know what it knew, so it was restarted, perhaps as another version.
async fn restore(registrar: &Registrar, scope: &ServiceKey, lost: bool) -> Result<(), WireError> {
    if lost && !registrar.protocol.ask_again().await? {
        return Err(WireError::Throttled(AGAIN));
    }
    registrar.restore(scope).await
}

fn failed(scope: &ServiceKey, error: WireError) -> Renewal {
    tracing::debug!(%scope, %error, "a heart beat failed");
    match error {
        WireError::Unavailable(why) => Renewal::Away(AGAIN, why),
        error if error.is_transient() => Renewal::Failed(AGAIN),
        _ => Renewal::Failed(SLOWLY),
    }
}
