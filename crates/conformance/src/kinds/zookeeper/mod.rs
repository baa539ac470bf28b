//! Real ZooKeeper servers.

mod form;
mod ground;
mod list;
mod providers;

pub use form::Form;
pub use ground::{Servers, ZooKeeperGround};

use super::open;
use crate::corner::owner;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use crate::tap::zookeeper::Tap;
use anyhow::{Context, Result, ensure};
use causeway_connectors::zookeeper::{Layout, Settings, saved_sessions};
use causeway_connectors::{Connect, Vault};
use causeway_core::{Instance, ServiceKey};
use causeway_testbed::{Server, ZkClient, ZkDoor, ZkNode, digest_id};
use list::{List, Subscriber, gone_is};
use parking_lot::Mutex;
use providers::Providers;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Who may do everything at a server of one's own, and who may use what is not denied.
const ADMINISTRATOR: (&str, &str) = ("administrator", "conformance-secret");
const LIMITED: (&str, &str) = ("limited", "other-secret");
/// How long our sessions live without us: short, so that a test can wait for it, and no test's pause is as long.
const EXPIRY: Duration = Duration::from_secs(4);

/// ZooKeeper, with services in one form. Clones share the Java process and the server with access lists.
#[derive(Clone)]
pub struct ZooKeeperKind {
    label: &'static str,
    form: Form,
    ground: ZooKeeperGround,
}

impl ZooKeeperKind {
    /// ZooKeeper with services in this form, on these servers.
    pub fn new(label: &'static str, form: Form, ground: &ZooKeeperGround) -> Self {
        Self { label, form, ground: ground.clone() }
    }

    async fn subject(&self, addr: String, own: bool) -> Result<ZooKeeperSubject> {
        let door = self.ground.door().await?;
        let random = uuid::Uuid::new_v4().simple().to_string();
        let root = format!("/cf-{}", &random[..10]);
        let connect = |path: &str| {
            let connect = ground::client(&addr, path);
            if own { connect.digest(&digest(ADMINISTRATOR)) } else { connect }
        };
        let acl = match own {
            true => format!("{},{}", may_all(ADMINISTRATOR), may_all(LIMITED)),
            false => "world:anyone:cdrwa".to_owned(),
        };
        // Above the root, which it makes and removes.
        let operator = door.connect(&format!("{root}/operator"), &connect("")).await?;
        let providers = Providers::new(door.clone(), connect(&root), self.form, &acl, &root);
        let (form, ground) = (self.form, self.ground.clone());
        let (vault, subscribers) = (Mutex::default(), Mutex::default());
        Ok(ZooKeeperSubject { form, ground, addr, root, acl, own, door, operator, providers, vault, subscribers })
    }
}

fn digest(user: (&str, &str)) -> String {
    format!("{}:{}", user.0, user.1)
}

fn may_all(user: (&str, &str)) -> String {
    format!("digest:{}:cdrwa", digest_id(&digest(user)))
}

impl Kind for ZooKeeperKind {
    type Subject = ZooKeeperSubject;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        self.ground.needs()
    }
    async fn shared(&self) -> Result<ZooKeeperSubject> {
        self.subject(self.ground.shared().await?, false).await
    }
    async fn own(&self) -> Result<ZooKeeperSubject> {
        self.subject(self.ground.own().await?, true).await
    }
}

/// One tree of one server.
pub struct ZooKeeperSubject {
    form: Form,
    ground: ZooKeeperGround,
    addr: String,
    /// The chroot, another for every test.
    root: String,
    acl: String,
    /// It has its servers for itself, and access lists.
    own: bool,
    door: Arc<ZkDoor>,
    operator: ZkClient,
    providers: Providers,
    /// What the last process left behind.
    vault: Mutex<Arc<Drawer>>,
    subscribers: Mutex<JoinSet<()>>,
}

/// A vault for one process and the next.
#[derive(Default)]
struct Drawer(Mutex<Option<Vec<u8>>>);

impl Vault for Drawer {
    fn load(&self) -> Option<Vec<u8>> {
        self.0.lock().clone()
    }
    fn save(&self, bytes: Vec<u8>) {
        *self.0.lock() = Some(bytes);
    }
}

impl ZooKeeperSubject {
    fn connect(&self, addr: &str, login: Option<(&str, &str)>, vault: Arc<Drawer>) -> Connect {
        self.lasting(addr, login, vault, EXPIRY)
    }

    /// The same with sessions that live for so long without us.
    fn lasting(
        &self,
        addr: &str,
        login: Option<(&str, &str)>,
        vault: Arc<Drawer>,
        session_timeout: Duration,
    ) -> Connect {
        // Neutral services become Spring Cloud's when all layouts are on.
        let layouts = match self.form {
            Form::Spring => Layout::ALL.into(),
            Form::Dubbo => [Layout::Dubbo].into(),
        };
        let settings = Settings { layouts, session_timeout, ..Settings::default() };
        Connect {
            install: owner().install,
            addresses: vec![format!("{addr}{}", self.root)],
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned().into())),
            vault: Some(vault),
            block: Some(settings.block()),
            ..Connect::default()
        }
    }

    fn administrator(&self) -> Option<(&'static str, &'static str)> {
        self.own.then_some(ADMINISTRATOR)
    }

    fn list(&self) -> List {
        List { form: self.form, root: self.root.clone(), operator: self.operator.clone() }
    }
}

impl Subject for ZooKeeperSubject {
    fn facts(&self) -> Facts {
        let shape: Shape = self.form.shape();
        Facts {
            kind: "zookeeper",
            versions: match self.form {
                Form::Spring => " of Spring Cloud's layout",
                Form::Dubbo => " of Dubbo's layout",
            },
            told_in: Duration::from_secs(2),
            found_in: Duration::from_millis(2500),
            health_in: Duration::from_secs(2),
            lost_in: Duration::from_secs(10),
            ends_in: EXPIRY * 2,
            checked_in: Duration::from_millis(100),
            expiry: Some(EXPIRY),
            size_limit: Limit::Bytes(1_047_552),
            // A znode is made by one call. The first of a service finds no folder: it looks upwards, makes the folders
            // (Dubbo's are two), and tries again. A znode is read by one call, and a folder's children by another. Old
            // servers do not tell what they have made, and watch each znode by a call of its own.
            calls_to_write: match (self.form, self.ground.is_old()) {
                (Form::Spring, false) => |services, instances| services * (instances + 4) + 60,
                (Form::Dubbo, false) => |services, instances| services * (instances + 6) + 60,
                (Form::Spring, true) => |services, instances| services * (2 * instances + 6) + 60,
                (Form::Dubbo, true) => |services, instances| services * (2 * instances + 9) + 60,
            },
            calls_to_read: match (self.form, self.ground.is_old()) {
                (Form::Spring, false) => |services, instances| services * (instances + 2) + 60,
                (Form::Dubbo, false) => |services, instances| services * (instances + 4) + 60,
                (Form::Spring, true) => |services, instances| services * (2 * instances + 4) + 60,
                (Form::Dubbo, true) => |services, instances| services * (2 * instances + 8) + 60,
            },
            // Instances of a service are written without waiting for each other's answers.
            calls_at_once: 256,
            shape,
        }
    }

    async fn open(&self, who: &Who, _: &[String]) -> Result<Session> {
        let login = match who {
            Who::Administrator => self.administrator(),
            Who::WrongPassword => Some((ADMINISTRATOR.0, "not the password")),
            Who::Only(_) => Some(LIMITED),
        };
        let vault = Arc::<Drawer>::default();
        if *who == Who::Administrator {
            *self.vault.lock() = vault.clone();
        }
        open("zookeeper", self.connect(&self.addr, login, vault))
    }

    async fn open_next(&self) -> Result<Session> {
        let vault = self.vault.lock().clone();
        ensure!(vault.load().is_some(), "the last session left nothing behind");
        open("zookeeper", self.connect(&self.addr, self.administrator(), vault))
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let tap = Tap::start(&self.addr).await?;
        // It is to work hard, and not to end when the machine is busy.
        let connect = self.lasting(&tap.addr(), None, Arc::default(), ground::LASTING);
        let session = open("zookeeper", connect)?;
        let (calls, peak) = (tap.counts(), tap.counts());
        let meter =
            Meter { calls: Box::new(move || calls.calls()), peak: Box::new(move || peak.peak()), wire: Box::new(tap) };
        Ok((session, meter))
    }

    async fn create_namespace(&self, id: &str) -> Result<()> {
        ensure!(Some(id) == self.form.shape().only.map(|(namespace, _)| namespace), "there is no namespace {id}");
        // As a server's own root: all may see it, whatever is denied below.
        let acl = if self.own { format!("{},world:anyone:r", self.acl) } else { self.acl.clone() };
        self.operator.create_node(&ZkNode::new(&self.root, "").acl(&acl)).await?;
        Ok(())
    }

    async fn remove_namespace(&self, _: &str) -> Result<()> {
        self.subscribers.lock().abort_all();
        self.providers.close().await?;
        // Sessions that end just now take some of it away under our hands.
        for _ in 0..10 {
            if gone_is(false, self.operator.delete_all(&self.root).await.map(|()| true))? {
                return Ok(());
            }
        }
        let left = self.operator.get(&self.root).await?;
        ensure!(left.is_none(), "{} cannot be removed", self.root);
        Ok(())
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        self.providers.publish(provider, service, instances).await
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        if self.form == Form::Dubbo {
            // The whole record is the znode's name, which nobody can change.
            return Ok(false);
        }
        let (nodes, _) = self.list().nodes(service).await?;
        let found = nodes.iter().find(|(_, one)| one.id.endpoint == as_wanted.id.endpoint);
        let (path, _) = found.context("nothing stands at this address")?;
        let data = self.form.write(&service.name, as_wanted).data;
        let id = path.rsplit_once('/').map_or("", |(_, id)| id);
        self.operator.set(path, form::with_id(&data, id).context("no JSON")?).await?;
        Ok(true)
    }

    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.list().seen(service).await
    }

    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.list().instances(service).await
    }

    async fn subscribe(&self, service: &ServiceKey) -> Result<Told> {
        if self.ground.is_old() {
            // It has no watch that tells all of a folder.
            return Ok(Box::new(Vec::new));
        }
        let subscriber = Subscriber::start(self.list(), service).await?;
        let lists = subscriber.lists.clone();
        self.subscribers.lock().spawn(subscriber.run());
        Ok(Box::new(move || lists.lock().clone()))
    }

    async fn unwelcome(&self, mut record: Instance) -> Instance {
        // A server ends the connection that brings it so much.
        record.metadata.insert("much", "x".repeat(1_100_000));
        record
    }

    async fn deny(&self, service: &ServiceKey) -> Result<()> {
        let folder = self.list().folder(service);
        let children = self.list().children(&folder).await?;
        let mut paths: Vec<_> = children.iter().map(|name| format!("{folder}/{name}")).collect();
        if self.form == Form::Dubbo {
            paths.extend(folder.rsplit_once('/').map(|(above, _)| above.to_owned()));
        }
        paths.push(folder);
        for path in paths {
            self.operator.set_acl(&path, &may_all(ADMINISTRATOR)).await?;
        }
        Ok(())
    }

    async fn evict(&self) -> Result<bool> {
        let vault = self.vault.lock().clone();
        let kept = vault.load().context("no session was kept")?;
        let sessions = saved_sessions(&kept);
        ensure!(!sessions.is_empty(), "no session was kept");
        let end = Instant::now() + EXPIRY * 5;
        let mut failed = None;
        while vault.load().as_ref() == Some(&kept) {
            ensure!(Instant::now() < end, "the session cannot be ended: {failed:?}");
            // Another client takes it over and closes it, unless our own takes it back in between.
            for session in &sessions {
                let password: String = session.password.iter().map(|byte| format!("{byte:02x}")).collect();
                failed = self.door.expire_session(&self.addr, session.id, &password).await.err().or(failed);
            }
            let wait = Instant::now() + EXPIRY / 10;
            while vault.load().as_ref() == Some(&kept) && Instant::now() < wait {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(true)
    }

    async fn stop(&self) -> Result<()> {
        ensure!(self.own, "not a server of one's own");
        self.ground.stop().await
    }

    async fn start(&self) -> Result<()> {
        ensure!(self.own, "not a server of one's own");
        self.ground.start().await
    }
}
