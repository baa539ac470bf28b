//! Doubles of Polaris, one for every test: they start in no time.

use super::open;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use anyhow::{Result, bail};
use causeway_connectors::Connect;
use causeway_core::{Endpoint, Instance, InstanceData, InstanceId, Mark, ServiceKey};
use causeway_testbed::{POLARIS_TOKEN, Polaris, PolarisApi, PolarisRow, PolarisSetup, Server, TokenChange};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The key of metadata that carries our mark.
const MARK: &str = "causeway";
/// Begins the keys of what metadata have no room for.
const MORE: &str = "causeway.more.";
/// What the server adds to the metadata of an instance with a location, and of one without heartbeats.
const PLACES: [&str; 3] = ["region", "zone", "campus"];
const LAST_BEAT: &str = "internal-lastheartbeat";
/// The weight that is 1 elsewhere.
const NORMAL: f64 = 100.0;
const LIMITED: &str = "the-token-of-one-namespace";

/// Polaris; with a store that says a location of every instance, or with the usual one.
#[derive(Clone)]
pub struct PolarisKind {
    label: &'static str,
    setup: PolarisSetup,
}

impl PolarisKind {
    pub fn new(label: &'static str, setup: PolarisSetup) -> Self {
        Self { label, setup }
    }

    async fn subject(&self, auth: bool) -> Result<PolarisSubject> {
        let server = Polaris::start(PolarisSetup { auth, client_auth: auth, ..self.setup.clone() }).await?;
        let api = server.api()?;
        let token = auth.then_some(POLARIS_TOKEN);
        let places = self.setup.always_location;
        Ok(PolarisSubject { server, api, token, places, published: Mutex::default() })
    }
}

impl Kind for PolarisKind {
    type Subject = PolarisSubject;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        &[Server::Polaris]
    }
    async fn shared(&self) -> Result<PolarisSubject> {
        self.subject(false).await
    }
    async fn own(&self) -> Result<PolarisSubject> {
        self.subject(true).await
    }
}

/// One server.
pub struct PolarisSubject {
    server: Polaris,
    api: PolarisApi,
    token: Option<&'static str>,
    /// Whether it says a location of every instance, over what a provider says under these keys.
    places: bool,
    /// What each provider has registered.
    published: Mutex<BTreeMap<(String, ServiceKey), Vec<PolarisRow>>>,
}

impl PolarisSubject {
    fn connect(&self, token: Option<&str>, namespaces: &[String]) -> Connect {
        Connect {
            install: "cf3a9e01".into(),
            addresses: self.server.addresses().to_vec(),
            namespaces: namespaces.to_vec(),
            token: token.map(|token| token.to_owned().into()),
            ..Connect::default()
        }
    }
}

impl Subject for PolarisSubject {
    fn facts(&self) -> Facts {
        Facts {
            kind: "polaris",
            versions: "",
            // What clients are told is up to 1.5 s old, and clients ask.
            told_in: Duration::from_secs(3),
            found_in: Duration::from_secs(4),
            health_in: Duration::from_secs(3),
            lost_in: Duration::from_secs(8),
            ends_in: Duration::from_secs(1),
            checked_in: Duration::from_millis(100),
            expiry: None,
            size_limit: Limit::Bytes(63 * 4_096),
            // A look, the service, and one write.
            calls_to_write: |services, _| 3 * services + 100,
            // One question for each, and some more rounds.
            calls_to_read: |services, _| 4 * services + 100,
            calls_at_once: 1,
            shape: Shape { slots: false, taken: if self.places { &PLACES } else { &[] }, ..Shape::PLAIN },
        }
    }

    async fn open(&self, who: &Who, namespaces: &[String]) -> Result<Session> {
        let token = match who {
            Who::Administrator => self.token,
            Who::WrongPassword => Some("not-a-token"),
            Who::Only(namespace) => {
                let users = [(LIMITED.to_owned(), [namespace.clone()].into())].into();
                self.server
                    .door()?
                    .change_tokens(&TokenChange { users: Some(users), ..TokenChange::default() })
                    .await?;
                Some(LIMITED)
            }
        };
        open("polaris", self.connect(token, namespaces))
    }

    async fn open_next(&self) -> Result<Session> {
        self.open(&Who::Administrator, &[]).await
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let door = self.server.door()?;
        door.count_again().await?;
        let session = open("polaris", self.connect(self.token, &[]))?;
        let (counts, peak) = (door.clone(), door);
        // A door that does not answer is more than any bound.
        let meter = Meter {
            calls: Box::new(move || counts.counts_now().map_or(usize::MAX, |counts| counts.total)),
            peak: Box::new(move || peak.counts_now().map_or(usize::MAX, |counts| counts.peak)),
            wire: Box::new(()),
        };
        Ok((session, meter))
    }

    async fn create_namespace(&self, id: &str) -> Result<()> {
        self.api.create_namespace(id, id).await
    }

    async fn remove_namespace(&self, id: &str) -> Result<()> {
        self.api.remove_namespace(id).await
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let rows: Vec<_> = instances.iter().map(row).collect();
        let key = (provider.to_owned(), service.clone());
        let before = self.published.lock().insert(key, rows.clone()).unwrap_or_default();
        let name = name(service);
        self.api.register(&service.namespace, &name, &rows).await?;
        let stands = |gone: &&PolarisRow| !rows.iter().any(|row| (&row.host, row.port) == (&gone.host, gone.port));
        let gone: Vec<_> = before.iter().filter(stands).cloned().collect();
        self.api.deregister(&service.namespace, &name, &gone).await
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        // The console sends back what it shows, but for what was changed.
        let mut edited = row(as_wanted);
        let all = self.api.all(&service.namespace, &name(service)).await?;
        let stands = all.into_iter().filter(|row| (&row.host, row.port) == (&edited.host, edited.port));
        let kept: Vec<_> = stands.flat_map(|row| row.metadata).filter(|(key, _)| key.starts_with(MORE)).collect();
        edited.metadata.extend(kept);
        self.api.update(&service.namespace, &name(service), &[edited]).await?;
        Ok(true)
    }

    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        let all = self.api.discovered(&service.namespace, &name(service)).await?;
        all.into_iter().filter(|row| row.healthy && !row.isolated).map(instance).collect()
    }

    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        let mut all = self.api.discovered(&service.namespace, &name(service)).await?;
        all.sort_by_key(|row| (row.port, row.host.clone()));
        all.into_iter().map(instance).collect()
    }

    async fn subscribe(&self, _: &ServiceKey) -> Result<Told> {
        // Clients ask again and again: that is what `visible` does.
        Ok(Box::new(Vec::new))
    }

    async fn unwelcome(&self, mut record: Instance) -> Instance {
        record.id.endpoint.host = "x".repeat(129).into();
        record
    }

    async fn deny(&self, _: &ServiceKey) -> Result<()> {
        // A user of one namespace has no right to any other.
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        self.server.kill9()
    }

    async fn start(&self) -> Result<()> {
        match self.server.pid() {
            Some(_) => bail!("it runs"),
            None => self.server.start_again().await,
        }
    }
}

/// What a service is called in Polaris, which has no groups.
fn name(service: &ServiceKey) -> String {
    match &*service.group {
        "DEFAULT_GROUP" if !service.name.contains("__") => service.name.to_string(),
        group => format!("{group}__{}", service.name),
    }
}

/// What a provider registers that is this instance.
fn row(instance: &Instance) -> PolarisRow {
    PolarisRow {
        weight: (instance.weight * NORMAL).round() as u32,
        healthy: instance.healthy,
        isolated: !instance.enabled,
        metadata: instance.metadata.to_map(),
        ..PolarisRow::new(&instance.id.endpoint.host, instance.id.endpoint.port)
    }
}

/// A row as any tool would find it.
fn instance(row: PolarisRow) -> Result<Instance> {
    let mut metadata = row.metadata;
    let mark = metadata.get(MARK).and_then(|text| Mark::decode(text));
    let mut more = Value::Null;
    if mark.is_some() {
        metadata.remove(MARK);
        let pieces: BTreeSet<String> = metadata.keys().filter(|key| key.starts_with(MORE)).cloned().collect();
        let text: String = pieces.iter().filter_map(|key| metadata.remove(key)).collect();
        if !text.is_empty() {
            more = serde_json::from_str(&text)?;
        }
    }
    metadata.remove(LAST_BEAT);
    if row.location.is_some() {
        // A copy's place is made of its metadata.
        metadata.retain(|key, value| !PLACES.contains(&key.as_str()) || (mark.is_some() && !value.is_empty()));
    }
    let odd = more["metadata"].as_object().into_iter().flatten();
    metadata.extend(odd.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())));
    let exact = more["weight"].as_str().and_then(|text| text.parse().ok());
    let endpoint = Endpoint { host: row.host.into(), port: row.port };
    Ok(InstanceData {
        id: InstanceId { endpoint, slot: "".into() },
        weight: exact.unwrap_or(f64::from(row.weight) / NORMAL),
        enabled: !row.isolated,
        healthy: row.healthy,
        ephemeral: more["persistent"] != true,
        lasting: more["lasting"] == true,
        metadata: metadata.into(),
        payload: None,
        mark,
    }
    .into())
}
