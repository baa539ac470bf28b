//! polaris-sync's documents at the command line: `convert`, `validate`, and a node that is started where polaris-sync was.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn causeway(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CAUSEWAY_") || name.starts_with("POLARIS_SYNC_"))
    {
        command.env_remove(name);
    }
    command.env_remove("SERVER_PORT").current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = causeway(folder, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// With a comma missing and one too many.
const DOCUMENT: &str = r#"{
  "tasks": [
    { // east to west
      "name": "east-west", "enable": true,
      "source": {"name": "east", "type": "nacos", "addresses": ["10.0.0.1:8848" "10.0.0.2:8848"], "user": "u", "password": "pw"},
      "destination": {"name": "west", "type": "nacos", "addresses": ["10.1.0.1:8848"]},
      "match": [{"namespace": "empty_ns", "service": "G__pay.v2",}]
    },
    {
      "name": "pods", "enable": true,
      "source": {"name": "k8s", "type": "kubernetes", "addresses": ["10.2.0.1:443"]},
      "destination": {"name": "west", "type": "nacos", "addresses": ["10.1.0.1:8848"]},
      "match": [{"namespace": "default", "service": "s"}]
    }
  ],
  "methods": [{"type": "pull", "enable": true, "interval": "60s"}],
  "report": {"targets": [{"type": "file", "enable": true}]}
}
"#;

#[test]
fn convert_goes_there_and_back() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    std::fs::write(at.join("doc.json"), DOCUMENT).unwrap();
    let (code, yaml, warned) = run(at, &["convert", "doc.json"]);
    assert_eq!(code, 0, "{warned}");
    for says in [
        "doc.json:5:",
        "a comma is missing",
        "doc.json:7:",
        "a comma stands behind",
        "the task `pods` does nothing",
        "`kubernetes` is not supported yet",
        "report: ",
    ] {
        assert!(warned.contains(says), "{says}: {warned}");
    }
    assert!(!warned.contains("pw"), "{warned}");
    for says in ["clusterName: east", "takeOver: polaris-sync", "pullInterval: 1m", "password: pw"] {
        assert!(yaml.contains(says), "{says}: {yaml}");
    }
    std::fs::write(at.join("made.yaml"), &yaml).unwrap();
    let (code, out, err) = run(at, &["validate", "-f", "made.yaml"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = run(at, &["convert", "made.yaml", "--to", "polaris-sync", "-O", "back.json"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let back: Value = serde_json::from_str(&std::fs::read_to_string(at.join("back.json")).unwrap()).unwrap();
    let task = &back["tasks"][0];
    assert_eq!((&task["name"], &task["enable"]), (&json!("east-west"), &json!(true)));
    assert_eq!(task["source"]["addresses"], json!(["10.0.0.1:8848", "10.0.0.2:8848"]));
    assert_eq!(task["match"], json!([{"namespace": "empty_ns", "service": "G__pay.v2"}]));
    assert_eq!(back["methods"], json!([{"type": "pull", "enable": true, "interval": "1m"}]));
    let (code, again, _) = run(at, &["convert", "back.json"]);
    assert_eq!((code, again), (0, yaml));

    let (code, out, err) = run(at, &["validate", "-f", "doc.json"]);
    assert!(code == 0 && out.contains("doc.json is valid: 2 clusters, 1 task"), "{out}{err}");
    std::fs::write(at.join("doc.json"), DOCUMENT.replace("\"enable\"", "\"enabled\"")).unwrap();
    for arguments in [&["convert", "doc.json"][..], &["validate", "-f", "doc.json"]] {
        let (code, out, err) = run(at, arguments);
        assert!(code == 1 && out.is_empty() && err.contains("doc.json:4:28") && err.contains("enabled"), "{out}{err}");
    }
    let (code, _, err) = run(at, &["convert", "made.yaml", "--to", "yaml"]);
    assert!(code == 1 && err.contains("has this form already"), "{err}");
    assert_eq!(run(at, &["convert"]).0, 64);
}

struct Node {
    child: Child,
    url: String,
}

impl Node {
    fn serve(folder: &Path) -> Self {
        let child = causeway(folder, &["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut node = Self { child, url: String::new() };
        let mut lines = BufReader::new(node.child.stderr.take().unwrap());
        let mut line = String::new();
        loop {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some((_, rest)) = line.split_once("listening on ") {
                rest.trim().clone_into(&mut node.url);
                std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
                return node;
            }
        }
    }

    fn json(&self, folder: &Path, what: &str) -> Value {
        let (code, out, err) = run(folder, &["--server", &self.url, "get", what, "-o", "json"]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The answer to a request, over a connection of its own.
fn ask(port: u16, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let sent = connection.write_all(request.as_bytes()).and_then(|()| connection.read_to_string(&mut answer));
        drop(sent);
    }
    answer
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_node_starts_where_polaris_sync_was() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    for name in ["bin", "conf"] {
        std::fs::create_dir(at.join(name)).unwrap();
    }
    // As long as polaris-sync runs on this machine, it has the port.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let application = format!(
        "server:\n  port: {port}\npolaris:\n  sync:\n    registry:\n      configProvider: ${{POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER:file}}\n"
    );
    std::fs::write(at.join("bin/application.yaml"), application).unwrap();
    let end = |name: &str| json!({"name": name, "type": "memory", "addresses": [name]});
    let task = json!({"name": "t", "enable": true, "source": end("a"), "destination": end("b"), "match": [{"namespace": "empty_ns", "service": "*"}]});
    let text = json!({"tasks": [task], "methods": [{"type": "watch", "enable": true}]}).to_string();
    // Their manual calls the registry's file so.
    std::fs::write(at.join("conf/sync-config.json"), format!("// tasks\n{text}")).unwrap();
    let node = Node::serve(at);
    drop(held);
    until("healthy", || ask(port, "/sync/health").ends_with("\r\n\r\npk ok"));
    assert!(ask(port, "/sync/health").starts_with("HTTP/1.1 200"));
    assert!(ask(port, "/sync/maintain/v1/namespaces?task=t&registry=a").starts_with("HTTP/1.1 401"));
    until("in use", || node.json(at, "tasks")[0]["state"] == "in-step");
    let documents = node.json(at, "documents");
    assert_eq!(documents[1]["state"], "in-use", "{documents}");
    assert_eq!((&documents[0]["state"], &documents[1]["tasks"]), (&json!("missing"), &json!(["t"])));
    until("kept", || at.join("conf/sync-config-backup.json").exists());
    std::fs::write(at.join("conf/sync-config.json"), text.replace("\"watch\"", "\"look\"")).unwrap();
    until("refused", || node.json(at, "documents")[1]["state"] == "invalid");
    let (_, table, _) = run(at, &["--server", &node.url, "get", "documents"]);
    assert!(table.contains("conf/sync-config.json") && table.contains("`look` is not a word for this"), "{table}");
    assert_eq!(node.json(at, "tasks")[0]["state"], "in-step");
}

/// polaris-sync wrote all instances into its log at every pull.
#[test]
fn pulls_do_not_fill_the_log() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    std::fs::create_dir(at.join("conf")).unwrap();
    let lines: String = (1..=500).map(|n| format!("    - address: 127.0.0.1:{}\n", 10_000 + n)).collect();
    std::fs::write(at.join("from.yaml"), format!("services:\n- name: s\n  instances:\n{lines}")).unwrap();
    let end = |name: &str| json!({"name": name, "type": "file", "addresses": [at.join(format!("{name}.yaml"))]});
    let task = json!({"name": "t", "enable": true, "source": end("from"), "destination": end("to"),
        "match": [{"namespace": "empty_ns", "service": "s"}]});
    let pull = json!({"type": "pull", "enable": true, "interval": "200ms"});
    let document = json!({"tasks": [task], "methods": [pull]}).to_string();
    std::fs::write(at.join("conf/sync-registry.json"), document).unwrap();
    let log = std::fs::File::create(at.join("log")).unwrap();
    let mut child = causeway(at, &["serve", "--listen", "127.0.0.1:0"])
        .env("SERVER_PORT", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let copied = || std::fs::read_to_string(at.join("to.yaml")).is_ok_and(|text| text.contains("127.0.0.1:10500"));
    let length = || std::fs::metadata(at.join("log")).unwrap().len();
    until("copied", copied);
    std::thread::sleep(Duration::from_secs(1));
    let before = length();
    std::thread::sleep(Duration::from_secs(4));
    let after = length();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(before < 20_000 && after - before < 2_000, "{before} bytes, and {after} 4 s later");
}
