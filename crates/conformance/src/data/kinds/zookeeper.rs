//! Persistent znodes of real ZooKeeper servers.

use super::{open, port};
use crate::data::{Compares, Data, DataFacts, DataKind, DataMeter, DataSubject, Line, Login};
use crate::kinds::ZooKeeperGround;
use crate::tap::cable::Cable;
use crate::tap::zookeeper::Tap;
use anyhow::{Context, Result, bail, ensure};
use causeway_connectors::Connect;
use causeway_connectors::zookeeper::Settings;
use causeway_core::{Attributes, Content, EntryFacts, EntryKey, NameShape, Part, StampKind};
use causeway_testbed::{Server, ZkClient, ZkNode, ZkRead, ZkStep, digest_id};
use std::collections::BTreeMap;
use std::time::Duration;

/// Who may do everything, and who what is not denied.
const ADMINISTRATOR: &str = "administrator:data-secret";
const OTHER: &str = "other:other-secret";
/// The attribute that holds the access list.
const ACL: &str = "acl";
const OPEN: &str = "world:anyone:cdrwa";

/// The data of ZooKeeper.
#[derive(Clone)]
pub struct ZooKeeperDataKind {
    label: &'static str,
    ground: ZooKeeperGround,
}

impl ZooKeeperDataKind {
    /// On the servers of this ground.
    pub fn new(label: &'static str, ground: &ZooKeeperGround) -> Self {
        Self { label, ground: ground.clone() }
    }

    async fn znodes(&self, own: bool) -> Result<Znodes> {
        let addr = if own { self.ground.own().await? } else { self.ground.shared().await? };
        let random = uuid::Uuid::new_v4().simple().to_string();
        let root = format!("/cd-{}", &random[..10]);
        let operator = self.ground.operator(&format!("{root}/operator"), &addr, ADMINISTRATOR).await?;
        operator.create_node(&ZkNode::new(&root, "")).await?;
        Ok(Znodes { ground: self.ground.clone(), own, addr, root, operator })
    }
}

impl DataKind for ZooKeeperDataKind {
    type Subject = Znodes;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        self.ground.needs()
    }
    async fn shared(&self) -> Result<Znodes> {
        self.znodes(false).await
    }
    async fn own(&self) -> Result<Znodes> {
        self.znodes(true).await
    }
}

/// One tree of one cluster.
pub struct Znodes {
    ground: ZooKeeperGround,
    own: bool,
    addr: String,
    /// The chroot, another for every test.
    root: String,
    operator: ZkClient,
}

fn may_all(user: &str) -> String {
    format!("digest:{}:cdrwa", digest_id(user))
}

fn attributes(acl: &str) -> Attributes {
    // Lists are compared in order.
    let mut entries: Vec<_> = acl.split(',').collect();
    entries.sort_unstable();
    Attributes([(ACL.to_owned(), entries.join(","))].into())
}

fn content(read: ZkRead) -> Content {
    Content { body: read.data.as_deref().map(Into::into), attributes: attributes(&read.acl) }
}

impl Znodes {
    fn path(&self, key: &EntryKey) -> String {
        format!("{}{}", self.root, key.name)
    }

    fn connect(&self, addr: &str, login: Option<&str>) -> Connect {
        let login = login.and_then(|login| login.split_once(':'));
        Connect {
            addresses: vec![format!("{addr}{}", self.root)],
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned().into())),
            block: Some(Settings { session_timeout: Duration::from_secs(6), ..Settings::default() }.block()),
            ..Connect::default()
        }
    }

    async fn make(&self, node: ZkNode) -> Result<()> {
        for (end, _) in node.path.match_indices('/').skip(2) {
            unless_exists(self.operator.create(&node.path[..end], "").await)?;
        }
        self.operator.create_node(&node).await.map(drop)
    }

    async fn walk(&self, path: &str, found: &mut BTreeMap<EntryKey, Content>) -> Result<()> {
        for name in self.operator.children(path).await? {
            let path = format!("{path}/{name}");
            if let Some(read) = self.operator.get(&path).await? {
                found.insert(EntryKey::path(&path[self.root.len()..]), content(read));
                Box::pin(self.walk(&path, found)).await?;
            }
        }
        Ok(())
    }
}

fn unless_exists(made: Result<String>) -> Result<()> {
    match made {
        Err(error) if !format!("{error:#}").contains("NodeExists") => Err(error),
        _ => Ok(()),
    }
}

/// Whether it is a config entry: what others are is known by what they are called here.
fn is_data(key: &EntryKey) -> bool {
    let path = &*key.name;
    let below = |root: &str| path == root || path.starts_with(&format!("{root}/"));
    let kept = ["config", "mapping", "metadata"].iter().any(|word| below(&format!("/dubbo/{word}")));
    !path.contains("ephemeral") && !path.contains("queue-") && !below("/services") && (kept || !below("/dubbo"))
}

impl DataSubject for Znodes {
    fn facts(&self) -> DataFacts {
        let private = format!("{},world:anyone:cdrwa", may_all(OTHER));
        DataFacts {
            entries: EntryFacts { shape: NameShape::Tree, stamps: StampKind::Monotonic },
            told_in: Duration::from_secs(2),
            // The servers tell nobody of a changed access list.
            attributes_told_in: None,
            lost_in: Duration::from_secs(10),
            names: vec![
                "a b",
                "ü-€-\u{4e2d}\u{6587}",
                "deep/er/and/deep/er/still",
                "lock-12",
                "0123456789a",
                "percent%2Fescape",
                "..dots",
            ],
            contents: vec![
                ("nothing", Content::default()),
                ("empty", Content::of("")),
                ("bytes", Content::of([0, 159, 255, 0])),
                // A whole request may have 1,048,575 bytes.
                ("large", Content::of(vec![b'x'; 1_048_000])),
            ],
            refused: vec![
                Content::of(vec![b'x'; 1_100_000]),
                Content { attributes: attributes("nonsense"), ..Content::of("x") },
                Content { attributes: attributes("digest:alice:x:r"), ..Content::of("x") },
                Content { attributes: attributes("noscheme:alice:r"), ..Content::of("x") },
            ],
            attributes: [attributes(OPEN), attributes(&private)],
            compares: Compares::All,
            many: (10_000, self.ground.calls_a_change()),
            // Each of them, the folder, the root; and what a connection begins with.
            calls_to_list: self.ground.calls_a_node() * 10_000 + 20,
        }
    }

    async fn open(&self, login: Login) -> Result<Data> {
        let login = match login {
            Login::Administrator => ADMINISTRATOR,
            Login::Other => OTHER,
        };
        open("zookeeper", self.connect(&self.addr, Some(login)))
    }

    async fn open_metered(&self) -> Result<(Data, DataMeter)> {
        let tap = Tap::start(self.first()).await?;
        let data = open("zookeeper", self.connect(&tap.addr(), None))?;
        let calls = tap.counts();
        Ok((data, DataMeter { calls: Box::new(move || calls.calls()), wire: Box::new(tap) }))
    }

    async fn open_over_line(&self) -> Result<(Data, Line)> {
        let (cable, addr) = Cable::to(port(self.first())?).await?;
        let data = open("zookeeper", self.connect(&addr, None))?;
        let line = Box::new(move |fault| {
            cable.set(fault);
            true
        });
        Ok((data, line))
    }

    fn part(&self) -> Part {
        Part::new("public")
    }
    fn key(&self, folder: &str, name: &str) -> EntryKey {
        EntryKey::path(&format!("/{folder}/{name}"))
    }

    async fn put(&self, key: &EntryKey, content: &Content) -> Result<()> {
        let path = self.path(key);
        let acl = content.attributes.0.get(ACL);
        if self.operator.get(&path).await?.is_none() {
            let node = ZkNode { data: content.body.as_deref().map(<[u8]>::to_vec), ..ZkNode::new(&path, "") };
            return self.make(node.acl(acl.map_or(OPEN, String::as_str))).await;
        }
        let body = content.body.as_deref().context("no data cannot be set here")?;
        self.operator.set(&path, body).await?;
        match acl {
            Some(acl) => self.operator.set_acl(&path, acl).await,
            None => Ok(()),
        }
    }
    async fn dress(&self, key: &EntryKey, attributes: &Attributes) -> Result<()> {
        self.operator.set_acl(&self.path(key), attributes.0.get(ACL).context("no access list")?).await
    }
    async fn get(&self, key: &EntryKey) -> Result<Option<Content>> {
        Ok(self.operator.get(&self.path(key)).await?.map(content))
    }
    async fn remove(&self, key: &EntryKey) -> Result<()> {
        self.operator.delete_all(&self.path(key)).await
    }
    async fn all(&self) -> Result<BTreeMap<EntryKey, Content>> {
        let mut found = BTreeMap::new();
        self.walk(&self.root, &mut found).await?;
        // The folders of services are nobody's data, and no more is what lies in them.
        found.retain(|key, _| is_data(key));
        Ok(found)
    }
    async fn fill(&self, folder: &str, count: usize) -> Result<Vec<EntryKey>> {
        unless_exists(self.operator.create(&format!("{}/{folder}", self.root), "").await)?;
        let one = ZkStep::Create(ZkNode::new(&format!("{}/{folder}/key-{{n}}", self.root), "{n}"));
        self.operator.bulk_range(count as u64, &[one]).await?;
        Ok((0..count).map(|n| self.key(folder, &format!("key-{n}"))).collect())
    }
    async fn strangers(&self) -> Result<Vec<EntryKey>> {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let persistent = [
            format!("/services/orders/{random}"),
            format!("/dubbo/com.example.Orders/providers/dubbo%3A%2F%2F127.0.0.1%2F{random}"),
        ];
        for path in &persistent {
            self.make(ZkNode::new(&format!("{}{path}", self.root), "x")).await?;
        }
        // These are data, beside what is not.
        let config = format!("{}/dubbo/config/{random}", self.root);
        self.make(ZkNode::new(&config, "x")).await?;
        let ephemeral = format!("/app/ephemeral-{random}");
        self.make(ZkNode::ephemeral(&format!("{}{ephemeral}", self.root), "x")).await?;
        let numbered = ZkNode::new(&format!("{}/app/queue-", self.root), "x").sequential();
        let numbered = self.operator.create_node(&numbered).await?;
        self.make(ZkNode::new(&format!("{numbered}/below"), "x")).await?;
        let numbered = numbered[self.root.len()..].to_owned();
        let all = persistent.into_iter().chain([ephemeral, format!("{numbered}/below"), numbered]);
        Ok(all.map(|path| EntryKey::path(&path)).collect())
    }

    async fn deny(&self, key: &EntryKey) -> Result<()> {
        // Children are what makes a node that may not be read a hole.
        let path = self.path(key);
        self.make(ZkNode::new(&format!("{path}/below"), "x")).await?;
        self.operator.set_acl(&path, &may_all(ADMINISTRATOR)).await
    }
    async fn allow(&self, key: &EntryKey) -> Result<()> {
        let path = self.path(key);
        self.operator.delete(&format!("{path}/below")).await?;
        self.operator.set_acl(&path, OPEN).await
    }
    async fn stop(&self) -> Result<()> {
        ensure!(self.own, "not a server of one's own");
        self.ground.stop().await
    }
    async fn start(&self) -> Result<()> {
        match self.own {
            true => self.ground.start().await,
            false => bail!("not a server of one's own"),
        }
    }
    async fn clean(&self) -> Result<()> {
        self.operator.delete_all(&self.root).await?;
        self.operator.close().await
    }
}

impl Znodes {
    /// The first address of the cluster.
    fn first(&self) -> &str {
        self.addr.split(',').next().unwrap_or(&self.addr)
    }
}
