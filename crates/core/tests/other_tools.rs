//! Copies of another tool, in a destination that shows one record for each publisher and in one that holds one for each address.
#![allow(clippy::unwrap_used)]

use std::slice::from_ref;

use causeway_core::{
    Change, ClusterId, Fresh, Instance, Mark, Overrides, OwnerId, PlanContext, Reason, Removal, ServiceKey, Set, Skip,
    TakeOver, Wish, WriteMode, Written, plan,
};

const TOOL: &str = "a-tool";

fn scope() -> ServiceKey {
    ServiceKey::new("public", "g", "s")
}

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

/// What the other tool made of the record at this port, from this source.
fn theirs(port: u16, source: &str) -> Instance {
    let mark = Mark::new(OwnerId::new(TOOL, source), vec![]);
    Instance::new("127.0.0.1", port).with(|one| {
        one.metadata = [("tool", source)].into();
        one.mark = Some(mark);
    })
}

fn target(port: u16) -> Instance {
    Instance::new("127.0.0.1", port).forwarded(&ClusterId::of("a"), &owner())
}

fn slot(record: Instance, slot: &str) -> Instance {
    record.with(|one| one.id.slot = slot.into())
}

fn take_over(source: Option<&str>) -> TakeOver {
    TakeOver { tool: TOOL.into(), source: source.map(Into::into), learned: [].into(), reaches: true }
}

fn wish(records: &[Instance]) -> Wish {
    Wish {
        owner: owner(),
        mode: WriteMode::Sync,
        overrides: Overrides::Keep,
        fresh: Fresh::Settled,
        records: records.iter().map(|record| (record.id(), record.clone())).collect(),
        crowded: [].into(),
        refused: [].into(),
        edits: [].into(),
        witnessed: [].into(),
        attributes: None,
        take_over: Some(take_over(Some("a"))),
    }
}

/// What is done, and what is left alone.
fn planned(wish: Wish, there: &[Instance], ledger: &Written, beside: bool) -> (Vec<Change>, Vec<Skip>) {
    let policy = PlanContext {
        install: "i".into(),
        destination: ClusterId::of("b"),
        shadows: &|_, _| beside,
        governed: &|_, _| None,
        paused: false,
        ended: &|_| false,
    };
    let plan = plan(&[wish], &Set::of(scope(), there.to_vec()), ledger, &policy);
    (plan.changes, plan.skipped.into_values().collect())
}

fn backs(source: &str) -> Skip {
    Skip::Backs { owner: OwnerId::new(TOOL, source) }
}

#[test]
fn without_the_setting_it_is_somebody_elses() {
    let wish = Wish { take_over: None, ..wish(&[target(1)]) };
    for beside in [false, true] {
        let there = [theirs(1, "a"), theirs(2, "a")];
        let (changes, skipped) = planned(wish.clone(), &there, &Written::default(), beside);
        assert!(changes.is_empty(), "{changes:?}");
        assert_eq!(skipped, [Skip::Foreign { owner: Some(OwnerId::new(TOOL, "a")) }]);
    }
}

#[test]
fn where_records_stand_by_themselves_it_becomes_ours() {
    let (changes, skipped) = planned(wish(&[target(1)]), &[theirs(1, "a")], &Written::default(), false);
    let [Change::Update { from, to }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((from, to, skipped), (&theirs(1, "a"), &target(1), vec![]));
    let Reason::TakenOver { owner: whose, fields } = changes[0].reason() else { panic!() };
    assert_eq!((&*whose.task, fields), ("a", vec!["metadata -tool".to_owned()]));
    let mut ledger = Written::default();
    ledger.note(&changes[0], &[]);
    assert_eq!(ledger.records[&target(1).id].over.as_ref(), Some(&whose));
    assert_eq!(planned(wish(&[target(1)]), &[target(1)], &ledger, false), (vec![], vec![]));
    // It came back beside ours: it goes again.
    let (changes, _) = planned(wish(&[target(1)]), &[target(1), slot(theirs(1, "a"), "x")], &ledger, false);
    assert!(matches!(&changes[..], [Change::Update { from, .. }] if &*from.id.slot == "x"), "{changes:?}");
    let only_new = Wish { mode: WriteMode::CreateOnly, ..wish(&[target(1)]) };
    assert_eq!(planned(only_new, &[theirs(1, "a")], &Written::default(), false), (vec![], vec![Skip::Mode]));
}

#[test]
fn where_each_publisher_has_a_record_ours_stands_with_it_until_it_goes() {
    let (changes, skipped) = planned(wish(&[target(1)]), &[theirs(1, "a")], &Written::default(), true);
    assert_eq!((&changes[..], skipped), (&[Change::Shadow(theirs(1, "a"), owner())][..], vec![backs("a")]));
    assert!(matches!(changes[0].reason(), Reason::BacksCopy { .. }));
    let mut ledger = Written::default();
    ledger.note(&changes[0], &[]);
    let row = &ledger.records[&target(1).id];
    assert!(row.shadow && row.over.is_some() && row.record.mark.is_none(), "{row:?}");
    assert_eq!(planned(wish(&[target(1)]), &[theirs(1, "a")], &ledger, true), (vec![], vec![backs("a")]));
    let no_longer = Wish { take_over: None, ..wish(&[target(1)]) };
    assert_eq!(planned(no_longer, &[theirs(1, "a")], &ledger, true), (vec![], vec![]), "no second host");
    // It says something else now: so does ours.
    let heavier = theirs(1, "a").with(|one| one.weight = 2.0);
    let (changes, _) = planned(wish(&[target(1)]), from_ref(&heavier), &ledger, true);
    assert_eq!(changes, [Change::Shadow(heavier, owner())]);
    // It has gone: the connector knows ours by its publisher.
    let alone = theirs(1, "a").with(|one| one.mark = Some(Mark::new(owner(), vec![])));
    let (changes, _) = planned(wish(&[target(1)]), from_ref(&alone), &ledger, true);
    assert_eq!(changes, [Change::Update { from: alone, to: target(1) }]);
    ledger.note(&changes[0], &[]);
    assert!(!ledger.records[&target(1).id].shadow && ledger.records[&target(1).id].over.is_some());
    // The tool was started again, beside ours: two records of one address are one again.
    let (changes, _) = planned(wish(&[target(1)]), &[target(1), theirs(1, "a")], &ledger, true);
    assert_eq!(changes, [Change::Shadow(theirs(1, "a"), owner())]);
}

#[test]
fn an_address_is_taken_over_whatever_the_tool_calls_it() {
    let (old, new) = (slot(theirs(1, "a"), "theirs"), slot(target(1), "ours"));
    let (changes, _) = planned(wish(from_ref(&new)), from_ref(&old), &Written::default(), false);
    assert_eq!(changes, [Change::Update { from: old.clone(), to: new.clone() }]);
    let (changes, _) = planned(wish(from_ref(&new)), from_ref(&old), &Written::default(), true);
    assert_eq!(changes, [Change::Shadow(old.clone(), owner())]);
    let mut ledger = Written::default();
    ledger.note(&changes[0], &[]);
    assert_eq!(planned(wish(from_ref(&new)), from_ref(&old), &ledger, true), (vec![], vec![backs("a")]));
    // No task takes over any more: what backs the tool's copy goes on, and nothing else comes to its address.
    let no_longer = Wish { take_over: None, ..wish(from_ref(&new)) };
    assert_eq!(planned(no_longer, from_ref(&old), &ledger, true).0, []);
    let alone = old.clone().with(|one| one.mark = Some(Mark::new(owner(), vec![])));
    let (changes, _) = planned(wish(from_ref(&new)), from_ref(&alone), &ledger, true);
    assert_eq!(changes, [Change::Update { from: alone, to: new.clone() }]);
    ledger.note(&changes[0], &[]);
    assert_eq!(ledger.records.keys().collect::<Vec<_>>(), [&new.id]);
    // Ours stood there before the tool came.
    let (changes, _) = planned(wish(from_ref(&new)), &[old.clone(), new.clone()], &ledger, true);
    let [Change::Shadow(..), Change::Delete { record, why: Removal::GivesWay, .. }] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(*record, new);
}

#[test]
fn what_nobody_wants_is_told_when_the_source_can_tell() {
    let there = [theirs(1, "a"), theirs(2, "a"), theirs(3, "other")];
    let left = Skip::LeftBehind { owner: OwnerId::new(TOOL, "a") };
    for beside in [false, true] {
        let (_, skipped) = planned(wish(&[target(1)]), &there, &Written::default(), beside);
        assert_eq!(skipped.iter().filter(|skip| **skip == left).count(), 1, "{skipped:?}");
        for fresh in [Fresh::Stale, Fresh::Settling] {
            let unsure = Wish { fresh, ..wish(&[target(1)]) };
            let (_, skipped) = planned(unsure, &there, &Written::default(), beside);
            assert!(!skipped.contains(&left), "{skipped:?}");
        }
    }
    let mut elsewhere = wish(&[target(1)]);
    elsewhere.take_over.as_mut().unwrap().reaches = false;
    assert_eq!(planned(elsewhere, &there[1..], &Written::default(), false).1, []);
}

/// A tool that names sources by ids of its own: which of them is the task's is known from what the task has taken over.
#[test]
fn copies_of_a_source_that_nothing_tells_are_left_to_the_tool() {
    let there = [theirs(1, "x"), theirs(2, "x"), theirs(3, "y")];
    let unknown = Wish { take_over: Some(take_over(None)), ..wish(&[target(1)]) };
    let (changes, skipped) = planned(unknown.clone(), &there, &Written::default(), false);
    assert!(matches!(&changes[..], [Change::Update { .. }]) && skipped.is_empty(), "{changes:?} {skipped:?}");
    let learned = TakeOver { learned: ["x".into()].into(), ..take_over(None) };
    let (_, skipped) = planned(Wish { take_over: Some(learned), ..unknown }, &there, &Written::default(), false);
    assert_eq!(skipped, [Skip::LeftBehind { owner: OwnerId::new(TOOL, "x") }]);
}

/// Two of the tool's sources can have an instance at one address. Then nothing tells which of them is the task's, and what it copied
/// from the other one lives.
#[test]
fn copies_of_two_sources_are_told_apart_by_nothing() {
    let learned = TakeOver { learned: ["x".into(), "y".into()].into(), ..take_over(None) };
    let unsure = Wish { take_over: Some(learned), ..wish(&[]) };
    let (changes, skipped) = planned(unsure, &[theirs(2, "x"), theirs(3, "y")], &Written::default(), false);
    assert_eq!((changes, skipped), (vec![], vec![]));
}

/// A filter that cannot decide has not said that nobody wants the record, whatever the tool calls it.
#[test]
fn what_is_refused_at_the_address_is_not_left_behind() {
    let refused = |name: &str| slot(target(2), name).id();
    for name in ["", "ours"] {
        let why = Skip::Rejected { why: "too long".into() };
        let wish = Wish { refused: [(refused(name), why)].into(), ..wish(&[]) };
        let (_, skipped) = planned(wish, &[theirs(2, "a")], &Written::default(), false);
        assert!(!skipped.iter().any(|skip| matches!(skip, Skip::LeftBehind { .. })), "{skipped:?}");
    }
}

#[test]
fn nothing_is_left_behind_while_a_task_is_paused() {
    let policy = PlanContext {
        install: "i".into(),
        destination: ClusterId::of("b"),
        shadows: &|_, _| false,
        governed: &|_, _| None,
        paused: true,
        ended: &|_| false,
    };
    let plan = plan(&[wish(&[])], &Set::of(scope(), [theirs(2, "a")]), &Written::default(), &policy);
    assert_eq!((plan.changes, plan.skipped.len()), (vec![], 0), "it may be what the paused task wants");
}
