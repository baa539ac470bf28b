//! A task that takes over from another tool, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod common;

use causeway_connectors::memory::Memory;
use causeway_core::Instance;
use causeway_server::api::{Drain, Verification};
use common::{Host, error, instances, key, pair, register};
use serde_json::json;

fn theirs(memory: &Memory, service: &str, port: u16, source: &str) {
    let copy = Instance::new("127.0.0.1", port).with(|one| one.metadata = [("__sync__", source)].into());
    memory.register(&key("public", service), &format!("tool-{port}"), copy);
}

/// A task one way, with more settings.
fn one_way(name: &str, more: &str) -> (Memory, Memory, String) {
    let (a, b, file) = pair(name);
    (a, b, file.replace("mode: Bidirectional", &format!("mode: Unidirectional, takeOver: polaris-sync{more}")))
}

#[tokio::test]
async fn what_nobody_wants_is_shown_and_goes_by_drain_theirs_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, file) = one_way("theirs", "");
    b.share_records();
    register(&a, &key("public", "orders"), 80);
    theirs(&b, "orders", 80, "src");
    theirs(&b, "orders", 81, "src");
    theirs(&b, "gone", 82, "src");
    theirs(&b, "gone", 83, "elsewhere");
    let host = Host::start(folder.path()).await;
    host.apply(&file).await;
    host.in_step("both", 1).await;
    let task = host.wait_for("both", "told of what is left", |task| task.reason.contains("wanted by no task")).await;
    assert!(task.reason.contains("2 copies of polaris-sync in dst"), "{}", task.reason);
    let cause = task.causes.iter().find(|cause| cause.code == "left-behind").unwrap();
    assert_eq!((&cause.args["count"], &cause.args["tool"]), (&json!(2), &json!("polaris-sync")));
    assert!(task.warnings.is_empty(), "{:?}", task.warnings);

    let verified: Verification = host.get("/api/v1/tasks/both/verify").await;
    assert!(verified.in_step, "{verified:#?}");
    assert_eq!(verified.left_out.len(), 2, "{verified:#?}");

    let (status, listed) = host.post("/api/v1/tasks/both/drain?theirs=true&preview=true", &()).await;
    let listed: Drain = serde_json::from_value(listed).unwrap();
    let records: Vec<_> = listed.copies.iter().map(|copy| copy.at.record.as_str()).collect();
    assert_eq!(
        (status, records, listed.theirs.as_deref()),
        (200, vec!["127.0.0.1:82", "127.0.0.1:81"], Some("polaris-sync"))
    );
    assert_eq!(instances(&b), 4, "only listed");

    let (status, done) = host.post("/api/v1/tasks/both/drain?theirs=true", &()).await;
    let done: Drain = serde_json::from_value(done).unwrap();
    assert_eq!((status, done.copies.len(), done.refused.len()), (200, 2, 0));
    assert_eq!(instances(&b), 2);
    let task = host.wait_for("both", "quiet", |task| task.reason.is_empty()).await;
    assert_eq!((task.state.as_str(), task.instances), ("in-step", 1));
    host.stop().await;
}

#[tokio::test]
async fn what_only_the_tool_can_remove_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, file) = one_way("theirs-alone", "");
    register(&a, &key("public", "orders"), 80);
    theirs(&b, "orders", 80, "src");
    theirs(&b, "orders", 81, "src");
    let host = Host::start(folder.path()).await;
    host.apply(&file).await;
    host.wait_for("both", "beside the tool", |task| task.reason.contains("polaris-sync can be stopped")).await;
    host.wait_for("both", "told of what is left", |task| task.reason.contains("wanted by no task")).await;
    let (status, done) = host.post("/api/v1/tasks/both/drain?theirs=true", &()).await;
    let done: Drain = serde_json::from_value(done).unwrap();
    assert_eq!((status, done.copies.len()), (200, 0));
    assert_eq!((done.refused.len(), done.refused[0].at.record.as_str()), (1, "127.0.0.1:81"));
    assert!(done.refused[0].reason.contains("its own publisher alone"), "{:?}", done.refused);
    host.stop().await;
}

#[tokio::test]
async fn it_is_refused_while_it_is_not_certain_what_nobody_wants() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, file) = one_way("theirs-unsure", "");
    register(&a, &key("public", "orders"), 80);
    theirs(&b, "orders", 81, "src");
    let host = Host::start(folder.path()).await;
    host.apply(&file.replace("settle: 1s", "settle: 10m")).await;
    host.in_step("both", 1).await;
    let drain = async || host.post("/api/v1/tasks/both/drain?theirs=true", &()).await;
    let (status, answer) = drain().await;
    assert_eq!(status, 409);
    assert!(error(&answer).error.message.contains("src has not been connected for long enough"), "{answer}");
    host.post("/api/v1/tasks/both/pause", &()).await;
    let (status, answer) = drain().await;
    assert_eq!(status, 409);
    assert!(error(&answer).error.message.contains("does not run"), "{answer}");
    host.apply(&file.replace(", takeOver: polaris-sync", "")).await;
    let (status, answer) = drain().await;
    assert_eq!(status, 409);
    assert!(error(&answer).error.help.contains("takeOver"), "{answer}");
    assert_eq!(instances(&b), 2);
    host.stop().await;
}

/// Names that the task changes on the way are undone to tell which scopes are its own.
#[tokio::test]
async fn a_renaming_task_knows_what_is_left_under_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, file) = one_way("theirs-renamed", ", serviceMatchPattern: 'o.*', map: {service: 'x-{service}'}");
    b.share_records();
    register(&a, &key("public", "orders"), 80);
    for (service, port) in [("x-orders", 80), ("x-old", 81), ("x-pay", 82), ("old", 83)] {
        theirs(&b, service, port, "src");
    }
    let host = Host::start(folder.path()).await;
    host.apply(&file).await;
    let told = host.wait_for("both", "told of what is left", |task| task.reason.contains("wanted by no task")).await;
    assert!(
        told.reason.contains("1 copies of polaris-sync in dst") && told.reason.contains("x-old"),
        "{}",
        told.reason
    );
    host.stop().await;
}
