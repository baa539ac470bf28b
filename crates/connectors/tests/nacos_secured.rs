//! The connector at servers as operators run them: sign-in with short tokens, TLS, a context path of their own, several
//! addresses of which one is dead, a cluster of three.
//!
//! Slow (half a minute a test), so it runs only with `CAUSEWAY_TEST_FULL` set.

mod nacos_ports;

use std::collections::BTreeSet;
use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use causeway_connectors::{Connect, TlsFiles};
use causeway_core::{Change, Error, ServiceKey};
use causeway_testbed::{Backdoor, Instance as Row, Nacos, NacosVersion, Options, PASSWORD, ServiceName, USER};
use libtest_mimic::{Arguments, Failed, Trial};
use nacos_ports::{Follow, copy, native, open, owner, until, write};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(480);
const SOON: Duration = Duration::from_secs(4);
/// Nothing listens here, nor on the gRPC port that belongs to it.
const DEAD: &str = "127.0.0.1:9";

fn trial<F: Future<Output = Result<()>>>(name: &str, case: impl FnOnce() -> F + Send + 'static) -> Trial {
    let run = move || -> Result<()> {
        let runtime = tokio::runtime::Runtime::new()?;
        let done = runtime.block_on(async { timeout(LIMIT, case()).await });
        done.map_err(|_| anyhow!("not done within {LIMIT:?}"))?
    };
    let full = causeway_testbed::full();
    Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}")))).with_ignored_flag(!full)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let trials = vec![
        trial("v1_4_sign_in_path_and_dead_address", || secured(NacosVersion::V1_4)),
        trial("v2_5_sign_in_tls_path_and_dead_address", || secured(NacosVersion::V2_5)),
        trial("v3_1_sign_in_tls_path_and_dead_address", || secured(NacosVersion::V3_1)),
        trial("v2_5_cluster_of_three", cluster),
    ];
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit_code()
}

async fn secured(version: NacosVersion) -> Result<()> {
    let tls = version != NacosVersion::V1_4;
    let options = Options {
        auth: true,
        token_ttl: Duration::from_secs(6),
        tls,
        context_path: "/registry".into(),
        ..Options::default()
    };
    let server = Nacos::start(version, options).await?;
    let scheme = if tls { "https" } else { "http" };
    let files = tls.then(|| TlsFiles { ca: Some(server.ca_file()), ..TlsFiles::default() }.read());
    let tls = files.transpose().map_err(anyhow::Error::msg)?;
    let connect = |password: &str| Connect {
        addresses: vec![format!("{scheme}://{DEAD}"), format!("{scheme}://{}", server.addr())],
        login: Some((USER.into(), password.to_owned().into())),
        context_path: Some("/registry".into()),
        tls: tls.clone(),
        ..Connect::default()
    };
    let session = open(connect(PASSWORD))?;
    let follow = Follow::start(&session);
    let scope = ServiceKey::new("public", "g", "secured");
    let name = ServiceName::new("public", "g", "secured");
    let began = Instant::now();
    until("the first write", Duration::from_secs(15), async || {
        Ok(session.apply(&scope, &[Change::Create(copy(7101))]).await.iter().all(Result::is_ok))
    })
    .await?;
    until("ours", SOON, async || Ok(follow.held(&scope).copies.len() == 1)).await?;
    println!("written and seen after {:?}", began.elapsed());
    // Long past the life of several tokens: still kept, still followed, still written.
    let lost = follow.view.lock().lost;
    let until_then = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until_then {
        let api = server.open_api().await?;
        let shown = api.visible(&name).await?;
        ensure!(shown.len() == 1 && shown[0].healthy, "{shown:?}");
        sleep(Duration::from_millis(500)).await;
    }
    let api = server.open_api().await?;
    let provided = ServiceKey::new("public", "g", "provided");
    let mut row = Row::new("127.0.0.1", 7102);
    row.metadata = native(7102).metadata.to_map();
    api.register(&ServiceName::new("public", "g", "provided"), &row).await?;
    until("a native", SOON, async || Ok(follow.held(&provided).native == Some(native(7102)))).await?;
    let mut heavier = copy(7101);
    heavier.weight = 2.0;
    write(&session, &scope, &[Change::Update { from: copy(7101), to: heavier.clone() }]).await?;
    until("the change", SOON, async || Ok(follow.held(&scope).copies == [heavier.clone()])).await?;
    ensure!(follow.view.lock().lost == lost, "a token's end is no outage");

    let stranger = open(connect("wrong"))?;
    let watched = Follow::start(&stranger);
    watched.sees("denied", Duration::from_secs(15), |view| view.lost > 0).await?;
    let denied = stranger.apply(&scope, &[Change::Create(copy(7103))]).await;
    ensure!(matches!(denied.as_slice(), [Err(Error::Denied(_))]), "{denied:?}");
    let denied = stranger.parts().await;
    ensure!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    stranger.close().await;
    session.close().await;
    Ok(())
}

fn distinct(list: &[Row]) -> usize {
    list.iter().map(Row::address).collect::<BTreeSet<_>>().len()
}

/// Providers at different servers, ours at each of them in turn, and one killed: a subscriber misses nothing.
async fn cluster() -> Result<()> {
    let cluster = Nacos::cluster(3, Options::default()).await?;
    let door = Backdoor::start().await?;
    let name = ServiceName::public("orders");
    let scope = ServiceKey::new("public", "DEFAULT_GROUP", "orders");
    for (n, node) in cluster.nodes.iter().enumerate() {
        let client = format!("provider{n}");
        door.connect(&client, &node.addr(), "public").await?;
        door.register(&client, &name, &Row::new("127.0.0.1", 7000 + n as u16)).await?;
    }
    let session = open(Connect { addresses: cluster.addrs(), ..Connect::default() })?;
    let follow = Follow::start(&session);
    let natives = |count: usize| {
        let (view, scope) = (follow.view.clone(), scope.clone());
        async move || {
            let view = view.lock();
            let set = view.sets.get(&scope);
            Ok(set.is_some_and(|set| set.records.values().filter(|held| held.native.is_some()).count() == count))
        }
    };
    until("three providers", Duration::from_secs(15), natives(3)).await?;
    let copies: Vec<_> = (0..5).map(|n| Change::Create(copy(7101 + n))).collect();
    write(&session, &scope, &copies).await?;

    for (n, node) in cluster.nodes.iter().enumerate() {
        let other = &cluster.nodes[(n + 1) % 3];
        let api = other.open_api().await?;
        // For some minutes the others still show what a killed server's connections published; where it differs from
        // what is published now, an address is there twice.
        let addresses = async || -> Result<usize> {
            let all: BTreeSet<_> = api.visible(&name).await?.iter().map(Row::address).collect();
            Ok(all.len())
        };
        let all = async || Ok(addresses().await? == 8);
        until("eight everywhere", Duration::from_secs(15), all).await?;
        door.connect(&format!("subscriber{n}"), &other.addr(), "public").await?;
        let seen = door.subscribe(&format!("subscriber{n}"), &name).await?;
        seen.wait(SOON, |list| distinct(list) == 8).await?;
        seen.forget();
        node.kill9()?;
        let until_then = Instant::now() + Duration::from_secs(12);
        let (mut fewest, mut looks) = (usize::MAX, 0);
        while Instant::now() < until_then {
            fewest = fewest.min(addresses().await?);
            looks += 1;
            sleep(Duration::from_millis(20)).await;
        }
        let told: Vec<_> = seen.events().iter().map(|one| distinct(&one.instances)).collect();
        println!("server {n} killed: at least {fewest} in {looks} looks, told {told:?}");
        ensure!(fewest >= 8 && told.iter().all(|count| *count >= 8), "something was missing");
        node.start_again().await?;
        until("the providers again", Duration::from_secs(30), natives(3)).await?;
        let mut changed = copy(7101);
        changed.weight = 2.0 + n as f64;
        let again = async || {
            let to = changed.clone();
            Ok(session.apply(&scope, &[Change::Update { from: copy(7101), to }]).await.iter().all(Result::is_ok))
        };
        until("written after that", Duration::from_secs(15), again).await?;
    }
    let gone: Vec<_> = (0..5)
        .map(|n| Change::Delete { record: copy(7101 + n), owner: owner(), why: causeway_core::Removal::Drained })
        .collect();
    write(&session, &scope, &gone).await?;
    let api = cluster.nodes[0].open_api().await?;
    // What the killed servers' connections published goes last.
    let alone = async || Ok(distinct(&api.visible(&name).await?) == 3);
    println!("ours gone after {:?}", until("the providers alone", Duration::from_secs(200), alone).await?);
    session.close().await;
    Ok(())
}
