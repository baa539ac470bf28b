//! A copy that is provably ours, and of which the ledger has lost whose it is.

use causeway_core::{
    Change, ClusterId, Evidence, Fresh, Instance, Mark, Overrides, OwnerId, PlanContext, Removal, ServiceKey, Set,
    Skip, Wish, WriteMode, Written, plan,
};

fn scope() -> ServiceKey {
    ServiceKey::new("public", "g", "s")
}

fn wish(task: &str, fresh: Fresh, record: Option<Instance>) -> Wish {
    let owner = OwnerId::new("i", task);
    let record = record.map(|record| record.forwarded(&ClusterId::of("a"), &owner));
    Wish {
        owner,
        mode: WriteMode::Sync,
        overrides: Overrides::Keep,
        fresh,
        records: record.into_iter().map(|record| (record.id(), record)).collect(),
        crowded: [].into(),
        refused: [].into(),
        edits: [].into(),
        witnessed: [].into(),
        attributes: None,
        take_over: None,
    }
}

fn planned(wishes: &[Wish]) -> (Vec<Change>, Option<Skip>) {
    planned_beside(wishes, false)
}

fn planned_beside(wishes: &[Wish], paused: bool) -> (Vec<Change>, Option<Skip>) {
    let mark = Some(Mark::new(OwnerId::lost("i"), vec![]));
    let lost = Instance::new("127.0.0.1", 1).with_mark(mark);
    let policy = PlanContext {
        install: "i".into(),
        destination: ClusterId::of("b"),
        shadows: &|_, _| false,
        governed: &|_, _| None,
        paused,
        ended: &|_| false,
    };
    let plan = plan(wishes, &Set::of(scope(), [lost.clone()]), &Written::default(), &policy);
    (plan.changes, plan.skipped.get(&lost.id()).cloned())
}

#[test]
fn whoever_wants_it_takes_it_over() {
    let wanted = || Some(Instance::new("127.0.0.1", 1));
    for fresh in [Fresh::Stale, Fresh::Settling, Fresh::Settled] {
        let (changes, skipped) = planned(&[wish("t", Fresh::Settled, None), wish("u", fresh, wanted())]);
        let [Change::Update { to, .. }] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((to.mark().map(|mark| &*mark.owner.task), skipped), (Some("u"), None));
    }
}

/// Of a task that has ended, what another one wants becomes that one's, and what nobody wants stays.
#[test]
fn what_an_ended_task_left_is_taken_over_and_never_removed() {
    let stands = Instance::new("127.0.0.1", 1).with_mark(Some(Mark::new(OwnerId::new("i", "old"), vec![])));
    let planned = |record: Option<Instance>, ended: bool| {
        let policy = PlanContext {
            install: "i".into(),
            destination: ClusterId::of("b"),
            shadows: &|_, _| false,
            governed: &|_, _| None,
            paused: false,
            ended: &|owner| ended && &*owner.task == "old",
        };
        let set = Set::of(scope(), [stands.clone()]);
        let plan = plan(&[wish("t", Fresh::Settled, record)], &set, &Written::default(), &policy);
        (plan.changes, plan.skipped.get(&stands.id()).cloned())
    };
    let (changes, skipped) = planned(Some(Instance::new("127.0.0.1", 1)), true);
    let [Change::Update { to, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((to.mark().map(|mark| &*mark.owner.task), skipped), (Some("t"), None));
    for (record, ended) in [(None, true), (Some(Instance::new("127.0.0.1", 1)), false)] {
        let (changes, skipped) = planned(record, ended);
        assert!(
            !changes.iter().any(|change| matches!(change, Change::Update { .. } | Change::Delete { .. })),
            "{changes:?}"
        );
        assert!(matches!(skipped, Some(Skip::Foreign { .. })), "{skipped:?}");
    }
}

#[test]
fn it_goes_only_when_every_task_knows_that_it_does_not_want_it() {
    let (changes, skipped) = planned(&[wish("t", Fresh::Settled, None), wish("u", Fresh::Settling, None)]);
    assert_eq!((changes, skipped), (vec![], Some(Skip::Settling)));
    let (changes, _) = planned(&[wish("t", Fresh::Settled, None), wish("u", Fresh::Settled, None)]);
    let [Change::Delete { owner, why, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&*owner.task, why), ("t", &Removal::Gone { evidence: Evidence::Implied }));
    assert!(planned(&[]).0.is_empty(), "nobody to ask");
}

#[test]
fn it_stays_as_it_is_while_a_task_that_may_want_it_is_paused() {
    let wanted = || Some(Instance::new("127.0.0.1", 1));
    for record in [None, wanted()] {
        let planned = planned_beside(&[wish("t", Fresh::Settled, record)], true);
        assert_eq!(planned, (vec![], Some(Skip::Paused)));
    }
}
