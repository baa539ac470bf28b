//! The settings and the command line of a server.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{ZOO_SUPER, ZooKeeper, digest_id};
use crate::recipe::Recipe;
use crate::tls;

/// Small, and C1 only: a server lives for minutes, and tests share two cores. Nothing is forced to the disk.
const JAVA: [&str; 7] = [
    "-Xms32m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dzookeeper.forceSync=no",
    "-Dzookeeper.preAllocSize=1024",
    "-Dcauseway.log=INFO",
];

pub fn data(server: &ZooKeeper) -> PathBuf {
    server.folder().join("data")
}

/// Writes the settings into the folder and gives the command that starts the server.
pub fn command(server: &ZooKeeper, recipe: &Recipe) -> Result<Command> {
    let data = data(server);
    std::fs::create_dir_all(&data)?;
    if let Some(at) = server.members.iter().position(|port| *port == server.ports.main) {
        std::fs::write(data.join("myid"), (at + 1).to_string())?;
    }
    let text: String = settings(server)?.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let file = server.folder().join("zoo.cfg");
    std::fs::write(&file, text)?;

    let mut java = Command::new("java");
    java.current_dir(server.folder()).args(JAVA);
    if server.options.super_user {
        let id = digest_id(ZOO_SUPER);
        java.arg(format!("-Dzookeeper.DigestAuthenticationProvider.superDigest={id}"));
    }
    if server.options.tls {
        java.arg("-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory");
    }
    java.args(&server.options.java);
    java.args(["-cp", &recipe.class_path, "org.apache.zookeeper.server.quorum.QuorumPeerMain"]).arg(file);
    Ok(java)
}

fn settings(server: &ZooKeeper) -> Result<Vec<(String, String)>> {
    let options = &server.options;
    let mut out: Vec<(String, String)> = [
        ("tickTime", options.tick_ms.to_string()),
        ("maxSessionTimeout", options.max_session_ms.to_string()),
        ("dataDir", data(server).display().to_string()),
        ("clientPort", server.ports.main.to_string()),
        ("clientPortAddress", "127.0.0.1".into()),
        ("maxClientCnxns", "0".into()),
        ("admin.enableServer", "false".into()),
        ("4lw.commands.whitelist", "*".into()),
        ("extendedTypesEnabled", "true".into()),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .into();
    if options.tls {
        out.extend(tls(server)?);
    }
    if !server.members.is_empty() {
        out.push(("initLimit".into(), "20".into()));
        out.push(("syncLimit".into(), "10".into()));
        for (at, port) in server.members.iter().enumerate() {
            // The two further ports that belong to the main one.
            out.push((format!("server.{}", at + 1), format!("127.0.0.1:{}:{}", port + 1_000, port + 1_001)));
        }
    }
    for (key, value) in &options.settings {
        out.retain(|(ours, _)| ours != key);
        out.push((key.clone(), value.clone()));
    }
    Ok(out)
}

fn tls(server: &ZooKeeper) -> Result<Vec<(String, String)>> {
    let (certificate, key) = tls::certificate(server.folder())?;
    // The server wants both in one file.
    let both = server.folder().join("tls").join("both.pem");
    std::fs::write(&both, std::fs::read_to_string(key)? + &std::fs::read_to_string(certificate)?)?;
    Ok(vec![
        ("secureClientPort".into(), server.ports.console().to_string()),
        ("secureClientPortAddress".into(), "127.0.0.1".into()),
        ("ssl.keyStore.location".into(), both.display().to_string()),
        ("ssl.keyStore.type".into(), "PEM".into()),
        ("ssl.trustStore.location".into(), server.ca_file().display().to_string()),
        ("ssl.trustStore.type".into(), "PEM".into()),
        ("ssl.clientAuth".into(), "none".into()),
    ])
}
