//! Whatever two sides do to a small tree, with outages and restarts between: they end in step, or in a listed conflict.

use crate::harness::*;
use causeway_connectors::memory::Fault;
use causeway_core::*;
use causeway_engine::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

const PATHS: [&str; 8] = ["/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/e/f/g", "/h"];

#[derive(Clone, Debug)]
enum Act {
    Put(Side, usize, u8),
    Remove(Side, usize),
    Wait(u64),
    Fail(Side, Fault),
    Heal(Side),
    /// Calls take so many milliseconds from now on.
    Slow(Side, u64),
    /// The process ends, in order or not, and another begins after this many milliseconds.
    Restart(bool, u64),
}

fn side() -> impl Strategy<Value = Side> {
    any::<bool>().prop_map(|left| if left { Side::Left } else { Side::Right })
}

fn act() -> impl Strategy<Value = Act> {
    let waits = prop_oneof![0u64..5, 100u64..1_000, 20_000u64..60_000];
    prop_oneof![
        6 => (side(), 0..PATHS.len(), 0u8..4).prop_map(|(side, path, text)| Act::Put(side, path, text)),
        3 => (side(), 0..PATHS.len()).prop_map(|(side, path)| Act::Remove(side, path)),
        4 => waits.prop_map(Act::Wait),
        1 => (side(), any::<bool>()).prop_map(|(s, hung)| Act::Fail(s, if hung { Fault::Hung } else { Fault::Down })),
        2 => side().prop_map(Act::Heal),
        2 => (side(), 0u64..20).prop_map(|(side, time)| Act::Slow(side, time)),
        1 => (any::<bool>(), 0u64..2_000).prop_map(|(order, wait)| Act::Restart(order, wait)),
    ]
}

async fn play(conflicts: Conflicts, acts: &[Act]) -> World {
    let mut world = World::two_way(conflicts).start();
    for act in acts {
        match act {
            Act::Put(side, path, text) => put(world.tree(*side), PATHS[*path], &text.to_string()),
            Act::Remove(side, path) => world.tree(*side).remove(&key(PATHS[*path])),
            Act::Wait(time) => millis(*time).await,
            Act::Fail(side, fault) => world.tree(*side).fail(fault.clone()),
            Act::Heal(side) => world.tree(*side).fail(Fault::None),
            Act::Slow(side, time) => world.tree(*side).slow(Duration::from_millis(*time)),
            Act::Restart(in_order, wait) => {
                if *in_order {
                    world.engine.stop().await;
                }
                let none = || DataEngine::new(DataTiming::default(), world.notebook.clone(), Default::default());
                drop(std::mem::replace(&mut world.engine, none()));
                millis(*wait).await;
                let ledgers = world.notebook.ledgers(*in_order);
                world.engine = DataEngine::new(DataTiming::default(), world.notebook.clone(), ledgers);
                world = world.start();
            }
        }
    }
    world.a.fail(Fault::None);
    world.b.fail(Fault::None);
    seconds(120).await;
    // A side that was emptied while nobody watched is held.
    world.engine.release(&world.spec.owner);
    seconds(60).await;
    world
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_a_policy_both_sides_are_equal_in_the_end(
        acts in prop::collection::vec(act(), 1..60),
        conflicts in prop_oneof![Just(Conflicts::Source), Just(Conflicts::Destination), Just(Conflicts::Newest)],
    ) {
        run(async {
            let world = play(conflicts, &acts).await;
            prop_assert_eq!(world.a.all(), world.b.all(), "{:#?}", world.status());
            prop_assert_eq!(world.status().state, RouteState::InStep, "{:#?}", world.status());
            // A sweep may list everything in between.
            let asked = || [&world.a, &world.b].map(|tree| (tree.counts().read, tree.counts().written));
            let before = asked();
            seconds(300).await;
            prop_assert_eq!(before, asked(), "at rest nothing is read and nothing written");
            Ok(())
        })?;
    }

    #[test]
    fn without_one_they_are_equal_or_in_conflict(acts in prop::collection::vec(act(), 1..60)) {
        run(async {
            let world = play(Conflicts::Manual, &acts).await;
            let conflicts: BTreeSet<_> = world.conflicts().into_iter().map(|row| row.key).collect();
            let (a, b) = (world.a.all(), world.b.all());
            let differ = a.keys().chain(b.keys()).filter(|key| a.get(key) != b.get(key)).collect::<BTreeSet<_>>();
            for key in &differ {
                // What lies below or above an open conflict waits for its end.
                let waits = conflicts.iter().any(|open| *key == open || NameShape::Tree.is_below(key, open) || NameShape::Tree.is_below(open, key));
                prop_assert!(waits, "{key}: {:#?}", world.status());
            }
            for key in &conflicts {
                prop_assert!(differ.contains(key), "{key} is no conflict: {:#?}", world.status());
            }
            prop_assert_eq!(world.status().state == RouteState::InStep, differ.is_empty(), "{:#?}", world.status());
            // When they are all decided, both sides are equal.
            for round in 0..6 {
                for (n, row) in world.conflicts().into_iter().enumerate() {
                    let side = Side::BOTH[(round + n) % 2];
                    prop_assert!(world.engine.resolve(&world.spec.owner, &row.key, side));
                }
                seconds(60).await;
                // A decision may take away the last of a side: that is held like any other removal of all, and released.
                world.engine.release(&world.spec.owner);
            }
            seconds(60).await;
            prop_assert!(world.same() && world.status().state == RouteState::InStep, "{:#?}", world.status());
            Ok(())
        })?;
    }

    #[test]
    fn one_way_the_destination_ends_with_what_the_source_has(acts in prop::collection::vec(act(), 1..60)) {
        run(async {
            let acts: Vec<_> = acts.iter().filter(|act| !matches!(act, Act::Restart(..))).cloned().collect();
            let mut written = 0;
            let mut world = World::new(|spec| {
                (spec.overrides, spec.conflicts) = (Overrides::Replace, Conflicts::Source);
            });
            world = world.start();
            for act in &acts {
                match act {
                    Act::Put(side, path, text) => put(world.tree(*side), PATHS[*path], &text.to_string()),
                    Act::Remove(side, path) => world.tree(*side).remove(&key(PATHS[*path])),
                    Act::Wait(time) => millis(*time).await,
                    Act::Fail(side, fault) => world.tree(*side).fail(fault.clone()),
                    Act::Heal(side) => world.tree(*side).fail(Fault::None),
                    Act::Slow(side, time) => world.tree(*side).slow(Duration::from_millis(*time)),
                    Act::Restart(..) => {}
                }
                written = world.a.counts().written;
            }
            world.a.fail(Fault::None);
            world.b.fail(Fault::None);
            seconds(120).await;
            world.engine.release(&world.spec.owner);
            seconds(60).await;
            prop_assert_eq!((written, world.a.counts().written), (0, 0), "the source is never written");
            let b = world.b.all();
            for (key, content) in world.a.all() {
                prop_assert_eq!(b.get(&key), Some(&content), "{} {:#?}", key, world.status());
            }
            prop_assert_eq!(world.status().pending, 0, "{:#?}", world.status());
            Ok(())
        })?;
    }
}
