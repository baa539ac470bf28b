//! The command line as scripts see it: exit codes, JSON, and what errors say. Drives the real program; registries are in
//! memory, everything else is in temporary folders.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SETTINGS: &str = "\
clusters:
  - {clusterName: a, clusterType: MEMORY, connectKeyList: [a]}
  - {clusterName: b, clusterType: memory, connectKeyList: [b]}
tasks:
  - {source: a, destination: b, type: service, mode: bidirectional}
";

/// The program, without whatever the environment says of nodes, colours and logs.
fn causeway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    let names = ["SERVER", "TOKEN", "LOG", "LOG_FORMAT", "METRICS_LISTEN", "KEY", "INSTALL"];
    for name in names {
        command.env_remove(format!("CAUSEWAY_{name}"));
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

#[track_caller]
fn run(arguments: &[&str]) -> (i32, String, String) {
    said(causeway(arguments).output().unwrap())
}

#[track_caller]
fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A program of ours that goes on; dropped, it is killed.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    /// `serve` in a folder of its own, on a free port.
    fn serve(folder: &Path, more: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"], more].concat();
        let mut child = causeway(&arguments).current_dir(folder).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { url: find(lines, "listening on "), child }
    }

    /// `demo`: a node whose registries have providers.
    fn demo(folder: &TempDir) -> Self {
        let mut demo = causeway(&["demo", "--seconds", "60", "--data-dir"]);
        let mut child = demo.arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { url: find(lines, "node: "), child }
    }

    fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&[&["--server", &self.url], arguments].concat())
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.ask(arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    fn wait(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < until, "{what}: {}", self.ok(&["get", "tasks", "-o", "json"]));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGTERM; the exit code.
    fn terminate(mut self) -> i32 {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The URL behind a word in the output; what comes later is read and dropped, so that the program never waits.
fn find(mut lines: impl BufRead + Send + 'static, word: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended");
        let Some((_, rest)) = line.split_once(word) else { continue };
        let url = rest.split_whitespace().next().unwrap().to_owned();
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        return url;
    }
}

fn settings(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn wrong_usage_exits_64() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["apply"],
        &["plan", "-f"],
        &["get", "everything"],
        &["get", "tasks", "-o", "xml"],
        &["get", "tasks", "--service", "x"],
        &["get", "events", "--limit", "0"],
        &["delete", "t", "--drain", "--keep"],
        &["apply", "-f", "x", "--drain"],
        &["--server", "not a url", "get", "tasks"],
        &["--server", "ftp://127.0.0.1", "get", "tasks"],
        &["completions", "csh"],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!(code, 64, "{arguments:?}: {err}");
        assert!(out.is_empty() && !err.is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"], &["completions", "bash"]] {
        assert_eq!(run(arguments).0, 0, "{arguments:?}");
    }
}

#[test]
fn help_shows_no_token() {
    let output = causeway(&["get", "--help"]).env("CAUSEWAY_TOKEN", "hush-hush-hush-hush").output().unwrap();
    let (code, out, _) = said(output);
    assert_eq!(code, 0);
    assert!(out.contains("CAUSEWAY_TOKEN") && !out.contains("hush"), "{out}");
}

#[test]
fn without_a_node_it_says_how_to_start_one() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = run(&["--server", &format!("http://{free}"), "get", "tasks", "-o", "json"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains(&format!("no node answers at http://{free}")) && err.contains("`causeway serve`"), "{err}");
}

#[test]
fn what_is_no_node_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stranger = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").unwrap();
    });
    let (code, _, err) = run(&["--server", &url, "get", "tasks"]);
    stranger.join().unwrap();
    assert_eq!(code, 1);
    assert!(err.contains("no causeway node"), "{err}");
}

#[test]
fn validate_needs_no_node_and_tells_all_errors() {
    let folder = TempDir::new().unwrap();
    let good = settings(&folder, "good.yaml", SETTINGS);
    let (code, out, err) = run(&["validate", "-f", &good]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("2 clusters, 1 task"), "{out}");

    let bad =
        settings(&folder, "bad.yaml", &SETTINGS.replace("memory", "memry").replace("destination: b", "destination: c"));
    let (code, out, err) = run(&["validate", "-f", &bad]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("bad.yaml:3:") && err.contains("bad.yaml:5:") && err.contains("2 errors"), "{err}");
    assert!(!err.contains('\x1b'), "colour in a pipe: {err}");

    let (code, out, _) = run(&["validate", "-f", &bad, "-o", "json"]);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, checked["valid"].as_bool(), checked["problems"].as_array().unwrap().len()), (1, Some(false), 2));
    assert_eq!(run(&["validate", "-f", "/no/such/file"]).0, 1);
}

#[test]
fn settings_from_the_first_plan_to_the_last_delete() {
    let folder = TempDir::new().unwrap();
    let file = settings(&folder, "s.yaml", SETTINGS);
    let node = Running::serve(folder.path(), &[]);

    let (code, out, _) = node.ask(&["plan", "-f", &file]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("+ task a-b-service") && !out.contains('\x1b'), "{out}");
    assert!(node.json(&["get", "tasks"]).as_array().unwrap().is_empty(), "a plan writes nothing");

    let applied = node.json(&["apply", "-f", &file]);
    assert_eq!(applied["tasks"]["added"], serde_json::json!(["a-b-service"]));
    assert!(node.ok(&["apply", "-f", &file]).contains("nothing has changed"));
    assert_eq!(node.ask(&["plan", "-f", &file]).0, 0);

    let task = &node.json(&["get", "tasks"])[0];
    for (key, value) in [("name", "a-b-service"), ("source", "a"), ("destination", "b"), ("type", "Service")] {
        assert_eq!(task[key], value);
    }
    assert_eq!(task["mode"], "Bidirectional");
    for key in ["services", "instances", "pending", "held"] {
        assert_eq!(task[key], 0, "{key}");
    }
    assert!(task["state"].is_string() && task["reason"].as_str().unwrap().contains("no service"), "{task}");
    assert_eq!(node.json(&["get", "clusters", "--cluster", "b"]).as_array().unwrap().len(), 1);
    // Set up is all that is said: whether it can be reached stands below, as a reason.
    let shown = node.ok(&["get", "clusters"]);
    assert!(shown.contains(" OPEN ") && !shown.contains("CONNECTED"), "{shown}");
    assert_eq!(node.json(&["get", "tasks", "--task", "other"]).as_array().unwrap().len(), 0);
    assert!(node.ok(&["get", "tasks", "-o", "yaml"]).starts_with("- name: a-b-service\n"));

    let wrong = settings(&folder, "wrong.yaml", &SETTINGS.replace("service,", "servise,"));
    let (code, _, err) = node.ask(&["apply", "-f", &wrong]);
    assert_eq!(code, 1);
    assert!(err.contains("wrong.yaml:5:") && err.contains("Service"), "{err}");

    node.ok(&["pause", "a-b-service"]);
    assert_eq!(node.json(&["get", "tasks"])[0]["state"], "paused");
    node.ok(&["resume", "a-b-service"]);
    assert_eq!(node.json(&["release", "a-b-service"])["held"], 0);
    let (code, _, err) = node.ask(&["pause", "no-such"]);
    assert_eq!(code, 1);
    assert!(err.contains("no-such"), "{err}");
    node.ok(&["delete", "a-b-service"]);
    assert_eq!(node.json(&["get", "tasks"]), serde_json::json!([]));
    let events = node.json(&["get", "events", "--task", "a-b-service"]);
    assert!(events.as_array().unwrap().iter().any(|event| event["action"] == "paused"), "{events}");
    assert_eq!(node.terminate(), 0);
}

#[test]
fn a_restart_undoes_no_pause() {
    let folder = TempDir::new().unwrap();
    settings(&folder, "conf/config.yaml", SETTINGS);
    let node = Running::serve(folder.path(), &[]);
    node.wait("the file at the start", |node| node.json(&["get", "tasks"])[0]["name"] == "a-b-service");
    node.ok(&["pause", "a-b-service"]);
    assert_eq!(node.terminate(), 0);
    let node = Running::serve(folder.path(), &[]);
    assert_eq!(node.json(&["get", "tasks"])[0]["state"], "paused");
    assert_eq!(node.terminate(), 0);

    // -c stands in place of conf/config.yaml, and a wrong file stops a first start.
    let other = TempDir::new().unwrap();
    settings(&other, "conf/config.yaml", SETTINGS);
    let file = settings(&other, "other.yaml", "clusters: []\ntasks: []\n");
    let node = Running::serve(other.path(), &["-c", &file]);
    assert_eq!(node.json(&["get", "tasks"]), serde_json::json!([]));
    drop(node);
    let wrong = settings(&other, "wrong.yaml", "clusters: []\ntasks: [{source: x}]\n");
    let (code, _, err) = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        folder.path().join("new").to_str().unwrap(),
        "-c",
        &wrong,
    ]);
    assert_eq!(code, 1);
    assert!(err.contains("wrong.yaml:2:"), "{err}");
}

#[test]
fn a_second_node_on_one_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let node = Running::serve(folder.path(), &[]);
    let data = folder.path().join("data");
    let taken = node.url.trim_start_matches("http://");
    for listen in ["127.0.0.1:0", taken] {
        let (code, _, err) = run(&["serve", "--listen", listen, "--data-dir", data.to_str().unwrap()]);
        assert_eq!(code, 1);
        let pid = node.child.id().to_string();
        assert!(err.contains("is in use by process") && err.contains(&pid), "{err}");
    }
    let elsewhere = folder.path().join("other");
    let (code, _, err) = run(&["serve", "--listen", taken, "--data-dir", elsewhere.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains("listens there already"), "{err}");
    assert!(!elsewhere.exists(), "a refused start leaves nothing behind");
    assert_eq!(node.terminate(), 0);
}

#[test]
fn copies_are_shown_compared_and_drained() {
    let folder = TempDir::new().unwrap();
    let node = Running::demo(&folder);
    node.wait("in step", |node| node.json(&["get", "tasks"])[0]["instances"].as_u64() >= Some(11));
    node.ok(&["pause", "demo"]);

    let services = node.json(&["get", "services", "--cluster", "shanghai", "--service", "order"]);
    let orders = &services.as_array().unwrap()[0];
    assert_eq!((orders["native"].as_u64(), orders["name"].as_str()), (Some(0), Some("orders")));
    assert!(orders["copies"].as_u64() >= Some(3));
    assert_eq!(node.json(&["get", "services", "--limit", "2"]).as_array().unwrap().len(), 2);
    let created = node.json(&["get", "events", "--service", "users", "--limit", "3"]);
    assert!(created.as_array().unwrap().iter().all(|event| event["service"].as_str().unwrap().ends_with("/users")));
    assert!(node.ok(&["diff", "demo"]).contains("task demo: "));
    let verified = node.ok(&["verify", "demo"]);
    assert!(verified.starts_with("in step; the same on both sides: "), "{verified}");

    let (code, _, err) = node.ask(&["delete", "demo"]);
    assert_eq!(code, 1);
    assert!(err.contains("--drain"), "{err}");
    let (code, out, err) = node.ask(&["drain", "demo"]);
    assert_eq!(code, 1);
    assert!(out.contains("shanghai public/DEFAULT_GROUP/orders") && out.contains("- 127.0.1.1:8080"), "{out}");
    assert!(err.contains("causeway drain demo --yes"), "{err}");

    let (code, _, err) = node.ask(&["drain", "--theirs", "demo"]);
    assert!(code == 1 && err.contains("takes over from no other tool") && err.contains("`takeOver`"), "{err}");

    let drained = node.json(&["drain", "demo", "--yes"]);
    assert_eq!(drained["state"], "drained");
    assert_eq!(node.json(&["get", "tasks"])[0]["state"], "drained");
    let left = node.json(&["get", "services"]);
    assert!(left.as_array().unwrap().iter().all(|service| service["copies"] == 0), "{left}");
    node.ok(&["delete", "demo"]);
}

#[test]
fn the_demo_ends_by_itself() {
    let (code, out, err) = run(&["demo", "--seconds", "4"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("2 of 2 changes travelled") && out.contains("causeway apply -f"), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let mut child = causeway(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (code, _, err) = said(child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}
