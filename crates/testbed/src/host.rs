//! What this machine must have before a server can start.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Looked for once: each of these programs takes its time to say its version.
static MISSING: LazyLock<Vec<String>> = LazyLock::new(look);

/// What is missing, one line each, with the Debian package that has it. Empty when all is there.
pub fn missing() -> &'static [String] {
    &MISSING
}

/// The same for a test with a Prometheus.
pub fn prometheus() -> Vec<String> {
    match runs("prometheus", "--version") {
        true => Vec::new(),
        false => vec!["prometheus: not found (Debian: apt-get install prometheus)".into()],
    }
}

/// The same for servers that are built with Go.
pub fn go() -> Vec<String> {
    match runs("go", "version") {
        true => Vec::new(),
        false => vec!["go: not found (1.24 or later: https://go.dev/dl)".into()],
    }
}

/// The same for an etcd.
pub fn etcd() -> Vec<String> {
    match runs("etcd", "--version") {
        true => Vec::new(),
        false => vec!["etcd: not found (Debian: apt-get install etcd-server)".into()],
    }
}

/// The same for a MariaDB.
pub fn mariadb() -> Vec<String> {
    match [mariadb_server(), "mariadb"].iter().all(|program| runs(program, "--version")) {
        true => Vec::new(),
        false => vec!["mariadbd: not found (Debian: apt-get install mariadb-server)".into()],
    }
}

/// The server's program, which is not on everybody's path.
pub fn mariadb_server() -> &'static str {
    const PROGRAM: &str = "/usr/sbin/mariadbd";
    if Path::new(PROGRAM).exists() { PROGRAM } else { "mariadbd" }
}

/// The same for making an archive and unpacking it.
pub fn archive() -> Vec<String> {
    let missing = ["zip", "unzip"].into_iter().filter(|program| !runs(program, "-v"));
    missing.map(|program| format!("{program}: not found (Debian: apt-get install {program})")).collect()
}

/// The same for a Kubernetes API server, which keeps its data in an etcd.
pub fn kube() -> Vec<String> {
    [go(), etcd()].concat()
}

fn look() -> Vec<String> {
    let mut out = Vec::new();
    match java_version() {
        None => out.push("java: not found (Debian: apt-get install openjdk-17-jdk-headless)".into()),
        Some(found) if found < 17 => out.push(format!(
            "java: version {found} is too old, 17 is needed (Debian: apt-get install openjdk-17-jdk-headless)"
        )),
        Some(_) => {}
    }
    for (program, argument, package) in [
        ("javac", "-version", "openjdk-17-jdk-headless"),
        ("mvn", "-version", "maven"),
        ("flock", "--version", "util-linux"),
        ("sha256sum", "--version", "coreutils"),
    ] {
        if !runs(program, argument) {
            out.push(format!("{program}: not found (Debian: apt-get install {package})"));
        }
    }
    out
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The major version, from a first line such as `openjdk version "17.0.15" 2025-04-15`.
fn java_version() -> Option<u32> {
    let out = Command::new("java").arg("-version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let number = text.split('"').nth(1)?;
    let mut parts = number.split('.').map_while(|part| part.parse::<u32>().ok());
    match parts.next()? {
        1 => parts.next(),
        major => Some(major),
    }
}
