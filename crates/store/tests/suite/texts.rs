//! Names and texts of any letters and any length.

use std::time::Instant;

use anyhow::Result;
use causeway_core::Reason;
use causeway_store::{Edit, Event, EventFilter, Keep, Writer};
use secrecy::ExposeSecret;

use crate::both::{PLENTY, cluster, entry, task};
use crate::place::Place;

/// Case, spaces at the end, signs that some collations do not tell apart, four bytes a letter, and length.
fn names() -> Vec<String> {
    let mut names: Vec<String> =
        ["a", "A", "a ", "ä", "a\u{308}", "å", "ss", "ß", "😀", "😁", "%", "_", "'; --", "\\", ""]
            .map(str::to_owned)
            .to_vec();
    let long = "/zookeeper/very/long/".repeat(200);
    names.extend([format!("{long}1"), format!("{long}2"), "ü".repeat(3_000)]);
    names
}

pub async fn names_are_told_apart_by_every_letter(place: Place) -> Result<()> {
    let store = place.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    let mut expected = Vec::new();
    for (n, name) in names().iter().enumerate() {
        store.edit(vec![Edit::PutCluster(cluster(name, name)), Edit::PutTask(task(name, name))]).await?;
        store.put_kv(name, &n.to_string()).await?;
        for route in [name.as_str(), "route"] {
            writer.ledger(route, name.as_str(), Some(n.to_string()));
            writer.ledger(name.as_str(), route, Some(n.to_string()));
            expected.extend([entry(route, name, Some(&n.to_string())), entry(name, route, Some(&n.to_string()))]);
        }
        writer.event(Event { scope: name.clone(), record: name.clone(), ..Event::now("created", Reason::None) });
    }
    assert!(writer.stop(PLENTY).await);
    drop((store, writer));

    let store = place.open().await;
    let mut sorted = names();
    sorted.sort();
    let clusters = store.clusters().await?;
    assert!(clusters.iter().map(|cluster| &cluster.name).eq(&sorted));
    assert!(clusters.iter().all(|cluster| cluster.secrets["password"].expose_secret() == cluster.name));
    assert!(store.tasks().await?.iter().map(|task| &task.name).eq(&sorted));
    for (n, name) in names().iter().enumerate() {
        assert_eq!(store.kv(name).await?, Some(n.to_string()), "{name}");
    }
    let mut rows = store.ledger_load().await?;
    let key = |row: &causeway_store::LedgerRow| (row.route.clone(), row.scope.clone());
    assert!(rows.is_sorted_by_key(key));
    expected.sort_by_key(key);
    expected.dedup();
    rows.dedup_by_key(|row| key(row));
    assert_eq!(rows, expected);
    let found = store.events(&EventFilter { limit: Some(1_000), ..EventFilter::default() }).await?;
    assert!(found.iter().rev().map(|found| &found.event.record).eq(&names()));
    let only = EventFilter { service: Some("😁".into()), ..EventFilter::default() };
    assert_eq!(store.events(&only).await?.len(), 1);

    for name in &sorted[1..] {
        store
            .edit(vec![Edit::RemoveCluster(name.clone()), Edit::RemoveTask(name.clone()), Edit::RemoveKv(name.clone())])
            .await?;
    }
    assert_eq!((store.clusters().await?.len(), store.tasks().await?.len()), (1, 1));
    assert_eq!((store.kv(&sorted[0]).await?.is_some(), store.kv(&sorted[1]).await?), (true, None));
    Ok(())
}

/// Longer than what a server takes in one packet, and of letters of two bytes, so that a cut would show.
pub async fn texts_may_be_long(place: Place) -> Result<()> {
    let store = place.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    let long = |letter: &str, bytes: usize| format!("x{}", letter.repeat(bytes / letter.len()));
    let (six, nine) = (long("ü", 6_000_000), long("é", 9_000_000));
    for value in [six.as_str(), "short", &nine, &six] {
        store.put_kv("value", value).await?;
        store.edit(vec![Edit::PutKv("edited".into(), value.into())]).await?;
        writer.ledger("route", "scope", Some(value));
        writer.ledger("route", "other", Some("small"));
        assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
        assert!(
            store.kv("value").await?.as_deref() == Some(value) && store.kv("edited").await?.as_deref() == Some(value)
        );
        let rows = store.ledger_load().await?;
        assert_eq!(rows[0], entry("route", "other", Some("small")));
        assert!(rows.len() == 2 && rows[1] == entry("route", "scope", Some(value)));
    }
    writer.ledger("route", "scope", None::<&str>);
    store.edit(vec![Edit::RemoveKv("edited".into())]).await?;
    store.edit(vec![Edit::PutKv("edited".into(), "new".into())]).await?;
    assert!(writer.flush(PLENTY).await);
    writer.ledger("route", "scope", Some("new"));
    writer.event(Event::now("failed", Reason::Text { text: long("ö", 5_000_000) }));
    assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
    assert_eq!(store.kv("edited").await?.as_deref(), Some("new"));
    assert_eq!(store.ledger_load().await?[1], entry("route", "scope", Some("new")));
    assert_eq!(store.events(&EventFilter::default()).await?.len(), 1);
    Ok(())
}

pub async fn a_batch_may_be_large(place: Place) -> Result<()> {
    let store = place.open().await;
    let writer = Writer::start(store.clone(), Keep::default());
    let begun = Instant::now();
    for n in 0..3_000_usize {
        let document = "y".repeat(n * 7 % 20_000);
        writer.ledger("route", format!("scope-{n}"), Some(document));
    }
    assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
    println!("3,000 scopes, 30 MB: {:?}", begun.elapsed());
    let rows = store.ledger_load().await?;
    let bytes: usize = rows.iter().map(|row| row.document.as_deref().unwrap().len()).sum();
    assert_eq!((rows.len(), bytes), (3_000, (0..3_000).map(|n| n * 7 % 20_000).sum()));
    Ok(())
}
