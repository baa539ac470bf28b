//! Config entries of real Nacos servers, through the vendor's HTTP interface.

use super::{open, port};
use crate::data::{Compares, Data, DataFacts, DataKind, DataMeter, DataSubject, Line, Login};
use crate::kinds::NacosKind;
use crate::tap::cable::Cable;
use crate::tap::nacos::{Tap, pair};
use anyhow::{Context, Result, bail, ensure};
use causeway_connectors::Connect;
use causeway_core::{Attributes, Content, EntryFacts, EntryKey, NameShape, Part, StampKind};
use causeway_testbed::{Instance, Nacos, NacosVersion, OpenApi, PASSWORD, Server, ServiceName, USER};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The attribute that says what an entry is written in.
const TYPE: &str = "type";
/// The user who is not the administrator.
const SECRET: &str = "conformance-secret";
/// Calls of ours at once.
const AT_ONCE: usize = 16;
/// Writes of an entry while others write.
const TRIES: usize = 5;
/// Servers read rights every 15 s.
const KNOWN_AFTER: Duration = Duration::from_secs(16);

/// The config entries of Nacos, on the servers of the services' tests.
#[derive(Clone)]
pub struct NacosDataKind {
    label: &'static str,
    of: NacosKind,
}

impl NacosDataKind {
    /// On the servers of `of`.
    pub fn new(label: &'static str, of: &NacosKind) -> Self {
        Self { label, of: of.clone() }
    }

    async fn entries(&self, addr: String, api: OpenApi, own: Option<Arc<Nacos>>) -> Result<NacosEntries> {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let namespace = format!("cd-{}", &random[..10]);
        api.create_namespace(&namespace, &namespace).await?;
        if own.is_some() {
            api.make_user(&user(&namespace), SECRET, &namespace, "rw").await?;
            sleep(KNOWN_AFTER).await;
        }
        Ok(NacosEntries { version: self.of.version()?, addr, api, own, namespace })
    }
}

fn user(namespace: &str) -> String {
    format!("only-{namespace}")
}

impl DataKind for NacosDataKind {
    type Subject = NacosEntries;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        crate::Kind::needs(&self.of)
    }
    async fn shared(&self) -> Result<NacosEntries> {
        let (addr, api) = self.of.shared_server()?;
        self.entries(addr, api, None).await
    }
    async fn own(&self) -> Result<NacosEntries> {
        let own = self.of.own_server().await?;
        self.entries(own.addr(), own.open_api().await?, Some(own)).await
    }
}

/// One namespace of one server.
pub struct NacosEntries {
    version: NacosVersion,
    addr: String,
    api: OpenApi,
    own: Option<Arc<Nacos>>,
    namespace: String,
}

fn attributes(kind: &str) -> Attributes {
    Attributes([(TYPE.to_owned(), kind.to_owned())].into())
}

impl NacosEntries {
    fn connect(&self, addr: &str, login: Login) -> Connect {
        let login = self.own.as_ref().map(|_| match login {
            Login::Administrator => (USER.to_owned(), PASSWORD.to_owned().into()),
            Login::Other => (user(&self.namespace), SECRET.to_owned().into()),
        });
        let namespaces = vec![self.namespace.clone()];
        Connect { addresses: vec![addr.to_owned()], namespaces, login, ..Connect::default() }
    }

    async fn publish(&self, key: &EntryKey, body: &str, kind: &str) -> Result<()> {
        let more = [("type", kind)];
        for _ in 0..TRIES {
            match self.api.publish_config(&self.namespace, &key.group, &key.name, body, &more).await {
                // Writers of the built-in database block each other.
                Err(error) if format!("{error:#}").contains("lock could not be obtained") => {}
                done => return done,
            }
        }
        bail!("{key}: the database is locked")
    }

    async fn permission(&self, method: Method) -> Result<()> {
        let path = match self.version {
            NacosVersion::V3_1 => "/v3/auth/permission",
            _ => "/v1/auth/permissions",
        };
        let resource = format!("{}:*:*", self.namespace);
        // As the testbed calls it.
        let role = format!("role-{}", user(&self.namespace));
        let form = vec![("role", role), ("resource", resource), ("action", "rw".to_owned())];
        let (status, body) = self.api.call(method, path, &form).await?;
        ensure!(status.is_success(), "a right: {status}: {body}");
        Ok(())
    }

    fn server(&self) -> Result<&Nacos> {
        self.own.as_deref().context("not a server of one's own")
    }
}

impl DataSubject for NacosEntries {
    fn facts(&self) -> DataFacts {
        let old = self.version == NacosVersion::V1_4;
        DataFacts {
            entries: EntryFacts { shape: NameShape::Flat, stamps: StampKind::ContentHash },
            // Looks are a second apart, and take a moment.
            told_in: Duration::from_millis(2500),
            attributes_told_in: Some(Duration::from_millis(2500)),
            lost_in: Duration::from_secs(10),
            names: vec!["a.b:c_d-e", "0", "UPPER.properties"],
            contents: vec![
                ("odd", Content { attributes: attributes("text"), ..Content::of("\u{feff}ä 😀\r\n tab\t&=% \n") }),
                ("large", Content { attributes: attributes("text"), ..Content::of("x".repeat(1_000_000)) }),
            ],
            refused: vec![
                Content::default(),
                Content::of(""),
                Content::of(" \n"),
                Content::of([0, 159, 255]),
                Content::of("x".repeat(3_000_000)),
            ],
            attributes: [attributes("yaml"), attributes("json")],
            // The version is made of what is in it: what is equal is in step.
            compares: if old { Compares::Nothing } else { Compares::NoDeletions },
            // A look a second; what is new is read again for as long as its second lasts. 1.x tells everything each
            // time, a page of 500 a call, and cannot do that as fast with more.
            many: match (causeway_testbed::full(), old) {
                (_, true) => (1_000, 20),
                (false, false) => (1_000, 16),
                (true, false) => (10_000, 16),
            },
            calls_to_list: if causeway_testbed::full() { 60 } else { 40 },
        }
    }

    async fn open(&self, login: Login) -> Result<Data> {
        open("nacos", self.connect(&self.addr, login))
    }

    async fn open_metered(&self) -> Result<(Data, DataMeter)> {
        let tap = Tap::start(port(&self.addr)?).await?;
        let data = open("nacos", self.connect(&tap.addr(), Login::Administrator))?;
        let calls = tap.counts();
        Ok((data, DataMeter { calls: Box::new(move || calls.calls()), wire: Box::new(tap) }))
    }

    async fn open_over_line(&self) -> Result<(Data, Line)> {
        let to = port(&self.addr)?;
        let (http, grpc, port) = pair().await?;
        let cable = Cable::start(vec![(http, to), (grpc, to + 1000)]);
        let data = open("nacos", self.connect(&format!("127.0.0.1:{port}"), Login::Administrator))?;
        let line = Box::new(move |fault| {
            cable.set(fault);
            true
        });
        Ok((data, line))
    }

    fn part(&self) -> Part {
        Part::new(&self.namespace)
    }
    fn key(&self, folder: &str, name: &str) -> EntryKey {
        EntryKey::new(&self.namespace, folder, name)
    }

    async fn put(&self, key: &EntryKey, content: &Content) -> Result<()> {
        let body = std::str::from_utf8(content.body.as_deref().context("no data at all")?)?;
        let kind = match content.attributes.0.get(TYPE) {
            Some(kind) => kind.clone(),
            // A server forgets what it is not told again.
            None => {
                self.get(key).await?.and_then(|mut stands| stands.attributes.0.remove(TYPE)).unwrap_or("text".into())
            }
        };
        self.publish(key, body, &kind).await
    }
    async fn dress(&self, key: &EntryKey, attributes: &Attributes) -> Result<()> {
        let stands = self.get(key).await?.with_context(|| format!("no {key}"))?;
        self.put(key, &Content { attributes: attributes.clone(), ..stands }).await
    }
    async fn get(&self, key: &EntryKey) -> Result<Option<Content>> {
        let found = self.api.config(&self.namespace, &key.group, &key.name).await?;
        let kind = |kind: &str| attributes(if kind.is_empty() { "text" } else { kind });
        Ok(found.map(|found| Content { attributes: kind(&found.kind), ..Content::of(&found.content) }))
    }
    async fn remove(&self, key: &EntryKey) -> Result<()> {
        self.api.delete_config(&self.namespace, &key.group, &key.name).await
    }
    async fn all(&self) -> Result<BTreeMap<EntryKey, Content>> {
        let mut found = BTreeMap::new();
        for one in self.api.configs(&self.namespace).await? {
            let key = self.key(&one.group, &one.id);
            let content = self.get(&key).await?.with_context(|| format!("{key} is listed and is not there"))?;
            found.insert(key, content);
        }
        Ok(found)
    }
    async fn fill(&self, folder: &str, count: usize) -> Result<Vec<EntryKey>> {
        let keys: Vec<_> = (0..count).map(|n| self.key(folder, &format!("key-{n}"))).collect();
        let made = keys.iter().enumerate().map(async |(n, key)| self.publish(key, &n.to_string(), "text").await);
        stream::iter(made).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(keys)
    }
    async fn strangers(&self) -> Result<Vec<EntryKey>> {
        // Services are no config entries, and neither are the entries of another namespace.
        let random = uuid::Uuid::new_v4().simple().to_string();
        let mut instance = Instance::new("127.0.0.1", 7001);
        instance.ephemeral = self.version == NacosVersion::V1_4;
        self.api.register(&ServiceName::new(&self.namespace, "app", &random), &instance).await?;
        self.api.publish_config("public", &random, "elsewhere", "x", &[]).await?;
        self.api.delete_config("public", &random, "elsewhere").await?;
        Ok(vec![self.key("app", &random), EntryKey::new("public", &random, "elsewhere")])
    }

    async fn deny(&self, _: &EntryKey) -> Result<()> {
        // Rights are given for namespaces.
        self.permission(Method::DELETE).await?;
        sleep(KNOWN_AFTER).await;
        Ok(())
    }
    async fn allow(&self, _: &EntryKey) -> Result<()> {
        self.permission(Method::POST).await
    }
    async fn stop(&self) -> Result<()> {
        self.server()?.kill9()
    }
    async fn start(&self) -> Result<()> {
        NacosKind::start(self.server()?).await
    }
    async fn clean(&self) -> Result<()> {
        for one in self.api.configs(&self.namespace).await? {
            self.api.delete_config(&self.namespace, &one.group, &one.id).await?;
        }
        NacosKind::remove_namespace(&self.api, self.version, &self.namespace).await
    }
}
