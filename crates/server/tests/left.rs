//! Nothing that a task wrote is left where nobody takes it back.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod common;

use causeway_server::api::Cluster;
use common::{Host, error, instances, key, pair, register};

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
