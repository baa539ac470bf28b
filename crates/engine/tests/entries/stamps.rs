//! Stamps that say different things: what was put back, with and without a trace.

use crate::harness::ports::{Flickering, Undoing};
use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;
use parking_lot::Mutex;
use std::sync::Arc;

const KINDS: [StampKind; 3] = [StampKind::Monotonic, StampKind::Unique, StampKind::ContentHash];

#[tokio::test(start_paused = true)]
async fn what_was_put_back_between_two_looks() {
    for stamps in KINDS {
        let mut world = World::with(EntryFacts { shape: NameShape::Tree, stamps }, |_| {});
        populate(&world.a, 10);
        world = world.start();
        seconds(40).await;
        for side in Side::BOTH {
            for text in ["other", "7"] {
                put(world.tree(side), "/cfg/7", text);
            }
        }
        let written = world.b.counts().written;
        seconds(60).await;
        assert!(world.same() && world.status().state == RouteState::InStep, "{stamps:?} {:?}", world.status());
        assert_eq!(world.b.counts().written, written, "{stamps:?}");
        world.change(|spec| spec.run = RunState::Drain);
        seconds(5).await;
        // Where it cannot be seen that somebody has written the same, what stands there is what we wrote.
        let left = usize::from(stamps != StampKind::ContentHash) * 2;
        assert_eq!(world.b.all().len(), left, "{stamps:?} {:?}", world.b.all().keys());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_while_it_was_read() {
    for stamps in KINDS {
        let mut world = World::with(EntryFacts { shape: NameShape::Tree, stamps }, |_| {});
        put(&world.a, "/x", "as it was");
        let flicker = Mutex::new(Some((key("/x"), Content::of("for a moment"))));
        world.spec.source.port = DataPort::read_only(Arc::new(Flickering(world.a.clone(), flicker)));
        let world = world.start();
        seconds(60).await;
        assert_eq!(world.read(Side::Right, "/x"), Some("as it was".into()), "{stamps:?}");
        seconds(60).await;
        let read = world.a.counts().read;
        seconds(600).await;
        assert_eq!(world.a.counts().read, read, "{stamps:?}: it is not read for ever");
    }
}

/// So with what was put back over our own write.
#[tokio::test(start_paused = true)]
async fn what_was_put_back_over_our_write() {
    for stamps in KINDS {
        let mut world =
            World::with(EntryFacts { shape: NameShape::Tree, stamps }, |spec| spec.overrides = Overrides::Replace);
        put(&world.a, "/x", "1");
        let undo = Mutex::new(None);
        let undoing = Arc::new(Undoing(world.b.clone(), undo));
        world.spec.destination.port = DataPort::read_write(undoing.clone());
        let world = world.start();
        seconds(40).await;
        *undoing.1.lock() = Some((key("/x"), Content::of("1")));
        put(&world.a, "/x", "2");
        seconds(60).await;
        assert!(undoing.1.lock().is_none());
        assert_eq!(world.read(Side::Right, "/x"), Some("2".into()), "{stamps:?}: what was put back is replaced");
    }
}

/// Of contents nobody can say whether they were put back or edited.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_put_back_is_told_by_its_stamps() {
    for (stamps, lost) in [(StampKind::Monotonic, true), (StampKind::Unique, true), (StampKind::ContentHash, false)] {
        let world = World::with(EntryFacts { shape: NameShape::Tree, stamps }, |spec| spec.ways = Ways::Two);
        populate(&world.a, 20);
        let world = world.start();
        seconds(40).await;
        let backup = world.a.copy();
        (0..20).for_each(|n| put(&world.a, &format!("/cfg/{n}"), "newer"));
        world.a.put(&key("/cfg"), Content::of("newer"));
        seconds(40).await;
        world.a.put_back(backup);
        seconds(60).await;
        assert_eq!(world.conflicts().len(), if lost { 21 } else { 0 }, "{stamps:?}");
    }
}
