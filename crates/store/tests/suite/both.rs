//! What holds for every database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_core::Reason;
use causeway_store::{
    Edit, Error, Event, EventFilter, Health, Keep, LedgerRow, Store, StoredCluster, StoredTask, Writer,
};
use secrecy::{ExposeSecret, SecretString};

use crate::place::Place;

pub const PLENTY: Duration = Duration::from_secs(30);

pub fn cluster(name: &str, secret: &str) -> StoredCluster {
    StoredCluster {
        name: name.to_owned(),
        document: format!(r#"{{"clusterName":"{name}"}}"#),
        secrets: BTreeMap::from([("password".to_owned(), SecretString::from(secret))]),
    }
}

pub async fn documents(store: &Store) -> Vec<String> {
    let all = store.ledger_load().await.unwrap();
    all.iter().map(|entry| entry.document.as_deref().unwrap().to_owned()).collect()
}

pub fn task(id: &str, name: &str) -> StoredTask {
    let word = |text: &str| text.to_owned();
    StoredTask { id: word(id), name: word(name), document: word("{}"), state: word("running") }
}

pub fn event(time_ms: i64, task: &str, scope: &str, action: &'static str) -> Event {
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

pub fn entry(route: &str, scope: &str, document: Option<&str>) -> LedgerRow {
    LedgerRow { route: route.into(), scope: scope.into(), document: document.map(Into::into) }
}
pub async fn settings_survive_a_restart(place: Place) -> Result<()> {
    let store = place.open().await;
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
    assert!(!place.data_folder(0).join("causeway.db-wal").exists(), "a log that was not merged");
    drop(store);

    let store = place.open().await;
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
    Ok(())
}

pub async fn an_edit_is_done_wholly_or_not_at_all(place: Place) -> Result<()> {
    let store = place.open().await;
    let missing = Edit::SetTaskState { id: "x".into(), state: "s".into() };
    let edits = vec![Edit::PutTask(task("1", "one")), Edit::PutKv("a".into(), "b".into()), missing];
    assert!(matches!(store.edit(edits).await, Err(Error::Missing(_))));
    assert_eq!(store.tasks().await.unwrap(), []);
    assert_eq!(store.kv("a").await.unwrap(), None);
    store.edit(vec![Edit::PutKv("a".into(), "b".into()), Edit::RemoveKv("a".into())]).await.unwrap();
    assert_eq!(store.kv("a").await.unwrap(), None);
    Ok(())
}

pub async fn the_ledger_comes_back_in_order(place: Place) -> Result<()> {
    let store = place.open().await;
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
    assert_eq!(place.open().await.ledger_load().await.unwrap(), expected);
    Ok(())
}

pub async fn the_history_is_found_by_its_parts(place: Place) -> Result<()> {
    let store = place.open().await;
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
    Ok(())
}

pub async fn a_quiet_database_is_written_at_once(place: Place) -> Result<()> {
    let store = place.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let begun = Instant::now();
        writer.ledger("route", "scope", Some(n.to_string()));
        assert!(writer.flush(PLENTY).await);
        slowest = slowest.max(begun.elapsed());
    }
    println!("slowest of 20 writes: {slowest:?}");
    assert!(slowest < Duration::from_secs(1));
    assert_eq!(documents(&store).await, ["19"]);
    writer.ledger("route", "scope", None::<&str>);
    assert!(writer.stop(PLENTY).await);
    assert_eq!(documents(&store).await, Vec::<String>::new());
    let all_well = Health {
        behind: Duration::ZERO,
        waiting_records: 0,
        waiting_events: 0,
        lost_events: 0,
        problem: None,
        failed: None,
    };
    assert_eq!(writer.health(), all_well);
    assert!(writer.flush(PLENTY).await, "nothing to wait for");
    Ok(())
}

pub async fn a_hundred_thousand_updates(place: Place) -> Result<()> {
    let store = place.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    let document = "x".repeat(300);
    let begun = Instant::now();
    for n in 0..100_000 {
        writer.ledger("route", format!("public/DEFAULT_GROUP/service-{n}"), Some(document.as_str()));
    }
    let handed = begun.elapsed();
    assert!(writer.flush(Duration::from_secs(120)).await);
    let written = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(store.ledger_load().await.unwrap().len(), 100_000);
    let read = begun.elapsed();
    let begun = Instant::now();
    for n in 0..100_000 {
        writer.ledger("route", "public/DEFAULT_GROUP/one", Some(n.to_string()));
    }
    assert!(writer.flush(Duration::from_secs(120)).await);
    let one = begun.elapsed();
    println!(
        "100,000 scopes handed over in {handed:?}, written after {written:?}, read in {read:?}; 100,000 updates of one scope: {one:?}"
    );
    Ok(())
}

pub async fn every_edit_raises_the_revision(place: Place) -> Result<()> {
    let store = place.open().await;
    let before = store.revision().await?;
    assert_eq!(store.edit(vec![Edit::PutKv("a".into(), "b".into())]).await?, before + 1);
    assert_eq!(store.edit(Vec::new()).await?, before + 2);
    store.put_kv("a", "c").await?;
    store.put_secret("s", &"word".into()).await?;
    store.install_id().await?;
    assert_eq!(store.revision().await?, before + 2, "values that are set alone are no edits");
    assert!(store.edit(vec![Edit::SetTaskState { id: "x".into(), state: "s".into() }]).await.is_err());
    assert_eq!(store.revision().await?, before + 2, "an edit that failed is none");
    drop(store);
    assert_eq!(place.open().await.revision().await?, before + 2);
    Ok(())
}

pub async fn of_two_edits_of_one_revision_the_second_fails(place: Place) -> Result<()> {
    let store = place.open().await;
    let revision = store.revision().await?;
    let put = |value: &str| vec![Edit::PutKv("a".into(), value.into()), Edit::PutTask(task(value, value))];
    assert_eq!(store.edit_from(revision, put("first")).await?, revision + 1);
    let error = store.edit_from(revision, put("second")).await.unwrap_err();
    let Error::Outdated { made_from, now } = &error else { panic!("{error}") };
    assert_eq!((*made_from, *now), (revision, revision + 1));
    assert!(error.to_string().contains("have been changed meanwhile"), "{error}");
    assert_eq!(store.kv("a").await?.as_deref(), Some("first"));
    assert_eq!((store.tasks().await?.len(), store.revision().await?), (1, revision + 1));
    store.edit_from(revision + 1, put("third")).await?;
    assert_eq!(store.kv("a").await?.as_deref(), Some("third"));
    Ok(())
}

pub async fn the_first_value_is_kept(place: Place) -> Result<()> {
    let store = place.open().await;
    let kept = futures_util::future::join_all((0..20).map(|n| {
        let store = store.clone();
        async move { store.put_first_kv("one", &n.to_string()).await.unwrap() }
    }));
    let kept = kept.await;
    assert!(kept.iter().all(|value| *value == kept[0]), "{kept:?}");
    assert_eq!(store.kv("one").await?.as_deref(), Some(kept[0].as_str()));
    store.put_kv("one", "other").await?;
    assert_eq!(store.put_first_kv("one", "late").await?, "other");
    let key = store.fingerprint_key().await?;
    assert_eq!(store.fingerprint_key().await?.expose_secret(), key.expose_secret());
    Ok(())
}
