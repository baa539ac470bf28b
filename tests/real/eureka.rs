//! Eureka with Nacos and with another Eureka.

use crate::estate::{namespace, pair, pause, seconds, until};
use crate::node::Node;
use anyhow::{Context, Error, Result, ensure};
use causeway_testbed::{Backdoor, Eureka, EurekaApi, EurekaOptions, Instance, OpenApi, ServiceName};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// Providers that renew what they registered every 2 s, and register again what the server has lost, as real clients do.
pub struct Providers {
    api: EurekaApi,
    all: Arc<Mutex<Vec<Value>>>,
    _beats: JoinSet<()>,
}

impl Providers {
    pub fn at(server: &Eureka) -> Result<Self> {
        let (api, all) = (server.api()?, Arc::<Mutex<Vec<Value>>>::default());
        let (beating, beaten) = (api.clone(), all.clone());
        let mut beats = JoinSet::new();
        beats.spawn(async move {
            loop {
                tokio::time::sleep(seconds(2)).await;
                let now = beaten.lock().unwrap().clone();
                for one in now {
                    let known = beating.renew(text(&one, "app"), text(&one, "instanceId")).await;
                    if matches!(known, Ok(false)) && beaten.lock().unwrap().contains(&one) {
                        drop(beating.register(&one).await);
                    }
                }
            }
        });
        Ok(Self { api, all, _beats: beats })
    }

    pub async fn put(&self, one: Value) -> Result<()> {
        self.api.register(&one).await?;
        let mut all = self.all.lock().unwrap();
        all.retain(|old| old["instanceId"] != one["instanceId"] || old["app"] != one["app"]);
        all.push(one);
        Ok(())
    }

    /// They die all at once, without a word: what they registered.
    pub fn die(&self) -> Vec<Value> {
        std::mem::take(&mut *self.all.lock().unwrap())
    }

    pub async fn end(&self, one: &Value) -> Result<()> {
        self.all.lock().unwrap().retain(|old| old != one);
        ensure!(self.api.cancel(text(one, "app"), text(one, "instanceId")).await?, "it was not there: {one}");
        Ok(())
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// As Spring Cloud's client registers.
pub fn spring(app: &str, port: u16) -> Value {
    let metadata = [("zone".to_owned(), "z1".to_owned())].into();
    let mut one =
        EurekaApi::instance(app, &format!("host1:{}:{port}", app.to_lowercase()), "127.0.0.1", port, &metadata);
    one["hostName"] = json!("host1");
    one["homePageUrl"] = json!(format!("http://host1:{port}/"));
    one["statusPageUrl"] = json!(format!("http://host1:{port}/actuator/info"));
    one
}

fn cluster(name: &str, kind: &str, address: &str, more: &str) -> String {
    format!("  - {{clusterName: {name}, clusterType: {kind}, connectKeyList: [\"{address}\"]{more}}}\n")
}

fn settings(clusters: &[String], tasks: &[(&str, &str)]) -> String {
    let task =
        |(a, b): &(&str, &str)| format!("  - {{source: {a}, destination: {b}, mode: Bidirectional, settle: 3s}}\n");
    format!("clusters:\n{}tasks:\n{}", clusters.concat(), tasks.iter().map(task).collect::<String>())
}

fn service(namespace: &str, name: &str) -> ServiceName {
    ServiceName::new(namespace, "DEFAULT_GROUP", name)
}

async fn one_of(api: &OpenApi, service: &ServiceName, test: impl Fn(&Instance) -> bool) -> Result<bool> {
    Ok(matches!(api.all(service).await?.as_slice(), [one] if test(one)))
}

pub async fn both_ways_with_nacos() -> Result<()> {
    const NS: &str = "eureka-both";
    let (nacos, _) = pair().await?;
    namespace(&[nacos], NS).await?;
    let eureka = Eureka::start(EurekaOptions { auth: true, ..EurekaOptions::default() }).await?;
    let (at_nacos, at_eureka, providers) = (nacos.open_api().await?, eureka.api()?, Providers::at(&eureka)?);
    let node = Node::start().await?;
    // The login stands in the address, percent-encoded.
    let address = eureka.base().replace("://", "://causeway:p%40ss%3Aw%2Fd@");
    let clusters = [
        cluster("eureka", "EUREKA", &address, ", eureka: {lease: 30s}"),
        cluster("nacos", "NACOS", &nacos.addr(), &format!(", namespace: {NS}")),
    ];
    node.apply(&settings(&clusters, &[("eureka", "nacos")]))?;
    ensure!(!node.ok(&["get", "clusters", "-o", "json"])?.contains("p%40ss"), "the password is shown");

    // From Eureka.
    for n in 0..20 {
        for port in 7001..7004 {
            providers.put(spring(&format!("ORDERS-{n}"), port)).await?;
        }
    }
    let took = until("20 x 3 of Eureka's", seconds(20), async || {
        let mut sum = 0;
        for n in 0..20 {
            sum += at_nacos.visible(&service(NS, &format!("orders-{n}"))).await?.len();
        }
        Ok(sum == 60)
    })
    .await?;
    eprintln!("20 x 3 of Eureka's: {took:?}");
    let (app, orders) = ("SOLO", service(NS, "solo"));
    let mut one = spring(app, 7001);
    let id = text(&one, "instanceId").to_owned();
    providers.put(one.clone()).await?;
    until("a new one", seconds(6), async || one_of(&at_nacos, &orders, |one| one.healthy && one.enabled).await).await?;
    one["metadata"]["zone"] = json!("z2");
    providers.put(one.clone()).await?;
    let zone = |zone: &'static str| move |one: &Instance| one.metadata.get("zone").is_some_and(|there| there == zone);
    until("its metadata", seconds(6), async || one_of(&at_nacos, &orders, zone("z2")).await).await?;
    at_eureka.set_status(app, &id, "OUT_OF_SERVICE").await?;
    until("out of service", seconds(6), async || one_of(&at_nacos, &orders, |one| !one.enabled).await).await?;
    at_eureka.set_status(app, &id, "DOWN").await?;
    until("down", seconds(6), async || one_of(&at_nacos, &orders, |one| one.enabled && !one.healthy).await).await?;
    at_eureka.set_status(app, &id, "UP").await?;
    until("up", seconds(6), async || one_of(&at_nacos, &orders, |one| one.enabled && one.healthy).await).await?;
    providers.end(&one).await?;
    until("gone", seconds(6), async || Ok(at_nacos.all(&orders).await?.is_empty())).await?;

    // From Nacos.
    let who = Backdoor::start().await?;
    who.connect("p", &nacos.addr(), NS).await?;
    let stock = Instance::new("127.0.0.9", 9300).with("zone", "z9");
    who.register("p", &service(NS, "stock"), &stock).await?;
    let shows = async |test: &dyn Fn(&Value) -> bool| {
        Ok(matches!(at_eureka.instances("STOCK").await?.as_slice(), [one] if test(one)))
    };
    until("stock", seconds(6), async || {
        shows(&|one| {
            one["status"] == "UP"
                && one["ipAddr"] == "127.0.0.9"
                && one["port"]["$"] == 9300
                && one["vipAddress"] == "stock"
        })
        .await
    })
    .await?;
    who.register("p", &service(NS, "stock"), &stock.clone().with("zone", "z8")).await?;
    until("its metadata", seconds(6), async || shows(&|one| one["metadata"]["zone"] == "z8").await).await?;
    let copy = at_eureka.instances("STOCK").await?.pop().context("no copy")?;
    ensure!(copy["leaseInfo"]["durationInSecs"] == 30, "{copy}");

    // Restarts of ours are no event to anybody.
    let seen = Gaps::watch(&at_eureka, "STOCK");
    let (data, port) = node.kill()?;
    pause(5).await;
    let node = Node::on(data, port).await?;
    pause(4).await;
    ensure!(seen.count() == 0, "missing in {} looks", seen.count());

    // At the end nothing of ours is left, and nothing else is touched.
    node.ok(&["drain", "eureka-nacos-service", "--yes"])?;
    let ours = async || {
        Ok::<_, Error>(at_eureka.all().await?.iter().filter(|one| one["metadata"].get("causeway").is_some()).count())
    };
    until("nothing of ours in Eureka", seconds(10), async || Ok(ours().await? == 0)).await?;
    until("nothing of ours in Nacos", seconds(10), async || {
        Ok(at_nacos.all(&service(NS, "orders-0")).await?.is_empty())
    })
    .await?;
    let left = at_eureka.all().await?;
    ensure!(left.len() == 60, "natives of Eureka: {} {:?}", left.len(), left.last());
    ensure!(at_nacos.all(&service(NS, "stock")).await?.len() == 1, "natives of Nacos");
    Ok(())
}

/// Counts the looks at which nothing of an application was up.
pub struct Gaps {
    missing: Arc<AtomicUsize>,
    _work: JoinSet<()>,
}

impl Gaps {
    pub fn watch(api: &EurekaApi, app: &'static str) -> Self {
        let missing = Arc::<AtomicUsize>::default();
        let (api, counted) = (api.clone(), missing.clone());
        let mut work = JoinSet::new();
        work.spawn(async move {
            loop {
                if let Ok(all) = api.instances(app).await
                    && !all.iter().any(|one| one["status"] == "UP")
                {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { missing, _work: work }
    }

    pub fn count(&self) -> usize {
        self.missing.load(Ordering::Relaxed)
    }
}

/// A server that comes back knows nothing: its providers register again one by one, and nobody is taken for gone.
pub async fn a_restarted_server_empties_nothing() -> Result<()> {
    const NS: &str = "eureka-restart";
    let (nacos, _) = pair().await?;
    namespace(&[nacos], NS).await?;
    let eureka = Eureka::start(EurekaOptions::default()).await?;
    let (at_nacos, at_eureka, providers) = (nacos.open_api().await?, eureka.api()?, Providers::at(&eureka)?);
    let node = Node::start().await?;
    let clusters = [
        cluster("eureka", "EUREKA", &eureka.addr(), ""),
        cluster("nacos", "NACOS", &nacos.addr(), &format!(", namespace: {NS}")),
    ];
    node.apply(&settings(&clusters, &[("eureka", "nacos")]).replace("settle: 3s", "settle: 8s"))?;
    for n in 0..5 {
        providers.put(spring(&format!("ORDERS-{n}"), 7001)).await?;
    }
    let who = Backdoor::start().await?;
    who.connect("p", &nacos.addr(), NS).await?;
    who.register("p", &service(NS, "stock"), &Instance::new("127.0.0.9", 9300)).await?;
    let names: Vec<_> = (0..5).map(|n| service(NS, &format!("orders-{n}"))).collect();
    let all = async || {
        let mut sum = 0;
        for name in &names {
            sum += at_nacos.visible(name).await?.len();
        }
        Ok::<_, Error>(sum)
    };
    until("all in Nacos", seconds(15), async || Ok(all().await? == 5)).await?;
    until("stock in Eureka", seconds(15), async || Ok(at_eureka.instances("STOCK").await?.len() == 1)).await?;

    for hung in [false, true] {
        let providing = providers.die();
        if hung {
            eureka.pause()?;
            pause(8).await;
            eureka.resume()?;
        } else {
            eureka.kill9()?;
            pause(3).await;
            eureka.start_again().await?;
        }
        // Half of them are back soon, the others late.
        for (n, one) in providing.into_iter().enumerate() {
            if n == 3 {
                pause(5).await;
            }
            providers.put(one).await?;
            ensure!(all().await? == 5, "something is gone from Nacos after {n} came back");
        }
        until("stock again", seconds(35), async || Ok(at_eureka.instances("STOCK").await?.len() == 1)).await?;
        for _ in 0..40 {
            ensure!(all().await? == 5, "something is gone from Nacos");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    // What dies while the server is away is gone after it has settled.
    let last = providers.all.lock().unwrap()[0].clone();
    providers.end(&last).await?;
    until("one less", seconds(15), async || Ok(all().await? == 4)).await?;
    let task = node.task()?;
    ensure!(task["held"] == 0, "{task}");
    Ok(())
}

/// Servers answer lists from a cache, of 30 s by default. What we wrote is then neither written again nor taken for somebody's
/// doing. The first of the addresses is dead, and the other speaks TLS.
pub async fn an_old_list_is_no_difference() -> Result<()> {
    const NS: &str = "eureka-cache";
    let (nacos, _) = pair().await?;
    namespace(&[nacos], NS).await?;
    let cache = [("use-read-only-response-cache", "true"), ("response-cache-update-interval-ms", "10000")];
    let settings_of = cache.map(|(key, value)| (format!("eureka.server.{key}"), value.to_owned()));
    let options = EurekaOptions { tls: true, settings: settings_of.into(), ..EurekaOptions::default() };
    let eureka = Eureka::start(options).await?;
    // Of one instance servers tell without the cache.
    let (at_eureka, id) = (eureka.api()?, "127.0.0.9:9300:STOCK");
    let node = Node::start().await?;
    let more = format!(", tls: {{ca: \"{}\"}}", eureka.ca_file().display());
    let clusters = [
        cluster("nacos", "NACOS", &nacos.addr(), &format!(", namespace: {NS}")),
        cluster("eureka", "EUREKA", &format!("127.0.0.1:1,{}", eureka.addr()), &more),
    ];
    node.apply(&settings(&clusters, &[("nacos", "eureka")]))?;
    let who = Backdoor::start().await?;
    who.connect("p", &nacos.addr(), NS).await?;
    for build in ["1", "2"] {
        who.register("p", &service(NS, "stock"), &Instance::new("127.0.0.9", 9300).with("build", build)).await?;
        until(&format!("build {build}"), seconds(10), async || {
            Ok(at_eureka.instance_of("STOCK", id).await?.is_some_and(|one| one["metadata"]["build"] == build))
        })
        .await?;
        pause(4).await;
        let task = node.task()?;
        ensure!(task["state"] == "in-step" && task["pending"] == 0, "{task}");
    }
    pause(14).await;
    let birth = at_eureka.instance_of("STOCK", id).await?.context("it is gone")?;
    let task = node.task()?;
    ensure!(task["state"] == "in-step" && task["instances"] == 1, "{task}");
    ensure!(birth["metadata"]["build"] == "2", "{birth}");
    let written = node.events()?.matches("\"public/DEFAULT_GROUP/STOCK\"").count();
    ensure!(written <= 2, "{written} events: {}", node.events()?);
    who.deregister("p", &service(NS, "stock"), &Instance::new("127.0.0.9", 9300)).await?;
    until("gone", seconds(6), async || Ok(at_eureka.instance_of("STOCK", id).await?.is_none())).await?;
    pause(12).await;
    ensure!(at_eureka.instance_of("STOCK", id).await?.is_none(), "it came back");
    Ok(())
}

/// The provider's own client keeps its instance id, so that it registers over our copy of itself.
pub async fn a_provider_moves_from_one_to_another() -> Result<()> {
    // One of them tells no deltas.
    let whole = vec![("eureka.server.disable-delta".to_owned(), "true".to_owned())];
    let whole = EurekaOptions { settings: whole, ..EurekaOptions::default() };
    let (a, b) = tokio::join!(Eureka::start(EurekaOptions::default()), Eureka::start(whole));
    let (a, b) = (a?, b?);
    let (at_a, at_b) = (a.api()?, b.api()?);
    let (old, new) = (Providers::at(&a)?, Providers::at(&b)?);
    let node = Node::start().await?;
    let clusters = [cluster("a", "EUREKA", &a.addr(), ""), cluster("b", "EUREKA", &b.base(), "")];
    node.apply(&settings(&clusters, &[("a", "b")]))?;
    let (here, mut there) = (spring("ORDERS", 7100), spring("ORDERS", 7100));
    there["metadata"]["version"] = json!("2");
    old.put(here.clone()).await?;
    until("the copy", seconds(10), async || Ok(at_b.instances("ORDERS").await?.len() == 1)).await?;
    let copy = at_b.instances("ORDERS").await?.pop().context("no copy")?;
    for key in ["instanceId", "hostName", "homePageUrl", "statusPageUrl", "vipAddress", "leaseInfo.durationInSecs"] {
        let at = |one: &Value| one.pointer(&format!("/{}", key.replace('.', "/"))).cloned();
        ensure!(at(&copy) == at(&here), "{key} of {copy}");
    }
    let gaps = [Gaps::watch(&at_a, "ORDERS"), Gaps::watch(&at_b, "ORDERS")];
    new.put(there.clone()).await?;
    let native = async |api: &EurekaApi, bare: bool| {
        let all = api.instances("ORDERS").await?;
        let marked = |one: &Value| one["metadata"].get("causeway").is_some();
        Ok(matches!(all.as_slice(), [one] if marked(one) != bare && one["metadata"]["version"] == "2"))
    };
    until("the native of B alone", seconds(6), async || native(&at_b, true).await).await?;
    pause(3).await;
    old.end(&here).await?;
    until("the native of B stands in A", seconds(10), async || native(&at_a, false).await).await?;
    pause(3).await;
    ensure!(native(&at_b, true).await?, "{:?}", at_b.instances("ORDERS").await?);
    // At A it is away from when its provider deregisters until the copy is made.
    ensure!(gaps[1].count() == 0 && gaps[0].count() < 150, "{} {}", gaps[0].count(), gaps[1].count());
    eprintln!("looks without it at A: {}", gaps[0].count());
    new.end(&there).await?;
    until("gone everywhere", seconds(10), async || {
        Ok(at_a.instances("ORDERS").await?.is_empty() && at_b.instances("ORDERS").await?.is_empty())
    })
    .await?;
    Ok(())
}
