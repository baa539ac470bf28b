//! A real Eureka server. It has one namespace, which cannot be taken away and has no corners: so tests have it one after another,
//! each to itself.

use super::open;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use crate::tap::http::HttpTap;
use anyhow::{Context, Result, bail};
use causeway_connectors::Connect;
use causeway_connectors::eureka::Settings;
use causeway_core::{Endpoint, Instance, InstanceId, Mark, ServiceKey};
use causeway_testbed::{EUREKA_LOGIN, Eureka, EurekaApi, EurekaOptions, Server, shared};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, OwnedMutexGuard};
use tokio::task::JoinSet;
use tokio::time::interval;

const MARK: &str = "causeway";
/// The lease of copies: the server keeps what was renewed once for twice as long.
const LEASE: Duration = Duration::from_secs(6);
/// Of copies that are too many to be renewed in time by two busy cores.
const LONG: Duration = Duration::from_secs(600);
const BEAT: Duration = Duration::from_secs(3);

/// Eureka. Clones share the server with sign-in.
#[derive(Clone)]
pub struct EurekaKind {
    turn: Arc<tokio::sync::Mutex<()>>,
    own: Arc<OnceCell<Arc<Eureka>>>,
}

impl EurekaKind {
    pub fn new() -> Self {
        Self { turn: Arc::default(), own: Arc::default() }
    }
}

impl Default for EurekaKind {
    fn default() -> Self {
        Self::new()
    }
}

impl Kind for EurekaKind {
    type Subject = EurekaSubject;

    fn label(&self) -> &'static str {
        "eureka"
    }
    fn needs(&self) -> &'static [Server] {
        &[Server::Eureka]
    }
    async fn shared(&self) -> Result<EurekaSubject> {
        let turn = self.turn.clone().lock_owned().await;
        let addr = shared(Server::Eureka).context("no address")?;
        let api = EurekaApi::new(&format!("http://{addr}/eureka"), None, &None)?;
        Ok(EurekaSubject::new(addr, api, None, Some(turn)))
    }
    async fn own(&self) -> Result<EurekaSubject> {
        let start =
            async || Eureka::start(EurekaOptions { auth: true, ..EurekaOptions::default() }).await.map(Arc::new);
        let own = self.own.get_or_try_init(start).await?;
        Ok(EurekaSubject::new(own.addr(), own.api()?, Some(own.clone()), None))
    }
}

/// What each provider has registered, as the server got it.
type Published = Arc<Mutex<BTreeMap<(String, ServiceKey), Vec<Value>>>>;

/// One server.
pub struct EurekaSubject {
    addr: String,
    api: EurekaApi,
    own: Option<Arc<Eureka>>,
    published: Published,
    beats: Mutex<JoinSet<()>>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl EurekaSubject {
    fn new(addr: String, api: EurekaApi, own: Option<Arc<Eureka>>, turn: Option<OwnedMutexGuard<()>>) -> Self {
        Self { addr, api, own, published: Arc::default(), beats: Mutex::default(), _turn: turn }
    }

    fn connect(&self, addr: &str, lease: Duration) -> Result<Connect> {
        let (user, password) = EUREKA_LOGIN;
        let login = self.own.is_some().then(|| (user.to_owned(), password.to_owned().into()));
        let block = Some(serde_json::to_value(Settings { lease, ..Settings::default() })?);
        Ok(Connect { addresses: vec![addr.to_owned()], login, block, ..Connect::default() })
    }

    fn server(&self) -> Result<&Eureka> {
        self.own.as_deref().context("not a server of one's own")
    }

    /// Renews what providers have registered, and registers again what the server has lost, as the vendor's client.
    fn beat(&self) {
        let mut beats = self.beats.lock();
        if !beats.is_empty() {
            return;
        }
        let (api, published) = (self.api.clone(), self.published.clone());
        beats.spawn(async move {
            let mut tick = interval(BEAT);
            loop {
                tick.tick().await;
                let all: Vec<_> = published.lock().values().flatten().cloned().collect();
                for one in all {
                    let (app, id) = (text(&one, "app"), text(&one, "instanceId"));
                    if let Ok(false) = api.renew(&app, &id).await {
                        drop(api.register(&one).await);
                    }
                }
            }
        });
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn status(one: &Instance) -> &'static str {
    match (one.enabled, one.healthy) {
        (false, _) => "OUT_OF_SERVICE",
        (true, true) => "UP",
        (true, false) => "DOWN",
    }
}

/// As Spring Cloud registers it, under an id that names the provider.
fn write(provider: &str, service: &ServiceKey, one: &Instance) -> Value {
    let (endpoint, app) = (&one.id.endpoint, &*service.name);
    let id = format!("{provider}:{}:{app}:{}", endpoint.host, endpoint.port);
    let mut row = EurekaApi::instance(app, &id, &endpoint.host, endpoint.port, &one.metadata.to_map());
    row["status"] = json!(status(one));
    row
}

fn read(row: &Value) -> Result<Instance> {
    let port = row["port"]["$"].as_u64().and_then(|port| u16::try_from(port).ok()).context("no port")?;
    let endpoint = Endpoint { host: text(row, "ipAddr").into(), port };
    let mut one = Instance::new("", 0).with(|one| one.id = InstanceId { endpoint, slot: "".into() });
    (one.enabled, one.healthy) = match row["status"].as_str() {
        Some("UP") => (true, true),
        Some("OUT_OF_SERVICE") => (false, true),
        _ => (true, false),
    };
    for (key, value) in row["metadata"].as_object().context("no metadata")? {
        let value = value.as_str().context("metadata that is no text")?;
        if key != "@class" {
            one.metadata.insert(key.clone(), value.to_owned());
        }
    }
    one.mark = one.metadata.get(MARK).and_then(Mark::decode);
    if one.mark.is_some() {
        one.metadata.remove(MARK);
    }
    Ok(one)
}

impl Subject for EurekaSubject {
    fn facts(&self) -> Facts {
        let shape = Shape {
            only: Some(("public", "DEFAULT_GROUP")),
            part_goes: false,
            service: str::to_uppercase,
            neighbours: ["ORDERS", "ORDER", "ORDERS-1", "ORDERS.1"],
            ..Shape::PLAIN
        };
        Facts {
            kind: "eureka",
            versions: "",
            // A question a second, of a list that the server may keep for a second; twice that on a busy machine.
            told_in: Duration::from_secs(4),
            found_in: Duration::from_secs(4),
            health_in: Duration::from_secs(4),
            lost_in: Duration::from_secs(10),
            ends_in: LEASE * 2 + Duration::from_secs(8),
            checked_in: Duration::from_secs(1),
            expiry: Some(LEASE * 2 + Duration::from_secs(1)),
            size_limit: Limit::None,
            // A look and a registration each; and renewals meanwhile, each every 30 s.
            calls_to_write: |services, instances| 4 * services * instances + 60,
            // One list; a look at what there is, and deltas.
            calls_to_read: |_, _| 20,
            calls_at_once: 8,
            shape,
        }
    }

    async fn open(&self, who: &Who, _: &[String]) -> Result<Session> {
        let mut connect = self.connect(&self.addr, LEASE)?;
        if *who == Who::WrongPassword {
            connect.login = Some((EUREKA_LOGIN.0.to_owned(), "not the password".to_owned().into()));
        }
        open("eureka", connect)
    }

    async fn open_next(&self) -> Result<Session> {
        self.open(&Who::Administrator, &[]).await
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let port = self.addr.rsplit_once(':').context("no port")?.1.parse()?;
        let tap = HttpTap::start(port).await?;
        let session = open("eureka", self.connect(&tap.addr(), LONG)?)?;
        let (calls, peak) = (tap.counts(), tap.counts());
        let meter =
            Meter { calls: Box::new(move || calls.calls()), peak: Box::new(move || peak.peak()), wire: Box::new(tap) };
        Ok((session, meter))
    }

    async fn create_namespace(&self, _: &str) -> Result<()> {
        self.api.clear().await
    }

    async fn remove_namespace(&self, _: &str) -> Result<()> {
        self.beats.lock().abort_all();
        self.published.lock().clear();
        Ok(())
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let rows: Vec<_> = instances.iter().map(|one| write(provider, service, one)).collect();
        let key = (provider.to_owned(), service.clone());
        let before = self.published.lock().insert(key, rows.clone()).unwrap_or_default();
        let same = |a: &Value, b: &Value| a["instanceId"] == b["instanceId"];
        for gone in before.iter().filter(|old| !rows.iter().any(|new| same(old, new))) {
            self.api.cancel(&service.name, &text(gone, "instanceId")).await?;
        }
        for one in rows.iter().filter(|new| !before.contains(new)) {
            self.api.register(one).await?;
            let was = before.iter().find(|old| same(old, one)).map(|old| text(old, "status"));
            if was.is_some_and(|was| was != text(one, "status")) {
                // A registration alone does not turn one into the other.
                self.api.set_status(&service.name, &text(one, "instanceId"), &text(one, "status")).await?;
            }
        }
        self.beat();
        Ok(())
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        let endpoint = &as_wanted.id.endpoint;
        let rows = self.api.instances(&service.name).await?;
        let at = |row: &&Value| text(row, "ipAddr") == *endpoint.host && row["port"]["$"] == endpoint.port;
        let id = text(rows.iter().find(at).context("nothing stands there")?, "instanceId");
        let pairs: Vec<_> = as_wanted.metadata.iter().collect();
        self.api.set_metadata(&service.name, &id, &pairs).await
    }

    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        Ok(self.truth(service).await?.into_iter().filter(|one| one.enabled && one.healthy).collect())
    }

    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.api.instances(&service.name).await?.iter().map(read).collect()
    }

    async fn subscribe(&self, _: &ServiceKey) -> Result<Told> {
        Ok(Box::new(Vec::new))
    }

    async fn unwelcome(&self, mut record: Instance) -> Instance {
        record.metadata.insert("much", "a\u{1}b");
        record
    }

    async fn deny(&self, _: &ServiceKey) -> Result<()> {
        bail!("a Eureka closes nothing to some")
    }

    async fn evict(&self) -> Result<bool> {
        for row in self.api.all().await?.iter().filter(|row| row["metadata"].get(MARK).is_some()) {
            self.api.cancel(&text(row, "app"), &text(row, "instanceId")).await?;
        }
        Ok(true)
    }

    async fn stop(&self) -> Result<()> {
        self.server()?.kill9()
    }

    async fn start(&self) -> Result<()> {
        self.server()?.start_again().await
    }
}
