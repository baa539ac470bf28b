//! Publications on 1.x.

use super::{Publications, Published, Records, make};
use crate::nacos::beats::Standing;
use crate::nacos::client::{Error as WireError, WireInstance};
use crate::nacos::convert;
use causeway_core::{Change, Error, Instance, OwnerId, ServiceKey};

impl Publications {
    /// Whether the servers speak only HTTP, when they are known and our records are published in the way that fits:
    /// after an upgrade of the servers they are published again in the new one.
    pub async fn ready(&self) -> Result<bool, WireError> {
        let http = self.protocol.http().await?;
        let mut way = self.way.lock().await;
        if *way == Some(http) {
            return Ok(http);
        }
        let before = way.replace(http);
        if before.is_none() {
            return Ok(http);
        }
        tracing::info!(cluster = %self.name, http, "the servers are of another version now: publishing anew");
        let outcome = if http { self.keep_all().await } else { self.publish_all().await };
        if let Err(error) = outcome {
            tracing::info!(cluster = %self.name, %error, "not all is published anew yet");
        }
        Ok(http)
    }

    /// Hands all ephemeral records to the heart beats.
    pub(super) async fn keep_all(&self) -> Result<(), WireError> {
        let publisher = self.publisher.lock().take();
        if let Some(publisher) = publisher {
            publisher.close().await;
        }
        let sets = self.copies(|published| (published.record.clone(), published.owner.clone()));
        self.beats.adopt(sets).await
    }

    /// Hands all ephemeral records to the connections.
    async fn publish_all(&self) -> Result<(), WireError> {
        self.beats.clear();
        let sets = self.copies(|published| convert::write(&published.record));
        self.publisher().publish_all(sets).await.into_iter().collect()
    }

    /// The ephemeral copies of every service; no shadows.
    fn copies<T>(&self, of: impl Fn(&Published) -> T) -> Vec<(ServiceKey, Vec<T>)> {
        let records = self.records.lock();
        let copies = |records: &Records| {
            let copies = records.values().filter(|one| one.record.ephemeral && one.record.mark.is_some());
            copies.map(&of).collect::<Vec<_>>()
        };
        let sets = records.iter().map(|(scope, records)| (scope.clone(), copies(records)));
        sets.filter(|(_, set)| !set.is_empty()).collect()
    }

    /// Applies the changes of one service: what is added and changed, then what belongs to the service, which the
    /// additions make, then what goes.
    pub(super) async fn apply_http(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        let mut outcomes: Vec<_> = changes.iter().map(|_| Err(Error::protocol("not applied"))).collect();
        let is_last = |change: &Change| matches!(change, Change::Delete { .. });
        for last in [false, true] {
            let batch: Vec<_> = (0..changes.len()).filter(|n| is_last(&changes[*n]) == last).collect();
            if batch.is_empty() {
                continue;
            }
            let records: Vec<_> = batch.iter().map(|n| &changes[*n]).collect();
            for (n, outcome) in batch.iter().zip(self.beats.apply(scope, &records).await) {
                outcomes[*n] = match &changes[*n] {
                    Change::Scope { to, .. } => self.write_attributes(scope, to).await,
                    Change::Edit { to, .. } => self.edit(scope, to).await,
                    _ => outcome,
                };
            }
        }
        let mut all = self.records.lock();
        let records = all.entry(scope.clone()).or_default();
        for (change, outcome) in changes.iter().zip(&outcomes) {
            if outcome.is_ok() {
                make(records, change, false);
            }
        }
        if records.is_empty() {
            all.remove(scope);
        }
        outcomes
    }

    /// What stands in a service as it is read; with its owner, where it is ours although it does not say so.
    pub(super) fn claimed_http(
        &self,
        scope: &ServiceKey,
        ours: &Records,
        instances: &[WireInstance],
    ) -> Vec<(Instance, Option<OwnerId>)> {
        let judge = |Standing { read, claimed }: Standing| {
            // Nothing tells who registered a persistent one: only our key, whatever it holds now.
            let keyed = !read.ephemeral && read.mark.is_none() && read.metadata.contains_key(convert::MARK);
            let published = ours.get(&read.id()).filter(|one| keyed && !one.record.ephemeral);
            (read, claimed.or(published.map(|one| one.owner.clone())))
        };
        self.beats.judge(scope, instances).into_iter().map(judge).collect()
    }
}
