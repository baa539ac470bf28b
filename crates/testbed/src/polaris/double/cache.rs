//! What reads are answered from: a picture of the records that is taken once a second.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_proto::polaris::{Instance, Service};
use sha1::{Digest, Sha1};

use super::records::{HeldInstance, HeldNamespace, HeldRecords, HeldService};

/// Keys that the server writes into the metadata of what it shows, over what providers say there.
pub const INTERNAL: [&str; 5] = ["version", "protocol", "region", "zone", "campus"];

/// A service with its instances as they are shown.
pub struct CachedService {
    pub it: Arc<HeldService>,
    pub instances: Vec<Arc<HeldInstance>>,
    /// Changes with the service and with any of its instances. The same for all services without instances.
    pub revision: String,
}

#[derive(Clone, Default)]
pub struct CachedRecords {
    pub namespaces: BTreeMap<String, Arc<HeldNamespace>>,
    pub services: BTreeMap<String, Arc<CachedService>>,
    pub names: BTreeMap<(String, String), String>,
    /// Instances by id.
    pub instances: BTreeMap<String, Arc<HeldInstance>>,
    clock: u64,
}

/// SHA-1 of these texts, one after another.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let hash = texts.into_iter().fold(Sha1::new(), |hash, text| hash.chain_update(text));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As it is shown to consumers. `always`: the store says a location of every instance, an empty one if need be.
fn shown(held: &Arc<HeldInstance>, always: bool) -> Arc<HeldInstance> {
    let Instance { version, protocol, location, metadata, .. } = &held.it;
    let mut metadata = metadata.clone();
    let fields = [("version", version), ("protocol", protocol)];
    for (key, value) in fields {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let location = location.clone().or_else(|| always.then(Default::default));
    if let Some(place) = &location {
        for (key, value) in [("region", &place.region), ("zone", &place.zone), ("campus", &place.campus)] {
            metadata.insert(key.to_owned(), value.clone().unwrap_or_default());
        }
    }
    let it = Instance { metadata, location, ..held.it.clone() };
    Arc::new(HeldInstance { service: held.service.clone(), it, changed: held.changed, written: held.written })
}

impl CachedRecords {
    /// The next picture; the same where nothing has changed.
    pub fn next(&self, records: &mut HeldRecords, always: bool) -> Option<Self> {
        records.expire(always);
        if self.clock == records.clock() {
            return None;
        }
        let mut next = Self {
            namespaces: records.namespaces.clone(),
            names: records.names.clone(),
            clock: records.clock(),
            ..self.clone()
        };
        for id in std::mem::take(&mut records.touched) {
            if let Some(before) = next.services.remove(&id) {
                before.instances.iter().for_each(|one| drop(next.instances.remove(one.id())));
            }
            let Some(it) = records.services.get(&id).cloned() else { continue };
            let instances: Vec<_> = records.noticed(&id).map(|one| shown(one, always)).collect();
            let mut revisions: Vec<_> =
                instances.iter().map(|one| one.it.revision.as_deref().unwrap_or_default()).collect();
            revisions.sort_unstable();
            let revision = match revisions.is_empty() {
                true => digest([]),
                false => digest(it.it.revision.as_deref().into_iter().chain(revisions)),
            };
            next.instances.extend(instances.iter().map(|one| (one.id().to_owned(), one.clone())));
            next.services.insert(id, Arc::new(CachedService { it, instances, revision }));
        }
        Some(next)
    }

    pub fn service_named(&self, namespace: &str, name: &str) -> Option<&Arc<CachedService>> {
        self.services.get(self.names.get(&(namespace.to_owned(), name.to_owned()))?)
    }

    /// The services of a namespace, or of all.
    pub fn services_of(&self, namespace: Option<&str>) -> impl Iterator<Item = &Arc<CachedService>> {
        self.services
            .values()
            .filter(move |one| namespace.is_none_or(|wanted| one.it.it.namespace.as_deref() == Some(wanted)))
    }
}

impl CachedService {
    pub fn namespace(&self) -> &str {
        self.it.it.namespace.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.it.it.name.as_deref().unwrap_or_default()
    }

    /// As it is shown: all of its texts, and the ports of its instances.
    pub fn shown(&self) -> Service {
        let mut ports: Vec<_> = self.instances.iter().filter_map(|one| one.it.port).collect();
        ports.sort_unstable();
        ports.dedup();
        let ports: Vec<_> = ports.into_iter().map(|port| port.to_string()).collect();
        let it = &self.it.it;
        let text = |word: &Option<String>| Some(word.clone().unwrap_or_default());
        Service {
            ports: Some(it.ports.clone().unwrap_or_else(|| ports.join(","))),
            business: text(&it.business),
            department: text(&it.department),
            comment: text(&it.comment),
            owners: text(&it.owners),
            token: None,
            ..it.clone()
        }
    }

    /// All instances, and those that are healthy and not isolated.
    pub fn counts(&self) -> (usize, usize) {
        let well = |one: &&Arc<HeldInstance>| one.it.healthy == Some(true) && one.it.isolate != Some(true);
        (self.instances.len(), self.instances.iter().filter(well).count())
    }
}
