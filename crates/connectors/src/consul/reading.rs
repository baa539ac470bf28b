//! What stands in a data centre, and how far that is all of it.

use super::client::{Check, Client, Dumped, Entry, Service};
use super::convert::{self, PASSING, SERVERS};
use super::settings::ConsulOptions;
use crate::util::http::path_segment;
use causeway_core::{Error, Instance, Set, Unreadable, intern};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Services that are asked for at once.
pub(super) const AT_ONCE: usize = 16;
/// All instances with their checks. Not in Consul's documents, but what its own web page has lived by since its first version;
/// where it is not served, every service is asked for by itself.
const EVERYTHING: &str = "/v1/internal/ui/nodes";

const NAMES: &str = "/v1/catalog/services";
const NOTHING: &str = "the token may read nothing: it needs `service:read` and `node:read` (the answer is empty, and Consul says \
                       that its access control has left something out)";

/// The sets of services, by name.
pub(super) type Sets = BTreeMap<Arc<str>, Arc<Set>>;

/// Checks that do not pass: by node and id, the status and the service, which is empty for a node's.
pub(super) type Failing = BTreeMap<(String, String), (String, String)>;

/// Those of these checks that do not pass.
pub(super) fn failing<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Failing {
    let failing = checks.into_iter().filter(|check| check.status != PASSING).cloned();
    failing.map(|check| ((check.node, check.id), (check.status, check.service_name))).collect()
}

/// What was found at one look.
pub(super) struct Listing {
    pub sets: Sets,
    pub failing: Failing,
    /// The token may not read all: what is not listed may be there.
    pub filtered: bool,
}

/// What was found of one service.
pub(super) struct One {
    /// `None`: there is no instance of it that may be read.
    pub set: Option<Arc<Set>>,
    pub failing: Failing,
    /// The token may not read all of it.
    pub filtered: bool,
}

/// Reads one data centre.
pub(super) struct Reading {
    pub client: Client,
    options: ConsulOptions,
    /// Whether the last list lacked what may not be read.
    filtered: AtomicBool,
}

impl Reading {
    pub fn new(client: Client, options: ConsulOptions) -> Self {
        Self { client, options, filtered: AtomicBool::new(false) }
    }

    /// All services. An error where nothing may be read, and where the catalog cannot be whole.
    pub async fn all(&self) -> Result<Listing, Error> {
        let (by_name, failing, filtered) = match self.client.list::<Vec<Dumped>>(EVERYTHING).await {
            Ok(answer) => {
                let failing = failing(answer.content.iter().flat_map(|node| &node.checks));
                (by_name(answer.content), failing, answer.filtered)
            }
            Err(Error::Missing(why)) if !why.contains("data centre") => self.one_by_one().await?,
            Err(error) => return Err(error),
        };
        // Servers register themselves, unless they have just begun. In a namespace of its own nobody is.
        if !filtered && !by_name.contains_key(SERVERS) && self.options.namespace.is_none() {
            return Err(Error::unavailable("the catalog does not show the servers themselves: it is not complete yet"));
        }
        let sets: Sets = by_name
            .into_iter()
            .filter(|(name, _)| name != SERVERS)
            .map(|(name, entries)| (intern(&name), Arc::new(self.set(&name, &entries))))
            .collect();
        if filtered && sets.is_empty() {
            return Err(Error::Denied(NOTHING.into()));
        }
        self.filtered.store(filtered, Ordering::Relaxed);
        Ok(Listing { sets, failing, filtered })
    }

    /// What the last list lacked, as far as that can be known.
    pub fn left_out(&self) -> Vec<Unreadable> {
        let why = "the token has no `service:read` or `node:read` for them";
        let lacking = self.filtered.load(Ordering::Relaxed);
        lacking.then(|| Unreadable { record: "some services".into(), why: why.into() }).into_iter().collect()
    }

    async fn one_by_one(&self) -> Result<(BTreeMap<String, Vec<Entry>>, Failing, bool), Error> {
        let names = self.client.list::<BTreeMap<String, IgnoredAny>>(NAMES).await?;
        let looks = names.content.into_keys().map(|name| async move {
            let (entries, filtered) = self.entries(&name).await?;
            Ok::<_, Error>((name, entries, filtered))
        });
        let all: Vec<_> = stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
        let filtered = names.filtered || all.iter().any(|(_, _, filtered)| *filtered);
        let failing = failing(all.iter().flat_map(|(_, entries, _)| entries).flat_map(|entry| &entry.checks));
        // Of proxies and gateways nothing is left.
        let found = all.into_iter().filter(|(_, entries, _)| !entries.is_empty());
        Ok((found.map(|(name, entries, _)| (name, entries)).collect(), failing, filtered))
    }

    /// One service.
    pub async fn one(&self, name: &str) -> Result<One, Error> {
        let (entries, filtered) = self.entries(name).await?;
        let set = (!entries.is_empty()).then(|| Arc::new(self.set(name, &entries)));
        let failing = failing(entries.iter().flat_map(|entry| &entry.checks));
        Ok(One { set, failing, filtered })
    }

    /// The instances of one service as Consul tells them, and whether some may not be read. Consul does not tell capital letters
    /// from small ones in names; we do.
    pub async fn entries(&self, name: &str) -> Result<(Vec<Entry>, bool), Error> {
        let path = format!("/v1/health/service/{}", path_segment(name));
        let answer = self.client.get::<Vec<Entry>>(&path, &[]).await?;
        let mut entries = answer.content;
        entries.retain(|entry| entry.service.service == name && is_plain(&entry.service));
        Ok((entries, answer.filtered))
    }

    /// How many services there are.
    pub async fn count(&self) -> Result<usize, Error> {
        let names = self.client.list::<BTreeMap<String, IgnoredAny>>(NAMES).await?;
        let count = names.content.keys().filter(|name| *name != SERVERS).count();
        match names.filtered && count == 0 {
            true => Err(Error::Denied(NOTHING.into())),
            false => Ok(count),
        }
    }

    /// Whether the servers answer, and what they say can be relied on.
    pub async fn check(&self) -> Result<(), Error> {
        self.client.check_token().await?;
        self.client.look().await
    }

    fn set(&self, name: &str, entries: &[Entry]) -> Set {
        let read = entries.iter().map(|entry| (entry, convert::read(entry, self.options.address_of)));
        let mut records: Vec<(&Entry, Instance)> = read.filter(|(_, one)| self.takes(one)).collect();
        // Nodes may show one instance twice. Of natives with one id the last stands: one that passes, the first by node.
        records.sort_by(|(a, one), (b, other)| {
            (one.healthy, &b.node.node, &b.service.id).cmp(&(other.healthy, &a.node.node, &a.service.id))
        });
        Set::of(convert::scope(name), records.into_iter().map(|(_, record)| record))
    }

    /// A copy always counts; a native where it takes traffic, or where the settings want all of them.
    fn takes(&self, record: &Instance) -> bool {
        self.options.include_unhealthy || record.mark().is_some() || (record.healthy && record.enabled)
    }
}

/// Gateways and proxies of a service mesh are no services that anybody else could call.
fn is_plain(service: &Service) -> bool {
    service.kind.is_empty() && service.peer_name.is_empty()
}

fn by_name(nodes: Vec<Dumped>) -> BTreeMap<String, Vec<Entry>> {
    let mut found: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for dumped in nodes.into_iter().filter(|one| one.peer_name.is_empty()) {
        let mut of_node = Vec::new();
        let mut of_service: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for check in dumped.checks {
            match check.service_id.is_empty() {
                true => of_node.push(check),
                false => of_service.entry(check.service_id.to_lowercase()).or_default().push(check),
            }
        }
        for service in dumped.services.into_iter().filter(is_plain) {
            let mut checks = of_node.clone();
            checks.extend(of_service.remove(&service.id.to_lowercase()).unwrap_or_default());
            let name = service.service.clone();
            found.entry(name).or_default().push(Entry { node: dumped.node.clone(), service, checks });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connect;

    fn reading(include_unhealthy: bool) -> Reading {
        let connect = Connect { addresses: vec!["127.0.0.1:1".into()], ..Connect::default() };
        let options = ConsulOptions { include_unhealthy, ..ConsulOptions::default() };
        Reading::new(Client::new(&connect, &options).unwrap(), options)
    }

    fn nodes() -> Vec<Dumped> {
        serde_json::from_value(serde_json::json!([
            {"Node": "n1", "Address": "10.0.0.1", "Services": [
                {"ID": "web", "Service": "web", "Tags": null, "Address": "", "Port": 80},
                {"ID": "ill", "Service": "web", "Address": "10.0.0.7", "Port": 81},
                {"ID": "web-sidecar-proxy", "Kind": "connect-proxy", "Service": "web-sidecar-proxy", "Port": 1},
            ], "Checks": [
                {"Node": "n1", "CheckID": "serfHealth", "Status": "passing", "ServiceID": ""},
                {"Node": "n1", "CheckID": "c", "Status": "critical", "ServiceID": "ILL"},
            ]},
            {"Node": "n2", "Address": "10.0.0.1", "Services": [
                {"ID": "web", "Service": "web", "Port": 80, "Meta": {"a": "b"}},
                {"ID": "other", "Service": "Web", "Port": 80},
            ], "Checks": [{"Node": "n2", "CheckID": "serfHealth", "Status": "critical"}]},
            {"Node": "n3", "PeerName": "away", "Services": [{"ID": "x", "Service": "x"}], "Checks": null},
        ]))
        .unwrap()
    }

    #[test]
    fn nodes_become_services() {
        let found = by_name(nodes());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["Web", "web"]);
        let checks = |name: &str| found[name].iter().map(|one| one.checks.len()).collect::<Vec<_>>();
        assert_eq!((checks("web"), checks("Web")), (vec![1, 2, 1], vec![1]));
        // The one that passes stands where two nodes show one instance.
        let set = reading(true).set("web", &found["web"]);
        assert_eq!(set.records.len(), 2);
        assert!(
            set.records
                .values()
                .filter_map(|held| held.native.as_ref())
                .any(|one| one.healthy && one.metadata.is_empty())
        );
        assert_eq!(reading(false).set("web", &found["web"]).records.len(), 1);
        assert!(reading(false).set("Web", &found["Web"]).records.is_empty());
    }
}
