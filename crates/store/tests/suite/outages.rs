//! Servers that go away, hang, or write no more.

use std::time::{Duration, Instant};

use anyhow::Result;
use causeway_core::Reason;
use causeway_store::{Database, Event, EventFilter, Keep, Store, Writer};
use causeway_testbed::{MariaDb, MariaDbSetup};

use crate::both::{PLENTY, documents};
use crate::place::{ALL, Kind, Place, at, server};

const NAME: &str = "shared";

async fn own_server() -> Result<MariaDb> {
    let server = MariaDb::start(MariaDbSetup::default()).await?;
    server.make_database(NAME, NAME, ALL)?;
    Ok(server)
}

fn hand_over(writer: &Writer, scopes: usize, document: &str) {
    let begun = Instant::now();
    for n in 0..scopes {
        writer.ledger("route", format!("scope-{n}"), Some(document));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "callers wait");
}

async fn fails_in_time(store: &Store) -> String {
    let begun = Instant::now();
    let error = store.put_kv("a", "b").await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(error.is_temporary(), "{error}");
    error.to_string()
}

pub async fn a_crash_of_the_server_is_waited_for() -> Result<()> {
    let server = own_server().await?;
    let place = Place::of(at(&server.addr(), NAME))?;
    let store = place.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    hand_over(&writer, 100, "old");
    writer.event(Event { record: "before".into(), ..Event::now("created", Reason::None) });
    assert!(writer.flush(PLENTY).await);
    server.kill9()?;
    hand_over(&writer, 10_000, "new");
    for n in 0..500 {
        writer.event(Event { record: n.to_string(), ..Event::now("created", Reason::None) });
    }
    let text = fails_in_time(&store).await;
    assert!(text.contains(&server.addr()), "{text}");
    assert!(!writer.flush(Duration::from_secs(2)).await);
    let health = writer.health();
    assert!(health.behind >= Duration::from_secs(2) && health.problem.is_some(), "{health:?}");
    // A node that starts meanwhile waits for the database.
    let late = async { place.try_open(1).await };
    let back = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.start_again().await
    };
    let (late, back) = tokio::join!(late, back);
    back?;
    assert!(late.is_ok(), "{:?}", late.err());
    assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
    let all = documents(&store).await;
    assert!(all.len() == 10_000 && all.iter().all(|document| document == "new"));
    let filter = EventFilter { limit: Some(1_000), ..EventFilter::default() };
    let records: Vec<_> = store.events(&filter).await?.into_iter().map(|found| found.event.record).collect();
    let expected: Vec<_> = (0..500).rev().map(|n: i32| n.to_string()).chain(["before".to_owned()]).collect();
    assert_eq!(records, expected, "each once, in order");
    assert_eq!(writer.health().problem, None);
    store.put_kv("a", "b").await?;
    // A restart that nobody waits for in the middle of something is not seen at all.
    server.stop().await?;
    server.start_again().await?;
    assert_eq!(store.kv("a").await?.as_deref(), Some("b"));
    Ok(())
}

pub async fn a_frozen_server_delays_nobody() -> Result<()> {
    let server = own_server().await?;
    let store = Place::of(at(&server.addr(), NAME))?.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    hand_over(&writer, 100, "old");
    assert!(writer.flush(PLENTY).await);
    server.pause()?;
    hand_over(&writer, 10_000, "new");
    fails_in_time(&store).await;
    assert!(!writer.flush(Duration::from_secs(1)).await);
    server.resume()?;
    // What was under way when it froze is given up after half a minute.
    assert!(writer.flush(Duration::from_secs(90)).await, "{:?}", writer.health());
    let all = documents(&store).await;
    assert!(all.len() == 10_000 && all.iter().all(|document| document == "new"));
    Ok(())
}

pub async fn the_first_server_that_writes_is_used() -> Result<()> {
    let read_only = MariaDbSetup { settings: vec!["read_only=ON".into()], ..MariaDbSetup::default() };
    let (replica, primary) = (MariaDb::start(read_only).await?, own_server().await?);
    replica.make_database(NAME, NAME, ALL)?;
    // Nobody listens at the first one.
    let servers = format!("127.0.0.1:1,{},{}", replica.addr(), primary.addr());
    let begun = Instant::now();
    let store = Place::of(at(&servers, NAME))?.open().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    store.put_kv("a", "b").await?;
    assert_eq!(primary.sql("SELECT COUNT(*) FROM shared.causeway_kv WHERE name = 'a'")?, "1");
    Ok(())
}

pub async fn a_server_that_becomes_read_only_is_left() -> Result<()> {
    let (one, two) = (own_server().await?, own_server().await?);
    // Both have the tables, as a replica would.
    drop(Place::of(at(&two.addr(), NAME))?.open().await);
    let store = Place::of(at(&format!("{},{}", one.addr(), two.addr()), NAME))?.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    hand_over(&writer, 10, "old");
    assert!(writer.flush(PLENTY).await);
    let rows = |server: &MariaDb| server.sql("SELECT COUNT(*) FROM shared.causeway_ledger");
    assert_eq!((rows(&one)?, rows(&two)?), ("10".into(), "0".into()));
    one.sql("SET GLOBAL read_only = ON")?;
    let begun = Instant::now();
    store.put_kv("a", "b").await?;
    hand_over(&writer, 20, "new");
    assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
    println!("written elsewhere after {:?}", begun.elapsed());
    assert_eq!((rows(&one)?, rows(&two)?), ("10".into(), "20".into()));
    // While no server writes, callers are told, and the writer waits.
    two.sql("SET GLOBAL read_only = ON")?;
    hand_over(&writer, 30, "newer");
    let text = fails_in_time(&store).await;
    assert!(text.matches("read-only").count() >= 2, "{text}");
    one.sql("SET GLOBAL read_only = OFF")?;
    assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
    assert_eq!(rows(&one)?, "30");
    Ok(())
}

/// So a node that is frozen in the middle of a transaction does not keep its locks.
pub async fn a_connection_that_says_nothing_is_closed() -> Result<()> {
    let place = Place::new(Kind::MySql).await?;
    let Database::MySql(settings) = &place.database else { unreachable!() };
    let store = place.open().await;
    store.put_kv("a", "b").await?;
    let query = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{}'", settings.database());
    let count = async || -> Result<String> { server().await?.sql(&query) };
    assert_ne!(count().await?, "0");
    tokio::time::sleep(Duration::from_secs(18)).await;
    assert_eq!(count().await?, "0");
    store.put_kv("a", "c").await?;
    assert_eq!(store.kv("a").await?.as_deref(), Some("c"));
    Ok(())
}
