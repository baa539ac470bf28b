//! Wrong files, restarts, and who may ask.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod common;

use causeway_connectors::memory::Memory;
use causeway_server::{Access, Node, Options};
use common::{Host, error, instances, key, pair, register, sessions};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing() {
    let (a, b, file) = pair("wrong");
    register(&a, &key("public", "s"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 1).await;
    let before = (sessions(&a), sessions(&b), host.task("both").await);
    let wrong = [
        (String::new(), "empty"),
        ("clusters: [".into(), ""),
        (file.replace("clusters:", "cluster:"), "clusters"),
        (file.replace("MEMORY", "APISIX"), "not supported yet"),
        (file.replace("MEMORY", "NAKOS"), "did you mean `NACOS`"),
        (file.replace("source: src", "source: scr"), "did you mean `src`"),
        (file.replace("destination: dst", "destination: src"), "source too"),
        (file.replace("mode: Bidirectional", "mode: Sideways"), "Bidirectional"),
        (file.replace("mode: Bidirectional", "type: Config"), "configuration"),
        (file.replace("settle: 1s", "serviceMatchPattern: '('"), ""),
        (file.replace("settle: 1s", "settle: ${env:CAUSEWAY_TEST_NOTHING}"), "CAUSEWAY_TEST_NOTHING"),
        (file.replace("name: both", "nam: both"), "did you mean `name`"),
    ];
    for (text, says) in &wrong {
        let (status, answer) = host.try_apply(text, false, false).await;
        let failure = error(&answer).error;
        assert_eq!((status, &*failure.code), (422, "invalid-settings"), "{text}");
        assert!(failure.problems.iter().all(|problem| problem.line > 0 && problem.file == "config.yaml"));
        assert!(!failure.problems.is_empty() && failure.rendered.contains(says), "{says}: {}", failure.rendered);
    }
    let id = format!("{}/dst", host.node.version().install);
    let twin =
        format!("clusters:\n- {{clusterName: twin, clusterId: {id}, clusterType: MEMORY, connectKeyList: [x]}}\n");
    let (status, answer) = host.try_apply(&twin, false, false).await;
    assert_eq!(status, 422);
    assert!(error(&answer).error.message.contains("same id"), "{answer}");
    // Not named in this file, and would not fit any more.
    let other =
        "clusters:\n- {clusterName: dst, clusterType: MEMORY, namespace: x, connectKeyList: [wrong-b]}\ntasks: []\n";
    let (status, answer) = host.try_apply(other, false, false).await;
    assert_eq!(status, 422);
    assert!(error(&answer).error.message.contains("the task both"), "{answer}");
    let after = (sessions(&a) - 1, sessions(&b) - 1, host.task("both").await);
    assert_eq!(before, after);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_undoes_nothing() {
    let (a, b, file) = pair("restart");
    register(&a, &key("public", "s"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start_with(dir.path(), Some(&file)).await;
    host.in_step("both", 1).await;
    let id = host.task("both").await.id;
    host.post("/api/v1/tasks/both/pause", &()).await;
    register(&a, &key("public", "t"), 1000);
    host.stop().await;

    let host = Host::start_with(dir.path(), Some(&file)).await;
    let task = host.in_step("both", 1).await;
    assert_eq!((task.state.as_str(), &task.id), ("paused", &id));
    assert_eq!(instances(&b), 1);
    host.stop().await;

    // Another content is applied, and the task stays the same one, still paused.
    let host = Host::start_with(dir.path(), Some(&file.replace("settle: 1s", "settle: 2s"))).await;
    assert_eq!((host.task("both").await.state.as_str(), host.task("both").await.id), ("paused", id));
    host.post("/api/v1/tasks/both/resume", &()).await;
    host.in_step("both", 2).await;
    host.stop().await;

    // A wrong file does not stop a node that has settings.
    let host = Host::start_with(dir.path(), Some("clusters: [")).await;
    host.in_step("both", 2).await;
    host.stop().await;
    let fresh = tempfile::tempdir().unwrap();
    let options = Options {
        data_dir: fresh.path().to_owned(),
        file: Some(("config.yaml".into(), "clusters: [".into())),
        ..Options::default()
    };
    let refused = Node::start(options).await.err().unwrap().to_string();
    assert!(refused.contains("config.yaml:1:"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_reference_fails_one_cluster_and_not_the_node() {
    let (a, b, file) = pair("missing");
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "well-kept\n").unwrap();
    let reference = format!("${{file:{}}}", secret.path().display());
    let third = Memory::named("missing-c");
    let file = format!(
        "{file}- {{name: third, source: src, destination: c, settle: 1s}}\n"
    )
    .replace("tasks:", &format!("- {{clusterName: c, clusterType: MEMORY, connectKeyList: [missing-c], userName: u, password: '{reference}'}}\ntasks:"));
    register(&a, &key("public", "s"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 1).await;
    host.in_step("third", 1).await;
    host.stop().await;
    secret.close().unwrap();

    let host = Host::start(dir.path()).await;
    host.in_step("both", 1).await;
    let task = host.wait_for("third", "failing", |task| task.state.as_str() == "failing").await;
    assert!(task.reason.contains("c: ") && task.reason.contains("cannot be read"), "{task:?}");
    assert_eq!(task.instances, 1, "what it wrote is not forgotten");
    register(&a, &key("public", "t"), 1000);
    host.in_step("both", 2).await;
    assert_eq!((instances(&b), instances(&third)), (2, 1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let options = Options { data_dir: dir.path().to_owned(), ..Options::default() };
    let refused = Node::start(options).await.err().unwrap().to_string();
    assert!(refused.contains("in use by process"), "{refused}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_web_pages_are_refused_on_loopback() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let url = format!("{}/api/v1/tasks", host.url);
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(host.http.get(&url)).await, 200);
    assert_eq!(status(host.http.get(&url).header("host", "evil.example")).await, 403);
    let apply =
        host.http.post(format!("{}/api/v1/apply", host.url)).json(&serde_json::json!({"file": "f", "text": ""}));
    assert_eq!(status(apply.try_clone().unwrap()).await, 422);
    assert_eq!(status(apply.header("origin", "http://evil.example")).await, 403);
    assert_eq!(status(host.http.get(format!("{}/nothing", host.url))).await, 404);
    assert_eq!(status(host.http.put(&url)).await, 405);
    assert_eq!(status(host.http.get(format!("{url}?x=1"))).await, 200);
    assert_eq!(status(host.http.get(format!("{}/api/v1/events?limit=x", host.url))).await, 400);
    let large = vec![b' '; 9 * 1024 * 1024];
    let large =
        host.http.post(format!("{}/api/v1/apply", host.url)).header("content-type", "application/json").body(large);
    assert_eq!(status(large).await, 413);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_a_token_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(Options { data_dir: dir.path().to_owned(), ..Options::default() }).await.unwrap();
    let public = "0.0.0.0:0".parse().unwrap();
    let (access, token) = Access::prepare_with(&node, public, None).await.unwrap();
    let token = token.unwrap();
    let (_, again) = Access::prepare_with(&node, public, None).await.unwrap();
    assert!(again.is_none(), "shown once");
    let short = Access::prepare_with(&node, public, Some(SecretString::from("short"))).await;
    assert!(short.is_err());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = tokio::task::JoinSet::new();
    let serves = node.clone();
    serving.spawn(async move { serves.serve(listener, access).await.unwrap() });
    let http = reqwest::Client::new();
    let status = async |path: &str, token: Option<&str>| {
        let request = http.get(format!("{url}{path}"));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("/api/v1/version", None).await, 401);
    assert_eq!(status("/api/v1/version", Some("guess")).await, 401);
    assert_eq!(status("/api/v1/version", Some(token.expose_secret())).await, 200);
    assert_eq!(status("/healthz", None).await, 200);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(status("/readyz", None).await, 200);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_tls_file_is_named_and_what_ran_goes_on() {
    let (a, b, file) = pair("tls");
    register(&a, &key("public", "s"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 1).await;
    let ca = dir.path().join("ca.pem").display().to_string();
    let secured = format!(
        "- {{clusterName: far, clusterType: NACOS, connectKeyList: ['127.0.0.1:1'], tls: {{ca: {ca}}}}}\ntasks:\n\
         - {{name: more, source: src, destination: far}}\n"
    );
    let more = file.replace("tasks:\n", &secured);
    let (status, answer) = host.try_apply(&more, false, false).await;
    assert_eq!(status, 422, "{answer}");
    let message = error(&answer).error.message;
    assert!(message.contains("far: ") && message.contains(&ca) && message.contains("No such file"), "{message}");
    assert_eq!(host.get::<Vec<serde_json::Value>>("/api/v1/tasks").await.len(), 1);
    register(&a, &key("public", "s"), 1001);
    host.in_step("both", 2).await;
    assert_eq!(instances(&b), 2);
    host.stop().await;
}
