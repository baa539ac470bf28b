//! The wire client against servers of its own: sign-in, TLS, kill -9, a cluster of three.
//!
//! Slow (half a minute a test), so it runs only with `CAUSEWAY_TEST_FULL` set.

use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use causeway_connectors::nacos::client::{
    Address, Error, Login, NacosClient, Options, Phase, Publisher, ServiceKey, WireInstance,
};
use causeway_connectors::{TlsFiles, TlsTexts};
use causeway_testbed::{Nacos, NacosVersion, Options as Server, PASSWORD, USER};
use futures_util::future::try_join_all;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(300);

fn trial<F: Future<Output = Result<()>>>(name: &str, case: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Runtime::new()?;
        let done = runtime.block_on(async { timeout(LIMIT, case()).await });
        match done {
            Ok(result) => result.map_err(|error| Failed::from(format!("{error:#}"))),
            Err(_) => Err(Failed::from(format!("not done within {LIMIT:?}"))),
        }
    })
    .with_ignored_flag(!causeway_testbed::full())
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let trials = vec![
        trial("v1_4_sign_in", || signs_in_over_http(NacosVersion::V1_4)),
        trial("v2_5_sign_in_and_tls", || secured(NacosVersion::V2_5)),
        trial("v3_1_sign_in_and_tls", || secured(NacosVersion::V3_1)),
        trial("v2_5_killed_hung_and_wiped", || killed(NacosVersion::V2_5)),
        trial("v3_1_killed_hung_and_wiped", || killed(NacosVersion::V3_1)),
        trial("v2_5_cluster", cluster),
    ];
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit_code()
}

fn login(password: &str) -> Option<Login> {
    Some(Login { user: USER.into(), password: password.to_owned().into() })
}

fn tls(files: TlsFiles) -> Result<Option<TlsTexts>> {
    files.read().map(Some).map_err(anyhow::Error::msg)
}

fn set(count: u16) -> Vec<WireInstance> {
    (0..count).map(|n| WireInstance::new("127.0.0.1", 7000 + n)).collect()
}

async fn count(client: &NacosClient, key: &ServiceKey) -> Result<usize> {
    match client.truth(key).await {
        Ok(truth) => Ok(truth.instances.len()),
        Err(Error::NotFound(_) | Error::Unavailable(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

async fn stands(client: &NacosClient, key: &ServiceKey, wanted: usize) -> Result<()> {
    let started = Instant::now();
    while count(client, key).await? != wanted {
        ensure!(started.elapsed() < Duration::from_secs(20), "not {wanted} instances in {key}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn phase(publisher: &Publisher, wanted: Phase) -> Result<Duration> {
    let started = Instant::now();
    let mut status = publisher.status();
    let reached = status.wait_for(|s| s.phase == wanted);
    timeout(Duration::from_secs(60), reached).await??;
    Ok(started.elapsed())
}

async fn signs_in_over_http(version: NacosVersion) -> Result<()> {
    let server =
        Nacos::start(version, Server { auth: true, token_ttl: Duration::from_secs(6), ..Server::default() }).await?;
    let address: Address = server.addr().parse()?;
    let mut options = Options::new(vec![address]);
    options.login = login(PASSWORD);
    let client = NacosClient::new(options.clone())?;
    let key = ServiceKey::new("public", "DEFAULT_GROUP", "signed-in");
    let instance = WireInstance::new("127.0.0.1", 7000);
    client.register_http(&key, &instance).await?;
    stands(&client, &key, 1).await?;
    sleep(Duration::from_secs(8)).await;
    ensure!(client.beat_http(&key, &instance).await?.is_some());
    options.login = login("wrong");
    let stranger = NacosClient::new(options)?;
    let denied = stranger.services("public").await;
    ensure!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    Ok(())
}

async fn secured(version: NacosVersion) -> Result<()> {
    let server =
        Nacos::start(version, Server { auth: true, tls: true, token_ttl: Duration::from_secs(6), ..Server::default() })
            .await?;
    let address: Address = format!("https://{}", server.addr()).parse()?;
    let mut options = Options::new(vec![address]);
    options.login = login(PASSWORD);
    options.tls = tls(TlsFiles { ca: Some(server.ca_file()), ..TlsFiles::default() })?;
    let client = NacosClient::new(options.clone())?;
    println!("{:?}", client.version().await?);
    ensure!(client.namespaces().await?.len() == 1);
    let publisher = client.publisher("secured", None);
    let reader = client.reader();
    let key = ServiceKey::new("public", "DEFAULT_GROUP", "secured");
    reader.subscribe(&key).await?;
    publisher.publish(&key, set(3)).await?;
    stands(&client, &key, 3).await?;
    // Long past the token's life, on the same connection.
    let id = publisher.connection_id();
    sleep(Duration::from_secs(8)).await;
    publisher.publish(&key, set(4)).await?;
    stands(&client, &key, 4).await?;
    ensure!(publisher.connection_id() == id);

    options.login = login("wrong");
    let stranger = NacosClient::new(options.clone())?;
    let denied = stranger.services("public").await;
    ensure!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    let intruder = stranger.publisher("intruder", None);
    let denied = intruder.publish(&key, set(1)).await;
    ensure!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    intruder.close().await;

    options.login = None;
    let nobody = NacosClient::new(options.clone())?;
    let denied = nobody.services("public").await;
    ensure!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    let intruder = nobody.publisher("nobody", None);
    let denied = intruder.publish(&key, set(1)).await;
    ensure!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    intruder.close().await;

    options.login = login(PASSWORD);
    options.tls = tls(TlsFiles { insecure: true, ..TlsFiles::default() })?;
    let trusting = NacosClient::new(options.clone())?;
    ensure!(count(&trusting, &key).await? == 4);
    let other = trusting.publisher("trusting", None);
    other.publish(&key, set(5)).await?;
    stands(&client, &key, 5).await?;
    other.close().await;

    let strange = tempfile::NamedTempFile::new()?;
    std::fs::write(&strange, strange_authority())?;
    options.tls = tls(TlsFiles { ca: Some(strange.path().into()), ..TlsFiles::default() })?;
    let doubting = NacosClient::new(options)?;
    let refused = doubting.services("public").await;
    ensure!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    println!("{refused:?}");
    reader.close().await;
    publisher.close().await;
    Ok(())
}

/// A public root that signed nothing here.
fn strange_authority() -> String {
    let found = rustls_native_certs::load_native_certs().certs;
    let first = found.first().map(|c| c.as_ref().to_vec()).unwrap_or_default();
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(first);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

async fn killed(version: NacosVersion) -> Result<()> {
    let server = Nacos::start(version, Server::default()).await?;
    let address: Address = server.addr().parse()?;
    let client = NacosClient::new(Options::new(vec![address]))?;
    let publisher = client.publisher("killed", None);
    let reader = client.reader();
    let sets: Vec<_> = (0..100).map(|n| (ServiceKey::new("public", "g", &format!("s{n}")), set(5))).collect();
    try_join_all(sets.iter().map(|(key, set)| publisher.publish(key, set.clone()))).await?;
    let key = sets[0].0.clone();
    reader.subscribe(&key).await?;
    stands(&client, &key, 5).await?;

    server.kill9()?;
    println!("kill noticed after {:?}", phase(&publisher, Phase::Down).await?);
    ensure!(publisher.publish(&key, set(6)).await.is_err());
    server.start_again().await?;
    println!("ready {:?} after the server", phase(&publisher, Phase::Ready).await?);
    stands(&client, &key, 6).await?;
    for (key, _) in &sets[1..] {
        stands(&client, key, 5).await?;
    }

    server.pause()?;
    println!("silence noticed after {:?}", phase(&publisher, Phase::Down).await?);
    server.resume()?;
    println!("ready {:?} after it goes on", phase(&publisher, Phase::Ready).await?);
    for _ in 0..60 {
        ensure!(count(&client, &key).await? == 6, "a gap was seen");
        sleep(Duration::from_millis(50)).await;
    }

    server.wipe_and_start_again().await?;
    phase(&publisher, Phase::Ready).await?;
    stands(&client, &key, 6).await?;
    reader.close().await;
    publisher.close().await;
    Ok(())
}

async fn cluster() -> Result<()> {
    let servers = Nacos::cluster(3, Server::default()).await?;
    let addresses: Vec<Address> = servers.addrs().iter().map(|a| a.parse()).collect::<std::result::Result<_, _>>()?;
    let client = NacosClient::new(Options::new(addresses.clone()))?;
    let publisher = client.publisher("cluster", None);
    let key = ServiceKey::new("public", "DEFAULT_GROUP", "clustered");
    publisher.publish(&key, set(3)).await?;
    let server = publisher.status().borrow().server.clone();
    let index = addresses.iter().position(|a| Some(a) == server.as_ref());
    let index = index.ok_or_else(|| anyhow::anyhow!("not one of ours"))?;
    let others: Vec<Address> =
        addresses.iter().enumerate().filter(|(n, _)| *n != index).map(|(_, a)| a.clone()).collect();
    let elsewhere = NacosClient::new(Options::new(others))?;
    stands(&elsewhere, &key, 3).await?;
    servers.nodes[index].kill9()?;
    let started = Instant::now();
    let mut gap = None;
    while started.elapsed() < Duration::from_secs(20) {
        let there = count(&elsewhere, &key).await?;
        if there != 3 && gap.is_none() {
            gap = Some(started.elapsed());
        }
        if there == 3 && gap.is_some() {
            println!("gap from {gap:?} to {:?}", started.elapsed());
            gap = None;
        }
        sleep(Duration::from_millis(20)).await;
    }
    stands(&elsewhere, &key, 3).await?;
    stands(&client, &key, 3).await?;
    publisher.close().await;
    Ok(())
}
