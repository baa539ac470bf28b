//! One id stands once in an application: which of the records that were born with one has it here. Pure.

use super::words::{KIND, given_id, with_id, without_id};
use crate::bridge::other_tools::tool_of;
use causeway_core::{Endpoint, Instance, OwnerId, Set, Wish, WriteMode, Written};
use std::collections::BTreeMap;

/// Whose an id is.
struct Holder {
    endpoint: Endpoint,
    /// The task that has seen it go from its source, and takes it away.
    leaves: Option<OwnerId>,
}

/// A record whose id stands at another address, or is wanted there, gets the id of a copy that was not born in Eureka. What
/// others have there counts first, then what we wrote, so that nothing moves because another record comes or goes.
pub(super) fn shape(there: &Set, written: &Written, wishes: &mut [Wish]) {
    take_ids(there, written, wishes);
    let given = |record: &Instance| Some((given_id(record)?, record.clone()));
    let claims: Vec<Vec<_>> = wishes.iter().map(|wish| wish.records.values().filter_map(given).collect()).collect();
    if claims.iter().all(Vec::is_empty) {
        return;
    }
    let mut holders = holders(there, written, wishes);
    for (wish, claims) in wishes.iter_mut().zip(claims) {
        for (id, record) in claims {
            let endpoint = record.id.endpoint.clone();
            let is_free = |holder: &Holder| holder.endpoint == endpoint || holder.leaves.as_ref() == Some(&wish.owner);
            if holders.get(&id).is_none_or(is_free) {
                holders.insert(id, Holder { endpoint, leaves: None });
            } else {
                wish.records.insert(record.id(), without_id(record));
            }
        }
    }
}

/// What takes over another tool's copy stands under the id that it has, so that it is written over as it stands, and stays under
/// it.
fn take_ids(there: &Set, written: &Written, wishes: &mut [Wish]) {
    for wish in wishes {
        let Some(take) = &wish.take_over else { continue };
        let mut taken = Vec::new();
        for record in wish.records.values().filter(|record| given_id(record).is_none() && has_room(record)) {
            let theirs = there.records.get(&record.id).into_iter().flat_map(|held| &held.copies);
            let theirs = theirs.filter(|copy| tool_of(copy.mark()).is_some_and(|owner| take.takes(owner)));
            let before = written.records.get(&record.id).filter(|written| written.over.is_some());
            let id = theirs.chain(before.map(|before| &before.record)).find_map(given_id);
            taken.extend(id.map(|id| with_id(record.clone(), id)));
        }
        for record in taken {
            wish.records.insert(record.id(), record);
        }
    }
}

/// Whether a record carries no words of another kind: an id would take their place.
fn has_room(record: &Instance) -> bool {
    record.payload.as_ref().is_none_or(|payload| &*payload.kind == KIND)
}

fn holders(there: &Set, written: &Written, wishes: &[Wish]) -> BTreeMap<String, Holder> {
    let is_ours = |one: &&Instance| {
        let mark = one.mark.as_ref();
        mark.is_some_and(|mark| wishes.iter().any(|wish| wish.owner.install == mark.owner.install))
    };
    // The task that takes a copy away, having seen the record go.
    let leaves = |owner: &OwnerId, record: &Instance| {
        let id = &record.id;
        let wanted = wishes.iter().any(|wish| wish.records.contains_key(id));
        let own = wishes.iter().find(|wish| wish.owner == *owner).filter(|_| !wanted)?;
        let goes = own.mode == WriteMode::Sync && own.witnessed.contains(id) && !own.refused.contains_key(id);
        goes.then(|| owner.clone())
    };
    let standing = || there.records.values().flat_map(|held| held.native.iter().chain(&held.copies));
    let others = standing().filter(|one| !is_ours(one)).map(|one| (one, None));
    let known = written.records.values().filter(|one| !one.shadow);
    let known = known.map(|one| (&one.record, leaves(&one.owner, &one.record)));
    // Ours, though it is forgotten that we wrote it.
    let rest = standing().filter(is_ours).filter(|one| !written.records.contains_key(&one.id));
    let rest = rest.map(|one| (one, one.mark.as_ref().and_then(|mark| leaves(&mark.owner, one))));
    let mut holders = BTreeMap::new();
    for (record, leaves) in others.chain(known).chain(rest) {
        if let Some(id) = given_id(record) {
            holders.entry(id).or_insert(Holder { endpoint: record.id.endpoint.clone(), leaves });
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eureka::convert::{normalize, scope};
    use crate::eureka::settings::Settings;
    use causeway_core::{Change, ClusterId, Fresh, Mark, Overrides, Payload, TakeOver};
    use serde_json::json;
    use std::slice::from_ref;

    fn copy(host: &str, id: &str, task: &str) -> Instance {
        let text = json!({"id": id, "home": "/"}).to_string();
        let record = Instance::new(host, 1).with(|one| {
            one.payload = Some(Payload { kind: "eureka".into(), text: text.into() });
            one.mark = Some(Mark::new(OwnerId::new("i", task), vec![ClusterId::of("a")]));
        });
        normalize(&scope("A"), record, &Settings::default()).unwrap()
    }

    fn wish(task: &str, records: &[Instance]) -> Wish {
        Wish {
            owner: OwnerId::new("i", task),
            mode: WriteMode::Sync,
            overrides: Overrides::Keep,
            fresh: Fresh::Settled,
            records: records.iter().map(|one| (one.id(), one.clone())).collect(),
            crowded: [].into(),
            refused: [].into(),
            edits: [].into(),
            witnessed: [].into(),
            attributes: None,
            take_over: None,
        }
    }

    fn written(records: &[Instance]) -> Written {
        let mut written = Written::default();
        records.iter().for_each(|one| written.note(&Change::Create(one.clone()), &[]));
        written
    }

    /// The ids that are wanted then, by wish and address. What is shaped reads back, and once is enough.
    fn shaped(wishes: &mut [Wish], there: &[Instance], before: &[Instance]) -> Vec<Option<String>> {
        let there = Set::of(scope("A"), there.to_vec());
        shape(&there, &written(before), wishes);
        let all: Vec<_> = wishes.iter().flat_map(|wish| wish.records.values()).cloned().collect();
        for one in &all {
            assert_eq!(&normalize(&scope("A"), one.clone(), &Settings::default()).unwrap(), one);
        }
        shape(&there, &written(before), wishes);
        assert!(wishes.iter().flat_map(|wish| wish.records.values()).eq(&all));
        all.iter().map(given_id).collect()
    }

    fn x() -> Option<String> {
        Some("x".to_owned())
    }

    #[test]
    fn an_id_stands_at_one_address() {
        let (one, two) = (copy("10.0.0.1", "x", "t"), copy("10.0.0.2", "x", "u"));
        let both = || [wish("t", from_ref(&one)), wish("u", from_ref(&two))];
        assert_eq!(shaped(&mut both(), &[], &[]), [x(), None]);
        let within = &mut [wish("t", &[one.clone(), copy("10.0.0.2", "x", "t")])];
        assert_eq!(shaped(within, &[], &[]), [x(), None]);
        let second = within[0].records.values().nth(1).unwrap();
        assert_eq!(&*second.payload.as_ref().unwrap().text, r#"{"home":"/"}"#);
        // Who has it keeps it.
        assert_eq!(shaped(&mut both(), from_ref(&two), from_ref(&two)), [None, x()]);
        assert_eq!(shaped(&mut both(), from_ref(&two), &[]), [None, x()]);
        // So does somebody else.
        let native = copy("10.0.0.9", "x", "t").with_mark(None);
        assert_eq!(shaped(&mut both(), &[native], from_ref(&one)), [None, None]);
        let different = &mut [wish("t", &[one.clone(), copy("10.0.0.3", "y", "t")])];
        assert_eq!(shaped(different, &[], &[]), [x(), Some("y".to_owned())]);
        // Two tasks want the same.
        assert_eq!(
            shaped(&mut [wish("t", from_ref(&one)), wish("u", &[copy("10.0.0.1", "x", "u")])], &[], &[]),
            [x(), x()]
        );
    }

    #[test]
    fn what_takes_over_another_tools_copy_has_its_id() {
        let bare = |port: u16| {
            let record = Instance::new("10.0.0.1", port).forwarded(&ClusterId::of("a"), &OwnerId::new("i", "t"));
            normalize(&scope("A"), record, &Settings::default()).unwrap()
        };
        let theirs = copy("10.0.0.1", "10.0.0.1:a:1", "t").with(|one| {
            one.metadata = [("sourceClusterId", "c"), ("syncSource", "NACOS")].into();
            one.mark = Some(Mark::new(OwnerId::new("nacos-sync", "c"), vec![]));
        });
        let take = |source: Option<&str>| TakeOver {
            tool: "nacos-sync".into(),
            source: source.map(Into::into),
            learned: [].into(),
            reaches: true,
        };
        let wanted = |take_over| Wish { take_over, ..wish("t", &[bare(1), bare(2)]) };
        let id = || Some("10.0.0.1:a:1".to_owned());
        assert_eq!(shaped(&mut [wanted(Some(take(None)))], from_ref(&theirs), &[]), [id(), None]);
        assert_eq!(shaped(&mut [wanted(None)], from_ref(&theirs), &[]), [None, None]);
        assert_eq!(shaped(&mut [wanted(Some(take(Some("d"))))], from_ref(&theirs), &[]), [None, None]);
        // Ours stays under it.
        let mut wishes = [wanted(Some(take(None)))];
        shape(&Set::of(scope("A"), [theirs.clone()]), &Written::default(), &mut wishes);
        let to = wishes[0].records[&bare(1).id].clone();
        let mut ledger = Written::default();
        ledger.note(&Change::Update { from: theirs, to: to.clone() }, &[]);
        let mut wishes = [wanted(Some(take(None)))];
        shape(&Set::of(scope("A"), [to.clone()]), &ledger, &mut wishes);
        assert_eq!(wishes[0].records[&to.id], to);
    }

    #[test]
    fn an_id_moves_with_its_provider() {
        let (old, new) = (copy("10.0.0.1", "x", "t"), copy("10.0.0.2", "x", "t"));
        let moved = |task: &str, witnessed: bool| {
            let mut seen = wish("t", &[]);
            seen.witnessed.extend(witnessed.then(|| old.id()));
            match task {
                "t" => {
                    seen.records.insert(new.id(), new.clone());
                    vec![seen]
                }
                _ => vec![seen, wish(task, &[copy("10.0.0.2", "x", task)])],
            }
        };
        let ledger = [old.clone()];
        assert_eq!(shaped(&mut moved("t", true), &ledger, &ledger), [x()]);
        assert_eq!(shaped(&mut moved("t", true), &ledger, &[]), [x()]);
        // Its copy is not taken away yet, or never.
        assert_eq!(shaped(&mut moved("t", false), &ledger, &ledger), [None]);
        assert_eq!(shaped(&mut moved("u", true), &ledger, &ledger), [None]);
        let mut never = moved("t", true);
        never[0].mode = WriteMode::UpsertOnly;
        assert_eq!(shaped(&mut never, &ledger, &ledger), [None]);
        assert_eq!(shaped(&mut moved("t", false), &[], &[]), [x()], "when it has gone");
    }
}
