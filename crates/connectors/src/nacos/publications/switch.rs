//! From persistent to ephemeral: a service holds only one kind.

use super::Publications;
use crate::nacos::client::{Error as WireError, ServiceAttributes};
use crate::nacos::convert;
use causeway_core::{Change, ServiceKey};

impl Publications {
    /// Takes our persistent records of a service away that are to be ephemeral or to go, in favour of ephemeral ones that are
    /// published next, and lets the server forget what kind of service it was: else it would refuse them for a minute or two. A service in
    /// which somebody else has an instance stays as it is. What belonged to the service is returned, to be put back.
    pub(super) async fn make_way(
        &self,
        scope: &ServiceKey,
        changes: &[Change],
    ) -> Result<Option<ServiceAttributes>, WireError> {
        let turned = changes.iter().filter_map(|change| match change {
            Change::Update { from, to } if !from.ephemeral && to.ephemeral => Some(from),
            Change::Delete { record, .. } if !record.ephemeral => Some(record),
            _ => None,
        });
        let turned: Vec<_> = turned.collect();
        let live = |change: &Change| {
            !matches!(change, Change::Delete { .. }) && change.record().is_some_and(|record| record.ephemeral)
        };
        if turned.is_empty() || !changes.iter().any(live) {
            return Ok(None);
        }
        let key = convert::wire_key(scope);
        let attributes = match self.client.truth(&key).await {
            Ok(truth) => truth.attributes,
            Err(WireError::NotFound(_)) => ServiceAttributes::default(),
            Err(error) => return Err(error),
        };
        for from in turned {
            self.publisher().deregister_persistent(&key, &convert::write(from)).await?;
            if let Some(records) = self.records.lock().get_mut(scope) {
                records.remove(&from.id());
            }
        }
        match self.client.delete_service(&key).await {
            Ok(()) => Ok(Some(attributes)),
            Err(WireError::NotFound(_)) => Ok(None),
            Err(error) => {
                tracing::info!(%scope, %error, "it stays a service of persistent instances until the server forgets it");
                Ok(None)
            }
        }
    }

    /// What belongs to a service, after it was made anew.
    pub(super) async fn put_attributes_back(&self, scope: &ServiceKey, attributes: &ServiceAttributes) {
        if convert::attributes(attributes).0.is_empty() {
            return;
        }
        if let Err(error) = self.client.update_service(&convert::wire_key(scope), attributes).await {
            tracing::warn!(%scope, %error, "the metadata of the service could not be put back");
        }
    }
}
