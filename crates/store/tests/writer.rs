//! The writer while the database file is locked, gone or left by a killed process: nobody waits, and nothing is missing afterwards.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use causeway_core::Reason;
use causeway_store::{Event, EventFilter, Health, Keep, Store, Writer};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

const PLENTY: Duration = Duration::from_secs(20);

async fn open(dir: &Path) -> (Store, Writer) {
    let store = Store::open_with(dir, None).await.unwrap();
    let writer = Writer::start(store.clone(), Keep::default());
    (store, writer)
}

fn event(record: String) -> Event {
    Event { record, ..Event::now("created", Reason::None) }
}

/// The fastest sees at least a hundred a millisecond; a caller that waits for the database sees none for seconds.
fn hand_over(writer: &Writer, scopes: usize, document: &str) {
    let begun = Instant::now();
    for n in 0..scopes {
        writer.ledger("route", format!("scope-{n}"), Some(document));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "callers wait");
}

async fn documents(store: &Store) -> Vec<String> {
    let all = store.ledger_load().await.unwrap();
    all.iter().map(|entry| entry.document.as_deref().unwrap().to_owned()).collect()
}

async fn eventually(writer: &Writer, what: impl Fn(&Health) -> bool) -> Health {
    let begun = Instant::now();
    loop {
        let health = writer.health();
        if what(&health) {
            return health;
        }
        assert!(begun.elapsed() < PLENTY, "{health:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_delays_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = open(dir.path()).await;
    hand_over(&writer, 100, "old");
    assert!(writer.flush(PLENTY).await);
    let other = SqliteConnectOptions::new().filename(dir.path().join("causeway.db"));
    let mut other = other.connect().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();

    hand_over(&writer, 10_000, "new");
    for n in 0..500 {
        writer.event(event(n.to_string()));
    }
    assert!(!writer.flush(Duration::from_secs(2)).await);
    let health = writer.health();
    assert!(health.behind >= Duration::from_secs(2), "{health:?}");
    // Longer than SQLite's own patience, so that the failure is seen and repeated.
    let health = eventually(&writer, |health| health.problem.is_some()).await;
    assert!(health.problem.unwrap().contains("locked by another program"));
    assert_eq!(health.waiting_records, 10_000);
    let error = store.put_kv("a", "b").await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert_eq!(documents(&store).await.len(), 100, "readers read on");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();

    assert!(writer.flush(PLENTY).await);
    assert!(documents(&store).await.iter().all(|document| document == "new"));
    assert_eq!(documents(&store).await.len(), 10_000);
    let filter = EventFilter { limit: Some(1_000), ..EventFilter::default() };
    let records: Vec<_> = store.events(&filter).await.unwrap().into_iter().map(|r| r.event.record).collect();
    let expected: Vec<_> = (0..500).rev().map(|n: i32| n.to_string()).collect();
    assert_eq!(records, expected, "each once, in order");
    assert_eq!(writer.health().problem, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_or_replaced_file_is_put_back_with_all_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = open(dir.path()).await;
    let file = |name: &str| dir.path().join(name);
    store.put_kv("a", "b").await.unwrap();
    hand_over(&writer, 1_000, "old");
    assert!(writer.flush(PLENTY).await);

    for name in ["causeway.db", "causeway.db-wal", "causeway.db-shm", "key"] {
        fs::remove_file(file(name)).unwrap();
    }
    hand_over(&writer, 10, "new");
    assert!(writer.flush(PLENTY).await);
    assert!(file("causeway.db").exists() && file("key").exists());
    store.put_kv("c", "d").await.unwrap();

    fs::remove_file(file("causeway.db")).unwrap();
    fs::write(file("causeway.db"), "not a database").unwrap();
    hand_over(&writer, 5, "newer");
    assert!(writer.flush(PLENTY).await);
    let aside = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
        path.to_string_lossy().contains("causeway.db.replaced-")
            && fs::read(path).is_ok_and(|bytes| bytes == b"not a database")
    });
    assert!(aside.is_some(), "a foreign file is set aside");

    // Without anything to write, too.
    fs::remove_file(file("causeway.db")).unwrap();
    let begun = Instant::now();
    while !file("causeway.db").exists() {
        assert!(begun.elapsed() < PLENTY);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(writer.stop(PLENTY).await);
    drop((store, writer));

    let (store, _writer) = open(dir.path()).await;
    let all = documents(&store).await;
    let count = |word: &str| all.iter().filter(|document| *document == word).count();
    assert_eq!((count("old"), count("new"), count("newer")), (990, 5, 5));
    assert_eq!(store.kv("a").await.unwrap().as_deref(), Some("b"));
    assert_eq!(store.kv("c").await.unwrap().as_deref(), Some("d"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_folder_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (store, writer) = open(&data).await;
    hand_over(&writer, 100, "old");
    assert!(writer.flush(PLENTY).await);
    fs::remove_dir_all(&data).unwrap();
    hand_over(&writer, 10, "new");
    eventually(&writer, |health| health.problem.is_some() && health.waiting_records == 10).await;
    fs::create_dir(&data).unwrap();
    assert!(writer.flush(PLENTY).await);
    // It is ours again: locked, and with a key.
    assert!(Store::open_with(&data, None).await.is_err());
    assert!(writer.stop(PLENTY).await);
    drop((store, writer));
    let (store, _writer) = open(&data).await;
    assert_eq!(documents(&store).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_writer_has_let_go_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..100 {
        let (store, writer) = open(dir.path()).await;
        // Half of the times it has no chance to write before it is stopped.
        writer.ledger("route", "scope", Some(n.to_string()));
        let at_most = if n % 2 == 0 { PLENTY } else { Duration::ZERO };
        writer.stop(at_most).await;
        drop((store, writer));
    }
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is started, and killed, by a_killed_process_loses_nothing_that_was_flushed"]
async fn child_that_writes() {
    let Some(dir) = std::env::var_os("CAUSEWAY_TEST_FOLDER") else {
        return;
    };
    let (_store, writer) = open(Path::new(&dir)).await;
    hand_over(&writer, 2_000, "kept");
    assert!(writer.flush(PLENTY).await);
    println!("flushed");
    for n in 0.. {
        writer.event(event(n.to_string()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_that_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_writes", "--ignored", "--nocapture"])
        .env("CAUSEWAY_TEST_FOLDER", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("flushed")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let (store, _writer) = open(dir.path()).await;
    assert_eq!(documents(&store).await, vec!["kept"; 2_000]);
}

/// Earlier versions kept plain texts where JSON stands now.
#[tokio::test]
async fn the_history_of_an_earlier_version_is_still_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = open(dir.path()).await;
    let mut other = SqliteConnectOptions::new().filename(dir.path().join("causeway.db")).connect().await.unwrap();
    for reason in ["it is in the source only", "", "{\"code\":\"of-a-later-version\"}"] {
        sqlx::query("INSERT INTO events (time_ms, task, cluster, scope, record, action, reason) VALUES (1, '', '', '', '', 'created', ?)")
            .bind(reason)
            .execute(&mut other)
            .await
            .unwrap();
    }
    let late = Event { reason: Reason::Released { count: 3 }, ..event(String::new()) };
    writer.event(late.clone());
    assert!(writer.flush(PLENTY).await);
    let events = store.events(&EventFilter::default()).await.unwrap();
    let reasons: Vec<_> = events.iter().map(|recorded| recorded.event.reason.clone()).collect();
    let text = |text: &str| Reason::Text { text: text.into() };
    let later = text("{\"code\":\"of-a-later-version\"}");
    assert_eq!(reasons, [late.reason, later, text(""), text("it is in the source only")]);
    let kept: (String,) =
        sqlx::query_as("SELECT reason FROM events ORDER BY id DESC LIMIT 1").fetch_one(&mut other).await.unwrap();
    assert_eq!(kept.0, r#"{"code":"released","count":3}"#);
}

/// Rows of one batch that belong together: a lot of intents is forgotten when the bases it led to are remembered.
const TOGETHER: usize = 6_000;

/// Not a test of its own: the process that the next test kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is started, and killed, by a_killed_process_leaves_a_batch_whole_or_not_at_all"]
async fn child_that_writes_a_batch() {
    let Some(dir) = std::env::var_os("CAUSEWAY_TEST_FOLDER") else {
        return;
    };
    let (_store, writer) = open(Path::new(&dir)).await;
    writer.ledger("data", "lot/7", Some("intents"));
    assert!(writer.flush(PLENTY).await);
    // From here on the database takes no row for one of the scopes, as it would on a full disk.
    let options = SqliteConnectOptions::new().filename(Path::new(&dir).join("causeway.db"));
    let mut other = options.connect().await.unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON ledger WHEN NEW.scope = 'base/0' \
                  BEGIN SELECT RAISE(ABORT, 'no room'); END";
    sqlx::query(refuse).execute(&mut other).await.unwrap();
    for n in 0..TOGETHER {
        writer.ledger("data", format!("base/{n}"), Some("base"));
    }
    writer.ledger("data", "lot/7", None::<&str>);
    eventually(&writer, |health| health.problem.is_some()).await;
    println!("refused");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_a_batch_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_writes_a_batch", "--ignored", "--nocapture"])
        .env("CAUSEWAY_TEST_FOLDER", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("refused")));
    child.kill().unwrap();
    child.wait().unwrap();
    let (store, _writer) = open(dir.path()).await;
    let scopes: Vec<_> = store.ledger_load().await.unwrap().iter().map(|entry| entry.scope.to_string()).collect();
    assert_eq!(scopes.len(), 1, "a part of the batch was kept: {:?}", &scopes[..3]);
    assert_eq!(scopes, ["lot/7"], "the intents are forgotten, and the bases are not there");
}
