//! How late changes are: from the moment at which one side tells of one until the other accepts it.

use crate::harness::*;
use crate::odd::arrivals;
use causeway_connectors::memory::Fault;
use causeway_core::*;
use causeway_engine::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn each_change_is_timed_once_and_what_was_there_is_not() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 100);
    let world = world.start();
    seconds(10).await;
    assert_eq!(arrivals(&world.status().meters.right).0, 0, "a first reading");
    put(&world.a, "/cfg/7", "seven");
    put(&world.b, "/cfg/8", "eight");
    seconds(5).await;
    let status = world.status();
    assert_eq!((arrivals(&status.meters.right).0, arrivals(&status.meters.left).0), (1, 1));
    assert!(arrivals(&status.meters.right).1 < 5.0);
    assert_eq!(status.lag, Pair::default());
    let writes: Vec<_> = status.meters.right.writes().filter(|(.., count)| *count > 0).collect();
    let accepted = WriteOutcome::Accepted;
    assert_eq!(writes, [(WriteKind::Create, accepted, 101), (WriteKind::Update, accepted, 1)]);
    // Both sides say the same: nothing is written, and nothing is late.
    put(&world.a, "/both", "x");
    put(&world.b, "/both", "x");
    seconds(60).await;
    assert_eq!(world.status().lag, Pair::default());
}

#[tokio::test(start_paused = true)]
async fn a_side_that_is_away_makes_changes_late() {
    let mut world = World::new(|_| {});
    populate(&world.a, 10);
    world = world.start();
    seconds(10).await;
    world.b.fail(Fault::Down);
    seconds(1).await;
    put(&world.a, "/cfg/7", "seven");
    put(&world.a, "/short", "x");
    seconds(20).await;
    assert_eq!(world.status().lag.right.as_secs(), 20);
    world.a.remove(&key("/short"));
    world.b.fail(Fault::None);
    seconds(30).await;
    let status = world.status();
    assert_eq!((status.lag, arrivals(&status.meters.right).0), (Pair::default(), 1));
    assert!(arrivals(&status.meters.right).1 > 19.0);
    // What is left alone, and a task that is paused, are not late.
    put(&world.b, "/cfg/7", "by hand");
    put(&world.a, "/cfg/7", "again");
    seconds(60).await;
    assert_eq!(world.status().lag, Pair::default());
    world.change(|spec| spec.run = RunState::Paused);
    put(&world.a, "/cfg/8", "eight");
    seconds(60).await;
    assert_eq!(world.status().lag, Pair::of(|_| Duration::ZERO));
}
