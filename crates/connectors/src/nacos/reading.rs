//! Reading services whole: the lists that show disabled instances, with our own records known as ours.

use super::client::{Error as WireError, NacosClient, WireInstance, listed, or_default};
use super::convert;
use super::publications::Publications;
use causeway_core::{Attributes, Part, Parts, Selector, ServiceKey, Set};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Services read at once.
pub(super) const IN_FLIGHT: usize = 32;

/// Whether `wanted` of `all` services in a namespace are better read by pages than one by one.
pub(super) fn are_many(wanted: usize, all: usize) -> bool {
    wanted >= 32 && wanted >= all / 24
}

/// What reading one service shares with others.
#[derive(Clone)]
pub(super) struct Reading {
    pub client: NacosClient,
    pub publications: Arc<Publications>,
}

/// Some services of a namespace.
pub(super) struct SetPage {
    /// What belongs to the services themselves is not known of these.
    pub sets: Vec<(ServiceKey, Set)>,
    /// Whether there may be another page.
    pub more: bool,
}

impl Reading {
    /// Reads all of one service, with our own records marked as ours. A service that does not exist is an empty one here:
    /// its namespace's list says whether it exists.
    pub async fn read(&self, key: &ServiceKey) -> Result<Set, WireError> {
        let truth = or_default(self.client.truth(key).await)?;
        let attributes = convert::attributes(&truth.attributes);
        self.publications.attribute(key, Some(attributes), &truth.instances).await
    }

    /// What belongs to a service itself.
    pub async fn attributes(&self, key: &ServiceKey) -> Result<Attributes, WireError> {
        Ok(convert::attributes(&or_default(self.client.attributes(key).await)?))
    }

    /// Returns one page of a namespace; the first is 1. It has those services that are `wanted` and that have as many
    /// instances in the page as wanted (the page may be half a second behind). What is in no page is to be read by itself.
    pub async fn page(
        &self,
        namespace: &Arc<str>,
        number: usize,
        wanted: &BTreeMap<ServiceKey, i64>,
    ) -> Result<SetPage, WireError> {
        let page = self.client.service_page(namespace, number).await?;
        let whole = |found: &(ServiceKey, Vec<WireInstance>)| {
            wanted.get(&found.0) == i64::try_from(found.1.len()).ok().as_ref()
        };
        let found = page.services.into_iter().filter(whole);
        let sets = found.map(|(key, instances)| async move {
            let set = self.publications.attribute(&key, None, &instances).await?;
            Ok((key, set))
        });
        let sets = stream::iter(sets).buffered(IN_FLIGHT).try_collect().await?;
        Ok(SetPage { sets, more: page.more })
    }

    /// Everything in one namespace.
    pub async fn read_all(&self, namespace: &Arc<str>, select: &Selector) -> Result<Vec<Set>, WireError> {
        let services = self.client.services(namespace).await?;
        let count = services.len();
        let keys = services.iter().map(|one| (listed(namespace, &one.group_name, &one.name), one.ip_count));
        let mut missing: BTreeMap<_, _> = keys.filter(|(key, _)| select.scope(key)).collect();
        let mut without_attributes = Vec::with_capacity(missing.len());
        let pages = if are_many(missing.len(), count) { usize::MAX } else { 0 };
        for number in 1..=pages {
            if missing.is_empty() {
                break;
            }
            let page = match self.page(namespace, number, &missing).await {
                Err(WireError::Protocol(_) | WireError::Denied(_)) => break,
                page => page?,
            };
            for (key, _) in &page.sets {
                missing.remove(key);
            }
            without_attributes.extend(page.sets);
            if !page.more {
                break;
            }
        }
        let dress = without_attributes.into_iter().map(async |(key, set)| {
            let attributes = Some(self.attributes(&key).await?);
            Ok(Set { attributes, ..set })
        });
        let mut sets: Vec<_> = stream::iter(dress).buffer_unordered(IN_FLIGHT).try_collect().await?;
        let reads = missing.into_keys().map(async |key| self.read(&key).await);
        let others: Vec<_> = stream::iter(reads).buffer_unordered(IN_FLIGHT).try_collect().await?;
        sets.extend(others);
        Ok(sets)
    }
}

/// All namespaces, with their display names.
pub(super) async fn parts(client: &NacosClient) -> Result<Parts, WireError> {
    let namespaces = client.namespaces().await?;
    Ok(namespaces.into_iter().map(|one| (Part::new(&one.id), Some(one.name.as_str().into()))).collect())
}
