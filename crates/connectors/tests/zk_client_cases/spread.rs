//! Copies are spread over several sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use causeway_connectors::zookeeper::{SessionLimits, Settings, ZooKeeperConnector};
use causeway_connectors::{Connect, Turn, Turns, Vault};
use causeway_core::{
    Change, ClusterId, Error, Everything, Instance, Mark, OwnerId, Part, Port, Removal, Selector, ServiceKey, Sink,
    Written,
};
use causeway_testbed::{ZkConnect, ZkDoor, ZkTree, ZooKeeper, ZooOptions};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{SOON, own_root};

/// Room for about 20 of the paths below.
const SMALL: SessionLimits = SessionLimits { path_bytes: 8 << 10, idle: Duration::from_secs(600) };
/// As before copies were spread.
const LARGE: SessionLimits = SessionLimits { path_bytes: 4 << 20, ..SMALL };

/// What one connection leaves to the next.
#[derive(Default)]
struct Drawer {
    bytes: Mutex<Option<Vec<u8>>>,
    turns: Turns,
}

impl Vault for Drawer {
    fn load(&self) -> Option<Vec<u8>> {
        self.bytes.lock().clone()
    }
    fn save(&self, bytes: Vec<u8>) {
        *self.bytes.lock() = Some(bytes);
    }
    fn turn(&self) -> Option<Turn> {
        Some(self.turns.take())
    }
}

impl Drawer {
    /// Keeps the main session as an earlier version did: its id and its password, and nothing else.
    fn as_before(&self) -> Result<()> {
        let list = self.bytes.lock().clone().context("nothing is kept")?;
        let (id, rest) = list[8..].split_at(8);
        let (length, password) = rest.split_first().context("no password")?;
        *self.bytes.lock() = Some([id, &password[..usize::from(*length)]].concat());
        Ok(())
    }
}

fn connect(address: &str, root: &str, vault: &Arc<Drawer>, sessions: SessionLimits) -> Result<Arc<dyn Sink>> {
    let vault: Arc<Drawer> = vault.clone();
    let settings = Settings { session_timeout: Duration::from_secs(6), ..Settings::default() };
    let connect = Connect {
        install: "i".into(),
        addresses: vec![format!("{address}{root}")],
        vault: Some(vault),
        block: Some(settings.block()),
        ..Connect::default()
    };
    let ports = ZooKeeperConnector::open_with(connect, sessions)?;
    ports.services.as_ref().and_then(Port::sink).context("not to be written")
}

fn scope() -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", &"s".repeat(300))
}

fn copy(n: u16) -> Instance {
    let mark = Mark::new(OwnerId::new("i", "t"), vec![ClusterId::of("source")]);
    Instance::new("127.0.0.1", 1000 + n).with_mark(Some(mark))
}

fn creations(numbers: std::ops::Range<u16>) -> Vec<Change> {
    numbers.map(|n| Change::Create(copy(n))).collect()
}

fn ledger(numbers: std::ops::Range<u16>) -> Vec<(ServiceKey, Written)> {
    let mut written = Written::default();
    creations(numbers).iter().for_each(|change| written.note(change, &[]));
    vec![(scope(), written)]
}

/// Writes until all is done.
async fn write(sink: &dyn Sink, changes: &[Change]) -> Result<()> {
    let (mut rest, until) = (changes.to_vec(), Instant::now() + SOON);
    while !rest.is_empty() {
        let outcomes = sink.apply(&scope(), &rest).await;
        let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        ensure!(Instant::now() < until, "{failed:?}");
        rest = rest.into_iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_err()).map(|(one, _)| one).collect();
        if !rest.is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// The copies of each session.
fn held(tree: &ZkTree) -> BTreeMap<i64, BTreeSet<String>> {
    let mut all = BTreeMap::<i64, BTreeSet<String>>::new();
    for (path, entry) in tree.0.iter().filter(|(_, entry)| entry.ephemeral()) {
        all.entry(entry.stat.owner).or_default().insert(path.clone());
    }
    all
}

/// The most bytes that a transaction at the end of one of the sessions has.
fn fullest(held: &BTreeMap<i64, BTreeSet<String>>) -> usize {
    held.values().map(|paths| paths.iter().map(|path| path.len() + 4).sum()).max().unwrap_or(0)
}

/// An earlier version held everything in one session. What is too much is moved: readers never miss a znode.
pub async fn is_emptied(address: String) -> Result<()> {
    let (door, root, vault) = (ZkDoor::start().await?, own_root("spread"), Arc::new(Drawer::default()));
    let who = door.connect("who", &ZkConnect::to(&address)).await?;
    who.create(&root, "").await?;
    let first = connect(&address, &root, &vault, LARGE)?;
    write(&*first, &creations(0..200)).await?;
    let before = held(&who.walk(&root).await?);
    ensure!(before.len() == 1 && fullest(&before) > 60_000, "{} sessions", before.len());
    first.close().await;
    vault.as_before()?;

    let folder = format!("{root}/services/{}", scope().name);
    let (watch, cache) = (who.watch(&folder).await?, who.cache(&folder).await?);
    cache.wait(SOON, |events| events.iter().any(|event| event.kind == "INITIALIZED")).await?;
    cache.forget();
    let second = connect(&address, &root, &vault, SMALL)?;
    second.adopt(&ledger(0..200)).await?;
    let (mut looks, began) = (0, Instant::now());
    loop {
        let names = who.children(&folder).await?;
        ensure!(names.len() == 200, "{} of 200 at look {looks}", names.len());
        looks += 1;
        let held = held(&who.walk(&root).await?);
        if fullest(&held) <= 16 << 10
            && held.get(before.keys().next().context("none")?).is_some_and(|paths| paths.len() < 25)
        {
            break;
        }
        ensure!(began.elapsed() < SOON, "{} bytes in one session", fullest(&held));
    }
    let moved = held(&who.walk(&root).await?);
    let total: usize = moved.values().map(BTreeSet::len).sum();
    let mut told: Vec<_> = second.carriers().iter().map(|one| (one.id.clone(), one.records)).collect();
    let mut right: Vec<_> = moved.iter().map(|(id, paths)| (format!("{id:#x}"), paths.len())).collect();
    told.sort();
    right.sort();
    ensure!(total == 200 && moved.len() >= 6 && told == right, "{told:?} {right:?}");
    // A move is told as a deletion and a creation by one transaction.
    sleep(Duration::from_millis(500)).await;
    let events = watch.events();
    let pairs =
        events.chunks(2).filter(|two| two.len() == 2 && two[0].path == two[1].path && two[0].zxid == two[1].zxid);
    let apart = events.chunks(2).map(|two| two[two.len() - 1].at - two[0].at).max();
    let cached: BTreeMap<String, usize> = cache.events().into_iter().fold(BTreeMap::new(), |mut all, event| {
        *all.entry(event.kind).or_default() += 1;
        all
    });
    eprintln!(
        "{looks} looks, {} events, pairs {}, at most {apart:?} ms apart; a cache: {cached:?}",
        events.len(),
        pairs.clone().count()
    );
    ensure!(pairs.count() * 2 == events.len(), "{:?}", events.first());
    // All of them are ours.
    second.close().await;
    who.delete_all(&root).await
}

/// A session that holds nothing any more is ended after a while, and the main one stays.
pub async fn is_ended(address: String) -> Result<()> {
    let (door, root, vault) = (ZkDoor::start().await?, own_root("idle"), Arc::new(Drawer::default()));
    let who = door.connect("who", &ZkConnect::to(&address)).await?;
    who.create(&root, "").await?;
    let sink = connect(&address, &root, &vault, SessionLimits { idle: Duration::from_secs(2), ..SMALL })?;
    write(&*sink, &creations(0..100)).await?;
    let all = held(&who.walk(&root).await?);
    ensure!(all.len() >= 4 && fullest(&all) <= SMALL.path_bytes, "{} sessions", all.len());
    let kept = |vault: &Drawer| vault.bytes.lock().as_ref().map_or(0, |bytes| (bytes.len() - 8) / 25);
    ensure!(kept(&vault) == all.len(), "{} of {} kept", kept(&vault), all.len());
    let delete = |n| Change::Delete { owner: OwnerId::new("i", "t"), record: copy(n), why: Removal::Drained };
    let gone: Vec<_> = (0..100).map(delete).collect();
    write(&*sink, &gone).await?;
    let began = Instant::now();
    while kept(&vault) > 1 {
        ensure!(began.elapsed() < SOON, "{} sessions are kept", kept(&vault));
        sleep(Duration::from_millis(100)).await;
    }
    // They are opened again when they are needed.
    write(&*sink, &creations(0..100)).await?;
    let all = held(&who.walk(&root).await?);
    ensure!(all.len() >= 4 && kept(&vault) == all.len(), "{} sessions, {} kept", all.len(), kept(&vault));
    sink.close().await;
    who.delete_all(&root).await
}

/// Other settings come while the first copy is made: no session is left that the new connection does not know.
pub async fn handed_over(address: String) -> Result<()> {
    let (door, root, vault) = (ZkDoor::start().await?, own_root("handed"), Arc::new(Drawer::default()));
    let who = door.connect("who", &ZkConnect::to(&address)).await?;
    who.create(&root, "").await?;
    let mut sink = connect(&address, &root, &vault, SMALL)?;
    write(&*sink, &creations(0..5)).await?;
    let watch = who.watch(&root).await?;
    for turn in 1..4_u16 {
        let (from, to) = (turn * 100, turn * 100 + 100);
        let old = sink.clone();
        let mut writing = JoinSet::new();
        writing.spawn(async move { old.apply(&scope(), &creations(from..to)).await });
        sleep(Duration::from_millis(u64::from(turn) * 4)).await;
        sink = connect(&address, &root, &vault, SMALL)?;
        sink.adopt(&ledger(0..from)).await?;
        drop(writing.join_all().await);
        write(&*sink, &creations(from..to)).await?;
    }
    let select: Selector = Arc::new(Everything);
    let sets = sink.read(&Part::new("public"), &select).await?;
    let held_there: Vec<_> = sets.iter().flat_map(|set| set.records.values()).collect();
    let known = held_there.iter().filter(|held| held.native.is_none() && held.copy_of("i").is_some()).count();
    let count = held_there.len();
    ensure!((count, known) == (400, 400), "{count} records, {known} known as ours");
    let all = held(&who.walk(&root).await?);
    let told: BTreeSet<String> = sink.carriers().into_iter().map(|one| one.id).collect();
    let right: BTreeSet<String> = all.keys().map(|id| format!("{id:#x}")).collect();
    ensure!(told == right && fullest(&all) <= 2 * SMALL.path_bytes, "{told:?} {right:?} {}", fullest(&all));
    ensure!(all.values().map(BTreeSet::len).sum::<usize>() == 400, "copies are missing");
    let gone: Vec<_> = watch.events().into_iter().filter(|event| event.kind == "NodeDeleted").collect();
    ensure!(gone.is_empty(), "{gone:?}");
    // Longer than the time of a session that nobody keeps alive.
    sleep(Duration::from_secs(8)).await;
    ensure!(held(&who.walk(&root).await?) == all, "a session was lost");
    sink.close().await;
    who.delete_all(&root).await
}

/// A server that takes no more connections: the sessions that there are hold twice as much, and the rest is told of.
pub async fn refused() -> Result<()> {
    let limit = vec![("maxClientCnxns".to_owned(), "6".to_owned())];
    let server = ZooKeeper::start(ZooOptions { settings: limit, ..ZooOptions::default() }).await?;
    let (door, vault) = (ZkDoor::start().await?, Arc::new(Drawer::default()));
    let who = door.connect("who", &ZkConnect::to(&server.addr())).await?;
    let sink = connect(&server.addr(), "", &vault, SMALL)?;
    write(&*sink, &creations(0..90)).await?;
    write(&*sink, &creations(90..160)).await?;
    let all = held(&who.walk("/").await?);
    ensure!(all.len() <= 5 && fullest(&all) > SMALL.path_bytes && fullest(&all) <= 2 * SMALL.path_bytes, "{all:?}");
    let outcomes = sink.apply(&scope(), &creations(160..400)).await;
    let errors: BTreeSet<String> = outcomes.iter().filter_map(|one| one.as_ref().err()).map(Error::to_string).collect();
    eprintln!("{errors:?}");
    ensure!(errors.iter().any(|error| error.contains("maxClientCnxns")), "{errors:?}");
    ensure!(fullest(&held(&who.walk("/").await?)) <= 2 * SMALL.path_bytes);
    Ok(())
}
