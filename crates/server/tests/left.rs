//! Nothing that a task wrote is left where nobody takes it back.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod common;

use causeway_connectors::memory::Fault;
use causeway_core::{Base, Born, ClusterId, Content, Pair, Stamp};
use causeway_server::api::Cluster;
use causeway_store::{Edit, Keep, Store, Writer};
use common::{Host, error, instances, key, pair, register};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_copies_keeps_its_id() {
    let (a, b, file) = pair("moved");
    register(&a, &key("public", "s"), 1000);
    register(&a, &key("public", "t"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 2).await;
    let moved = file.replace("clusterName: dst,", "clusterName: dst, clusterId: other,");
    let (status, answer) = host.try_apply(&moved, false, false).await;
    let failure = error(&answer).error;
    assert_eq!((status, &*failure.code), (409, "conflict"), "{answer}");
    assert!(failure.message.contains("the cluster dst holds 2 copies under its present `clusterId`"), "{answer}");
    assert!(answer.to_string().contains("first: both"), "{answer}");
    host.post("/api/v1/tasks/both/drain", &()).await;
    host.wait_for("both", "drained", |task| task.state.as_str() == "drained").await;
    assert_eq!(instances(&b), 0);
    host.apply(&moved).await;
    host.post("/api/v1/tasks/both/resume", &()).await;
    host.in_step("both", 2).await;
    assert_eq!(instances(&b), 2);
    host.stop().await;
    // A start with such a file goes on with what the node had.
    let host = Host::start_with(dir.path(), Some(&file)).await;
    host.in_step("both", 2).await;
    let clusters: Vec<Cluster> = host.get("/api/v1/clusters").await;
    assert_eq!(clusters.iter().map(|cluster| &*cluster.reason).collect::<String>(), "");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_copies_does_not_leave() {
    let (a, b, file) = pair("leaves");
    a.create_part("test", Some("The test"));
    a.create_part("0815", Some("Staging"));
    for namespace in ["public", "test", "0815"] {
        register(&a, &key(namespace, "s"), 1000);
    }
    register(&b, &key("prod", "native"), 2000);
    let words = |words: &str| {
        file.replace("clusterName: src,", &format!("clusterName: src, namespace: '{words}',"))
            .replace("settle: 1s", "settle: 1s, map: {namespace: {test: prod}}")
    };
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&words("public,test,Staging")).await;
    host.in_step("both", 4).await;
    let refused = async |file: &str, prune: bool, says: &str| {
        let (status, answer) = host.try_apply(file, prune, prune).await;
        assert_eq!((status, &*error(&answer).error.code), (409, "conflict"), "{answer}");
        assert!(error(&answer).error.message.contains(says), "{says}: {answer}");
    };
    refused(
        &words("public,Staging"),
        false,
        "the task both holds 1 copies in the namespace prod of dst and 1 copies in the namespace test of src, where",
    )
    .await;
    refused(&words("public,Staging"), true, "in the namespace prod of dst").await;
    refused(&words("public,test"), false, "in the namespace 0815 of dst").await;
    refused(&words("public,test,Staging").replace("{test: prod}", "{test: qa}"), false, "namespace prod of dst").await;

    host.post("/api/v1/tasks/both/drain", &()).await;
    host.wait_for("both", "drained", |task| task.state.as_str() == "drained").await;
    host.apply(&words("public,Staging")).await;
    host.post("/api/v1/tasks/both/resume", &()).await;
    host.in_step("both", 2).await;
    assert_eq!((instances(&a), instances(&b)), (3, 3));
    // More namespaces, or the same one by its id, is no loss.
    host.apply(&words("public,Staging,later")).await;
    host.apply(&words("public,0815")).await;
    host.in_step("both", 2).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_not_removed_amid_its_first_write() {
    for way in ["delete", "prune", "prune and drain", "drain"] {
        let (a, b, file) = pair(&format!("amid-{}", way.replace(' ', "-")));
        // Another task keeps the clusters in use.
        let other = "- {name: other, source: src, destination: dst, serviceMatchPattern: 'x-.*'}\n";
        let without = file.replace("- {name: both", "# ") + other;
        let file = file + other;
        let dir = tempfile::tempdir().unwrap();
        let host = Host::start(dir.path()).await;
        host.apply(&file).await;
        host.wait_for("both", "in step", |task| task.state.as_str() == "in-step").await;
        b.fail(Fault::Hung);
        register(&a, &key("public", "s"), 1000);
        host.wait_for("both", "writing", |task| task.pending == 1 && task.instances == 0).await;
        let removal = async {
            match way {
                "delete" => host.delete("/api/v1/tasks/both").await,
                "prune" => host.try_apply(&without, true, false).await,
                "prune and drain" => host.try_apply(&without, true, true).await,
                _ => host.delete("/api/v1/tasks/both?drain=true").await,
            }
        };
        let recovery = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            b.fail(Fault::None);
        };
        let ((status, answer), ()) = tokio::join!(removal, recovery);
        if way == "delete" || way == "prune" {
            assert_eq!(status, 409, "{way}: {answer}");
            assert!(error(&answer).error.message.contains("1 copies"), "{way}: {answer}");
            // It goes on as before.
            register(&a, &key("public", "t"), 1000);
            host.in_step("both", 2).await;
            let (status, answer) = host.delete("/api/v1/tasks/both?drain=true").await;
            assert_eq!(status, 200, "{way}: {answer}");
        } else {
            assert_eq!(status, 200, "{way}: {answer}");
        }
        let began = std::time::Instant::now();
        while host.get::<Vec<serde_json::Value>>("/api/v1/tasks").await.len() > 1 {
            assert!(began.elapsed() < common::PATIENCE, "{way}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Long enough for a write that was under way to land.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(instances(&b), 0, "{way}: nothing is left");
        let clusters: Vec<Cluster> = host.get("/api/v1/clusters").await;
        assert!(clusters.iter().all(|cluster| !cluster.reason.contains("no longer exists")), "{way}: {clusters:?}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_task_that_is_gone_are_told_of() {
    let (a, b, file) = pair("orphan");
    register(&a, &key("public", "s"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 1).await;
    let id = host.task("both").await.id;
    host.stop().await;
    let store = Store::open(dir.path()).await.unwrap();
    store.edit(vec![Edit::RemoveTask(id)]).await.unwrap();
    store.close().await;
    drop(store);
    let host = Host::start(dir.path()).await;
    let clusters: Vec<Cluster> = host.get("/api/v1/clusters").await;
    let reasons: Vec<_> = clusters.iter().map(|cluster| (&*cluster.name, &*cluster.reason)).collect();
    assert_eq!(reasons, [("dst", "1 copies of a task that no longer exists"), ("src", "")]);
    // They do not stand in the way of another id for their cluster.
    host.apply(&file.replace("clusterName: dst,", "clusterName: dst, clusterId: other,")).await;
    assert!(instances(&b) <= 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guard_holds_is_released() {
    let (a, b, file) = pair("wiped");
    for n in 0..4 {
        register(&a, &key("public", &format!("s{n}")), 1000);
    }
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 4).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    a.wipe(true);
    let task = host.wait_for("both", "held", |task| task.state.as_str() == "held" && task.held == 4).await;
    assert!(task.reason.contains("4 removals held"), "{task:?}");
    assert!(task.routes.iter().any(|route| route.held == 4 && route.held_seconds.is_some()), "{task:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(instances(&b), 4, "nothing goes while it is held");
    let (status, answer) = host.post("/api/v1/tasks/both/release", &()).await;
    assert_eq!((status, &answer["held"]), (200, &4.into()), "{answer}");
    let task = host.in_step("both", 0).await;
    assert_eq!((task.held, instances(&b)), (0, 0), "{task:?}");
    let events: Vec<serde_json::Value> = loop {
        let events: Vec<_> = host.get("/api/v1/events?task=both&action=released").await;
        if !events.is_empty() {
            break events;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(events[0]["reason"].as_str().unwrap().contains("released by the operator"), "{events:?}");
    assert_eq!((&events[0]["code"], &events[0]["args"]["count"]), (&"released".into(), &4.into()), "{events:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_task_leaves_no_entries_in_the_ledger() {
    let (.., file) = pair("pruned-entries");
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.stop().await;
    let store = Store::open(dir.path()).await.unwrap();
    let (install, tasks) = (store.install_id().await.unwrap(), store.tasks().await.unwrap());
    let stamps = Pair { left: Stamp(1, 0), right: Stamp(1, 0) };
    let base = Base { digest: Content::of("x").digest(), stamps, born: Born::Both };
    let route = format!("data/{install}/{}/{}/{}", tasks[0].id, ClusterId::of("a"), ClusterId::of("b"));
    let writer = Writer::start(store.clone(), Keep::default());
    writer.ledger(route, r#"["public","","/cfg"]"#, Some(serde_json::to_string(&base).unwrap()));
    assert!(writer.stop(Duration::from_secs(20)).await);
    drop(writer);
    store.close().await;
    drop(store);
    let host = Host::start(dir.path()).await;
    let (clusters, _) = file.split_once("tasks:").unwrap();
    let (status, answer) = host.try_apply(&format!("{clusters}tasks: []\n"), true, false).await;
    assert_eq!((status, &answer["tasks"]["removed"]), (200, &serde_json::json!(["both"])), "{answer}");
    host.stop().await;
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(store.ledger_load().await.unwrap(), []);
    store.close().await;
}
