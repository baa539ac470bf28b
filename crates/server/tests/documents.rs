//! Documents of another tool beside the settings file. The tests bear the names of what the other tool does wrong.
#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod common;

use causeway_connectors::memory::Memory;
use causeway_peers::environment::{Installation, installation};
use causeway_server::api::{Document, DocumentState, State};
use common::{Host, PATIENCE, error, instances, key, register, sessions};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// Longer than a change of a file takes to be noticed and applied.
const NOTICED: Duration = Duration::from_millis(1500);

/// A folder with `conf/`, and a data folder in it.
struct Install {
    folder: TempDir,
}

impl Install {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("conf")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, document: &Value) {
        std::fs::write(self.path(name), serde_json::to_string_pretty(document).unwrap()).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn installation(&self) -> Installation {
        installation(&|_| None, self.folder.path()).unwrap()
    }

    async fn start(&self, data: &str) -> Host {
        let host = Host::start(&self.path(data)).await;
        host.node.follow(&self.installation());
        host
    }
}

const REGISTRY: &str = "conf/sync-registry.json";
const CONFIG: &str = "conf/sync-config.json";
const BACKUP: &str = "conf/sync-config-backup.json";

fn end(memory: &str) -> Value {
    json!({ "name": memory, "type": "memory", "addresses": [memory] })
}

fn task(name: &str, source: &str, destination: &str) -> Value {
    json!({
        "name": name, "enable": true, "source": end(source), "destination": end(destination),
        "match": [{ "namespace": "empty_ns", "service": "s" }]
    })
}

fn document(tasks: &[Value]) -> Value {
    json!({ "tasks": tasks, "methods": [{ "type": "watch", "enable": true }] })
}

async fn documents(host: &Host, what: &str, is: impl Fn(&[Document]) -> bool) -> Vec<Document> {
    let began = Instant::now();
    loop {
        let found: Vec<Document> = host.get("/api/v1/documents").await;
        if is(&found) {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "the documents never were {what}: {found:#?}");
        sleep(Duration::from_millis(30)).await;
    }
}

async fn registry_is(host: &Host, state: DocumentState) -> Document {
    documents(host, state.as_str(), |all| all[0].state == state).await.remove(0)
}

async fn names(host: &Host) -> Vec<String> {
    host.get::<Vec<causeway_server::api::Task>>("/api/v1/tasks").await.into_iter().map(|task| task.name).collect()
}

/// Waits for a task that is about to be made.
async fn in_step(host: &Host, name: &str, instances: usize) -> causeway_server::api::Task {
    let began = Instant::now();
    while !names(host).await.contains(&name.to_owned()) {
        let documents: Vec<Document> = host.get("/api/v1/documents").await;
        assert!(began.elapsed() < PATIENCE, "{name} never came: {documents:#?}");
        sleep(Duration::from_millis(30)).await;
    }
    host.in_step(name, instances).await
}

fn providers<const N: usize>(names: [&str; N]) -> [Memory; N] {
    names.map(|name| {
        let memory = Memory::named(name);
        register(&memory, &key("public", "s"), 1000);
        memory
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_tasks_stay_deleted() {
    let [a, c] = providers(["dd-a", "dd-c"]);
    let (b, d) = (Memory::named("dd-b"), Memory::named("dd-d"));
    let install = Install::new();
    let both = [task("one", "dd-a", "dd-b"), task("two", "dd-c", "dd-d")];
    install.write(REGISTRY, &document(&both));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    in_step(&host, "two", 1).await;
    for edit in 0..3u16 {
        let mut rest = document(&both[..1]);
        rest["report"] = json!({ "interval": format!("{}m", edit + 1) });
        install.write(REGISTRY, &rest);
        documents(&host, "of one task", |all| all[0].tasks == ["one"]).await;
        register(&a, &key("public", "s"), 2000 + edit);
        register(&c, &key("public", "s"), 2000 + edit);
        in_step(&host, "one", 2 + usize::from(edit)).await;
        sleep(NOTICED).await;
        assert_eq!(names(&host).await, ["one"]);
        assert!(instances(&d) <= 1, "what was there may stay, and nothing new comes");
    }
    let clusters: Vec<causeway_server::api::Cluster> = host.get("/api/v1/clusters").await;
    assert_eq!(clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>(), ["dd-a", "dd-b"]);
    assert_eq!(instances(&b), 4);
    host.stop().await;
    // Nor after a restart.
    let host = install.start("data").await;
    in_step(&host, "one", 4).await;
    assert_eq!(names(&host).await, ["one"]);
    // One that is switched off ends as well.
    install.write(REGISTRY, &document(&[task("two", "dd-c", "dd-d")]).clone());
    in_step(&host, "two", 4).await;
    let mut off = task("two", "dd-c", "dd-d");
    off["enable"] = json!(false);
    install.write(REGISTRY, &document(&[off]));
    documents(&host, "empty", |all| all[0].tasks.is_empty()).await;
    assert!(names(&host).await.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_of_an_unchanged_task_makes_no_call() {
    let [a, _c] = providers(["un-a", "un-c"]);
    let b = Memory::named("un-b");
    let install = Install::new();
    install.write(REGISTRY, &document(&[task("one", "un-a", "un-b")]));
    let host = install.start("data").await;
    let before = in_step(&host, "one", 1).await;
    let calls = (sessions(&a), sessions(&b));
    install.write(REGISTRY, &document(&[task("two", "un-c", "un-d"), task("one", "un-a", "un-b")]));
    in_step(&host, "two", 1).await;
    install.write(REGISTRY, &document(&[task("one", "un-a", "un-b")]));
    documents(&host, "of one task", |all| all[0].tasks == ["one"]).await;
    // These looks are sessions themselves.
    assert_eq!((sessions(&a) - 1, sessions(&b) - 1), calls);
    assert_eq!(host.task("one").await.id, before.id);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_document_changes_nothing_and_says_why() {
    let [a] = providers(["in-a"]);
    let install = Install::new();
    let good = document(&[task("one", "in-a", "in-b")]);
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    let before = in_step(&host, "one", 1).await;
    let text = serde_json::to_string_pretty(&good).unwrap();
    for (broken, says) in [
        (String::new(), "the document is empty"),
        (text.replace("\"memory\"", "\"memry\""), "`memry` is not a word for this"),
        (text.replace("\"in-b\"\n", "\"in-b\", \"in-c\"\n").replace("\"name\": \"in-b\"", "\"nam\": \"in-b\""), "nam: this name is not known"),
        (text.replace("\"watch\"", "\"unknown\""), "this method has no type"),
        (text.replace("]", ""), "does not fit"),
    ] {
        std::fs::write(install.path(REGISTRY), broken).unwrap();
        let found = documents(&host, says, |all| all[0].reason.contains(says)).await.remove(0);
        assert_eq!((found.state, found.tasks.as_slice()), (DocumentState::Invalid, ["one".to_owned()].as_slice()));
        assert!(found.problems[0].line > 0 && found.problems[0].file.ends_with(REGISTRY), "{found:?}");
        let task = host.task("one").await;
        assert_eq!((&task.id, task.state), (&before.id, State::InStep));
        assert!(task.warnings.iter().any(|warning| warning.contains("is not used as it stands") && warning.contains(says)), "{task:?}");
    }
    std::fs::remove_file(install.path(REGISTRY)).unwrap();
    registry_is(&host, DocumentState::Missing).await;
    register(&a, &key("public", "s"), 1001);
    in_step(&host, "one", 2).await;
    install.write(REGISTRY, &good);
    let found = registry_is(&host, DocumentState::InUse).await;
    assert_eq!(found.reason, "");
    assert!(host.task("one").await.warnings.iter().all(|warning| !warning.contains("not used")));
    host.stop().await;
}

fn with_token(mut document: Value, token: &str) -> Value {
    document["tasks"][0]["source"]["token"] = json!(token);
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_is_never_an_invalid_document() {
    let _providers = providers(["bu-a"]);
    let install = Install::new();
    let good = with_token(document(&[task("one", "bu-a", "bu-b")]), "s3cret");
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let began = Instant::now();
    while install.read(BACKUP).is_empty() {
        assert!(began.elapsed() < PATIENCE, "it is written at the start too");
        sleep(Duration::from_millis(30)).await;
    }
    let kept = install.read(BACKUP);
    assert!(kept.contains("\"one\"") && kept.contains("${sealed:") && !kept.contains("s3cret"), "{kept}");
    std::fs::write(install.path(REGISTRY), "{\"tasks\": [{}").unwrap();
    registry_is(&host, DocumentState::Invalid).await;
    sleep(NOTICED).await;
    assert_eq!(install.read(BACKUP), kept);
    host.stop().await;

    // Another node with the same key finds it while its own document is gone.
    std::fs::create_dir(install.path("other")).unwrap();
    std::fs::copy(install.path("data/key"), install.path("other/key")).unwrap();
    std::fs::remove_file(install.path(REGISTRY)).unwrap();
    let host = Host::start(&install.path("other")).await;
    host.node.follow(&installation(&|name| (name == "POLARIS_SYNC_REGISTRY_FILE_WATCH").then(|| REGISTRY.into()), install.folder.path()).unwrap());
    let found = registry_is(&host, DocumentState::Backup).await;
    assert!(found.reason.contains("there is no file"), "{found:?}");
    in_step(&host, "one", 1).await;
    // The document is back, and counts.
    install.write(REGISTRY, &document(&[task("two", "bu-a", "bu-c")]));
    registry_is(&host, DocumentState::InUse).await;
    assert_eq!(names(&host).await, ["two"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_comes_back_knows_its_copies() {
    let [_a] = providers(["cb-a"]);
    let b = Memory::named("cb-b");
    let install = Install::new();
    let good = document(&[task("one", "cb-a", "cb-b")]);
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    let id = in_step(&host, "one", 1).await.id;
    install.write(REGISTRY, &document(&[]));
    documents(&host, "empty", |all| all[0].tasks.is_empty()).await;
    install.write(REGISTRY, &good);
    let task = in_step(&host, "one", 1).await;
    assert_eq!((task.id, instances(&b)), (id, 1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_paths_work_at_once() {
    let _providers = providers(["bp-a", "bp-c"]);
    let install = Install::new();
    install.write(REGISTRY, &document(&[task("one", "bp-a", "bp-b")]));
    install.write(CONFIG, &document(&[task("two", "bp-c", "bp-d")]));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    in_step(&host, "two", 1).await;
    // The tasks of one document are not the other's to remove, nor while the other cannot be read.
    std::fs::remove_file(install.path(CONFIG)).unwrap();
    install.write(REGISTRY, &document(&[]));
    documents(&host, "without one", |all| all[0].tasks.is_empty() && all[1].state == DocumentState::Missing).await;
    assert_eq!(names(&host).await, ["two"]);
    host.stop().await;
    let host = install.start("data").await;
    registry_is(&host, DocumentState::InUse).await;
    in_step(&host, "two", 1).await;
    // Two tasks of one name that say different things: neither document replaces what runs.
    install.write(CONFIG, &document(&[task("two", "bp-c", "bp-d")]));
    documents(&host, "in use", |all| all[1].state == DocumentState::InUse).await;
    install.write(REGISTRY, &document(&[task("two", "bp-a", "bp-b")]));
    let found = registry_is(&host, DocumentState::Invalid).await;
    assert!(found.reason.contains("two tasks have the name `two`"), "{found:?}");
    // It fits as soon as the other one does.
    install.write(CONFIG, &document(&[]));
    registry_is(&host, DocumentState::InUse).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_a_settings_file_keep_to_their_own() {
    let _providers = providers(["sf-a", "sf-c"]);
    let install = Install::new();
    install.write(REGISTRY, &document(&[task("one", "sf-a", "sf-b")]));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let file = "clusters:\n- {clusterName: sf-a, clusterType: MEMORY, connectKeyList: [sf-a]}\n\
                - {clusterName: sf-d, clusterType: MEMORY, connectKeyList: [sf-d]}\n\
                tasks:\n- {name: two, source: sf-a, destination: sf-d}\n";
    host.apply(file).await;
    in_step(&host, "two", 1).await;
    for (text, says) in [
        (file.replace("name: two", "name: one"), "the task one stands in config.yaml and in"),
        (file.replace("[sf-a]", "[sf-x]"), "the cluster sf-a stands in config.yaml and in"),
    ] {
        let (status, answer) = host.try_apply(&text, false, false).await;
        let message = error(&answer).error.message;
        assert!(status == 422 && message.contains(says) && message.contains("sync-registry.json:"), "{message}");
    }
    let (status, answer) = host.delete("/api/v1/tasks/one?keep=true").await;
    assert!(status == 409 && error(&answer).error.message.contains("sync-registry.json:"), "{answer}");
    // Neither removes what the other one made.
    let (status, answer) = host.try_apply("clusters: []\ntasks: []\n", true, true).await;
    assert_eq!(status, 200, "{answer}");
    host.wait_gone("two").await;
    in_step(&host, "one", 1).await;
    host.apply(file).await;
    in_step(&host, "two", 1).await;
    install.write(REGISTRY, &document(&[]));
    documents(&host, "empty", |all| all[0].tasks.is_empty() && all[0].state == DocumentState::InUse).await;
    in_step(&host, "two", 1).await;
    // A document that contradicts the settings file names both places, and fits once that is changed.
    let mut other = task("three", "sf-a", "sf-e");
    other["source"]["addresses"] = json!(["sf-c"]);
    install.write(REGISTRY, &document(&[other]));
    let found = registry_is(&host, DocumentState::Refused).await;
    assert!(found.reason.contains("sync-registry.json:") && found.reason.contains("in config.yaml"), "{found:?}");
    host.apply(&file.replace("[sf-a]", "[sf-c]")).await;
    registry_is(&host, DocumentState::InUse).await;
    in_step(&host, "three", 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn report_interval_is_honoured() {
    let _providers = providers(["ri-a"]);
    let install = Install::new();
    let mut good = document(&[task("one", "ri-a", "ri-b")]);
    good["health_check"] = json!({ "enable": true, "interval": "200ms" });
    good["report"] = json!({ "interval": "1s", "targets": [{ "type": "file", "enable": true }] });
    good["tasks"][0]["destination"]["product_name"] = json!("shop");
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    sleep(Duration::from_millis(4500)).await;
    let report = install.read("loggers/polaris-sync-stat.log");
    let blocks: Vec<_> = report.split_terminator("\n\n").collect();
    assert!((3..=5).contains(&blocks.len()), "{report}");
    let last: Vec<_> = blocks.last().unwrap().lines().collect();
    assert!(last[0].starts_with("Statis 20") && last[0].ends_with(':') && last[0].len() == 27, "{report}");
    assert_eq!(last[1], "Name                                            |        Type|      Detail|       Total|       Error|");
    let cells: Vec<_> = last[3].split('|').map(str::trim).collect();
    assert_eq!((cells[0], cells[1], cells[2], cells[4]), ("ri-b", "MEMORY", "shop", "0"), "{report}");
    assert!((2..=7).contains(&cells[3].parse::<u32>().unwrap()), "{report}");
    // Without probes only calls are counted, and a silent cluster is left out.
    good["health_check"] = json!({ "enable": false });
    install.write(REGISTRY, &good);
    sleep(Duration::from_secs(4)).await;
    let length = install.read("loggers/polaris-sync-stat.log").len();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(install.read("loggers/polaris-sync-stat.log").len(), length);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watching_changes_wait_for_their_interval() {
    let [a] = providers(["pu-a"]);
    let b = Memory::named("pu-b");
    let install = Install::new();
    let mut good = document(&[task("one", "pu-a", "pu-b")]);
    good["methods"] = json!([{ "type": "watch", "enable": false }, { "type": "pull", "enable": true, "interval": "4s" }]);
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    // Asleep a moment after it was in step.
    sleep(Duration::from_secs(1)).await;
    for port in 1001..=1002 {
        register(&a, &key("public", "s"), port);
        let (began, before) = (Instant::now(), instances(&b));
        while instances(&b) == before {
            assert!(began.elapsed() < PATIENCE);
            sleep(Duration::from_millis(20)).await;
        }
        assert!(began.elapsed() > Duration::from_millis(1500), "after {:?}", began.elapsed());
        assert_eq!(host.task("one").await.state, State::InStep);
        sleep(Duration::from_secs(1)).await;
    }
    // Watched again, they come at once.
    install.write(REGISTRY, &document(&[task("one", "pu-a", "pu-b")]));
    sleep(NOTICED).await;
    let began = Instant::now();
    register(&a, &key("public", "s"), 1003);
    in_step(&host, "one", 4).await;
    assert!(began.elapsed() < Duration::from_millis(1500));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_cannot_be_done_are_shown() {
    let _providers = providers(["ns-a"]);
    let install = Install::new();
    let mut other = task("pods", "ns-a", "ns-b");
    other["source"]["type"] = json!("kubernetes");
    install.write(REGISTRY, &document(&[other, task("one", "ns-a", "ns-b")]));
    install.write(
        CONFIG,
        &json!({
            "tasks": [{ "name": "files", "enable": true, "match": [{ "namespace": "empty_ns", "config_group": "*" }],
                "source": { "name": "n", "type": "nacos", "server": { "addresses": ["h:1"] } },
                "destination": { "name": "p", "type": "polaris", "server": { "addresses": ["h:2"] } } }],
            "methods": [{ "type": "watch", "enable": true }]
        }),
    );
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let tasks: Vec<causeway_server::api::Task> = host.get("/api/v1/tasks").await;
    let shown: Vec<_> = tasks.iter().map(|task| (task.name.as_str(), task.state.as_str(), task.kind.as_str())).collect();
    assert_eq!(shown, [("one", "in-step", "Service"), ("pods", "unsupported", "Service"), ("files", "unsupported", "Config")]);
    assert!(tasks[1].reason.contains("`kubernetes` is not supported yet"), "{tasks:?}");
    let found: Vec<Document> = host.get("/api/v1/documents").await;
    let subjects: Vec<_> = found.iter().map(|one| (one.subject.as_str(), one.tasks.join(","))).collect();
    assert_eq!(subjects, [("Registry", "one,pods".to_owned()), ("Configuration", "files".to_owned())]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_as_theirs_did() {
    let _providers = providers(["ha-a"]);
    let install = Install::new();
    install.write(REGISTRY, &document(&[task("one", "ha-a", "ha-b")]));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // As on an address that everybody reaches.
    let everywhere = "10.0.0.1:8690".parse().unwrap();
    let access = causeway_server::Access::prepare_known(&host.node, everywhere).await.unwrap();
    let node = host.node.clone();
    let serving = tokio::spawn(async move { node.serve_peer_port(listener, access).await });
    let get = async |path: &str, token: Option<&str>| {
        let mut request = host.http.get(format!("http://{address}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/sync/health", None).await, (200, "pk ok".to_owned()));
    let path = "/sync/maintain/v1/namespaces?task=one&registry=ha-a";
    assert_eq!(get(path, None).await.0, 401);
    assert_eq!(get(path, Some("a token that nobody has given")).await.0, 401);
    let token = secrecy::SecretString::from("a token for this test");
    let (known, _) = causeway_server::Access::prepare_with(&host.node, everywhere, Some(token)).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let node = host.node.clone();
    let also = tokio::spawn(async move { node.serve_peer_port(listener, known).await });
    let get = async |path: &str| {
        let request = host.http.get(format!("http://{address}{path}")).bearer_auth("a token for this test");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, body) = get(path).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["code"], &body["namespaces"][0]["name"]), (200, &json!(200_000), &json!("public")));
    let (_, body) = get("/sync/maintain/v1/services?task=one&registry=ha-a&namespace=public").await;
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["services"], json!([{ "name": "s", "namespace": "public" }]));
    assert_eq!(get("/sync/maintain/v1/services?task=none&registry=ha-a").await, (404, String::new()));
    host.stop().await;
    for serving in [serving, also] {
        serving.await.unwrap().unwrap();
    }
}

#[test]
fn nothing_is_followed_where_nothing_of_it_is_there() {
    assert!(installation(&|_| None, Path::new("/nowhere")).is_none());
}
