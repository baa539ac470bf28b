//! A copy that was about to be written when a process died: it may stand as it was before, or as it was to be.

use causeway_core::{
    Change, ClusterId, Fresh, Instance, Overrides, OwnerId, PlanContext, ServiceKey, Set, Skip, Wish, WriteMode,
    Written, WrittenRecord, plan,
};

fn copy(weight: f64) -> Instance {
    let record = Instance::new("127.0.0.1", 1).with(|one| {
        one.weight = weight;
        one.ephemeral = false;
    });
    record.forwarded(&ClusterId::of("a"), &OwnerId::new("i", "t"))
}

/// What is done where the weight was to go from 1 to 2 and `stands` stands, while `wanted` is wanted.
fn planned(stands: Option<Instance>, wanted: Option<Instance>) -> (Vec<Change>, Option<Skip>) {
    let (scope, owner) = (ServiceKey::new("public", "g", "s"), OwnerId::new("i", "t"));
    let mut written = Written::default();
    written.note(&Change::Create(copy(1.0)), &[]);
    written.intend(&Change::Update { from: copy(1.0), to: copy(2.0) });
    let wish = Wish {
        owner: owner.clone(),
        mode: WriteMode::Sync,
        overrides: Overrides::Keep,
        fresh: Fresh::Settled,
        records: wanted.into_iter().map(|record| (record.id(), record)).collect(),
        crowded: [].into(),
        refused: [].into(),
        edits: [].into(),
        witnessed: [].into(),
        attributes: None,
        take_over: None,
    };
    let policy = PlanContext {
        install: "i".into(),
        destination: ClusterId::of("b"),
        shadows: &|_, _| false,
        governed: &|_, _| None,
        paused: false,
        ended: &|_| false,
    };
    let plan = plan(&[wish], &Set::of(scope, stands), &written, &policy);
    (plan.changes, plan.skipped.get(&copy(1.0).id()).cloned())
}

#[test]
fn what_was_not_written_is_written() {
    for wanted in [2.0, 3.0] {
        let update = Change::Update { from: copy(1.0), to: copy(wanted) };
        assert_eq!(planned(Some(copy(1.0)), Some(copy(wanted))), (vec![update], None));
    }
    assert_eq!(planned(None, Some(copy(2.0))), (vec![Change::Create(copy(2.0))], None));
}

#[test]
fn what_stands_as_it_is_wanted_is_sure_from_now_on() {
    for stands in [1.0, 2.0] {
        assert_eq!(planned(Some(copy(stands)), Some(copy(stands))), (vec![Change::Adopt(copy(stands))], None));
    }
}

#[test]
fn what_is_not_wanted_goes_as_it_stands() {
    for stands in [1.0, 2.0] {
        let (changes, skipped) = planned(Some(copy(stands)), None);
        let [Change::Delete { record, .. }] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((record, skipped), (&copy(stands), None));
    }
}

#[test]
fn an_answer_ends_the_doubt() {
    let (old, update) = (copy(1.0), Change::Update { from: copy(1.0), to: copy(2.0) });
    let mut written = Written::default();
    written.note(&Change::Create(old.clone()), &[]);
    let known = written.clone();
    written.intend(&update);
    let row: &WrittenRecord = &written.records[&old.id()];
    assert_eq!((&row.record, &row.before), (&copy(2.0), &Some(Box::new(copy(1.0)))));
    let text = serde_json::to_string(&written).unwrap();
    assert_eq!(serde_json::from_str::<Written>(&text).unwrap(), written);
    let mut taken_back = written.clone();
    taken_back.put_back(&old.id(), known.records.get(&old.id()).cloned());
    assert_eq!(taken_back, known);
    written.note(&update, &[]);
    assert_eq!(written.records[&old.id()].before, None);
    assert!(!serde_json::to_string(&written).unwrap().contains("before"));
    let mut first = Written::default();
    first.intend(&Change::Create(old.clone()));
    first.put_back(&old.id(), None);
    assert!(first.is_empty());
}
