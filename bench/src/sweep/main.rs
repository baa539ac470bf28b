//! How long a live change takes while everything is looked at again, and what names that come and go leave behind.
//!
//! ```sh
//! cargo run --release -p causeway-bench --bin sweep [delay|churn|hold] [services]
//! ```
//! Two registries in memory and one engine between them, all on one thread: whatever keeps the thread busy in one go delays
//! the change. `delay` changes one service at a time and waits until its copy stands there: at rest, while a changed
//! task has everything planned again, while complete looks are taken in, and after all connections broke. `churn` creates,
//! copies and removes names that are never used again beside 20,000 instances that stay, and compares what is kept before
//! and after. `hold` tells what an
//! instance takes in memory, and the processor at rest.

use anyhow::{Result, ensure};
// For its allocator.
use causeway_bench as _;
use causeway_connectors::memory::{Fault, Memory, MemoryPorts};
use causeway_core::{
    ClusterId, Instance, Lens, Overrides, OwnerId, Port, Renaming, ServiceKey, ServiceLens, WriteMode, Written,
};
use causeway_engine::{ClusterSpec, Engine, Event, GuardLimits, Only, Recorder, RouteSpec, RunState, Timing};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Live changes in each phase.
const CHANGES: usize = 300;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(5);
/// After this time without a change everything is forgotten that went: names after two minutes, what they shared at a look after
/// one, two or four more.
const REST: Duration = Duration::from_secs(300);

/// Services of ten instances that stay while others come and go.
const ESTATE: usize = 2_000;

struct Nobody;

impl Recorder for Nobody {
    fn ledger(&self, _: &ClusterId, _: &ServiceKey, _: &Written) {}
    fn kept(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    fn event(&self, _: Event) {}
    fn only(&self, _: &OwnerId, _: &ClusterId, _: &BTreeSet<ServiceKey>) {}
}

struct World {
    source: Memory,
    copy: Memory,
    engine: Arc<Engine>,
    ports: [Arc<MemoryPorts>; 2],
    renames: bool,
}

impl World {
    fn new(sweep: Duration, renames: bool) -> Self {
        let (source, copy) = (Memory::new(), Memory::new());
        let ports = [&source, &copy].map(|memory| Arc::new(MemoryPorts::open(memory)));
        let timing = Timing { sweep, ..Timing::default() };
        let world =
            Self { engine: Engine::new(timing, Arc::new(Nobody), BTreeMap::new()), source, copy, ports, renames };
        world.configure();
        world
    }

    /// Another lens is another task: everything is planned again.
    fn configure(&self) {
        let names = ["a", "b"];
        let id = |name: &str| ClusterId::of(name);
        let clusters = names.iter().zip(&self.ports).map(|(name, ports)| ClusterSpec {
            id: id(name),
            name: (*name).into(),
            port: Port::read_write(ports.clone()),
        });
        let mut lens = ServiceLens::default();
        if self.renames {
            lens.group = Renaming::Template("of-{group}".into());
        }
        let route = RouteSpec {
            task: "task".into(),
            owner: OwnerId::new("i", "task"),
            source: id("a"),
            destination: id("b"),
            way_back: false,
            parts: None,
            lens: Arc::new(lens) as Arc<dyn Lens>,
            mode: WriteMode::Sync,
            overrides: Overrides::Keep,
            relay: false,
            take_over: None,
            guard: GuardLimits { share: 1.0, floor: usize::MAX, ..GuardLimits::default() },
            settle: Duration::from_secs(1),
            only: Only::Any,
            run: RunState::On,
        };
        self.engine.configure(clusters.collect(), vec![route]);
    }

    /// Ten instances of a service, with the metadata of a usual provider.
    fn provide(&self, service: &ServiceKey, n: usize) {
        for port in 0..10 {
            let mut instance = Instance::new(&format!("127.0.{}.{}", n / 250 % 250, n % 250), 20_000 + port);
            instance.metadata = [
                ("version", "1.0.0".to_owned()),
                ("zone", format!("zone-{}", n % 3)),
                ("application", format!("application-{n}")),
                ("timestamp", format!("{}", 1_700_000_000_000u64 + n as u64 * 10 + u64::from(port))),
                ("protocol", "dubbo".to_owned()),
            ]
            .into();
            self.source.register(service, "p", instance);
        }
    }

    async fn copies(&self, count: usize, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.copy.services().len() != count {
            ensure!(Instant::now() < until, "{} of {count} copies", self.copy.services().len());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Changes one service after another, and tells how long each took to be seen in the copy.
    async fn changes(&self, what: &str, services: usize, mut before_each: impl FnMut(usize)) -> Result<()> {
        let mut took = Vec::new();
        for n in 0..CHANGES {
            before_each(n);
            tokio::time::sleep(PAUSE).await;
            let scope = service(n * 7919 % services);
            let port = u16::try_from(2_000 + took.len() + what.len() * 1_000)?;
            let began = Instant::now();
            self.source.register(&scope, &format!("{what}{n}"), Instance::new("127.0.0.1", port));
            while !self.copy.list(&scope).iter().any(|one| one.id.endpoint.port == port) {
                ensure!(began.elapsed() < Duration::from_secs(120), "{scope} is not copied");
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            took.push(began.elapsed());
        }
        took.sort();
        let (p50, p99, max) = (took[CHANGES / 2], took[CHANGES * 99 / 100], took[CHANGES - 1]);
        println!("{what:<14} p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}");
        Ok(())
    }
}

fn service(n: usize) -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", &format!("com.example.service.Number{n:06}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mode = std::env::args().nth(1).unwrap_or_else(|| "delay".into());
    let services = std::env::args().nth(2).map_or(Ok(100_000), |count| count.parse())?;
    match mode.as_str() {
        "churn" => {
            churn(services, false).await?;
            churn(services, true).await
        }
        "hold" => hold(services).await,
        _ => delay(services).await,
    }
}

/// What one of ten instances a service takes, with the metadata of a usual provider.
async fn hold(services: usize) -> Result<()> {
    let empty = resident()?;
    let world = World::new(Duration::from_secs(36_000), false);
    (0..services).for_each(|n| world.provide(&service(n), n));
    let source = resident()?;
    let began = Instant::now();
    world.copies(services, Duration::from_secs(600)).await?;
    println!("{services} services of 10 instances copied in {:.1?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (instances, all) = (services * 10, resident()?);
    let each = |kib: usize| kib * 1024 / instances;
    println!("the source alone: {} B an instance; all: {} B an instance", each(source - empty), each(all - empty));
    let cpu = processor()?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    println!("at rest: {:.2} % of a core", (processor()? - cpu) / 20.0 * 100.0);
    Ok(())
}

/// Processor's time of this process in seconds.
fn processor() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / 100.0)
}

async fn delay(services: usize) -> Result<()> {
    for looks in [false, true] {
        let world = World::new(if looks { Duration::from_secs(2) } else { Duration::from_secs(36_000) }, false);
        (0..services).for_each(|n| world.source.register(&service(n), "p", Instance::new("127.0.0.1", 80)));
        let began = Instant::now();
        world.copies(services, Duration::from_secs(600)).await?;
        println!("{services} services copied in {:.1?}", began.elapsed());
        tokio::time::sleep(Duration::from_secs(3)).await;
        if looks {
            world.changes("looks", services, |_| {}).await?;
            break;
        }
        world.changes("at rest", services, |_| {}).await?;
        let mut configured = Duration::ZERO;
        let configure = |n: usize| {
            if n.is_multiple_of(50) {
                let began = Instant::now();
                world.configure();
                configured = configured.max(began.elapsed());
            }
        };
        world.changes("changed task", services, configure).await?;
        println!("settings taken in within {configured:.1?}");
        let broken = |n: usize| {
            if n.is_multiple_of(100) {
                world.source.fail(Fault::None);
            }
        };
        world.changes("reconnected", services, broken).await?;
    }
    Ok(())
}

async fn churn(names: usize, renames: bool) -> Result<()> {
    let world = World::new(Duration::from_secs(10), renames);
    let round = names.div_ceil(20);
    (0..ESTATE).for_each(|n| world.provide(&ServiceKey::new("public", "DEFAULT_GROUP", &format!("estate-{n}")), n));
    world.copies(ESTATE, Duration::from_secs(120)).await?;
    let mut before = None;
    // The first rounds fill what the allocator keeps.
    for n in 0..22 {
        if n == 2 {
            tokio::time::sleep(REST).await;
            before = Some((resident()?, world.engine.sizes()));
        }
        let some = n * round..(n + 1) * round;
        some.clone().for_each(|n| world.source.register(&service(n), "p", Instance::new("127.0.0.1", 80)));
        world.copies(ESTATE + round, Duration::from_secs(120)).await?;
        some.for_each(|n| world.source.deregister(&service(n), "p", &Instance::new("127.0.0.1", 80).id));
        world.copies(ESTATE, Duration::from_secs(120)).await?;
    }
    tokio::time::sleep(REST).await;
    let (resident_before, sizes_before) = before.unwrap_or_default();
    let resident_after = resident()?;
    println!("churn of {names} names, renamed: {renames}: resident {resident_before} KiB, then {resident_after} KiB");
    let sizes = world.engine.sizes();
    ensure!(sizes == sizes_before, "kept before: {sizes_before:?}; kept now: {sizes:?}");
    Ok(())
}

/// Resident memory of this process in KiB.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
