use super::*;
use causeway_core::{Change, ClusterId, Fresh, Instance, Mark, Overrides, OwnerId, ServiceKey, WriteMode};
use std::slice::from_ref;

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

fn copy(port: u16, ephemeral: bool) -> Instance {
    let mark = Mark::new(owner(), vec![ClusterId::of("a")]);
    let mut copy = Instance::new("127.0.0.1", port).with(|one| {
        one.ephemeral = ephemeral;
        one.mark = Some(mark);
    });
    copy.id.slot = DEFAULT_CLUSTER.into();
    copy
}

fn native(port: u16, ephemeral: bool) -> Instance {
    copy(port, ephemeral).with_mark(None)
}

fn wish(records: impl IntoIterator<Item = Instance>) -> Wish {
    Wish {
        owner: owner(),
        mode: WriteMode::Sync,
        overrides: Overrides::Keep,
        fresh: Fresh::Settled,
        records: records.into_iter().map(|one| (one.id(), one)).collect(),
        crowded: [].into(),
        refused: [].into(),
        edits: [].into(),
        witnessed: [].into(),
        attributes: None,
        take_over: None,
    }
}

fn written(records: impl IntoIterator<Item = Instance>) -> Written {
    let mut written = Written::default();
    records.into_iter().for_each(|one| written.note(&Change::Create(one), &[]));
    written
}

fn shaped(wanted: &[Instance], there: &[Instance], before: &[Instance]) -> Vec<(bool, bool)> {
    let there = Set::of(ServiceKey::new("public", "g", "s"), there.to_vec());
    let mut wishes = [wish(wanted.to_vec())];
    shape(&there, &written(before.to_vec()), &mut wishes);
    wishes[0].records.values().map(|one| (one.ephemeral, one.lasting)).collect()
}

const FIXED: (bool, bool) = (false, false);
const LIVE: (bool, bool) = (true, false);
const AS_LIVE: (bool, bool) = (true, true);

#[test]
fn a_service_is_ephemeral_as_soon_as_one_of_its_instances_is() {
    let (fixed, live) = (copy(1, false), copy(2, true));
    let as_live = copy(1, true).with(|one| one.lasting = true);
    assert_eq!(shaped(from_ref(&fixed), &[], &[]), [FIXED]);
    assert_eq!(shaped(&[fixed.clone(), live.clone()], &[], &[]), [AS_LIVE, LIVE]);
    assert_eq!(shaped(&[fixed.clone(), live.clone()], from_ref(&fixed), from_ref(&fixed)), [AS_LIVE, LIVE]);
    // And stays so while anything of ours stands.
    assert_eq!(shaped(from_ref(&fixed), &[], &[as_live.clone(), live.clone()]), [AS_LIVE]);
    assert_eq!(shaped(from_ref(&fixed), from_ref(&as_live), from_ref(&as_live)), [AS_LIVE]);
    assert_eq!(as_live.into_born(), fixed);
    // What others have there decides.
    assert_eq!(shaped(from_ref(&fixed), &[native(9, true)], &[]), [AS_LIVE]);
    assert_eq!(shaped(&[fixed, live], &[native(9, false)], &[]), [FIXED, LIVE]);
}

fn speaks(protocol: &str, stamp: u64) -> Instance {
    let mut one = copy(1, true);
    one.metadata = [("protocol", protocol.to_owned()), ("timestamp", stamp.to_string())]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
    one
}

fn slots(before: &[Instance], records: &[Instance]) -> Vec<String> {
    let mut records: Vec<_> = records.iter().map(|one| place(&written(before.to_vec()), one.clone())).collect();
    records.sort_by(|a, b| b.by_age(a));
    apart(&written(before.to_vec()), &mut records);
    records.iter().map(|one| format!("{} {}", &one.metadata["protocol"], one.id.slot)).collect()
}

#[test]
fn what_differs_in_protocol_stands_apart() {
    let (tri, rest) = (speaks("tri", 1), speaks("rest", 2));
    assert_eq!(slots(&[], &[tri.clone(), rest.clone()]), ["rest DEFAULT", "tri tri"]);
    // What stands there keeps its place.
    assert_eq!(slots(from_ref(&tri), &[tri.clone(), rest.clone()]), ["rest rest", "tri DEFAULT"]);
    let mut apart = rest.clone();
    apart.id.slot = "rest".into();
    assert_eq!(place(&written([apart.clone()]), rest.clone()).id, apart.id);
    // One of the same protocol has no place of its own.
    assert_eq!(slots(&[], &[speaks("tri", 1), speaks("tri", 2)]), ["tri DEFAULT", "tri DEFAULT"]);
    assert_eq!(speaks("tri", 2).by_age(&speaks("tri", 10)), std::cmp::Ordering::Less);
}

#[test]
fn health_of_persistent_ones_is_the_servers() {
    let ill = |one: Instance| one.with(|one| one.healthy = false);
    assert_eq!(governed(&ill(copy(1, false)), &copy(1, false)), Some(Governed::Health));
    assert_eq!(governed(&ill(copy(1, true)), &copy(1, true)), None);
    assert_eq!(governed(&ill(copy(1, false)).with(|one| one.weight = 2.0), &copy(1, false)), None);
    assert_eq!(governed(&copy(1, false), &copy(1, false)), None);
}
