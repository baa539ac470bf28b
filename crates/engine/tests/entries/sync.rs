//! Config entries in step: copies, edits, drains.

use crate::harness::*;
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_tree_is_copied_and_followed() {
    let world = World::new(|_| {});
    populate(&world.a, 1_000);
    put(&world.a, "/cfg/deep/er/still", "x");
    world.a.put(&key("/empty"), Content::default());
    world.a.put(&key("/blank"), Content::of(""));
    put(&world.b, "/own", "b's");
    let world = world.start();
    seconds(2).await;
    let mut wanted = world.a.all();
    wanted.insert(key("/own"), Content::of("b's"));
    assert_eq!(world.b.all(), wanted, "no data and empty data are two things; the destination's own stays");
    assert_eq!(world.status().state, RouteState::InStep, "{:#?}", world.status());
    assert_eq!(world.status().skipped.values().sum::<usize>(), 1);

    put(&world.a, "/cfg/7", "seven");
    put(&world.a, "/new/one", "1");
    world.a.remove(&key("/cfg/deep"));
    seconds(1).await;
    assert_eq!((world.read(Side::Right, "/cfg/7"), world.read(Side::Right, "/new/one")), (some("seven"), some("1")));
    assert!(world.b.get(&key("/cfg/deep")).is_none(), "witnessed: at once");

    let counts = (world.a.counts(), world.b.counts());
    seconds(600).await;
    assert_eq!(counts, (world.a.counts(), world.b.counts()), "at rest nothing is asked");
}

#[tokio::test(start_paused = true)]
async fn a_restart_reads_nothing_that_did_not_change() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 500);
    let world = world.start();
    seconds(2).await;
    let read = (world.a.counts().read, world.b.counts().read);
    assert_eq!(read, (501, 0), "each once, and what we wrote ourselves not at all");
    let world = world.down().await;
    put(&world.b, "/cfg/3", "three");
    let world = world.restart().await;
    seconds(60).await;
    assert_eq!(world.read(Side::Left, "/cfg/3"), some("three"));
    assert_eq!((world.a.counts().read, world.b.counts().read), (501, 1));
    assert!(world.same() && world.status().entries == 501);
}

#[tokio::test(start_paused = true)]
async fn edits_go_both_ways() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 10);
    put(&world.b, "/other", "b's");
    let world = world.start();
    seconds(2).await;
    assert!(world.same() && world.status().state == RouteState::InStep);
    for (n, side) in (0..20).zip([Side::Left, Side::Right].into_iter().cycle()) {
        put(world.tree(side), "/cfg/5", &format!("edit {n}"));
        seconds(1).await;
        assert_eq!(world.read(side.other(), "/cfg/5"), some(&format!("edit {n}")));
    }
    world.b.remove(&key("/cfg/1"));
    put(&world.b, "/cfg/2/below", "new");
    seconds(1).await;
    assert!(world.same() && world.a.get(&key("/cfg/1")).is_none() && world.conflicts().is_empty());
    assert_eq!(world.read(Side::Left, "/cfg/2/below"), some("new"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_ledger_adopts_what_is_equal_and_shows_what_is_not() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 20);
    let world = world.start();
    seconds(2).await;
    let world = world.down().await;
    world.notebook.keep();
    world.notebook.tear_out();
    put(&world.b, "/cfg/4", "different");
    world.a.remove(&key("/cfg/5"));
    let (a, b) = (world.a.counts().written, world.b.counts().written);
    let world = world.restart().await;
    seconds(60).await;
    assert_eq!(world.notebook.count(Action::Adopted), 19);
    assert_eq!(world.conflicts().iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [key("/cfg/4")]);
    assert_eq!((world.a.counts().written - a, world.b.counts().written - b), (1, 0), "what is missing comes back");
    assert_eq!(world.read(Side::Left, "/cfg/5"), some("5"));
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_while_we_were_down_is_deleted_after_settling() {
    let world = World::two_way(Conflicts::Manual);
    populate(&world.a, 100);
    let world = world.start();
    seconds(40).await;
    let world = world.down().await;
    world.a.remove(&key("/cfg/1"));
    world.b.remove(&key("/cfg/2"));
    let world = world.restart().await;
    seconds(25).await;
    assert!(world.b.get(&key("/cfg/1")).is_some(), "not before the source has settled");
    seconds(10).await;
    assert!(world.same() && world.a.all().len() == 99);
    assert_eq!(world.notebook.count(Action::Deleted), 2);
}

#[tokio::test(start_paused = true)]
async fn one_way_leaves_writes_over_or_lets_travel() {
    for (overrides, left, right) in
        [(Overrides::Keep, "1", "changed"), (Overrides::Replace, "1", "1"), (Overrides::Travel, "changed", "changed")]
    {
        let world = World::new(|spec| spec.overrides = overrides);
        populate(&world.a, 3);
        let world = world.start();
        seconds(2).await;
        put(&world.b, "/cfg/1", "changed");
        world.b.remove(&key("/cfg/2"));
        seconds(2).await;
        assert_eq!((world.read(Side::Left, "/cfg/1"), world.read(Side::Right, "/cfg/1")), (some(left), some(right)));
        assert_eq!(world.b.get(&key("/cfg/2")).is_none(), overrides == Overrides::Travel, "else it is written again");
        assert_eq!(world.a.get(&key("/cfg/2")).is_none(), overrides == Overrides::Travel);
        assert_eq!(world.notebook.said(Action::Skipped, "by hand"), overrides == Overrides::Keep);
    }
}

#[tokio::test(start_paused = true)]
async fn modes_forbid() {
    for (mode, edited) in [(WriteMode::UpsertOnly, "edited"), (WriteMode::CreateOnly, "1")] {
        let world = World::new(|spec| spec.mode = mode);
        populate(&world.a, 3);
        let world = world.start();
        seconds(2).await;
        put(&world.a, "/cfg/1", "edited");
        put(&world.a, "/cfg/new", "new");
        world.a.remove(&key("/cfg/2"));
        seconds(60).await;
        let see = |path: &str| world.read(Side::Right, path);
        assert_eq!((see("/cfg/1"), see("/cfg/2"), see("/cfg/new")), (some(edited), some("2"), some("new")), "{mode:?}");
        assert!(world.notebook.said(Action::Skipped, "policy forbids"));
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_count_where_the_task_says_so() {
    let acl = |text: &str| Content { attributes: Attributes([("acl".into(), text.into())].into()), ..Content::of("x") };
    for (attend, copied) in [
        (AttributeFilter::None, false),
        (AttributeFilter::All, true),
        (AttributeFilter::Only(BTreeSet::from(["acl".to_owned()])), true),
        (AttributeFilter::Only(BTreeSet::from(["type".to_owned()])), false),
    ] {
        let world = World::two_way(Conflicts::Manual);
        world.a.put(&key("/x"), acl("mine"));
        let mut world = world;
        world.spec.attributes = attend.clone();
        let world = world.start();
        seconds(1).await;
        let of = |world: &World| world.b.get(&key("/x")).unwrap().attributes.0.contains_key("acl");
        assert_eq!(of(&world), copied, "{attend:?}");
        let written = world.b.counts().written;
        world.a.put(&key("/x"), acl("yours"));
        seconds(1).await;
        assert_eq!(world.b.counts().written > written, copied, "{attend:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_back_what_it_created_and_nothing_else() {
    let world = World::two_way(Conflicts::Manual);
    put(&world.a, "/app/one", "1");
    put(&world.a, "/app/two", "2");
    put(&world.a, "/app/three", "3");
    put(&world.b, "/back", "b's");
    put(&world.a, "/both", "same");
    put(&world.b, "/both", "same");
    let world = world.start();
    seconds(2).await;
    assert!(world.same());
    put(&world.b, "/app/two", "edited in b");
    seconds(2).await;
    put(&world.b, "/mine/x", "late");
    let mut world = world;
    world.change(|spec| spec.run = RunState::Paused);
    put(&world.b, "/app/three", "changed while paused");
    world.change(|spec| spec.run = RunState::Drain);
    seconds(5).await;
    let names = |side: Side| world.tree(side).all().into_keys().map(|key| key.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(Side::Left), ["/app", "/app/one", "/app/three", "/app/two", "/both"]);
    assert_eq!(names(Side::Right), ["/app", "/app/three", "/app/two", "/back", "/both", "/mine", "/mine/x"]);
    assert_eq!(world.status().state, RouteState::Drained);
    assert!(
        world.notebook.said(Action::Skipped, "changed by hand") && world.notebook.said(Action::Skipped, "not ours")
    );
    world.engine.configure(Vec::new());
    assert_eq!(world.engine.forget(&world.spec.owner).await, 0);
}

struct Under(&'static str);

impl EntryInterest for Under {
    fn takes(&self, key: &EntryKey) -> bool {
        key.name.starts_with(self.0)
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        self.0.starts_with(&*key.name) || key.name.starts_with(self.0)
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_narrower_selection_deletes_nothing_and_a_drain_still_finds_all() {
    let world = World::new(|spec| spec.select = Arc::new(Under("/")));
    put(&world.a, "/in/x", "1");
    put(&world.a, "/out/y", "2");
    let mut world = world.start();
    seconds(40).await;
    world.change(|spec| spec.select = Arc::new(Under("/in/")));
    put(&world.a, "/out/y", "not seen");
    put(&world.a, "/in/deep/z", "3");
    seconds(60).await;
    assert_eq!((world.read(Side::Right, "/out/y"), world.read(Side::Right, "/in/deep/z")), (some("2"), some("3")));
    let mut world = world.restart().await;
    seconds(60).await;
    world.change(|spec| spec.run = RunState::Drain);
    seconds(5).await;
    assert!(world.b.all().is_empty(), "{:?}", world.b.all().keys());
    assert_eq!(world.status().state, RouteState::Drained);
}

/// The same, counting how often it is asked.
struct Counting(Under, AtomicUsize);

impl EntryInterest for Counting {
    fn takes(&self, key: &EntryKey) -> bool {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.takes(key)
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        self.0.may_hold(key)
    }
    fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }
}

#[tokio::test(start_paused = true)]
async fn selections_are_compared_by_value() {
    let select = |path| Arc::new(Counting(Under(path), AtomicUsize::new(0)));
    let asked = |select: &Counting| select.1.load(Ordering::SeqCst);
    let (first, same, other) = (select("/in/"), select("/in/"), select("/out/"));
    let world = World::new(|spec| spec.select = first.clone());
    put(&world.a, "/in/x", "1");
    put(&world.a, "/out/y", "2");
    let mut world = world.start();
    seconds(40).await;
    let before = asked(&first);
    assert!(before > 0);
    world.change(|spec| spec.select = same.clone());
    seconds(40).await;
    assert_eq!((asked(&first), asked(&same)), (before, 0), "the same value in another place");
    world.change(|spec| spec.select = other.clone());
    seconds(40).await;
    assert!(asked(&other) > 0 && world.read(Side::Right, "/out/y") == some("2"));
}

#[tokio::test(start_paused = true)]
async fn parents_that_take_no_part_are_made() {
    let world = World::new(|spec| spec.select = Arc::new(Under("/a/b/")));
    put(&world.a, "/a/b/c/d", "1");
    let world = world.start();
    seconds(1).await;
    assert_eq!(world.read(Side::Right, "/a/b/c/d"), some("1"));
}

/// Everything; of some names it is not decided whether they take part.
struct Unsure(&'static str);

impl EntryInterest for Unsure {
    fn takes(&self, _: &EntryKey) -> bool {
        true
    }
    fn undecided(&self, key: &EntryKey) -> Option<Undecided> {
        key.name
            .starts_with(self.0)
            .then(|| Undecided { pattern: "(a+)+".into(), subject: format!("the name {}", key.name) })
    }
    fn may_hold(&self, _: &EntryKey) -> bool {
        true
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&("unsure", self.0))
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_filter_decides_is_left_alone_on_both_sides() {
    let world = World::new(|spec| spec.ways = Ways::Two);
    put(&world.a, "/in/old", "1");
    let mut world = world.start();
    seconds(40).await;
    assert_eq!(world.read(Side::Right, "/in/old"), some("1"));
    world.change(|spec| spec.select = Arc::new(Unsure("/in/")));
    seconds(1).await;
    put(&world.a, "/in/old", "2");
    put(&world.a, "/in/left", "1");
    put(&world.b, "/in/right", "1");
    put(&world.a, "/free", "1");
    seconds(400).await;
    assert_eq!((world.read(Side::Right, "/free"), world.read(Side::Right, "/in/old")), (some("1"), some("1")));
    assert_eq!((world.read(Side::Right, "/in/left"), world.read(Side::Left, "/in/right")), (None, None));
    assert_eq!(world.status().skipped.values().sum::<usize>(), 3, "{:?}", world.status());
    assert_eq!(world.status().skipped.len(), 1, "one reason, whatever the names");
    assert!(world.notebook.said(Action::Skipped, "(a+)+ needs too many steps on the name /in/left"));
    world.a.remove(&EntryKey::path("/in/old"));
    seconds(400).await;
    assert_eq!(world.read(Side::Right, "/in/old"), some("1"), "unknown is not gone");
    world.change(|spec| spec.select = Arc::new(Unsure("/none")));
    seconds(400).await;
    assert_eq!((world.read(Side::Right, "/in/left"), world.read(Side::Left, "/in/right")), (some("1"), some("1")));
    assert_eq!((world.read(Side::Right, "/in/old"), world.status().skipped.len()), (None, 0));
}
