//! From persistent to ephemeral: a service holds only one kind.

use super::Publications;
use crate::nacos::client::{Error as WireError, ServiceAttributes, or_default};
use crate::nacos::convert;
use causeway_core::{Change, ServiceKey};

impl Publications {
    /// Removes our persistent records of a service that become ephemeral or go, in favour of ephemeral ones that are published
    /// next, and makes the server forget the kind of the service: else it would refuse them for a minute or two. A service
    /// in which somebody else has an instance stays as it is. Returns what belonged to the service, to be put back.
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
        let attributes = or_default(self.client.attributes(scope).await)?;
        for from in turned {
            self.publisher().write_persistent(scope, &convert::write(from), false).await?;
            if let Some(records) = self.records.lock().get_mut(scope) {
                records.remove(&from.id());
            }
        }
        match self.client.delete_service(scope).await {
            Ok(()) => Ok(Some(attributes)),
            Err(WireError::NotFound(_)) => Ok(None),
            Err(error) => {
                tracing::info!(%scope, %error, "it stays a service of persistent instances until the server forgets it");
                Ok(None)
            }
        }
    }

    /// Writes what belonged to a service before it was made again.
    pub(super) async fn put_attributes_back(&self, scope: &ServiceKey, attributes: &ServiceAttributes) {
        if convert::attributes(attributes).0.is_empty() {
            return;
        }
        if let Err(error) = self.client.update_service(scope, attributes).await {
            tracing::warn!(%scope, %error, "the metadata of the service could not be put back");
        }
    }
}
