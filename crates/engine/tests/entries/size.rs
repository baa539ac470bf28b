//! Many entries: how long, how many calls, how much memory. The figures are printed; what is asserted is what must not
//! depend on the machine.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;
use std::time::{Duration, Instant};

/// A debug build is slow by itself.
const MANY: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
/// Of 256 entries each, and some directories.
const BATCHES: usize = MANY / 256 + 10;

fn fill(world: &World) {
    for n in 0..MANY {
        put(&world.a, &format!("/cfg/{}/{}", n % 100, n), &format!("value of entry number {n}"));
    }
}

async fn until_in_step(world: &World) {
    while world.status().state != RouteState::InStep || world.status().entries < MANY {
        millis(5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_copy_keeps_many_calls_under_way() {
    let world = World::two_way(Conflicts::Manual);
    fill(&world);
    let trip = Duration::from_millis(10);
    world.a.slow(trip);
    world.b.slow(trip);
    let (virtual_start, start) = (tokio::time::Instant::now(), Instant::now());
    let world = world.start();
    until_in_step(&world).await;
    let (took, real) = (virtual_start.elapsed(), start.elapsed());
    let (a, b) = (world.a.counts(), world.b.counts());
    println!("{MANY} entries, {trip:?} a call: {took:?} of waiting, {real:?} of work; {a:?} {b:?}");
    assert!(world.same());
    assert_eq!((b.refused, b.read), (0, 0));
    // One after the other they would wait for two calls each.
    assert!(took < trip * u32::try_from(BATCHES).unwrap() / 3, "{took:?}");
    assert!(a.calls <= BATCHES && b.calls <= BATCHES * 5 / 4, "{a:?} {b:?}");

    let start = Instant::now();
    let world = world.restart().await;
    until_in_step(&world).await;
    assert_eq!((world.a.counts(), world.b.counts()), (a, b), "a restart asks for nothing");
    println!("a restart with {MANY} entries in step: {:?}", start.elapsed());

    let start = Instant::now();
    put(&world.a, "/cfg/7/7", "changed");
    millis(100).await;
    assert_eq!(world.read(Side::Right, "/cfg/7/7"), Some("changed".into()));
    println!("one edit among them: {:?} of work", start.elapsed());
    assert_eq!(world.a.counts().read, a.read + 1);
}

/// The process's resident memory in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// By hand: `cargo test --release -p causeway-engine --test data_size -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "figures for a million entries, in a minute or so"]
async fn a_million_entries() {
    let million = 1_000_000;
    let world = World::new(|_| {});
    for n in 0..million {
        put(&world.a, &format!("/company/team-{}/service-{}/config-{n}", n % 50, n % 1000), "x");
    }
    let before = resident();
    let start = Instant::now();
    let world = world.start();
    while world.status().entries < million {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let copied = start.elapsed();
    while world.status().state != RouteState::InStep {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    world.notebook.events.lock().clear();
    println!("copied in {copied:?}; the copy, the ledger's notes and our rows: {} MiB", (resident() - before) >> 20);
    let world = world.down().await;
    world.notebook.keep();
    let before = resident();
    let start = Instant::now();
    let world = world.restart().await;
    while world.status().state != RouteState::InStep {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("restarted in {:?}; with {} MiB more", start.elapsed(), (resident() - before) >> 20);
    let start = Instant::now();
    drop(world.status());
    println!("a status in {:?}", start.elapsed());
}
