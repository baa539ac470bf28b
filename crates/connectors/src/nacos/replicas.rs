//! What each server of a cluster lists by itself: a cluster whose servers no longer tell each other everything looks well
//! from each of them.

use super::client::{Error as WireError, NacosClient, Options, ServiceSummary};
use super::convert;
use causeway_core::{Counts, Part, Replica, ServiceKey, Set};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// Services that one server is asked about at a time.
const AT_ONCE: usize = 8;

/// The servers of a cluster, one by one. None where the settings name one address only: behind it may be one server, or
/// a load balancer that hides which one answers.
pub(super) struct Servers {
    clients: Vec<(String, NacosClient)>,
}

impl Servers {
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
    pub async fn counts(&self, part: &Part) -> Vec<Replica<Counts>> {
        let count = |client: NacosClient| async move {
            let services = client.services(&part.0).await?;
            let count = |one: ServiceSummary| {
                let scope = ServiceKey::new(&part.0, &one.group_name, &one.name);
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

    async fn ask<T, Answer>(&self, question: impl Fn(NacosClient) -> Answer) -> Vec<Replica<T>>
    where
        Answer: Future<Output = Result<T, WireError>>,
    {
        let asked = self.clients.iter().map(|(_, client)| question(client.clone())).collect::<Vec<_>>();
        let listed = join_all(asked).await.into_iter().map(|listed| listed.map_err(convert::error));
        let servers = self.clients.iter().map(|(server, _)| server.clone());
        servers.zip(listed).map(|(server, listed)| Replica { server, listed }).collect()
    }
}

/// A service that the server does not know is empty.
async fn read(client: NacosClient, scope: ServiceKey) -> Result<Set, WireError> {
    let mut set = Set::empty(scope.clone());
    match client.truth(&convert::wire_key(&scope)).await {
        Ok(truth) => truth.instances.iter().for_each(|wire| set.put(convert::read(wire))),
        Err(WireError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(set)
}
