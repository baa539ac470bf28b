//! The cases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use causeway_connectors::Connect;
use causeway_core::{
    Attributes, Content, DataSelector, DataSink, Entry, EntryInterest, EntryKey, EntryUpdate, EntryWrite, Error,
    Expect, Fingerprint, Lost, Part,
};
use causeway_testbed::{Nacos, NacosVersion, Options};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::{Target, open, open_with};

/// Told within 2 s, and a little more for a busy machine.
const TOLD: Duration = Duration::from_millis(2_500);

/// What stands in one namespace.
struct Only(String);

impl EntryInterest for Only {
    fn takes(&self, key: &EntryKey) -> bool {
        *key.namespace == *self.0
    }
    fn part(&self, part: &Part) -> bool {
        *part.0 == *self.0
    }
    fn may_hold(&self, _: &EntryKey) -> bool {
        true
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

/// A namespace of one case's own.
struct Land {
    target: Target,
    id: String,
    select: DataSelector,
}

impl Land {
    async fn new(target: Target, name: &str) -> Result<Self> {
        let id = format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        target.api.create_namespace(&id, &format!("{id} of a test")).await?;
        let select = Arc::new(Only(id.clone()));
        Ok(Self { target, id, select })
    }

    fn key(&self, name: &str) -> EntryKey {
        EntryKey::new(&self.id, "g", name)
    }

    async fn write(&self, name: &str, expect: Expect, to: Option<Content>) -> Result<Option<Entry>, Error> {
        let write = EntryWrite { key: self.key(name), expect, to, parents: false };
        self.target.port.write(&[write]).await.remove(0)
    }

    async fn read(&self, name: &str) -> Result<Option<(Entry, Content)>> {
        Ok(self.target.port.read(&[self.key(name)]).await.remove(0)?)
    }

    async fn publish(&self, name: &str, content: &str) -> Result<()> {
        self.target.api.publish_config(&self.id, "g", name, content, &[]).await
    }

    /// What stands there, as the server says: content, type, description, tags.
    async fn stands(&self, name: &str) -> Result<Option<[String; 4]>> {
        let found = self.target.api.config(&self.id, "g", name).await?;
        Ok(found.map(|found| [found.content, found.kind, found.description, found.tags]))
    }
}

fn body(content: &Content) -> String {
    String::from_utf8_lossy(content.body.as_deref().unwrap_or_default()).into_owned()
}

fn typed(text: &str, kind: &str) -> Content {
    Content { attributes: Attributes([("type".to_owned(), kind.to_owned())].into()), ..Content::of(text) }
}

/// Created, replaced and deleted where what is expected stands there, and not else.
pub async fn writes(target: Target) -> Result<()> {
    let land = Land::new(target, "writes").await?;
    let odd = "\u{feff}ä 😀\r\n tab\t&=% \n";
    let made = land.write("a.yaml", Expect::Absent, Some(typed(odd, "yaml"))).await?.context("no entry")?;
    ensure!(made.size as usize == odd.len());
    let stands = land.stands("a.yaml").await?.context("not written")?;
    ensure!(stands[..2] == [odd, "yaml"], "{stands:?}");
    let (entry, content) = land.read("a.yaml").await?.context("not read")?;
    ensure!(entry.stamp == made.stamp && entry.size == made.size && entry.modified_ms > 1_500_000_000_000, "{entry:?}");
    ensure!(content == typed(odd, "yaml"), "{content:?}");
    let listed = land.target.port.list(&land.select).await?;
    ensure!(listed.keys().eq([&land.key("a.yaml")]) && listed.values().all(|entry| entry.stamp == made.stamp));

    let again = land.write("a.yaml", Expect::Absent, Some(Content::of("other"))).await;
    ensure!(matches!(again, Err(Error::Conflict)), "{again:?}");
    // An operator's edit, with words of his own.
    let tags = if land.target.api.version() == NacosVersion::V3_1 { "configTags" } else { "config_tags" };
    let more = [("type", "json"), ("desc", "ours"), (tags, "x,y")];
    land.target.api.publish_config(&land.id, "g", "a.yaml", "{}", &more).await?;
    let late = land.write("a.yaml", Expect::Stamp(made.stamp), Some(Content::of("late"))).await;
    ensure!(matches!(late, Err(Error::Conflict)), "{late:?}");
    let late = land.write("a.yaml", Expect::Stamp(made.stamp), None).await;
    ensure!(matches!(late, Err(Error::Conflict)), "{late:?}");
    ensure!(land.stands("a.yaml").await?.is_some_and(|stands| stands[0] == "{}"));

    let (entry, content) = land.read("a.yaml").await?.context("gone")?;
    ensure!(content == typed("{}", "json"), "{content:?}");
    let edited = land.write("a.yaml", Expect::Stamp(entry.stamp), Some(Content::of("[1]"))).await?.context("gone")?;
    let stands = land.stands("a.yaml").await?.context("gone")?;
    ensure!(stands[..3] == ["[1]", "json", "ours"], "what is not named stays as it is: {stands:?}");
    let mut tags: Vec<_> = stands[3].split(',').collect();
    tags.sort_unstable();
    ensure!(tags == ["x", "y"], "{tags:?}");
    ensure!(land.read("a.yaml").await?.is_some_and(|(entry, _)| entry.stamp == edited.stamp));
    // Another type is another version.
    let retyped =
        land.write("a.yaml", Expect::Stamp(edited.stamp), Some(typed("[1]", "text"))).await?.context("gone")?;
    ensure!(retyped.stamp != edited.stamp && land.read("a.yaml").await?.is_some_and(|(e, _)| e.stamp == retyped.stamp));

    ensure!(land.write("a.yaml", Expect::Stamp(retyped.stamp), None).await?.is_none());
    ensure!(land.stands("a.yaml").await?.is_none() && land.read("a.yaml").await?.is_none());
    ensure!(land.write("a.yaml", Expect::Absent, None).await?.is_none());
    let gone = land.write("a.yaml", Expect::Stamp(retyped.stamp), Some(Content::of("x"))).await;
    ensure!(matches!(gone, Err(Error::Conflict)), "{gone:?}");
    let plain = land.write("plain", Expect::Absent, Some(Content::of("x"))).await?.context("no entry")?;
    ensure!(land.read("plain").await?.is_some_and(|(entry, _)| entry.stamp == plain.stamp), "the type that it gets");
    Ok(())
}

/// One that is refused spoils no other.
pub async fn refuses(target: Target) -> Result<()> {
    let land = Land::new(target, "refuses").await?;
    let bodies: [(&str, Content); 7] = [
        ("a$b", Content::of("x")),
        ("empty", Content::of("")),
        ("none", Content::default()),
        ("blank", Content::of(" \n")),
        ("binary", Content::of(b"\xff\x00")),
        ("large", Content::of(vec![b'x'; 3_000_000])),
        ("good", Content::of(vec![b'x'; 1_000_000])),
    ];
    let write = |(name, content): (&str, Content)| EntryWrite {
        key: land.key(name),
        expect: Expect::Absent,
        to: Some(content),
        parents: false,
    };
    let writes = bodies.map(write);
    let answers = land.target.port.write(&writes).await;
    for (write, answer) in writes.iter().zip(&answers) {
        eprintln!("{}: {}", write.key.name, answer.as_ref().map_or_else(Error::to_string, |_| "written".into()));
        match &*write.key.name {
            "good" => ensure!(answer.is_ok(), "{answer:?}"),
            name => ensure!(matches!(answer, Err(Error::Rejected(_))), "{name}: {answer:?}"),
        }
    }
    let all = land.target.api.configs(&land.id).await?;
    ensure!(all.iter().map(|config| config.id.as_str()).eq(["good"]), "{:?}", all.len());
    Ok(())
}

/// A watch, and what it has said so far.
struct Follow {
    news: BoxStream<'static, Result<EntryUpdate, Lost>>,
    all: BTreeMap<EntryKey, Entry>,
    resets: Vec<Part>,
    lost: Vec<String>,
}

impl Follow {
    fn start(port: &Arc<dyn DataSink>, select: &DataSelector) -> Self {
        Self { news: port.watch(select), all: BTreeMap::new(), resets: Vec::new(), lost: Vec::new() }
    }

    /// Listens until it is so; answers how long that took.
    async fn until(&mut self, what: &str, limit: Duration, check: impl Fn(&Self) -> bool) -> Result<Duration> {
        let began = Instant::now();
        while !check(self) {
            let left = limit.saturating_sub(began.elapsed());
            let Ok(Some(item)) = tokio::time::timeout(left, self.news.next()).await else {
                bail!("not within {limit:?}: {what}; known: {:?}, lost: {:?}", self.all, self.lost);
            };
            match item {
                Ok(EntryUpdate::Reset { part, entries }) => {
                    self.all.retain(|key, _| key.part() != part);
                    self.all.extend(entries);
                    self.resets.push(part);
                }
                Ok(EntryUpdate::Changed(changes)) => {
                    for (key, entry) in changes {
                        match entry {
                            Some(entry) => drop(self.all.insert(key, entry)),
                            None => drop(self.all.remove(&key)),
                        }
                    }
                }
                Err(lost) => self.lost.push(lost.to_string()),
            }
        }
        let took = began.elapsed();
        eprintln!("{what}: {took:?}");
        Ok(took)
    }
}

/// Everything that others do, and what we do ourselves.
pub async fn follows(target: Target) -> Result<()> {
    let land = Land::new(target, "follows").await?;
    land.publish("before", "1").await?;
    let mut follow = Follow::start(&land.target.port, &land.select);
    follow.until("the first look", TOLD, |f| f.resets == [Part::new(&land.id)]).await?;
    ensure!(follow.all.keys().eq([&land.key("before")]), "{:?}", follow.all);

    let (before, new) = (land.key("before"), land.key("new"));
    land.publish("new", "1").await?;
    follow.until("a new entry", TOLD, |f| f.all.contains_key(&new)).await?;
    let first = follow.all[&new].stamp;
    // As often as an edit can be missed that falls into the second of the one before.
    for round in 2..8 {
        land.publish("new", &round.to_string()).await?;
        let stamp = land.read("new").await?.context("gone")?.0.stamp;
        tokio::time::sleep(Duration::from_millis(150 * round)).await;
        follow.until("an edit", TOLD, |f| f.all.get(&new).is_some_and(|entry| entry.stamp == stamp)).await?;
    }
    land.publish("new", "1").await?;
    follow.until("an edit back", TOLD, |f| f.all.get(&new).is_some_and(|entry| entry.stamp == first)).await?;
    land.target.api.delete_config(&land.id, "g", "new").await?;
    follow.until("a deletion", TOLD, |f| !f.all.contains_key(&new)).await?;

    let stamp = follow.all[&before].stamp;
    let ours = land.write("before", Expect::Stamp(stamp), Some(Content::of("2"))).await?.context("gone")?;
    follow.until("our edit", TOLD, |f| f.all.get(&before).is_some_and(|entry| entry.stamp == ours.stamp)).await?;
    land.write("before", Expect::Stamp(ours.stamp), None).await?;
    follow.until("our deletion", TOLD, |f| f.all.is_empty()).await?;
    ensure!(follow.lost.is_empty() && follow.resets.len() == 1, "{:?} {:?}", follow.lost, follow.resets);
    Ok(())
}

/// Namespaces that nobody asked for are not told; one that comes later is.
pub async fn only(target: Target) -> Result<()> {
    let other = target.api.clone();
    let land = Land::new(target, "only").await?;
    let (here, later) = (land.id.clone(), format!("{}-later", land.id));
    other.publish_config("public", "g", &here, "x", &[]).await?;
    struct Both(String, String);
    impl EntryInterest for Both {
        fn takes(&self, key: &EntryKey) -> bool {
            self.part(&key.part()) && *key.name != *"unwanted"
        }
        fn part(&self, part: &Part) -> bool {
            *part.0 == *self.0 || *part.0 == *self.1
        }
        fn may_hold(&self, _: &EntryKey) -> bool {
            true
        }
        fn fingerprint(&self) -> Fingerprint {
            Fingerprint::of(&(&self.0, &self.1))
        }
    }
    land.publish("wanted", "1").await?;
    land.publish("unwanted", "1").await?;
    let select: DataSelector = Arc::new(Both(here.clone(), later.clone()));
    let mut follow = Follow::start(&land.target.port, &select);
    follow.until("the first look", TOLD, |f| !f.resets.is_empty()).await?;
    ensure!(follow.all.keys().eq([&land.key("wanted")]), "{:?}", follow.all);
    ensure!(land.target.port.list(&select).await?.keys().eq([&land.key("wanted")]));
    other.create_namespace(&later, "made later").await?;
    other.publish_config(&later, "g", "a", "x", &[]).await?;
    let key = EntryKey::new(&later, "g", "a");
    follow.until("a new namespace", Duration::from_secs(8), |f| f.all.contains_key(&key)).await?;
    ensure!(follow.resets == [Part::new(&here), Part::new(&later)], "{:?}", follow.resets);
    ensure!(follow.lost.is_empty());
    let public: DataSelector = Arc::new(Only("public".into()));
    let found = land.target.port.list(&public).await?;
    ensure!(found.contains_key(&EntryKey::new("public", "g", &here)), "the default namespace by its name");
    other.delete_config("public", "g", &here).await?;
    Ok(())
}

/// More than one page, and more than are read one by one.
pub async fn many(target: Target) -> Result<()> {
    let land = Land::new(target, "many").await?;
    let count = 1_100;
    let write = |n: usize| EntryWrite {
        key: land.key(&format!("{n:05}")),
        expect: Expect::Absent,
        to: Some(Content::of(format!("{n} {}", "x".repeat(200)))),
        parents: false,
    };
    let writes: Vec<_> = (0..count).map(write).collect();
    let began = Instant::now();
    for batch in writes.chunks(land.target.port.limits().max_batch) {
        for answer in land.target.port.write(batch).await {
            answer?;
        }
    }
    let written = began.elapsed();
    let began = Instant::now();
    let listed = land.target.port.list(&land.select).await?;
    eprintln!("{count} entries written in {written:?}, listed in {:?}", began.elapsed());
    ensure!(listed.len() == count && listed.keys().eq(writes.iter().map(|write| &write.key)));
    let mut follow = Follow::start(&land.target.port, &land.select);
    follow.until("the first look", Duration::from_secs(10), |f| f.all.len() == count).await?;
    ensure!(follow.all.iter().all(|(key, entry)| listed[key].stamp == entry.stamp));
    let began = Instant::now();
    let keys: Vec<_> = listed.keys().cloned().collect();
    let read = land.target.port.read(&keys).await;
    eprintln!("read in {:?}", began.elapsed());
    for ((write, key), found) in writes.iter().zip(&keys).zip(read) {
        let (entry, content) = found?.context("gone")?;
        ensure!(entry.stamp == listed[key].stamp && Some(body(&content)) == write.to.as_ref().map(body));
    }
    land.publish("00007", "edited").await?;
    let (key, before) = (land.key("00007"), listed[&land.key("00007")].stamp);
    follow.until("an edit among many", TOLD, |f| f.all[&key].stamp != before).await?;
    Ok(())
}

/// A server that is killed and comes back: told, and nothing is taken for gone.
pub async fn outlives(version: NacosVersion) -> Result<()> {
    let nacos = Nacos::start(version, Options::default()).await?;
    let target = Target { api: nacos.open_api().await?, port: open(&nacos.addr())? };
    let land = Land::new(target, "outlives").await?;
    land.publish("a", "1").await?;
    let mut follow = Follow::start(&land.target.port, &land.select);
    follow.until("the first look", TOLD, |f| f.resets.len() == 1).await?;
    nacos.kill9()?;
    follow.until("the outage", Duration::from_secs(15), |f| f.lost.len() == 1).await?;
    nacos.start_again().await?;
    follow.until("all again", Duration::from_secs(20), |f| f.resets.len() == 2).await?;
    ensure!(follow.all.keys().eq([&land.key("a")]) && follow.lost.len() == 1, "{:?}", follow.lost);
    land.publish("a", "2").await?;
    let stamp = land.read("a").await?.context("gone")?.0.stamp;
    // A server that has just started answers slowly, and is asked the less often.
    follow.until("an edit", 2 * TOLD, |f| f.all[&land.key("a")].stamp == stamp).await?;
    Ok(())
}

/// A user who may read and write one namespace and list none: told of that one, and why not of another.
pub async fn denied(version: NacosVersion) -> Result<()> {
    let nacos = Nacos::start(version, Options { auth: true, ..Options::default() }).await?;
    let api = nacos.open_api().await?;
    let (mine, other) = ("mine".to_owned(), "other".to_owned());
    for id in [&mine, &other] {
        api.create_namespace(id, id).await?;
        api.publish_config(id, "g", "a", "1", &[]).await?;
    }
    api.make_user("scoped", "secret-1", &mine, "rw").await?;
    let connect = Connect {
        addresses: vec![nacos.addr()],
        namespaces: vec![mine.clone(), other.clone()],
        login: Some(("scoped".into(), "secret-1".to_owned().into())),
        ..Connect::default()
    };
    let port = open_with(connect)?;
    let select: DataSelector = Arc::new(causeway_core::Everything);
    let mut follow = Follow::start(&port, &select);
    // Rights are known some seconds after they are given.
    let key = EntryKey::new(&mine, "g", "a");
    follow.until("what may be read", Duration::from_secs(40), |f| f.all.contains_key(&key)).await?;
    follow
        .until("what may not", Duration::from_secs(5), |f| f.lost.iter().any(|text| text.contains("allowed")))
        .await?;
    ensure!(!follow.resets.contains(&Part::new(&other)), "{:?}", follow.resets);
    let write = |namespace: &str| EntryWrite {
        key: EntryKey::new(namespace, "g", "b"),
        expect: Expect::Absent,
        to: Some(Content::of("2")),
        parents: false,
    };
    let answers = port.write(&[write(&mine), write(&other)]).await;
    ensure!(answers[0].is_ok() && matches!(answers[1], Err(Error::Denied(_))), "{answers:?}");
    let found = port.read(&[EntryKey::new(&other, "g", "a")]).await.remove(0);
    ensure!(matches!(found, Err(Error::Denied(_))), "{found:?}");
    Ok(())
}
