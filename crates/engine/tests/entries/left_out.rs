//! What is left out on purpose is counted, and never taken for deleted.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;

const NUMBERED: Option<Aside> = Some(Aside::Numbered);

fn counted(world: &World, words: &str) -> usize {
    world.status().skipped.iter().filter(|(why, _)| why.to_string().contains(words)).map(|(_, count)| count).sum()
}

#[tokio::test(start_paused = true)]
async fn numbered_and_ephemeral_entries_are_counted_and_stay() {
    for ways in [Ways::One, Ways::Two] {
        let world = World::new(|spec| spec.ways = ways);
        populate(&world.a, 3);
        for path in ["/q/n1", "/q/n1/below", "/q/n2", "/q/named", "/leader"] {
            put(&world.a, path, path);
        }
        world.a.set_aside(&key("/q/n1"), NUMBERED);
        world.a.set_aside(&key("/q/n2"), NUMBERED);
        world.a.set_aside(&key("/leader"), Some(Aside::Ephemeral));
        put(&world.b, "/q/b1", "of b");
        world.b.set_aside(&key("/q/b1"), NUMBERED);
        let world = world.start();
        seconds(40).await;
        let there: Vec<_> = world.b.all().into_keys().map(|key| key.name.to_string()).collect();
        assert_eq!(there, ["/cfg", "/cfg/0", "/cfg/1", "/cfg/2", "/q", "/q/b1", "/q/named"]);
        assert!(world.a.get(&key("/q/b1")).is_none());
        let numbered = if ways == Ways::Two { 3 } else { 2 };
        assert_eq!((counted(&world, "numbered"), counted(&world, "ephemeral")), (numbered, 1));
        assert_eq!((world.status().state, world.status().pending), (RouteState::InStep, 0), "{:#?}", world.status());
        // One turns out to be named by a client: it comes with what is below it.
        world.a.set_aside(&key("/q/n1"), None);
        seconds(2).await;
        assert_eq!(world.read(Side::Right, "/q/n1/below").as_deref(), Some("/q/n1/below"));
        // Where something of the destination's own is left out, its folder stays.
        world.a.remove(&key("/q"));
        seconds(60).await;
        assert!(world.b.get(&key("/q/b1")).is_some() && world.b.get(&key("/q/named")).is_none());
    }
}

/// The more siblings go, the less can be told: what was copied takes part for good, also after a restart.
#[tokio::test(start_paused = true)]
async fn what_was_copied_is_never_left_out_later() {
    for ways in [Ways::One, Ways::Two] {
        for sides in [&[Side::Left][..], &[Side::Right], &Side::BOTH] {
            let world = World::new(|spec| spec.ways = ways);
            for path in ["/t/1", "/t/1/below", "/t/2"] {
                put(&world.a, path, "first");
            }
            let world = world.start();
            seconds(40).await;
            assert!(world.same());
            for side in sides {
                world.tree(*side).set_aside(&key("/t/1"), NUMBERED);
                world.tree(*side).set_aside(&key("/t/2"), NUMBERED);
            }
            let mut world = world;
            for restart in [false, true] {
                if restart {
                    world = world.restart().await;
                }
                seconds(600).await;
                assert_eq!((world.a.all().len(), world.b.all().len()), (4, 4), "{ways:?} {sides:?} {restart}");
                put(&world.a, "/t/1", "edited");
                put(&world.a, &format!("/t/1/new{restart}"), "new");
                seconds(2).await;
                assert!(world.same(), "{ways:?} {sides:?} {restart}: {:#?}", world.status());
                assert_eq!(counted(&world, "numbered"), 0);
                world.a.remove(&key(&format!("/t/1/new{restart}")));
                seconds(2).await;
            }
            assert_eq!(world.notebook.count(Action::Deleted), 2, "the two that were deleted");
            // A deletion is one, whatever the listing said of it.
            world.a.remove(&key("/t/2"));
            seconds(2).await;
            assert!(world.b.get(&key("/t/2")).is_none());
        }
    }
}

/// Where only one side can tell that a client named it, it is data.
#[tokio::test(start_paused = true)]
async fn one_side_that_can_tell_is_enough() {
    let world = World::two_way(Conflicts::Manual);
    for tree in [&world.a, &world.b] {
        put(tree, "/t/1", "same");
        put(tree, "/t/2", "same");
    }
    world.a.set_aside(&key("/t/1"), NUMBERED);
    for tree in [&world.a, &world.b] {
        tree.set_aside(&key("/t/2"), NUMBERED);
    }
    let world = world.start();
    seconds(40).await;
    put(&world.b, "/t/1", "edited");
    put(&world.b, "/t/2", "edited");
    seconds(2).await;
    assert_eq!(world.read(Side::Left, "/t/1").as_deref(), Some("edited"));
    assert_eq!(world.read(Side::Left, "/t/2").as_deref(), Some("same"), "both say that it was numbered");
}
