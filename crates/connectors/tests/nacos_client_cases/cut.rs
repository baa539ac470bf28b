//! A connection that is cut or goes silent, through a proxy of our own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use causeway_connectors::nacos::client::{Address, NacosClient, Options, Phase, Publisher, ServiceKey};
use futures_util::future::try_join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{key, set, standing, stands, unique, until};
use crate::Target;

/// What the proxy does with bytes.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Pass,
    /// Accepts and swallows: a hung server.
    Hang,
    /// Ends what stands, refuses what comes.
    Cut,
}

/// A TCP proxy in front of the gRPC port.
struct Proxy {
    at: SocketAddr,
    mode: watch::Sender<Mode>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn before(to: String) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let (mode, now) = watch::channel(Mode::Pass);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut pairs = JoinSet::new();
            while let Ok((inner, _)) = listener.accept().await {
                pairs.spawn(serve(inner, to.clone(), now.clone()));
            }
        });
        Ok(Proxy { at, mode, _tasks: tasks })
    }
}

async fn serve(mut inner: TcpStream, to: String, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(mut outer) = TcpStream::connect(to).await else {
        return;
    };
    if inner.set_nodelay(true).is_err() || outer.set_nodelay(true).is_err() {
        return;
    }
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Cut => return,
            Mode::Hang => {
                if mode.changed().await.is_err() {
                    return;
                }
            }
            Mode::Pass => {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => return,
                    _ = mode.changed() => {}
                }
            }
        }
    }
}

/// A client whose gRPC goes through the proxy, while HTTP is direct in `target.client()`.
async fn proxied(target: &Target) -> Result<(Proxy, NacosClient)> {
    let grpc = target.address.port + 1000;
    let proxy = Proxy::before(format!("{}:{grpc}", target.address.host)).await?;
    let address = Address { host: "127.0.0.1".into(), port: proxy.at.port(), https: false };
    let mut options = Options::new(vec![address]);
    options.grpc_port_offset = 0;
    Ok((proxy, NacosClient::new(options)?))
}

async fn phase(publisher: &Publisher, wanted: Phase) -> Result<Duration> {
    let started = Instant::now();
    let mut status = publisher.status();
    tokio::time::timeout(Duration::from_secs(30), status.wait_for(|s| s.phase == wanted))
        .await
        .with_context(|| format!("not {wanted:?}"))??;
    Ok(started.elapsed())
}

/// Cut, changed while away, back; then hung, noticed, back.
pub async fn replays(target: Arc<Target>) -> Result<()> {
    let direct = target.client()?;
    let (proxy, client) = proxied(&target).await?;
    let publisher = client.publisher("cut", None);
    let reader = client.reader();
    let (first, second, third) = (key("cut-a"), key("cut-b"), key("cut-c"));
    publisher.publish(&first, set(3)).await?;
    publisher.publish(&second, set(2)).await?;
    reader.subscribe(&third).await?;
    reader.next().await;
    let before = publisher.connection_id();

    proxy.mode.send_replace(Mode::Cut);
    let noticed = phase(&publisher, Phase::Down).await?;
    stands(&direct, &first, 0).await?;
    let started = Instant::now();
    ensure!(publisher.publish(&second, set(4)).await.is_err());
    ensure!(publisher.publish(&first, Vec::new()).await.is_err());
    ensure!(publisher.publish(&third, set(1)).await.is_err());
    ensure!(started.elapsed() < Duration::from_secs(1), "a known outage must not block");
    proxy.mode.send_replace(Mode::Pass);
    let back = phase(&publisher, Phase::Ready).await?;
    ensure!(publisher.connection_id() != before);
    stands(&direct, &second, 4).await?;
    stands(&direct, &third, 1).await?;
    ensure!(standing(&direct, &first).await?.is_empty());
    ensure!(reader.next().await == third);
    eprintln!("cut noticed after {noticed:?}, ready {back:?} after it was over");

    let generation = publisher.status().borrow().generation;
    let hung = Instant::now();
    proxy.mode.send_replace(Mode::Hang);
    let mut status = publisher.status();
    tokio::time::timeout(Duration::from_secs(11), status.wait_for(|s| s.phase != Phase::Ready))
        .await
        .context("a hung server was not noticed")??;
    eprintln!("silence noticed after {:?}", hung.elapsed());
    phase(&publisher, Phase::Down).await?;
    proxy.mode.send_replace(Mode::Pass);
    until("a new connection", Duration::from_secs(15), || async {
        let status = publisher.status().borrow().clone();
        Ok(status.phase == Phase::Ready && status.generation > generation)
    })
    .await?;
    for _ in 0..50 {
        ensure!(standing(&direct, &second).await?.len() == 4, "a gap was seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    reader.close().await;
    publisher.close().await;
    stands(&direct, &second, 0).await?;
    Ok(())
}

/// 500 services of ten come back quickly.
pub async fn replays_many(target: Arc<Target>) -> Result<()> {
    let direct = target.client()?;
    let (proxy, client) = proxied(&target).await?;
    let publisher = client.publisher("many", None);
    let namespace = format!("causeway-{}", unique());
    let keys: Vec<_> = (0..500).map(|n| ServiceKey::new(&namespace, "g", &format!("s{n}"))).collect();
    let started = Instant::now();
    try_join_all(keys.iter().map(|key| publisher.publish(key, set(10)))).await?;
    eprintln!("500 × 10 published in {:?}", started.elapsed());
    proxy.mode.send_replace(Mode::Cut);
    phase(&publisher, Phase::Down).await?;
    proxy.mode.send_replace(Mode::Pass);
    phase(&publisher, Phase::Replaying).await?;
    let started = Instant::now();
    phase(&publisher, Phase::Ready).await?;
    let replayed = started.elapsed();
    let visible = until("all are visible", Duration::from_secs(20), || async {
        let listed = direct.services(&namespace).await?;
        Ok(listed.iter().filter(|s| s.ip_count == 10).count() == 500)
    })
    .await?;
    eprintln!("replayed in {replayed:?}, visible {visible:?} later");
    ensure!(replayed < Duration::from_secs(5));
    let started = Instant::now();
    for n in 0..100_u16 {
        publisher.publish(&keys[usize::from(n)], set(9)).await?;
    }
    eprintln!("one publish takes {:?}", started.elapsed() / 100);
    publisher.close().await;
    Ok(())
}
