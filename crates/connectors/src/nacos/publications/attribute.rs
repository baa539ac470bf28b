//! How a record is known as ours when its mark has gone: by the connections that publish its address.

use super::other_tools::is_over_http;
use super::{Publications, Published, Records};
use crate::bridge::other_tools::tool_of;
use crate::nacos::client::{Error as WireError, Generation, PublisherRef, WireInstance, or_default};
use crate::nacos::convert;
use causeway_core::{Attributes, Instance, InstanceId, Mark, OwnerId, ServiceKey, Set};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Questions about the addresses of one service at a time.
const AT_ONCE: usize = 8;
/// The first question, whether the server tells publishers at all, must not hold up the start.
const SHORT: Duration = Duration::from_secs(2);

type HostPort = (String, u16);
/// The publishers of each address that was asked about; none where the server does not tell.
type Publishers = BTreeMap<HostPort, Option<Vec<PublisherRef>>>;

impl Publications {
    /// Whether the server tells who publishes an address: asked once, about an address that nobody has.
    pub(super) async fn can_attribute(&self, scope: &ServiceKey) -> bool {
        let ask = async || {
            let asked = self.client.publishers(scope, "127.0.0.1", 1);
            let answer = tokio::time::timeout(SHORT, asked).await.map_err(drop)?;
            let tells = told(or_default(answer)).map_err(drop)?.is_some();
            if !tells {
                tracing::info!("the server does not tell who publishes an address");
            }
            Ok::<_, ()>(tells)
        };
        *self.attributes.get_or_try_init(ask).await.unwrap_or(&false)
    }

    /// Turns what was read of a service into a set, in which our own records are known as ours even when their marks
    /// have gone.
    ///
    /// Errors: transient ones of the question who publishes an address. A guess could hide a native record or take a
    /// copy for one, so the service is to be read again.
    pub async fn attribute(
        &self,
        scope: &ServiceKey,
        attributes: Option<Attributes>,
        instances: &[WireInstance],
    ) -> Result<Set, WireError> {
        let ours = self.of(scope);
        let records = match self.protocol.is_http() {
            true => self.claimed_http(scope, &ours, instances),
            false => self.claimed(scope, &ours, instances).await?,
        };
        let mut set = Set { attributes, ..Set::empty(scope.clone()) };
        for (mut record, owner) in records {
            if let Some(owner) = owner {
                // What stands where our mark stood is not metadata of the provider's.
                record.metadata.remove(convert::MARK);
                record = record.with_mark(Some(Mark::new(owner, Vec::new())));
            }
            set.put(record);
        }
        Ok(set)
    }

    /// What stands in a service as it is read; with its owner, where it is ours although it does not say so.
    async fn claimed(
        &self,
        scope: &ServiceKey,
        ours: &Records,
        instances: &[WireInstance],
    ) -> Result<Vec<(Instance, Option<OwnerId>)>, WireError> {
        let records: Vec<_> = instances.iter().map(convert::read).collect();
        let doubtful = |read: &Instance| {
            ours.get(&read.id()).filter(|published| read.mark != published.record.mark || read.mark.is_none())
        };
        let asked = records.iter().filter(|read| read.ephemeral && doubtful(read).is_some()).map(address).collect();
        let publishers = self.publishers(scope, asked).await?;
        let mine = self.connections();
        let is_beaten = |read: &&Instance| {
            let mut here = publishers.get(&address(read)).and_then(Option::as_deref).into_iter().flatten();
            tool_of(read.mark()).is_some() && here.any(|one| *one.cluster == *read.id.slot && is_over_http(one))
        };
        self.note_beaten(scope, records.iter().filter(is_beaten).map(Instance::id).collect());
        let twins = twins(&records);
        // Ours reads as another tool's copy, too, which it was made from: that one says something else now.
        let left_alone = |read: &Instance| {
            let ours = ours.get(&read.id()).filter(|_| twins.contains(&read.id))?;
            (ours.record.mark.is_none() && ours.record.same(read)).then_some(ours)
        };
        let judge = |read: Instance| {
            let publishers = publishers.get(&address(&read)).and_then(Option::as_deref);
            let ours = doubtful(&read).filter(|published| claims(&read, published, publishers, &mine));
            let ours = ours.or_else(|| left_alone(&read));
            let owner = ours.map(|published| published.owner.clone());
            (read, owner)
        };
        Ok(records.into_iter().map(judge).collect())
    }

    /// Every connection by which we publish or have published, an earlier process' too: the server may hold one for a
    /// while that we have left or lost.
    pub(super) fn connections(&self) -> BTreeSet<String> {
        self.client.published_as().into_iter().chain(self.inherited.iter().cloned()).collect()
    }

    /// Who publishes these addresses. Errors: transient ones.
    async fn publishers(&self, scope: &ServiceKey, addresses: BTreeSet<HostPort>) -> Result<Publishers, WireError> {
        let mut publishers = Publishers::new();
        if addresses.is_empty() {
            return Ok(publishers);
        }
        // 3.x tells all of a service at once. What it leaves out is asked about by itself.
        if addresses.len() > 1 && self.client.version().await?.generation == Generation::V3 {
            for one in told(self.client.all_publishers(scope).await)?.unwrap_or_default() {
                let at = (one.ip.clone(), one.port);
                if addresses.contains(&at) {
                    publishers.entry(at).or_default().get_or_insert_default().push(one);
                }
            }
        }
        let left: Vec<_> = addresses.into_iter().filter(|at| !publishers.contains_key(at)).collect();
        let ask = |(ip, port): HostPort| async move {
            let found = told(self.client.publishers(scope, &ip, port).await)?;
            Ok(((ip, port), found))
        };
        let asked: Vec<_> = stream::iter(left.into_iter().map(ask)).buffer_unordered(AT_ONCE).try_collect().await?;
        publishers.extend(asked);
        Ok(publishers)
    }
}

/// What the server has told; none where it does not tell. Errors: transient ones.
fn told<T>(answer: Result<T, WireError>) -> Result<Option<T>, WireError> {
    match answer {
        Err(error) if !error.is_transient() => {
            tracing::debug!(%error, "the server does not tell who publishes an address");
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// The ids under which several records stand that read as copies of other tools.
fn twins(records: &[Instance]) -> BTreeSet<InstanceId> {
    let (mut seen, mut twins) = (BTreeSet::new(), BTreeSet::new());
    for read in records.iter().filter(|read| tool_of(read.mark()).is_some()) {
        if !seen.insert(read.id()) {
            twins.insert(read.id());
        }
    }
    twins
}

fn address(read: &Instance) -> HostPort {
    (read.id.endpoint.host.to_string(), read.id.endpoint.port)
}

/// Whether a record without our mark, at an address where we publish, is ours alone. `publishers` of its address are
/// none where the server does not tell: then likeness decides, but never about a shadow, which is alike by nature.
fn claims(
    read: &Instance,
    published: &Published,
    publishers: Option<&[PublisherRef]>,
    mine: &BTreeSet<String>,
) -> bool {
    let Some(publishers) = publishers.filter(|_| read.ephemeral) else {
        let mut bare = read.clone();
        bare.metadata.remove(convert::MARK);
        // The health of a persistent one is the server's.
        if !read.ephemeral {
            bare.healthy = published.record.healthy;
        }
        return published.record.mark.is_some() && bare.same(&published.record);
    };
    let mut here = publishers.iter().filter(|one| *one.cluster == *read.id.slot).peekable();
    here.peek().is_some() && here.all(|one| mine.contains(&one.client_id))
}
