//! Real Nacos servers.

use super::open;
use super::providers::Providers;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use crate::tap::nacos::Tap;
use anyhow::{Context, Result, ensure};
use causeway_connectors::Connect;
use causeway_core::{Endpoint, Instance, InstanceData, InstanceId, Mark, ServiceKey};
use causeway_testbed::{
    Backdoor, Edit, Instance as Row, Nacos, NacosVersion, OpenApi, Options, PASSWORD, Server, ServiceName, USER, shared,
};
use reqwest::Method;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::OnceCell;

/// The key of an instance's metadata that carries our mark.
const MARK: &str = "causeway";
/// Users who were made for a test have this.
const SECRET: &str = "conformance-secret";

/// Nacos in one version. Clones share the Java process of the providers and the server with sign-in.
#[derive(Clone)]
pub struct NacosKind {
    label: &'static str,
    server: Server,
    ground: Arc<Ground>,
}

/// What all tests of one version share; it ends with the last of them.
struct Ground {
    door: Arc<OnceCell<Arc<Backdoor>>>,
    own: OnceCell<Arc<Nacos>>,
}

impl NacosKind {
    /// The version of `server`. `door` is the Java process that all versions share.
    pub fn new(label: &'static str, server: Server, door: &Door) -> Self {
        let ground = Ground { door: door.0.clone(), own: OnceCell::new() };
        Self { label, server, ground: Arc::new(ground) }
    }

    /// Its version.
    pub(crate) fn version(&self) -> Result<NacosVersion> {
        self.server.nacos().context("not a Nacos server")
    }

    /// The server that other tests use at the same time, and its interface.
    pub(crate) fn shared_server(&self) -> Result<(String, OpenApi)> {
        let addr = shared(self.server).context("no address")?;
        let api = OpenApi::connect(self.version()?, &format!("http://{addr}/nacos"), None)?;
        Ok((addr, api))
    }

    /// The server with sign-in, which may be stopped.
    pub(crate) async fn own_server(&self) -> Result<Arc<Nacos>> {
        let start = async || {
            let options = Options { auth: true, ..Options::default() };
            Nacos::start(self.version()?, options).await.map(Arc::new)
        };
        self.ground.own.get_or_try_init(start).await.cloned()
    }

    /// Starts a server that was stopped.
    pub(crate) async fn start(server: &Nacos) -> Result<()> {
        ensure!(server.pid().is_none(), "it runs");
        server.start_again().await
    }

    pub(crate) async fn remove_namespace(api: &OpenApi, version: NacosVersion, id: &str) -> Result<()> {
        let path = match version {
            NacosVersion::V3_1 => "/v3/admin/core/namespace",
            _ => "/v1/console/namespaces",
        };
        let (status, body) = api.call(Method::DELETE, path, &vec![("namespaceId", id.to_owned())]).await?;
        ensure!(status.is_success(), "removing namespace {id}: {status}: {body}");
        Ok(())
    }

    async fn subject(&self, addr: &str, api: OpenApi, own: Option<Arc<Nacos>>) -> Result<NacosSubject> {
        let door = self.ground.door.get_or_try_init(async || Backdoor::start().await.map(Arc::new)).await?;
        let user = own.is_some().then(|| (USER.to_owned(), PASSWORD.to_owned()));
        let providers = Providers::new(door.clone(), api.clone(), addr, user.clone());
        Ok(NacosSubject {
            version: self.version()?,
            addr: addr.to_owned(),
            api,
            door: door.clone(),
            providers,
            user,
            own,
            limited: OnceLock::new(),
            subscribers: AtomicUsize::new(0),
        })
    }
}

/// The Java process of the vendor's client; started at the first use.
#[derive(Clone, Default)]
pub struct Door(Arc<OnceCell<Arc<Backdoor>>>);

impl Kind for NacosKind {
    type Subject = NacosSubject;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        match self.server {
            Server::Nacos1 => &[Server::Nacos1],
            Server::Nacos3 => &[Server::Nacos3],
            _ => &[Server::Nacos2],
        }
    }
    async fn shared(&self) -> Result<NacosSubject> {
        let (addr, api) = self.shared_server()?;
        self.subject(&addr, api, None).await
    }
    async fn own(&self) -> Result<NacosSubject> {
        let own = self.own_server().await?;
        self.subject(&own.addr(), own.open_api().await?, Some(own)).await
    }
}

/// One server.
pub struct NacosSubject {
    version: NacosVersion,
    addr: String,
    api: OpenApi,
    door: Arc<Backdoor>,
    providers: Providers,
    user: Option<(String, String)>,
    own: Option<Arc<Nacos>>,
    /// The name of the user who may use one namespace only.
    limited: OnceLock<String>,
    subscribers: AtomicUsize,
}

impl NacosSubject {
    fn is_1(&self) -> bool {
        self.version == NacosVersion::V1_4
    }

    fn connect(&self, addr: &str, namespaces: &[String]) -> Connect {
        let login = self.user.clone().map(|(user, password)| (user, password.into()));
        Connect { addresses: vec![addr.to_owned()], namespaces: namespaces.to_vec(), login, ..Connect::default() }
    }

    fn server(&self) -> Result<&Nacos> {
        self.own.as_deref().context("not a server of one's own")
    }
}

impl Subject for NacosSubject {
    fn facts(&self) -> Facts {
        Facts {
            kind: "nacos",
            versions: if self.is_1() { " of 1.x" } else { " of 2.x and 3.x" },
            // 1.x is asked once a second, and answers late while other tests register thousands there.
            told_in: Duration::from_secs(if self.is_1() { 5 } else { 2 }),
            found_in: Duration::from_millis(2500),
            // On 1.x a provider's instance turns unhealthy 15 s after its last beat, and goes after 30 s.
            health_in: Duration::from_secs(if self.is_1() { 25 } else { 2 }),
            lost_in: Duration::from_secs(10),
            ends_in: Duration::from_secs(if self.is_1() { 45 } else { 5 }),
            checked_in: Duration::from_secs(20),
            expiry: Some(Duration::from_secs(30)),
            // 1.x has no limit, and we keep to one of 65,536.
            size_limit: match self.is_1() {
                true => Limit::Characters { most: 65_536, refuses_more: false },
                false => Limit::Characters { most: 1024, refuses_more: true },
            },
            // One publication a service, and the connection. 1.x: a look at the service, a registration and a beat each.
            calls_to_write: match self.is_1() {
                true => |services, instances| 3 * services + 4 * services * instances + 60,
                false => |services, _| services + 20,
            },
            // Pages of many services, a few that have just changed, the names, and the connection. 2.x, where somebody
            // registers something persistent at the same addresses (other tests do), and 1.x: a subscription; what belongs
            // to the service, and its list, both again after a push; the polls of 1.x.
            calls_to_read: match self.version {
                NacosVersion::V3_1 => |services, _| services / 10 + 60,
                NacosVersion::V1_4 | NacosVersion::V2_5 => |services, _| 5 * services + 60,
            },
            calls_at_once: 1,
            shape: Shape::PLAIN,
        }
    }

    async fn open(&self, who: &Who, namespaces: &[String]) -> Result<Session> {
        let mut connect = self.connect(&self.addr, namespaces);
        match who {
            Who::Administrator => {}
            Who::WrongPassword => connect.login = Some((USER.into(), "not the password".to_owned().into())),
            Who::Only(namespace) => {
                let name = format!("only-{namespace}");
                if self.limited.get().is_none() {
                    self.api.make_user(&name, SECRET, namespace, "rw").await?;
                    // Without the administrator's token, which would sign the administrator in.
                    let base = self.server()?.http_base();
                    OpenApi::connect(self.version, &base, None)?.sign_in(&name, SECRET).await?;
                }
                let name = self.limited.get_or_init(|| name);
                connect.login = Some((name.clone(), SECRET.to_owned().into()));
            }
        }
        open("nacos", connect)
    }

    async fn open_next(&self) -> Result<Session> {
        self.open(&Who::Administrator, &[]).await
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let port = self.addr.rsplit_once(':').context("an address without a port")?.1.parse()?;
        let tap = Tap::start(port).await?;
        let session = open("nacos", self.connect(&tap.addr(), &[]))?;
        let (calls, peak) = (tap.counts(), tap.counts());
        let meter =
            Meter { calls: Box::new(move || calls.calls()), peak: Box::new(move || peak.peak()), wire: Box::new(tap) };
        Ok((session, meter))
    }

    async fn create_namespace(&self, id: &str) -> Result<()> {
        self.api.create_namespace(id, id).await
    }

    async fn remove_namespace(&self, id: &str) -> Result<()> {
        self.providers.close().await?;
        NacosKind::remove_namespace(&self.api, self.version, id).await
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let rows: Vec<Row> = instances.iter().map(row).collect();
        self.providers.publish(provider, &name(service), &rows).await
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        let wanted = row(as_wanted);
        let edit = Edit {
            weight: Some(wanted.weight),
            enabled: Some(wanted.enabled),
            metadata: Some(wanted.metadata.clone()),
        };
        self.api.edit(&name(service), &wanted, &edit).await?;
        Ok(true)
    }

    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        Ok(self.api.visible(&name(service)).await?.into_iter().map(instance).collect())
    }

    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        Ok(self.api.all(&name(service)).await?.into_iter().map(instance).collect())
    }

    async fn subscribe(&self, service: &ServiceKey) -> Result<Told> {
        if self.is_1() {
            return Ok(Box::new(Vec::new));
        }
        let number = self.subscribers.fetch_add(1, Ordering::Relaxed);
        let client = self.providers.client(&format!("subscriber {number}"), &service.namespace).await?;
        let subscription = self.door.subscribe(&client, &name(service)).await?;
        Ok(Box::new(move || {
            let lists = subscription.events().into_iter().map(|seen| seen.instances);
            lists.map(|list| list.into_iter().map(instance).collect()).collect()
        }))
    }

    async fn unwelcome(&self, mut record: Instance) -> Instance {
        // 1.x takes metadata of any length.
        match self.is_1() {
            true => record.weight = 10_001.0,
            false => drop(record.metadata.insert("much", "x".repeat(1100))),
        }
        record
    }

    async fn deny(&self, _: &ServiceKey) -> Result<()> {
        // A user of one namespace has no right to any other.
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        self.server()?.kill9()
    }

    async fn start(&self) -> Result<()> {
        NacosKind::start(self.server()?).await
    }
}

fn name(service: &ServiceKey) -> ServiceName {
    ServiceName::new(&service.namespace, &service.group, &service.name)
}

fn row(instance: &Instance) -> Row {
    let mut row = Row::new(&instance.id.endpoint.host, instance.id.endpoint.port);
    row.weight = instance.weight;
    row.healthy = instance.healthy;
    row.enabled = instance.enabled;
    row.ephemeral = instance.ephemeral;
    if !instance.id.slot.is_empty() {
        row.cluster = instance.id.slot.to_string();
    }
    row.metadata = instance.metadata.to_map();
    if let Some(mark) = &instance.mark {
        row.metadata.insert(MARK.into(), mark.encode());
    }
    row
}

fn instance(mut row: Row) -> Instance {
    let mark = row.metadata.get(MARK).and_then(|text| Mark::decode(text));
    if mark.is_some() {
        row.metadata.remove(MARK);
    }
    let endpoint = Endpoint { host: row.ip.into(), port: row.port };
    InstanceData {
        id: InstanceId { endpoint, slot: row.cluster.into() },
        weight: row.weight,
        enabled: row.enabled,
        healthy: row.healthy,
        ephemeral: row.ephemeral,
        lasting: false,
        metadata: row.metadata.into(),
        payload: None,
        mark,
    }
    .into()
}
