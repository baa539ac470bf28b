//! Settings become tasks, and tasks do what they are told, over HTTP.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod common;

use causeway_connectors::memory::{Fault, Memory};
use causeway_core::Part;
use causeway_server::api::{Cluster, Event, PlanRequest, Planned, Ready, Service, TaskPlan, Verification};
use common::{Host, PATIENCE, error, instances, key, pair, register, sessions};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// MSE Sync's own example, but for kind and addresses.
const MSE: &str = "\
clusters:
- clusterName: src
  clusterType: MEMORY
  connectKeyList:
  - mse-a
  namespace: public,test
  userName: nacos
  password: nacos-secret
- clusterName: dst
  clusterType: MEMORY
  connectKeyList:
  - mse-b
tasks:
- source: src
  destination: dst
  mode: Bidirectional
  serviceMatchPattern: .*
";

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_mse_works_and_applies_once() {
    let (a, b) = (Memory::named("mse-a"), Memory::named("mse-b"));
    a.create_part("test", Some("The test"));
    for n in 0..20 {
        register(&a, &key("public", &format!("p{n}")), 1000);
        register(&a, &key("test", &format!("t{n}")), 1000);
    }
    register(&b, &key("public", "born-in-b"), 2000);
    register(&b, &key("private", "stays-in-b"), 2000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let answer = host.apply(MSE).await;
    assert_eq!(answer["tasks"]["added"], serde_json::json!(["src-dst-service"]), "{answer}");
    host.in_step("src-dst-service", 41).await;
    assert_eq!((instances(&a), instances(&b)), (41, 42));
    assert_eq!(a.list(&key("public", "born-in-b")).len(), 1);

    let task = host.task("src-dst-service").await;
    assert_eq!((task.state.as_str(), task.routes.len()), ("in-step", 2), "settling only makes removals wait: {task:?}");
    assert_eq!(task.reason, "");
    assert_eq!((task.services, task.held, &*task.kind, &*task.mode), (41, 0, "Service", "Bidirectional"));

    let before = (sessions(&a), sessions(&b), a.writes(), b.writes());
    let again = host.apply(MSE).await;
    assert_eq!(again["tasks"]["unchanged"], serde_json::json!(["src-dst-service"]));
    assert_eq!(again["clusters"]["unchanged"], serde_json::json!(["src", "dst"]));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((sessions(&a), sessions(&b)), (before.0 + 1, before.1 + 1), "nothing reconnects");
    assert_eq!((a.writes(), b.writes()), (before.2, before.3), "nothing is written");

    let clusters: Vec<Cluster> = host.get("/api/v1/clusters").await;
    let src = clusters.iter().find(|cluster| cluster.name == "src").unwrap();
    assert_eq!((src.user.as_deref(), src.open, src.id.len()), (Some("nacos"), true, 8));
    assert_eq!(src.namespaces, ["public", "test"]);
    let shown: serde_json::Value = host.get("/api/v1/clusters").await;
    assert!(!shown.to_string().contains("nacos-secret"));
    let services: Vec<Service> = host.get("/api/v1/services?cluster=dst&namespace=test").await;
    assert_eq!((services.len(), services[0].copies, services[0].native), (20, 1, 0));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let events: Vec<Event> = host.get("/api/v1/events?task=src-dst-service&action=created&limit=500").await;
    assert_eq!(events.len(), 41);
    assert!(events[0].time.ends_with('Z') && events[0].service.contains('/'), "{:?}", events[0]);
    let ready: Ready = host.get("/readyz").await;
    assert!(ready.ready);
    host.stop().await;
    let database = std::fs::read(dir.path().join("causeway.db")).unwrap();
    assert!(!database.windows(12).any(|part| part == b"nacos-secret"));
}

/// A bug in a connector: the task and the node say so until it works again, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_a_connector_is_said_and_survived() {
    let (a, b, file) = pair("bug");
    for n in 0..5 {
        register(&a, &key("public", &format!("a{n}")), 1000);
    }
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 5).await;
    a.fail(Fault::Broken);
    let task = host.wait_for("both", "failing", |task| task.state.as_str() == "failing").await;
    let said = "reading src failed because of a bug in Causeway and is being restarted";
    assert!(task.reason.contains(said) && task.reason.contains("a bug in the connector"), "{}", task.reason);
    let answer = host.http.get(format!("{}/readyz", host.url)).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status == 503 && text.contains(said), "{status}: {text}");
    assert_eq!(instances(&b), 5, "nothing follows from it");
    a.fail(Fault::None);
    register(&a, &key("public", "a5"), 1000);
    host.in_step("both", 6).await;
    host.wait_for("both", "in step", |task| task.reason.is_empty()).await;
    let ready: Ready = host.get("/readyz").await;
    assert!(ready.ready, "{ready:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_paused_resumed_drained_and_deleted() {
    let (a, b, file) = pair("life");
    for n in 0..5 {
        register(&a, &key("public", &format!("a{n}")), 1000);
        register(&b, &key("public", &format!("b{n}")), 1000);
    }
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 10).await;
    let task = host.wait_for("both", "in step", |task| task.state.as_str() == "in-step").await;
    assert_eq!(task.reason, "");

    let (status, answer) = host.delete("/api/v1/tasks/both").await;
    assert_eq!((status, &*error(&answer).error.code), (409, "conflict"), "{answer}");
    let (status, answer) = host.delete("/api/v1/tasks/both?keep=true").await;
    assert_eq!(status, 409);
    assert!(error(&answer).error.message.contains("cannot be kept"), "{answer}");

    let (status, answer) = host.post("/api/v1/tasks/both/pause", &()).await;
    assert_eq!((status, &answer["state"]), (200, &"paused".into()));
    register(&a, &key("public", "late"), 1000);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(instances(&b), 10);
    host.post("/api/v1/tasks/both/resume", &()).await;
    host.in_step("both", 11).await;
    let (status, answer) = host.post("/api/v1/tasks/both/release", &()).await;
    assert_eq!((status, &answer["held"]), (200, &0.into()));

    let (_, preview) = host.post("/api/v1/tasks/both/drain?preview=true", &()).await;
    assert_eq!(preview["copies"].as_array().map(Vec::len), Some(11), "{preview}");
    assert_eq!((instances(&a), instances(&b)), (11, 11));
    let (status, _) = host.post("/api/v1/tasks/both/drain", &()).await;
    assert_eq!(status, 200);
    host.wait_for("both", "drained", |task| task.state.as_str() == "drained").await;
    assert_eq!((instances(&a), instances(&b)), (6, 5), "exactly the copies are gone");
    let (status, _) = host.post("/api/v1/tasks/both/resume", &()).await;
    assert_eq!(status, 200);
    host.in_step("both", 11).await;

    let (status, answer) = host.delete("/api/v1/tasks/both?drain=true").await;
    assert_eq!((status, &answer["drained"]), (200, &11.into()), "{answer}");
    assert_eq!((instances(&a), instances(&b)), (6, 5));
    assert!(host.get::<Vec<serde_json::Value>>("/api/v1/tasks").await.is_empty());
    let (status, _) = host.delete("/api/v1/tasks/both").await;
    assert_eq!(status, 404);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing() {
    let (a, b, file) = pair("dry");
    a.create_part("test", None);
    register(&a, &key("test", "s"), 1000);
    register(&a, &key("public", "s"), 1000);
    register(&b, &key("public", "native"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let request = PlanRequest { file: "config.yaml".into(), text: file.clone() };
    let (status, answer) = host.post("/api/v1/plan", &request).await;
    assert_eq!(status, 200, "{answer}");
    let planned: Planned = serde_json::from_value(answer).unwrap();
    assert_eq!((planned.totals.create, planned.totals.delete, planned.totals.in_step), (3, 0, 0), "{planned:#?}");
    let changes: Vec<_> =
        planned.tasks[0].changes.iter().map(|change| format!("{} {}", change.at.cluster, change.at.scope)).collect();
    assert_eq!(changes, ["dst public/DEFAULT_GROUP/s", "dst test/DEFAULT_GROUP/s", "src public/DEFAULT_GROUP/native"]);
    assert_eq!(planned.settings.tasks.added, ["both"]);
    assert_eq!((a.writes(), b.writes()), (0, 0));
    let parts = causeway_core::Source::parts(&causeway_connectors::memory::MemoryPorts::open(&b)).await.unwrap();
    assert!(!parts.contains_key(&Part::new("test")));
    assert!(host.get::<Vec<serde_json::Value>>("/api/v1/tasks").await.is_empty());

    host.apply(&file).await;
    host.in_step("both", 3).await;
    // What was done is told in the words, and with the code, with which it was announced.
    let told = |events: Vec<Event>| {
        events.iter().map(|e| (e.cause.reason.clone(), e.cause.code.clone())).collect::<BTreeSet<_>>()
    };
    let announced: BTreeSet<_> =
        planned.tasks[0].changes.iter().map(|c| (c.cause.reason.clone(), c.cause.code.clone())).collect();
    let began = Instant::now();
    while told(host.get("/api/v1/events?action=created").await) != announced {
        assert!(began.elapsed() < PATIENCE, "{announced:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, answer) = host.post("/api/v1/plan", &request).await;
    let planned: Planned = serde_json::from_value(answer).unwrap();
    assert!(!planned.totals.has_changes() && planned.settings.is_unchanged(), "{planned:#?}");
    assert_eq!(planned.totals.in_step, 3);
    let diff: TaskPlan = host.get("/api/v1/tasks/both/diff").await;
    assert_eq!((diff.totals, diff.changes.len()), (planned.totals, 0));

    // What cannot be read is named, and the rest is compared.
    b.fail(Fault::PartDenied(Part::new("test")));
    let (status, answer) = host.post("/api/v1/plan", &request).await;
    assert_eq!(status, 200, "{answer}");
    let planned: Planned = serde_json::from_value(answer).unwrap();
    let unanswered: Vec<_> = planned.unanswered.iter().map(|one| (&*one.cluster, &*one.namespace)).collect();
    assert_eq!((unanswered, planned.totals.has_changes()), (vec![("dst", "test")], false), "{planned:#?}");
    assert_eq!(planned.totals.in_step, 2);
    let verified: Verification = host.get("/api/v1/tasks/both/verify").await;
    assert_eq!((verified.in_step, verified.count, verified.unanswered), (false, 0, planned.unanswered));

    b.fail(Fault::Down);
    let (status, answer) = host.post("/api/v1/plan", &request).await;
    assert_eq!((status, &*error(&answer).error.code), (502, "cluster-unavailable"));
    assert!(error(&answer).error.message.starts_with("dst: "), "{answer}");
    host.wait_for("both", "failing", |task| task.state.as_str() == "failing" && task.reason.contains("dst: ")).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_scanning_keeps_its_services_over_a_restart() {
    let (a, b, file) = pair("frozen");
    let file = file.replace("mode: Bidirectional", "autoScanAndAddService: false");
    register(&a, &key("public", "first"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    register(&a, &key("public", "second"), 1000);
    host.stop().await;
    let host = Host::start(dir.path()).await;
    host.in_step("both", 1).await;
    register(&a, &key("public", "first"), 1001);
    host.in_step("both", 2).await;
    assert!(b.list(&key("public", "second")).is_empty());
    host.apply(&file.replace("autoScanAndAddService: false, ", "")).await;
    host.in_step("both", 3).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_no_longer_says_goes_only_when_told() {
    let (a, b, file) = pair("prune");
    register(&a, &key("public", "s"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 1).await;
    let id = host.task("both").await.id;
    let empty = "clusters: []\ntasks: []\n";
    host.apply(empty).await;
    assert_eq!(host.task("both").await.instances, 1);
    let (status, answer) = host.try_apply(empty, true, false).await;
    assert_eq!(status, 409, "{answer}");
    assert!(error(&answer).error.message.contains("both (1 copies)"), "{answer}");
    let elsewhere = file
        .replace("destination: dst", "destination: other")
        .replace("tasks:", "- {clusterName: other, clusterType: MEMORY, connectKeyList: [prune-c]}\ntasks:");
    let (status, answer) = host.try_apply(&elsewhere, false, false).await;
    assert_eq!(status, 409, "{answer}");
    let writes = (a.writes(), b.writes());
    let (status, answer) = host.try_apply(&file.replace("name: both", "name: renamed"), true, false).await;
    assert_eq!((status, &answer["tasks"]["changed"]), (200, &serde_json::json!(["renamed"])), "{answer}");
    let renamed = host.in_step("renamed", 1).await;
    assert_eq!((renamed.id, (a.writes(), b.writes())), (id.clone(), writes));
    assert_eq!(host.get::<Vec<serde_json::Value>>("/api/v1/tasks").await.len(), 1);
    host.try_apply(&file, true, false).await;
    let (status, answer) = host.try_apply(empty, true, true).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["tasks"]["draining"], serde_json::json!(["both"]), "{answer}");
    let began = std::time::Instant::now();
    while !host.get::<Vec<serde_json::Value>>("/api/v1/clusters").await.is_empty() {
        assert!(began.elapsed() < common::PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((instances(&a), instances(&b)), (1, 0));
    host.apply(&file).await;
    assert_ne!(host.task("both").await.id, id);
    host.in_step("both", 1).await;
    host.stop().await;
}
