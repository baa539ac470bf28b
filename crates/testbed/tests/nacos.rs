//! Starts real servers, so it is slow (about half a minute a test on two cores) and part of `./test --full` alone: the
//! other tests use all of this every time.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use causeway_testbed::{
    Backdoor, Connect, Edit, Instance, Nacos, NacosVersion, OpenApi, Options, PASSWORD, Poller, ServiceInfo,
    ServiceName, USER,
};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::time::sleep;

fn main() {
    let mut arguments = Arguments::from_args();
    // Two cores: more servers at once only wait for one another.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let trials = vec![
        test("v1_4_over_http", || over_http(NacosVersion::V1_4)),
        test("v2_5_over_http", || over_http(NacosVersion::V2_5)),
        test("v3_1_over_http", || over_http(NacosVersion::V3_1)),
        test("v2_5_real_clients", || real_clients(NacosVersion::V2_5)),
        test("v3_1_real_clients", || real_clients(NacosVersion::V3_1)),
        test("v2_5_hangs_and_is_wiped", hangs_and_is_wiped),
        test("v1_4_sign_in", || sign_in(NacosVersion::V1_4)),
        test("v2_5_sign_in", || sign_in(NacosVersion::V2_5)),
        test("v3_1_sign_in", || sign_in(NacosVersion::V3_1)),
        test("v2_5_tls", || tls(NacosVersion::V2_5)),
        test("v3_1_tls", || tls(NacosVersion::V3_1)),
        test("cluster_of_three", cluster),
    ];
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit();
}

fn test<F: Future<Output = Result<()>>>(name: &str, body: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(body()).map_err(|error| Failed::from(format!("{error:#}")))
    })
    .with_ignored_flag(!causeway_testbed::full())
}

async fn start(version: NacosVersion, options: Options) -> Result<Nacos> {
    let began = Instant::now();
    let nacos = Nacos::start(version, options).await?;
    println!("{version:?} ready in {:.1} s", began.elapsed().as_secs_f64());
    Ok(nacos)
}

/// Waits up to 5 s: servers show changes up to 0.6 s late.
async fn until<F: Future<Output = Result<Vec<Instance>>>>(
    look: impl Fn() -> F,
    test: impl Fn(&[Instance]) -> bool,
) -> Result<Vec<Instance>> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let list = look().await?;
        if test(&list) {
            return Ok(list);
        }
        ensure!(Instant::now() < end, "not seen in time; there is {list:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn over_http(version: NacosVersion) -> Result<()> {
    let nacos = start(version, Options::default()).await?;
    let api = nacos.open_api().await?;
    api.create_namespace("test", "Test").await?;
    ensure!(api.namespaces().await?.get("test").map(String::as_str) == Some("Test"));

    let service = ServiceName::new("test", "G1", "orders");
    let mut one = Instance::new("127.0.0.1", 7001).with("k", "ü漢");
    one.weight = 0.5;
    let mut two = Instance::new("127.0.0.2", 7002);
    two.enabled = false;
    two.cluster = "c2".into();
    api.register(&service, &one).await?;
    api.register(&service, &two).await?;
    ensure!(until(|| api.visible(&service), |list| list.len() == 1).await? == [one.clone()]);
    let mut all = until(|| api.all(&service), |list| list.len() == 2).await?;
    all.sort_by_key(|instance| instance.port);
    ensure!(all == [one.clone(), two.clone()], "{all:?}");
    ensure!(api.services("test").await?.contains(&("G1".into(), "orders".into())));
    ensure!(api.beat(&service, &one).await?);
    ensure!(!api.beat(&service, &Instance::new("127.0.0.9", 1)).await?);

    let info = ServiceInfo {
        metadata: BTreeMap::from([("a".into(), "b".into())]),
        protect_threshold: 0.4,
        clusters: Vec::new(),
    };
    api.update_service(&service, &info).await?;
    let seen = api.service(&service).await?.expect("it is there");
    ensure!(seen.metadata == info.metadata && seen.protect_threshold == 0.4, "{seen:?}");
    ensure!(api.service(&ServiceName::new("test", "G1", "nothing")).await?.is_none());
    ensure!(api.all(&ServiceName::new("test", "G1", "nothing")).await?.is_empty());

    if version != NacosVersion::V1_4 {
        let publishers = api.publishers(&service, "127.0.0.1", 7001).await?;
        ensure!(publishers.len() == 1 && publishers[0].client == "127.0.0.1:7001#true", "{publishers:?}");
    }
    api.deregister(&service, &one).await?;
    until(|| api.visible(&service), <[_]>::is_empty).await?;
    Ok(())
}

async fn real_clients(version: NacosVersion) -> Result<()> {
    let nacos = start(version, Options::default()).await?;
    let api = nacos.open_api().await?;
    let door = Backdoor::start().await?;
    for client in ["provider", "subscriber"] {
        door.connect(client, &nacos.addr(), "public").await?;
    }
    let service = ServiceName::public("orders");
    let seen = door.subscribe("subscriber", &service).await?;
    let two = [Instance::new("127.0.0.1", 7001).with("k", "v"), Instance::new("127.0.0.2", 7002)];
    door.batch_register("provider", &service, &two).await?;
    seen.wait(Duration::from_secs(5), |list| list.len() == 2).await?;
    ensure!(door.get_all("subscriber", &service).await?.len() == 2);
    ensure!(api.publishers(&service, "127.0.0.1", 7001).await?.len() == 1);

    let edit = Edit { enabled: Some(false), ..Edit::default() };
    api.edit(&service, &two[1], &edit).await?;
    seen.wait(Duration::from_secs(5), |list| list.len() == 1).await?;
    let all = until(|| api.all(&service), |list| list.iter().any(|instance| !instance.enabled)).await?;
    ensure!(all.len() == 2);

    // A crash of the server: its clients come back by themselves.
    let poller = Poller::start(api.clone(), vec![service.clone()]);
    sleep(Duration::from_millis(300)).await;
    let pid = nacos.pid();
    nacos.kill9()?;
    ensure!(nacos.pid().is_none() && api.visible(&service).await.is_err());
    nacos.start_again().await?;
    ensure!(nacos.pid().is_some() && nacos.pid() != pid);
    let list = || api.visible(&service);
    let end = Instant::now() + Duration::from_secs(30);
    while list().await?.is_empty() {
        ensure!(Instant::now() < end, "the provider did not come back");
        sleep(Duration::from_millis(100)).await;
    }
    let report = poller.report();
    ensure!(report.failures > 0 && report.services.contains_key(&service), "{report:?}");

    // Something that the poller must see. The second instance is disabled, so no list shows it.
    poller.reset();
    door.batch_register("provider", &service, &two[1..]).await?;
    until(list, <[_]>::is_empty).await?;
    door.batch_register("provider", &service, &two).await?;
    until(list, |list| list.len() == 1).await?;
    sleep(Duration::from_millis(200)).await;
    let report = poller.report();
    ensure!(report.fewest() == Some(0) && report.gaps() == 1 && report.failures == 0, "{report:?}");
    let gap = &report.services[&service].gaps[0];
    ensure!(gap.address == two[0].address() && gap.to.is_some_and(|to| to > gap.from), "{report:?}");
    drop(poller);

    // A crash of the provider: its own process, so that the subscriber lives.
    let other = Backdoor::start().await?;
    other.connect("provider", &nacos.addr(), "public").await?;
    let short = ServiceName::public("short");
    let seen = door.subscribe("subscriber", &short).await?;
    other.register("provider", &short, &Instance::new("127.0.0.3", 7003)).await?;
    seen.wait(Duration::from_secs(5), |list| list.len() == 1).await?;
    other.kill9()?;
    seen.wait(Duration::from_secs(5), <[_]>::is_empty).await?;
    nacos.stop().await
}

async fn hangs_and_is_wiped() -> Result<()> {
    let nacos = start(NacosVersion::V2_5, Options::default()).await?;
    let api = nacos.open_api().await?;
    api.create_namespace("test", "Test").await?;
    nacos.pause()?;
    let began = Instant::now();
    ensure!(api.namespaces().await.is_err() && began.elapsed() > Duration::from_secs(4));
    nacos.resume()?;
    ensure!(api.namespaces().await?.contains_key("test"));
    nacos.stop().await?;
    nacos.start_again().await?;
    ensure!(api.namespaces().await?.contains_key("test"), "the data survives a restart");
    nacos.wipe_and_start_again().await?;
    ensure!(!api.namespaces().await?.contains_key("test"), "the data is gone");
    Ok(())
}

async fn sign_in(version: NacosVersion) -> Result<()> {
    let options = Options { auth: true, token_ttl: Duration::from_secs(20), ..Options::default() };
    let nacos = start(version, options).await?;
    let service = ServiceName::public("orders");
    let one = Instance::new("127.0.0.1", 7001);
    let stranger = OpenApi::connect(version, &nacos.http_base(), None)?;
    ensure!(stranger.register(&service, &one).await.is_err());
    ensure!(stranger.token(USER, "wrong").await.is_err());
    nacos.open_api().await?.register(&service, &one).await?;
    if version != NacosVersion::V1_4 {
        let door = Backdoor::start().await?;
        let mut how = Connect::to(&nacos.addr(), "public");
        how.user = Some((USER.into(), PASSWORD.into()));
        door.connect_as("known", &how).await?;
        door.register("known", &service, &Instance::new("127.0.0.2", 7002)).await?;
        door.connect("unknown", &nacos.addr(), "public").await?;
        ensure!(door.register("unknown", &service, &one).await.is_err());
    }
    Ok(())
}

async fn tls(version: NacosVersion) -> Result<()> {
    let options = Options { tls: true, ..Options::default() };
    let nacos = start(version, options).await?;
    ensure!(nacos.http_base().starts_with("https://"));
    let api = nacos.open_api().await?;
    let service = ServiceName::public("orders");
    let one = Instance::new("127.0.0.1", 7001);
    let door = Backdoor::start_with(&[
        "-Dnacos.remote.client.rpc.tls.enable=true".into(),
        format!("-Dnacos.remote.client.rpc.tls.trustCollectionChainPath={}", nacos.ca_file().display()),
    ])
    .await?;
    door.connect("provider", &nacos.addr(), "public").await?;
    door.register("provider", &service, &one).await?;
    until(|| api.visible(&service), |list| list.len() == 1).await?;
    Ok(())
}

async fn cluster() -> Result<()> {
    let began = Instant::now();
    let cluster = Nacos::cluster(3, Options::default()).await?;
    println!("cluster of three ready in {:.1} s", began.elapsed().as_secs_f64());
    let door = Backdoor::start().await?;
    let service = ServiceName::public("orders");
    for (n, node) in cluster.nodes.iter().enumerate() {
        let client = format!("provider{n}");
        door.connect(&client, &node.addr(), "public").await?;
        let own = Instance::new("127.0.0.1", 7000 + n as u16);
        door.register(&client, &service, &own).await?;
    }
    for node in &cluster.nodes {
        let api = node.open_api().await?;
        until(|| api.visible(&service), |list| list.len() == 3).await?;
    }
    // A namespace made at one server is known at the others: they share one replicated database.
    cluster.nodes[0].open_api().await?.create_namespace("test", "Test").await?;
    sleep(Duration::from_secs(1)).await;
    ensure!(cluster.nodes[2].open_api().await?.namespaces().await?.contains_key("test"));

    // The others keep a dead server's providers for minutes: a provider that comes back is not missed.
    cluster.nodes[1].kill9()?;
    let api = cluster.nodes[0].open_api().await?;
    sleep(Duration::from_secs(3)).await;
    ensure!(api.visible(&service).await?.len() == 3);
    cluster.nodes[1].start_again().await?;
    let end = Instant::now() + Duration::from_secs(30);
    while api.visible(&service).await?.len() < 3 {
        ensure!(Instant::now() < end, "the provider did not come back");
        sleep(Duration::from_millis(100)).await;
    }
    ensure!(until_known(&cluster.nodes[1], &service).await?);
    Ok(())
}

/// Whether a server that came back hears of all three providers from the others.
async fn until_known(node: &Nacos, service: &ServiceName) -> Result<bool> {
    let api = node.open_api().await?;
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if api.visible(service).await?.len() == 3 {
            return Ok(true);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(false)
}
