//! Real Consul servers.

use super::open;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use crate::tap::http::HttpTap;
use anyhow::{Context, Result, bail};
use causeway_connectors::Connect;
use causeway_connectors::consul::{ConsulOptions, Destination};
use causeway_core::{Endpoint, Instance, InstanceData, InstanceId, Mark, ServiceKey};
use causeway_testbed::{CONSUL_TOKEN, Consul, ConsulApi, ConsulRow, ConsulSetup, Server};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The key of an instance's `Meta` that carries our mark.
const MARK: &str = "causeway";
/// Begins the keys of what `Meta` has no form for.
const MORE: &str = "causeway-more-";
/// Who may use what is not denied.
const LIMITED: &str = "0e6f3b5c-8d0b-4a39-9a5e-3f0f4f0c2d22";
const WRONG: &str = "0e6f3b5c-0000-0000-0000-3f0f4f0c2d22";
/// How long a copy at an agent lives without us: as short as it may be.
const TTL: Duration = Duration::from_secs(5);

/// Consul, with one of the two destinations; a server of its own for every test, since there is one part a server.
#[derive(Clone, Copy)]
pub struct ConsulKind {
    label: &'static str,
    destination: Destination,
}

impl ConsulKind {
    /// Copies are written there.
    pub fn new(label: &'static str, destination: Destination) -> Self {
        Self { label, destination }
    }

    async fn subject(self, setup: ConsulSetup) -> Result<ConsulSubject> {
        let token = setup.acl.then_some(CONSUL_TOKEN);
        let server = Consul::start(setup).await?;
        let api = server.api()?;
        Ok(ConsulSubject { destination: self.destination, server, api, token, published: Mutex::default() })
    }
}

impl Kind for ConsulKind {
    type Subject = ConsulSubject;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        &[Server::Consul]
    }
    async fn shared(&self) -> Result<ConsulSubject> {
        self.subject(ConsulSetup::default()).await
    }
    async fn own(&self) -> Result<ConsulSubject> {
        self.subject(ConsulSetup { acl: true, persists: true, ..ConsulSetup::default() }).await
    }
}

/// One server.
pub struct ConsulSubject {
    destination: Destination,
    server: Consul,
    api: ConsulApi,
    token: Option<&'static str>,
    /// What each provider has registered.
    published: Mutex<BTreeMap<(String, ServiceKey), BTreeSet<String>>>,
}

impl ConsulSubject {
    fn connect(&self, addr: String, token: Option<&str>) -> Result<Connect> {
        let options = ConsulOptions {
            include_unhealthy: true,
            destination: self.destination,
            check_ttl: TTL,
            ..ConsulOptions::default()
        };
        Ok(Connect {
            install: "cf3a9e01".into(),
            addresses: vec![addr],
            token: token.map(|token| token.to_owned().into()),
            block: Some(serde_json::to_value(options)?),
            ..Connect::default()
        })
    }

    fn is_agent(&self) -> bool {
        self.destination == Destination::Agent
    }

    async fn limit(&self, rules: &str) -> Result<()> {
        let all = "node_prefix \"\" { policy = \"write\" }\nservice_prefix \"\" { policy = \"write\" }\n\
                   agent_prefix \"\" { policy = \"read\" }\n";
        self.api.allow(LIMITED, &format!("{all}{rules}")).await
    }
}

impl Subject for ConsulSubject {
    fn facts(&self) -> Facts {
        Facts {
            kind: "consul",
            versions: if self.is_agent() { " of agents" } else { "" },
            told_in: Duration::from_secs(2),
            found_in: Duration::from_millis(2500),
            health_in: Duration::from_secs(2),
            lost_in: Duration::from_secs(5),
            // An agent takes away what has been critical for a minute, and looks every half.
            ends_in: if self.is_agent() { Duration::from_secs(110) } else { Duration::from_secs(1) },
            checked_in: Duration::from_millis(100),
            expiry: self.is_agent().then_some(TTL),
            size_limit: Limit::Bytes(63 * 512),
            calls_to_write: if self.is_agent() {
                |services, instances| services * (instances + 1) * 2
            } else {
                |services, _| 2 * services + 100
            },
            calls_to_read: |_, _| 12,
            calls_at_once: if self.is_agent() { 8 } else { 1 },
            shape: Shape { only: Some(("public", "DEFAULT_GROUP")), slots: false, part_goes: false, ..Shape::PLAIN },
        }
    }

    async fn open(&self, who: &Who, _: &[String]) -> Result<Session> {
        let token = match who {
            Who::Administrator => self.token,
            Who::WrongPassword => Some(WRONG),
            Who::Only(_) => {
                if self.limited().await.is_err() {
                    self.limit("").await?;
                }
                Some(LIMITED)
            }
        };
        open("consul", self.connect(self.server.addr(), token)?)
    }

    async fn open_next(&self) -> Result<Session> {
        self.open(&Who::Administrator, &[]).await
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let port = self.server.addr().rsplit_once(':').context("an address without a port")?.1.parse()?;
        let tap = HttpTap::start(port).await?;
        let session = open("consul", self.connect(tap.addr(), self.token)?)?;
        let (calls, peak) = (tap.counts(), tap.counts());
        let meter =
            Meter { calls: Box::new(move || calls.calls()), peak: Box::new(move || peak.peak()), wire: Box::new(tap) };
        Ok((session, meter))
    }

    async fn create_namespace(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn remove_namespace(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let node = format!("provider-{}", provider.replace(' ', "-"));
        let rows: Vec<_> = instances.iter().map(|one| row(service, one)).collect();
        let ids = rows.iter().map(|row| row.id.clone()).collect::<BTreeSet<_>>();
        let before = self.published.lock().insert((node.clone(), service.clone()), ids.clone()).unwrap_or_default();
        for row in &rows {
            self.api.register(&node, row).await?;
        }
        for gone in before.difference(&ids) {
            self.api.deregister(&node, gone).await?;
        }
        Ok(())
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        let wanted = row(service, as_wanted);
        let all = self.api.all(&service.name).await?;
        let there = all.into_iter().find(|(_, row)| (&row.address, row.port) == (&wanted.address, wanted.port));
        let (node, mut there) = there.context("nothing stands there")?;
        (there.weight, there.meta) = (wanted.weight, wanted.meta);
        // An agent would undo what is changed behind its back.
        match self.is_agent() {
            true => self.api.edit_at_agent(&there).await?,
            false => self.api.edit(&node, &there).await?,
        }
        Ok(true)
    }

    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.api.visible(&service.name).await?.into_iter().map(instance).collect()
    }

    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.api.all(&service.name).await?.into_iter().map(|(_, row)| instance(row)).collect()
    }

    async fn subscribe(&self, _: &ServiceKey) -> Result<Told> {
        Ok(Box::new(Vec::new))
    }

    async fn unwelcome(&self, mut record: Instance) -> Instance {
        record.id.endpoint.host = "0.0.0.0".into();
        record
    }

    async fn deny(&self, service: &ServiceKey) -> Result<()> {
        self.limit(&format!("service \"{}\" {{ policy = \"deny\" }}\n", service.name)).await
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

impl ConsulSubject {
    /// An error while there is no such token.
    async fn limited(&self) -> Result<Value> {
        let api = ConsulApi::connect(&format!("http://{}", self.server.addr()), Some(LIMITED))?;
        api.call(reqwest::Method::GET, "/v1/acl/token/self", None).await
    }
}

/// What a provider registers that is this instance.
fn row(service: &ServiceKey, instance: &Instance) -> ConsulRow {
    let mut row = ConsulRow::new(&service.name, &instance.id.endpoint.host, instance.id.endpoint.port);
    (row.healthy, row.enabled) = (instance.healthy, instance.enabled);
    row.weight = instance.weight.round().max(1.0) as i64;
    row.meta = instance.metadata.to_map();
    if row.weight as f64 != instance.weight {
        row.meta.insert(format!("{MORE}00"), json!({"weight": instance.weight.to_string()}).to_string());
    }
    row
}

/// A row as any tool would find it.
fn instance(row: ConsulRow) -> Result<Instance> {
    let mut metadata = row.meta;
    let mark = metadata.get(MARK).and_then(|text| Mark::decode(text));
    if mark.is_some() {
        metadata.remove(MARK);
    }
    let pieces: BTreeSet<String> = metadata.keys().filter(|key| key.starts_with(MORE)).cloned().collect();
    let text: String = pieces.iter().filter_map(|key| metadata.remove(key)).collect();
    let more: Value = if text.is_empty() { json!({}) } else { serde_json::from_str(&text)? };
    let odd = more["metadata"].as_object().into_iter().flatten();
    metadata.extend(odd.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())));
    if !row.tags.is_empty() {
        metadata.insert("consul.tags".into(), Value::from(row.tags).to_string());
    }
    let exact = more["weight"].as_str().and_then(|text| text.parse().ok());
    let endpoint = Endpoint { host: row.address.into(), port: row.port };
    Ok(InstanceData {
        id: InstanceId { endpoint, slot: "".into() },
        weight: exact.unwrap_or(row.weight as f64),
        enabled: row.enabled,
        healthy: row.healthy,
        ephemeral: more["persistent"] != true,
        lasting: false,
        metadata: metadata.into(),
        payload: None,
        mark,
    }
    .into())
}
