//! One server until Ctrl-C, for people.

use std::process::ExitCode;

use anyhow::Result;
use causeway_testbed::{
    CONSUL_TOKEN, Consul, ConsulSetup, EUREKA_LOGIN, Etcd, EtcdSetup, Eureka, EurekaOptions, KUBE_TOKEN, Kube,
    KubeSetup, MARIADB_ROOT, MariaDb, MariaDbSetup, Nacos, NacosVersion, Options, PASSWORD, USER, ZooKeeper,
    ZooOptions,
};

use crate::asked_to_end;

pub async fn nacos(version: NacosVersion, options: Options) -> Result<ExitCode> {
    let auth = options.auth;
    let nacos = tokio::select! {
        nacos = Nacos::start(version, options) => nacos?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    eprintln!(
        "Nacos on {} (pid {}, data in {}); Ctrl-C ends it",
        nacos.http_base(),
        nacos.pid().unwrap_or_default(),
        nacos.data().display()
    );
    if auth {
        eprintln!("user {USER}, password {PASSWORD}");
    }
    asked_to_end().await;
    eprintln!("ending it (up to 20 s); Ctrl-C again kills it");
    tokio::select! {
        stopped = nacos.stop() => stopped?,
        () = asked_to_end() => {}
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn zookeeper(options: ZooOptions) -> Result<ExitCode> {
    let server = tokio::select! {
        server = ZooKeeper::start(options) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("ZooKeeper on {} (pid {pid}, data in {folder}); Ctrl-C ends it", server.addr());
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

pub async fn consul(setup: ConsulSetup) -> Result<ExitCode> {
    let acl = setup.acl;
    let server = tokio::select! {
        server = Consul::start(setup) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("Consul on {} (pid {pid}, data in {folder}); Ctrl-C ends it", server.addr());
    if acl {
        eprintln!("token {CONSUL_TOKEN}");
    }
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

pub async fn eureka(options: EurekaOptions) -> Result<ExitCode> {
    let auth = options.auth;
    let server = tokio::select! {
        server = Eureka::start(options) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    eprintln!("Eureka on {} (pid {}); Ctrl-C ends it", server.base(), server.pid().unwrap_or_default());
    if auth {
        let (user, password) = EUREKA_LOGIN;
        eprintln!("user {user}, password {password}");
    }
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

pub async fn etcd(setup: EtcdSetup) -> Result<ExitCode> {
    let server = tokio::select! {
        server = Etcd::start(setup) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("etcd on {} (pid {pid}, data in {folder}); Ctrl-C ends it", server.url());
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

pub async fn kube(setup: KubeSetup) -> Result<ExitCode> {
    let server = tokio::select! {
        server = Kube::start(setup) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("Kubernetes on https://{} (pid {pid}, data in {folder}); Ctrl-C ends it", server.addr());
    eprintln!("token {KUBE_TOKEN}, CA certificate {}", server.ca_file().display());
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}

pub async fn mariadb(setup: MariaDbSetup) -> Result<ExitCode> {
    let server = tokio::select! {
        server = MariaDb::start(setup) => server?,
        () = asked_to_end() => return Ok(ExitCode::SUCCESS),
    };
    let (pid, folder) = (server.pid().unwrap_or_default(), server.folder().display());
    eprintln!("MariaDB on {} (pid {pid}, data in {folder}); Ctrl-C ends it", server.addr());
    eprintln!("user {MARIADB_ROOT}, no password");
    asked_to_end().await;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}
