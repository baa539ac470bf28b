//! Several nodes at one database.

use std::sync::Arc;

use anyhow::Result;
use causeway_core::Reason;
use causeway_store::{Edit, Error, Event, EventFilter, Keep, Store, Writer};
use futures_util::future::join_all;
use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use crate::both::{PLENTY, cluster, task};
use crate::place::{ALL, Kind, Place, at, new_name, server};

async fn nodes(place: &Place, count: usize) -> Vec<Store> {
    let opened = join_all((0..count).map(|node| place.try_open(node))).await;
    opened.into_iter().map(|store| store.unwrap_or_else(|error| panic!("{error}"))).collect()
}

pub async fn nodes_that_start_at_once_agree() -> Result<()> {
    let place = Place::new(Kind::MySql).await?;
    let nodes = nodes(&place, 6).await;
    let installs = join_all(nodes.iter().map(|node| async { node.install_id().await.unwrap() })).await;
    assert!(installs.iter().all(|id| *id == installs[0]), "{installs:?}");
    let keys = join_all(nodes.iter().map(|node| async { node.fingerprint_key().await.unwrap() })).await;
    assert!(keys.iter().all(|key| key.expose_secret() == keys[0].expose_secret()));
    nodes[0].edit(vec![Edit::PutCluster(cluster("a", "word"))]).await?;
    for node in &nodes {
        assert_eq!(node.clusters().await?[0].secrets["password"].expose_secret(), "word");
        assert_eq!(node.revision().await?, 1);
    }
    // The next ones find the tables.
    let again = join_all((6..9).map(|node| place.try_open(node))).await;
    assert!(again.iter().all(Result::is_ok));
    let Err(taken) = place.try_open(0).await else { panic!("two nodes in one data folder") };
    assert!(matches!(taken, Error::Taken { .. }), "{taken}");
    Ok(())
}

/// Each adds one to what it has read, as often as it takes.
pub async fn edits_of_many_nodes_are_all_done() -> Result<()> {
    let place = Place::new(Kind::MySql).await?;
    let nodes = nodes(&place, 4).await;
    let count = |node: Store, own: usize| async move {
        let mut done = 0;
        let mut late = 0;
        while done < 15 {
            let revision = node.revision().await.unwrap();
            let before: usize = node.kv("count").await.unwrap().map_or(0, |text| text.parse().unwrap());
            let edits = vec![
                Edit::PutKv("count".into(), (before + 1).to_string()),
                Edit::PutTask(task(&format!("{own}-{done}"), "any")),
            ];
            match node.edit_from(revision, edits).await {
                Ok(now) => {
                    assert_eq!(now, revision + 1);
                    done += 1;
                }
                Err(Error::Outdated { .. }) => late += 1,
                Err(error) => panic!("{error}"),
            }
        }
        late
    };
    let late = join_all(nodes.iter().enumerate().map(|(own, node)| count(node.clone(), own))).await;
    assert_eq!(nodes[0].kv("count").await?.as_deref(), Some("60"), "late: {late:?}");
    assert_eq!((nodes[1].revision().await?, nodes[2].tasks().await?.len()), (60, 60));
    Ok(())
}

/// The same rows, in different orders, while settings are edited and old events removed.
pub async fn writers_in_each_others_way_all_get_through() -> Result<()> {
    let place = Place::new(Kind::MySql).await?;
    let nodes = nodes(&place, 4).await;
    let busy = |node: Store, own: usize| async move {
        let writer = Writer::start(node.clone(), Keep { age_ms: i64::MAX, count: 100_000 });
        for round in 0..12_usize {
            for n in 0..300_usize {
                let scope = (n * (own * 2 + 7)) % 300;
                let document: Option<Arc<str>> =
                    (!(n + round + own).is_multiple_of(5)).then(|| format!("{own}/{round}").into());
                writer.ledger("route", scope.to_string(), document);
            }
            for n in 0..20 {
                writer.event(Event { record: format!("{own}/{round}/{n}"), ..Event::now("created", Reason::None) });
            }
            node.put_kv("shared", &round.to_string()).await.unwrap();
            node.edit(vec![Edit::PutCluster(cluster(&format!("c{}", round % 3), "w"))]).await.unwrap();
            node.prune_events(Keep { age_ms: 1_000_000, count: 100_000 }, causeway_store::now_ms()).await.unwrap();
            assert!(writer.flush(PLENTY).await, "{:?}", writer.health());
        }
        for n in 0..300 {
            writer.ledger("route", n.to_string(), Some("last"));
        }
        assert!(writer.stop(PLENTY).await, "{:?}", writer.health());
    };
    let mut tasks: JoinSet<()> = nodes.iter().enumerate().map(|(own, node)| busy(node.clone(), own)).collect();
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    let rows = nodes[0].ledger_load().await?;
    assert!(rows.len() == 300 && rows.iter().all(|row| row.document.as_deref() == Some("last")));
    assert_eq!(nodes[0].revision().await?, 48);
    let events = nodes[0].events(&EventFilter { limit: Some(10_000), ..EventFilter::default() }).await?;
    let mut records: Vec<_> = events.iter().map(|found| found.event.record.clone()).collect();
    records.sort();
    records.dedup();
    assert_eq!((events.len(), records.len()), (960, 960), "each once");
    let few = Keep { age_ms: 1_000_000, count: 100 };
    assert_eq!(nodes[0].prune_events(few, causeway_store::now_ms()).await?, 860);
    Ok(())
}

pub async fn a_newer_program_has_been_there() -> Result<()> {
    let (server, name) = (server().await?, new_name());
    server.make_database(&name, &name, ALL)?;
    let place = Place::of(at(&server.addr(), &name))?;
    drop(place.open().await);
    // It goes on beside this one, as in an upgrade of one node after the other.
    server.sql(&format!("UPDATE `{name}`.causeway_schema SET version = 1000; COMMIT"))?;
    drop(place.open().await);
    assert_eq!(server.sql(&format!("SELECT version FROM `{name}`.causeway_schema"))?, "1000");
    server.sql(&format!("UPDATE `{name}`.causeway_schema SET oldest = 1000; COMMIT"))?;
    let Err(error) = place.try_open(0).await else { panic!("tables that this program does not know") };
    assert!(error.to_string().contains("use a newer one"), "{error}");
    Ok(())
}
