//! The holder with real processes: nodes that are killed, and a server that must not notice.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use support::{Node, Outside, Server, ended, eventually};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(1500);
/// Long enough to see that nothing happens.
const A_WHILE: Duration = Duration::from_millis(500);
/// What happens at once, on a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(5);

/// Gets a data folder that does not exist yet.
type Test = fn(&Path);

fn main() -> ExitCode {
    if let Some(result) = causeway_holder::run_if_asked(std::env::args_os()) {
        return if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|first| first == "node") {
        support::node_main(&args[2..]).unwrap();
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, Test); 12] = [
        ("a_killed_node_is_not_seen_until_release", a_killed_node_is_not_seen_until_release),
        ("a_killed_process_group_spares_the_holder", a_killed_process_group_spares_the_holder),
        ("linger_ends_connections_and_holder", linger_ends_connections_and_holder),
        ("a_second_node_is_refused", a_second_node_is_refused),
        ("closing_and_dropping_ends_at_once", closing_and_dropping_ends_at_once),
        ("leaving_with_linger_withdraws_nothing", leaving_with_linger_withdraws_nothing),
        ("leaving_without_linger_ends_all", leaving_without_linger_ends_all),
        ("a_connection_closed_by_the_server_is_let_go", a_connection_closed_by_the_server_is_let_go),
        ("unread_data_costs_nothing", unread_data_costs_nothing),
        ("a_killed_holder_comes_back_with_all", a_killed_holder_comes_back_with_all),
        ("stale_files_and_long_paths", stale_files_and_long_paths),
        ("a_removed_folder_ends_the_holder", a_removed_folder_ends_the_holder),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            let dir = tempfile::tempdir().map_err(Failed::from)?;
            test(&dir.path().join("data"));
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn a_killed_node_is_not_seen_until_release(dir: &Path) {
    let server = Server::start();
    let mut first = Node::ready(dir, LONG);
    assert_eq!(first.ask("list"), "[]");
    let old: Vec<_> = (0..50).map(|n| server.open(&mut first, &format!("c{n}"))).collect();
    first.kill();
    assert_eq!(ended(&old[0], Duration::from_secs(2)), None);

    let mut second = Node::ready(dir, LONG);
    let list = second.ask("list");
    assert_eq!(list.matches("InheritedSocket").count(), 50);
    assert!(list.contains(r#"InheritedSocket { tag: "c7", label: "label of c7" }"#), "{list}");
    // The same tag of a later run is another socket.
    let new = server.open(&mut second, "c7");
    assert_eq!(ended(&old[7], A_WHILE), None);
    assert_eq!(second.ask("release"), "Ok(50)");
    assert!(old.iter().all(|stream| ended(stream, SOON).is_some()));
    assert_eq!(second.ask("list"), "[]");
    assert_eq!(second.ask("release"), "Ok(0)");
    assert_eq!(ended(&new, A_WHILE), None);
    second.kill();
    // The holder goes on for the third.
    assert_eq!(ended(&new, A_WHILE), None);
    let mut third = Node::ready(dir, LONG);
    assert_eq!(third.ask("list").matches("InheritedSocket").count(), 1);
    third.ask("leave false");
    assert!(ended(&new, SOON).is_some());
}

fn a_killed_process_group_spares_the_holder(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, LONG);
    let stream = server.open(&mut node, "c");
    let group = format!("-{}", node.process.id());
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    node.process.wait().unwrap();
    assert_eq!(ended(&stream, A_WHILE), None);
    Node::ready(dir, LONG).ask("leave false");
}

fn linger_ends_connections_and_holder(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, SHORT);
    let holder = Outside::of(dir);
    println!("holder: {}", holder.memory());
    let stream = server.open(&mut node, "c");
    assert_eq!(ended(&stream, SHORT * 2), None, "while the node lives, nothing lapses");
    node.kill();
    let after = ended(&stream, LONG).unwrap();
    assert!(after > SHORT - A_WHILE && after < SHORT + SOON, "{after:?}");
    eventually("the holder ends", SOON, || !holder.alive());
    assert!(!dir.join("holder.sock").exists());
    // And a later node begins anew.
    assert_eq!(Node::ready(dir, SHORT).ask("list"), "[]");
}

fn a_second_node_is_refused(dir: &Path) {
    let first = Node::ready(dir, LONG);
    let second = Node::start(dir, LONG);
    let expected = format!("error the holder serves process {} already", first.process.id());
    assert_eq!(second.greeting, expected);
    let holder = Outside::of(dir);
    first.kill();
    eventually("a holder with nothing to hold ends", SOON, || !holder.alive());
}

fn closing_and_dropping_ends_at_once(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, LONG);
    let stream = server.open(&mut node, "c");
    assert_eq!(node.ask("close"), "ok");
    assert!(ended(&stream, SOON).is_some());
    node.kill();
}

fn leaving_with_linger_withdraws_nothing(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, SHORT);
    let stream = server.open(&mut node, "c");
    node.ask("leave true");
    node.ask("close");
    // The linger time begins with the process's end, however long its stop takes.
    assert_eq!(ended(&stream, SHORT * 2), None);
    node.exit();
    assert_eq!(ended(&stream, SHORT - A_WHILE), None);
    assert!(ended(&stream, SOON).is_some());
}

fn leaving_without_linger_ends_all(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, LONG);
    let holder = Outside::of(dir);
    let stream = server.open(&mut node, "c");
    node.ask("leave false");
    node.exit();
    assert!(ended(&stream, SOON).is_some());
    eventually("the holder ends", SOON, || !holder.alive());
}

fn a_connection_closed_by_the_server_is_let_go(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, LONG);
    let holder = Outside::of(dir);
    let none = holder.sockets();
    let streams: Vec<_> = (0..20).map(|n| server.open(&mut node, &format!("c{n}"))).collect();
    eventually("all are kept", SOON, || holder.sockets() == none + 20);
    drop(streams);
    eventually("none is kept", SOON, || holder.sockets() == none);
    node.kill();
}

fn unread_data_costs_nothing(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, LONG);
    let mut stream = server.open(&mut node, "c");
    stream.write_all(&[7; 10_000]).unwrap();
    let holder = Outside::of(dir);
    let before = holder.ticks();
    sleep(Duration::from_secs(1));
    assert!(holder.ticks() - before <= 2, "the holder spins");
    node.kill();
    assert_eq!(ended(&stream, A_WHILE), None);
    Node::ready(dir, LONG).ask("leave false");
}

fn a_killed_holder_comes_back_with_all(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, LONG);
    let stream = server.open(&mut node, "c");
    let holder = Outside::of(dir);
    let status = Command::new("kill").args(["-KILL", &holder.pid()]).status().unwrap();
    assert!(status.success());
    let back = || fs::read_to_string(dir.join("holder.lock")).unwrap().trim() != holder.pid();
    eventually("a new holder", SOON, || back() && node.ask("connected") == "true");
    node.kill();
    assert_eq!(ended(&stream, A_WHILE), None);
    let mut next = Node::ready(dir, LONG);
    assert_eq!(next.ask("list"), r#"[InheritedSocket { tag: "c", label: "label of c" }]"#);
    next.ask("leave false");
}

fn stale_files_and_long_paths(dir: &Path) {
    let dir = &dir.join("a-rather-long-name".repeat(8));
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("holder.sock"), "stale").unwrap();
    fs::write(dir.join("holder.lock"), "1234567").unwrap();
    let mut node = Node::ready(dir, LONG);
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("holder.sock"), 0o600);
    node.ask("leave false");
    node.exit();

    let fresh = dir.join("made");
    let mut node = Node::ready(&fresh, LONG);
    assert_eq!(fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o700);
    node.ask("leave false");
}

fn a_removed_folder_ends_the_holder(dir: &Path) {
    let server = Server::start();
    let mut node = Node::ready(dir, LONG);
    let stream = server.open(&mut node, "c");
    let holder = Outside::of(dir);
    node.ask("leave true");
    node.kill();
    fs::remove_dir_all(dir).unwrap();
    eventually("the holder ends", SOON, || !holder.alive());
    assert!(ended(&stream, SOON).is_some());
}
