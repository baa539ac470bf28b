//! What each server of a cluster lists: where servers no longer tell each other everything, each of them looks healthy by
//! itself.

use super::client::{Carried, Error as WireError, NacosClient, Options, ServiceSummary, listed, or_default};
use super::convert;
use causeway_core::{Part, RecordCounts, Replica, ServiceKey, Set};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::time::Duration;
use tokio::time::sleep;

/// Services that one server is asked about at a time.
const AT_ONCE: usize = 8;
/// Between two questions whether a server knows what we publish.
const AGAIN: Duration = Duration::from_millis(500);
/// A server that fails to answer this many times in a row is not waited for.
const AWAY: u32 = 10;

/// The servers of a cluster, one by one. None where the settings name one address only: behind it may be one server, or
/// a load balancer that hides which one answers.
pub(super) struct ReplicaClients {
    clients: Vec<(String, NacosClient)>,
}

impl ReplicaClients {
    /// Touches no network.
    pub fn new(options: &Options) -> Result<Self, WireError> {
        let clients = options.addresses.iter().map(|address| {
            let one = Options { addresses: vec![address.clone()], ..options.clone() };
            Ok((address.to_string(), NacosClient::new(one)?))
        });
        let clients = if options.addresses.len() > 1 { clients.collect::<Result<_, _>>()? } else { Vec::new() };
        Ok(Self { clients })
    }

    /// How many instances each lists in each service of a namespace.
    pub async fn counts(&self, part: &Part) -> Vec<Replica<RecordCounts>> {
        let count = |client: NacosClient| async move {
            let services = client.services(&part.0).await?;
            let count = |one: ServiceSummary| {
                let scope = listed(&part.0, &one.group_name, &one.name);
                (scope, usize::try_from(one.ip_count).unwrap_or_default())
            };
            Ok(services.into_iter().map(count).filter(|(_, count)| *count > 0).collect())
        };
        self.ask(count).await
    }

    /// What each lists in these services.
    pub async fn sets(&self, scopes: &[ServiceKey]) -> Vec<Replica<Vec<Set>>> {
        let sets = |client: NacosClient| async move {
            let read = scopes.iter().cloned().map(|scope| read(client.clone(), scope)).collect::<Vec<_>>();
            stream::iter(read).buffered(AT_ONCE).try_collect().await
        };
        self.ask(sets).await
    }

    /// Waits until every server knows what each of these connections publishes, as `carried` says at the time. Without
    /// that a subscriber of a server that lags behind would miss copies when an earlier connection with them is closed.
    /// Not waited for: a server that stays away, or that does not tell.
    pub async fn wait_for(&self, carried: impl Fn() -> Vec<Carried>) {
        let carried = &carried;
        join_all(self.clients.iter().map(|(server, client)| async move {
            let mut away = 0;
            loop {
                match knows(client, &carried()).await {
                    Ok(true) => return,
                    Ok(false) => away = 0,
                    Err(WireError::Unavailable(_)) if away < AWAY => away += 1,
                    Err(error) => {
                        tracing::debug!(%server, %error, "it is not known what this server knows of our connections");
                        return;
                    }
                }
                sleep(AGAIN).await;
            }
        }))
        .await;
    }

    async fn ask<T, Answer>(&self, question: impl Fn(NacosClient) -> Answer) -> Vec<Replica<T>>
    where
        Answer: Future<Output = Result<T, WireError>>,
    {
        let ask = |(server, client): &(String, NacosClient)| {
            let (server, answer) = (server.clone(), question(client.clone()));
            async move { Replica { server, listed: answer.await.map_err(convert::error) } }
        };
        join_all(self.clients.iter().map(ask)).await
    }
}

/// Whether a server knows all that these connections publish.
async fn knows(client: &NacosClient, carried: &[Carried]) -> Result<bool, WireError> {
    for one in carried.iter().filter(|one| one.load.services > 0) {
        let Some(id) = &one.id else { return Ok(false) };
        if client.published(id).await? < one.load.services {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A service that the server does not know is empty.
async fn read(client: NacosClient, scope: ServiceKey) -> Result<Set, WireError> {
    let truth = or_default(client.truth(&scope).await)?;
    let mut set = Set::empty(scope);
    truth.instances.iter().for_each(|wire| set.put(convert::read(wire)));
    Ok(set)
}
