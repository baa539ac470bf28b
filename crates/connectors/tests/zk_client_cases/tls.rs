//! TLS.

use anyhow::{Result, ensure};
use causeway_connectors::TlsFiles;
use causeway_connectors::zookeeper::client::{Create, Options, Session, WireError};
use causeway_testbed::{ZooKeeper, ZooOptions};

use super::{open, options, reach};

pub async fn tls() -> Result<()> {
    let server = ZooKeeper::start(ZooOptions { tls: true, ..ZooOptions::default() }).await?;
    let trusting = TlsFiles { ca: Some(server.ca_file()), ..TlsFiles::default() };
    let with = |files: &TlsFiles| Options { tls: files.read().ok(), ..options(&server.tls_addr()) };
    let session = open(with(&trusting)).await?;
    session.create("/secured", Some(&[b'x'; 100_000]), Create::default()).await?;
    ensure!(session.get("/secured").await?.0.len() == 100_000);
    let nodes: Vec<_> = (0..1_000).map(|n| (format!("/secured/{n}"), &b"1"[..], Create::default())).collect();
    ensure!(session.create_many(&nodes).await.iter().all(Result::is_ok));
    ensure!(session.children("/secured").await?.0.len() == 1_000);

    let anything = TlsFiles { insecure: true, ..TlsFiles::default() };
    let careless = open(with(&anything)).await?;
    ensure!(careless.get("/secured").await?.0.len() == 100_000);

    for doubting in [TlsFiles::default(), TlsFiles { server_name: Some("elsewhere".into()), ..trusting }] {
        let session = Session::open(with(&doubting))?;
        let status = reach(&session, |status| status.error.is_some()).await?;
        ensure!(matches!(&status.error, Some(WireError::Unavailable(why)) if why.contains("TLS")), "{status:?}");
    }
    // Without TLS on the port with it, and the other way round.
    for options in [options(&server.tls_addr()), Options { tls: anything.read().ok(), ..options(&server.addr()) }] {
        let session = Session::open(options)?;
        let status = reach(&session, |status| status.error.is_some()).await?;
        println!("{:?}", status.error);
    }
    Ok(())
}
