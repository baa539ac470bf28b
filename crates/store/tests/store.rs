//! What is put in comes out again, for the right process with the right key only.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use causeway_core::Reason;
use causeway_store::{Edit, Error, Event, EventFilter, Keep, LedgerRow, Store, StoredCluster, StoredTask, Writer};
use secrecy::{ExposeSecret, SecretString};

const PLENTY: Duration = Duration::from_secs(20);

async fn open(dir: &Path) -> Store {
    Store::open_with(dir, None).await.unwrap()
}

fn cluster(name: &str, secret: &str) -> StoredCluster {
    StoredCluster {
        name: name.to_owned(),
        document: format!(r#"{{"clusterName":"{name}"}}"#),
        secrets: BTreeMap::from([("password".to_owned(), SecretString::from(secret))]),
    }
}

fn task(id: &str, name: &str) -> StoredTask {
    let word = |text: &str| text.to_owned();
    StoredTask { id: word(id), name: word(name), document: word("{}"), state: word("running") }
}

fn event(time_ms: i64, task: &str, scope: &str, action: &'static str) -> Event {
    let word = |text: &str| text.to_owned();
    Event {
        time_ms,
        task: word(task),
        cluster: word("dst"),
        scope: word(scope),
        record: word("127.0.0.1:80"),
        action: action.into(),
        reason: Reason::Text { text: word("because") },
    }
}

fn entry(route: &str, scope: &str, document: Option<&str>) -> LedgerRow {
    LedgerRow { route: route.into(), scope: scope.into(), document: document.map(Into::into) }
}

#[tokio::test]
async fn settings_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let install = store.install_id().await.unwrap();
    assert_eq!(install.len(), 8);
    let edits = [
        Edit::PutCluster(cluster("b", "first")),
        Edit::PutCluster(cluster("a", "ünïcode")),
        Edit::PutCluster(StoredCluster { secrets: BTreeMap::new(), ..cluster("c", "") }),
        Edit::PutCluster(cluster("b", "second")),
        Edit::PutTask(task("2", "two")),
        Edit::PutTask(task("1", "one")),
        Edit::PutTask(task("3", "three")),
        Edit::SetTaskState { id: "2".into(), state: "paused".into() },
        Edit::RemoveTask("3".into()),
    ];
    for edit in edits {
        store.edit(vec![edit]).await.unwrap();
    }
    store.put_kv("fingerprint", "abc").await.unwrap();
    store.close().await;
    assert!(!dir.path().join("causeway.db-wal").exists());
    drop(store);

    let store = open(dir.path()).await;
    assert_eq!(store.install_id().await.unwrap(), install);
    let clusters = store.clusters().await.unwrap();
    let names: Vec<_> = clusters.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(clusters[0].secrets["password"].expose_secret(), "ünïcode");
    assert_eq!(clusters[1].secrets["password"].expose_secret(), "second");
    assert!(clusters[2].secrets.is_empty());
    assert_eq!(clusters[1].document, r#"{"clusterName":"b"}"#);
    let two = StoredTask { state: "paused".into(), ..task("2", "two") };
    assert_eq!(store.tasks().await.unwrap(), [task("1", "one"), two]);
    assert_eq!(store.kv("fingerprint").await.unwrap().as_deref(), Some("abc"));
    assert_eq!(store.kv("other").await.unwrap(), None);

    store.edit(vec![Edit::RemoveCluster("b".into())]).await.unwrap();
    store.set_install_id("cafe0001").await.unwrap();
    assert_eq!(store.clusters().await.unwrap().len(), 2);
    assert_eq!(store.install_id().await.unwrap(), "cafe0001");
}

#[tokio::test]
async fn an_edit_is_done_wholly_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let missing = Edit::SetTaskState { id: "x".into(), state: "s".into() };
    let edits = vec![Edit::PutTask(task("1", "one")), Edit::PutKv("a".into(), "b".into()), missing];
    assert!(matches!(store.edit(edits).await, Err(Error::Missing(_))));
    assert_eq!(store.tasks().await.unwrap(), []);
    assert_eq!(store.kv("a").await.unwrap(), None);
    store.edit(vec![Edit::PutKv("a".into(), "b".into()), Edit::RemoveKv("a".into())]).await.unwrap();
    assert_eq!(store.kv("a").await.unwrap(), None);
}

#[tokio::test]
async fn the_ledger_comes_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let batch = [
        entry("r2", "a", Some("1")),
        entry("r1", "b", Some("2")),
        entry("r1", "a", Some("3")),
        entry("r1", "c", Some("4")),
    ];
    let writer = Writer::start(store.clone(), Keep::default());
    let changes = [entry("r1", "c", None), entry("r1", "a", Some("5")), entry("r9", "none", None)];
    for entries in [&batch[..], &changes] {
        entries.iter().cloned().for_each(|entry| writer.ledger(entry.route, entry.scope, entry.document));
        assert!(writer.flush(PLENTY).await);
    }
    assert!(writer.stop(PLENTY).await);
    drop(store);
    let expected = [entry("r1", "a", Some("5")), entry("r1", "b", Some("2")), entry("r2", "a", Some("1"))];
    assert_eq!(open(dir.path()).await.ledger_load().await.unwrap(), expected);
}

#[tokio::test]
async fn secrets_are_in_no_file_and_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let secret = "correct-horse-battery-staple";
    store.edit(vec![Edit::PutCluster(cluster("a", secret))]).await.unwrap();
    assert!(!format!("{:?}", store.clusters().await.unwrap()).contains(secret));
    let mut looked = 0;
    for file in fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{path:?}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
        looked += 1;
    }
    assert!(looked >= 4, "the database, its log, its index, the key, the lock");
}

#[tokio::test]
async fn only_the_first_key_opens_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().join("made");
    let given = |text: &str| Some(SecretString::from(text));
    let store = Store::open_with(&fresh, given("a key in the environment")).await.unwrap();
    store.edit(vec![Edit::PutCluster(cluster("a", "word"))]).await.unwrap();
    drop(store);
    assert_eq!(fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!fresh.join("key").exists());
    let error = Store::open_with(&fresh, given("another key of some length")).await.err().unwrap();
    let text = error.to_string();
    assert!(text.contains("CAUSEWAY_KEY") && !text.contains("another"), "{text}");
    let error = Store::open_with(&fresh, None).await.err().unwrap().to_string();
    assert!(error.contains("/key"), "{error}");
    let store = Store::open_with(&fresh, given("a key in the environment")).await.unwrap();
    assert_eq!(store.clusters().await.unwrap()[0].secrets["password"].expose_secret(), "word");
}

#[tokio::test]
async fn a_second_node_is_told_who_has_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let error = Store::open_with(dir.path(), None).await.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, Error::Taken { .. }));
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(store);
    open(dir.path()).await;
}

#[tokio::test]
async fn the_history_is_found_by_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let writer = Writer::start(store.clone(), Keep::default());
    let now = causeway_store::now_ms();
    for n in 0..30 {
        let scope = format!("public/DEFAULT_GROUP/service-{}", n % 3);
        let task = if n % 2 == 0 { "even" } else { "odd" };
        let action = if n < 20 { "created" } else { "adopted" };
        writer.event(event(now + n, task, &scope, action));
    }
    assert!(writer.flush(PLENTY).await);

    let all = store.events(&EventFilter::default()).await.unwrap();
    assert_eq!(all.len(), 30);
    assert_eq!(all[0].event, event(now + 29, "odd", "public/DEFAULT_GROUP/service-2", "adopted"));
    let some = |text: &str| Some(text.to_owned());
    let filter = EventFilter {
        task: some("even"),
        service: some("service-1"),
        action: some("created"),
        ..EventFilter::default()
    };
    let found = store.events(&filter).await.unwrap();
    let times: Vec<_> = found.iter().map(|r| r.event.time_ms - now).collect();
    assert_eq!(times, [16, 10, 4]);
    let next = EventFilter { before: Some(found[0].id), limit: Some(1), ..filter };
    assert_eq!(store.events(&next).await.unwrap(), found[1..2]);
    let nothing = EventFilter { cluster: some("src"), ..EventFilter::default() };
    assert_eq!(store.events(&nothing).await.unwrap(), []);

    let old = Keep { age_ms: 100, count: 100 };
    assert_eq!(store.prune_events(old, now + 110).await.unwrap(), 10);
    let few = Keep { age_ms: 1000, count: 5 };
    assert_eq!(store.prune_events(few, now).await.unwrap(), 15);
    let left = store.events(&EventFilter::default()).await.unwrap();
    assert_eq!(left, all[..5]);
}
