//! What ten thousand instances in Eureka cost at rest, and a server that preserves itself.

use crate::estate::{Shared, namespace_at, pause, seconds, shared_nacos, until};
use crate::eureka::{Gaps, Providers, spring};
use crate::node::Node;
use crate::zk_estate::{cluster, settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Eureka, EurekaApi, EurekaOptions, Instance, Server, ServiceName};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Passes bytes on to a server, and notes when each request began, by method.
struct Counter {
    address: String,
    calls: Arc<Mutex<Vec<(Instant, &'static str)>>>,
}

const METHODS: [&str; 4] = ["GET", "PUT", "POST", "DELETE"];

impl Counter {
    fn before(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, server) = (listener.local_addr()?.to_string(), server.to_owned());
        let calls = Arc::<Mutex<Vec<_>>>::default();
        let noted = calls.clone();
        std::thread::spawn(move || {
            for one in listener.incoming().flatten() {
                let Ok(other) = TcpStream::connect(&server) else { continue };
                let (Ok(back), Ok(from)) = (one.try_clone(), other.try_clone()) else { continue };
                let noted = noted.clone();
                std::thread::spawn(move || pass(one, other, Some(&noted)));
                std::thread::spawn(move || pass(from, back, None));
            }
        });
        Ok(Self { address, calls })
    }

    /// The calls of each second of the last minute, by method.
    async fn minute(&self) -> BTreeMap<&'static str, [usize; 60]> {
        let began = Instant::now();
        pause(60).await;
        let mut found: BTreeMap<_, [usize; 60]> = BTreeMap::new();
        for (at, method) in self.calls.lock().unwrap().iter().filter(|(at, _)| *at >= began) {
            let second = (*at - began).as_secs() as usize;
            if second < 60 {
                found.entry(*method).or_insert([0; 60])[second] += 1;
            }
        }
        found
    }
}

/// A client waits for an answer before its next request, so that each request begins a read.
fn pass(mut from: TcpStream, mut to: TcpStream, noted: Option<&Mutex<Vec<(Instant, &'static str)>>>) {
    let mut buffer = [0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let begins = |method: &&&str| buffer.starts_with(format!("{method} /").as_bytes());
        if let (Some(noted), Some(method)) = (noted, METHODS.iter().find(begins)) {
            noted.lock().unwrap().push((Instant::now(), *method));
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

/// Seconds of processor time that a process has used.
fn processor(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = text.rsplit(')').next().context("no fields")?.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// 5,000 services with two instances each, read and held: a bounded number of calls, evenly spread.
pub async fn five_thousand_services_at_rest() -> Result<()> {
    const LEASES: usize = 10_000;
    // Servers tell of a change for three minutes by default: nothing is at rest before.
    let quick = [("retentionTimeInMSInDeltaQueue", "10000"), ("deltaRetentionTimerIntervalInMs", "2000")];
    let own: Vec<_> = quick.map(|(key, value)| (format!("eureka.server.{key}"), value.to_owned())).into();
    let server = || Eureka::start(EurekaOptions { settings: own.clone(), ..EurekaOptions::default() });
    let (from, to) = tokio::try_join!(server(), server())?;
    let (at_from, at_to) = (from.api()?, to.api()?);
    let fill = async |at: &EurekaApi, first: u16| -> Result<()> {
        for n in 0..1_250 {
            for port in [1, 2] {
                let app = format!("REST-{}", u32::from(first) + n);
                let mut one = spring(&app, port);
                one["leaseInfo"]["durationInSecs"] = serde_json::json!(3_600);
                at.register(&one).await?;
            }
        }
        Ok(())
    };
    tokio::try_join!(fill(&at_from, 0), fill(&at_from, 1_250), fill(&at_from, 2_500), fill(&at_from, 3_750))?;
    let counters = [Counter::before(&from.addr())?, Counter::before(&to.addr())?];
    let node = Node::start().await?;
    let clusters =
        [cluster("from", "EUREKA", &counters[0].address, ""), cluster("to", "EUREKA", &counters[1].address, "")];
    node.apply(&settings(&clusters, &[task("from", "to", "Unidirectional")]))?;
    let took = until("all are copied", seconds(240), async || Ok(node.task()?["instances"] == LEASES)).await?;
    eprintln!("5,000 x 2 copied within {took:?}");
    // The first renewals come sooner, as after any start.
    pause(45).await;
    let pids = [
        ("ours", node.pid()),
        ("source", from.pid().context("no source")?),
        ("destination", to.pid().context("none")?),
    ];
    let before = pids.map(|(_, pid)| processor(pid));
    let [read, held] = &counters;
    let (read, held) = tokio::join!(read.minute(), held.minute());
    for ((name, pid), before) in pids.into_iter().zip(before) {
        eprintln!("{name}: {:.1} s of processor time a minute", processor(pid)? - before?);
    }
    let sums = |calls: &BTreeMap<&str, [usize; 60]>| -> BTreeMap<String, usize> {
        calls.iter().map(|(method, seconds)| ((*method).to_owned(), seconds.iter().sum())).collect()
    };
    eprintln!("calls a minute: source {:?}, destination {:?}", sums(&read), sums(&held));
    let renewals = held.get("PUT").context("nothing is renewed")?;
    let (sum, most) = (renewals.iter().sum::<usize>(), renewals.iter().max().copied().unwrap_or_default());
    let mean = sum as f64 / 60.0;
    eprintln!("renewals: {mean:.0} a second, {most} in the busiest");
    ensure!(sum > 2 * LEASES * 9 / 10 && sum < 2 * LEASES * 12 / 10, "{sum} renewals a minute");
    ensure!(most as f64 <= 1.2 * mean, "the busiest second has {most}, the mean is {mean:.0}: {renewals:?}");
    ensure!(sums(&read).values().sum::<usize>() <= 90, "{:?}", sums(&read));
    let others = |calls: &BTreeMap<&str, [usize; 60]>| {
        sums(calls).into_iter().filter(|(method, _)| method != "PUT").map(|(_, count)| count).sum::<usize>()
    };
    ensure!(others(&held) <= 90, "{:?}", sums(&held));
    ensure!(at_to.all().await?.len() == LEASES, "all stand");
    Ok(())
}

/// A server that preserves itself goes on listing what does not renew any more: nothing is taken away, nor ours ended. What says
/// goodbye is gone, and when the server is itself again, so is what died.
pub async fn a_server_that_preserves_itself() -> Result<()> {
    let nacos: Shared = shared_nacos(Server::Nacos2).await?;
    let space = namespace_at(&[&nacos], "eureka-preserves").await?;
    let own = [("enable-self-preservation", "true"), ("eviction-interval-timer-in-ms", "1000")];
    let own = own.map(|(key, value)| (format!("eureka.server.{key}"), value.to_owned()));
    let eureka = Eureka::start(EurekaOptions { settings: own.into(), ..EurekaOptions::default() }).await?;
    let (api, providers) = (eureka.api()?, Providers::at(&eureka)?);
    let node = Node::start().await?;
    let clusters = [
        cluster("eureka", "EUREKA", &eureka.addr(), ", eureka: {lease: 6s}"),
        cluster("nacos", "NACOS", &nacos.address, &format!(", namespace: {space}")),
    ];
    node.apply(&settings(&clusters, &[task("eureka", "nacos", "Bidirectional")]))?;
    let who = Backdoor::start().await?;
    who.connect("p", &nacos.address, &space).await?;
    let service = |name: &str| ServiceName::new(&space, "DEFAULT_GROUP", name);
    who.register("p", &service("stock"), &Instance::new("127.0.0.9", 9300)).await?;
    // Far more than what goes on renewing: less than 85 % of the renewals come.
    for n in 0..20 {
        let mut one = spring(&format!("ORDERS-{n}"), 7001);
        one["leaseInfo"]["durationInSecs"] = serde_json::json!(3);
        providers.put(one).await?;
    }
    let shown = async || {
        let mut sum = 0;
        for n in 0..20 {
            sum += nacos.api.visible(&service(&format!("orders-{n}"))).await?.len();
        }
        anyhow::Ok(sum)
    };
    until("all in Nacos", seconds(20), async || Ok(shown().await? == 20)).await.with_context(|| node.log())?;
    until("stock at Eureka", seconds(20), async || Ok(api.instances("STOCK").await?.len() == 1)).await?;
    let gaps = Gaps::watch(&api, "STOCK");
    let dead = providers.die();
    // Twice the lease, and some: without self-preservation they would be gone.
    for _ in 0..20 {
        pause(1).await;
        ensure!(shown().await? == 20, "{} are left in Nacos", shown().await?);
    }
    ensure!(api.all().await?.len() == 21, "the server does not preserve what is there");
    let (data, port) = node.kill()?;
    pause(3).await;
    let node = Node::on(data, port).await?;
    pause(5).await;
    ensure!(shown().await? == 20 && gaps.count() == 0, "after a restart: {} {}", shown().await?, gaps.count());

    // Goodbye counts in this state too.
    ensure!(api.cancel("ORDERS-0", dead[0]["instanceId"].as_str().context("no id")?).await?, "it is there");
    until("one has gone", seconds(10), async || Ok(shown().await? == 19)).await?;
    // Their providers are back, all but one, and the server is itself again after a minute.
    for one in &dead[2..] {
        providers.put(one.clone()).await?;
    }
    node.ok(&["verify", "eureka-nacos-service"])?;
    ensure!(gaps.count() == 0, "stock was missing in {} looks", gaps.count());
    Ok(())
}
