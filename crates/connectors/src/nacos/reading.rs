//! Reading services whole: the lists that show disabled instances, with our own records known as ours.

use super::client::{Error as WireError, NacosClient, ServiceKey as WireKey, ServiceTruth};
use super::convert;
use super::publications::SharedPublications;
use causeway_core::{Part, Parts, Selector, Set};
use futures_util::StreamExt;

/// Services read at once.
pub(super) const IN_FLIGHT: usize = 32;

/// What reading one service shares with others.
#[derive(Clone)]
pub(super) struct Reading {
    pub client: NacosClient,
    pub publications: SharedPublications,
}

impl Reading {
    /// The whole truth of one service, ours known as ours. A service that does not exist is an empty one here: its
    /// namespace's list says whether it exists.
    pub async fn read(&self, key: &WireKey) -> Result<Set, WireError> {
        let truth = match self.client.truth(key).await {
            Err(WireError::NotFound(_)) => ServiceTruth::default(),
            truth => truth?,
        };
        self.publications.attribute(&convert::scope(key), &truth).await
    }

    /// Everything in one namespace.
    pub async fn read_all(&self, namespace: &str, select: &Selector) -> Result<Vec<Set>, WireError> {
        let services = self.client.services(namespace).await?;
        let keys = services.into_iter().map(|one| WireKey::new(namespace, &one.group_name, &one.name));
        let wanted = keys.filter(|key| select.scope(&convert::scope(key)));
        let reads = wanted.map(|key| async move { self.read(&key).await });
        let sets: Vec<_> = futures_util::stream::iter(reads).buffer_unordered(IN_FLIGHT).collect().await;
        sets.into_iter().collect()
    }
}

/// All namespaces, with their display names.
pub(super) async fn parts(client: &NacosClient) -> Result<Parts, WireError> {
    let namespaces = client.namespaces().await?;
    Ok(namespaces.into_iter().map(|one| (Part::new(&one.id), Some(one.name.as_str().into()))).collect())
}
