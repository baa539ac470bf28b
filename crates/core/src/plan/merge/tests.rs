//! Every combination by table, and the laws.

use super::*;
use crate::model::Content;
use Conflicts::*;
use Overrides::{Keep, Replace, Travel};
use Side::{Left, Right};
use proptest::prelude::*;

/// Content `n` changed at time `n`.
fn version(n: u8) -> EntryVersion {
    EntryVersion { digest: digest(n), modified_ms: i64::from(n) }
}

fn digest(n: u8) -> Digest {
    Content::of([n]).digest()
}

fn rules(ways: Ways, conflicts: Conflicts) -> MergeRules {
    MergeRules { source: Left, ways, mode: WriteMode::Sync, overrides: Keep, conflicts }
}

fn copy(to: Side, why: EntryReason) -> Verdict {
    Verdict::Copy { to, why }
}

fn delete(from: Side, why: EntryReason) -> Verdict {
    Verdict::Delete { from, why }
}

/// Base, left, right: 0 is nothing.
fn judge(state: (u8, u8, u8), rules: MergeRules) -> Verdict {
    let some = |n: u8| Some(n).filter(|n| *n > 0);
    let sides = Pair { left: some(state.1).map(version), right: some(state.2).map(version) };
    merge(some(state.0).map(digest), &sides, &rules)
}

#[test]
fn two_ways_whatever_the_policy() {
    let table = [
        ((0, 0, 0), Verdict::InStep),
        ((0, 1, 1), Verdict::InStep),
        ((0, 1, 0), copy(Right, EntryReason::New)),
        ((0, 0, 1), copy(Left, EntryReason::New)),
        ((1, 1, 1), Verdict::InStep),
        ((1, 0, 0), Verdict::InStep),
        ((1, 2, 2), Verdict::InStep),
        ((1, 2, 1), copy(Right, EntryReason::Edited)),
        ((1, 1, 2), copy(Left, EntryReason::Edited)),
        ((1, 0, 1), delete(Right, EntryReason::Deleted)),
        ((1, 1, 0), delete(Left, EntryReason::Deleted)),
    ];
    for (state, verdict) in table {
        for conflicts in [Source, Destination, Newest, Manual] {
            assert_eq!(judge(state, rules(Ways::Two, conflicts)), verdict, "{state:?} {conflicts:?}");
        }
    }
}

#[test]
fn two_ways_in_conflict() {
    let settled = |by| EntryReason::Settled { by };
    let table = [
        ((0, 2, 3), copy(Right, settled(Source)), copy(Left, settled(Destination)), copy(Left, settled(Newest))),
        ((0, 3, 2), copy(Right, settled(Source)), copy(Left, settled(Destination)), copy(Right, settled(Newest))),
        ((1, 2, 3), copy(Right, settled(Source)), copy(Left, settled(Destination)), copy(Left, settled(Newest))),
        ((1, 3, 2), copy(Right, settled(Source)), copy(Left, settled(Destination)), copy(Right, settled(Newest))),
        ((1, 2, 0), copy(Right, settled(Source)), delete(Left, settled(Destination)), copy(Right, settled(Newest))),
        ((1, 0, 2), delete(Right, settled(Source)), copy(Left, settled(Destination)), copy(Left, settled(Newest))),
    ];
    for (state, source, destination, newest) in table {
        let manual = Verdict::Leave(EntrySkip::Conflict);
        for (policy, verdict) in [(Source, source), (Destination, destination), (Newest, newest), (Manual, manual)] {
            assert_eq!(judge(state, rules(Ways::Two, policy)), verdict, "{state:?} {policy:?}");
        }
    }
}

#[test]
fn one_way_by_overrides() {
    let leave = Verdict::Leave;
    let (edited, deleted, missing) = (EntryReason::Edited, EntryReason::Deleted, EntryReason::Missing);
    let refilled = || copy(Right, missing);
    let table = [
        ((0, 1, 0), copy(Right, EntryReason::New), copy(Right, EntryReason::New), copy(Right, EntryReason::New)),
        ((0, 0, 1), leave(EntrySkip::Foreign), leave(EntrySkip::Foreign), leave(EntrySkip::Foreign)),
        ((1, 1, 1), Verdict::InStep, Verdict::InStep, Verdict::InStep),
        ((1, 2, 1), copy(Right, edited), copy(Right, edited), copy(Right, edited)),
        ((1, 0, 1), delete(Right, deleted), delete(Right, deleted), delete(Right, deleted)),
        ((1, 1, 2), leave(EntrySkip::Overridden), copy(Right, EntryReason::Overridden), copy(Left, edited)),
        ((1, 1, 0), refilled(), refilled(), delete(Left, deleted)),
        ((1, 2, 0), refilled(), refilled(), leave(EntrySkip::Conflict)),
        ((1, 0, 0), Verdict::InStep, Verdict::InStep, Verdict::InStep),
    ];
    for (state, keep, replace, travel) in table {
        for (overrides, verdict) in [(Keep, keep), (Replace, replace), (Travel, travel)] {
            let rules = MergeRules { overrides, ..rules(Ways::One, Manual) };
            assert_eq!(judge(state, rules), verdict, "{state:?} {overrides:?}");
        }
    }
}

#[test]
fn one_way_in_conflict_never_writes_the_source() {
    let (kept, settled) = (Verdict::Leave(EntrySkip::Kept), |by| EntryReason::Settled { by });
    for overrides in [Keep, Replace] {
        for (state, source, newest) in [
            ((0, 2, 3), copy(Right, settled(Source)), kept.clone()),
            ((0, 3, 2), copy(Right, settled(Source)), copy(Right, settled(Newest))),
            ((1, 2, 3), copy(Right, settled(Source)), kept.clone()),
            ((1, 0, 2), delete(Right, settled(Source)), kept.clone()),
        ] {
            for (policy, verdict) in [(Source, source), (Destination, kept.clone()), (Newest, newest)] {
                let rules = MergeRules { overrides, ..rules(Ways::One, policy) };
                assert_eq!(judge(state, rules), verdict, "{state:?} {policy:?}");
            }
        }
    }
    let travel = MergeRules { overrides: Travel, ..rules(Ways::One, Destination) };
    assert_eq!(judge((1, 2, 3), travel), copy(Left, settled(Destination)));
    assert_eq!(judge((0, 2, 3), travel), kept, "it never was our copy");
}

#[test]
fn modes_forbid() {
    let forbidden = Verdict::Leave(EntrySkip::Mode);
    for (mode, state, allowed) in [
        (WriteMode::UpsertOnly, (1, 0, 1), false),
        (WriteMode::UpsertOnly, (1, 2, 1), true),
        (WriteMode::CreateOnly, (1, 0, 1), false),
        (WriteMode::CreateOnly, (1, 2, 1), false),
        (WriteMode::CreateOnly, (0, 2, 3), false),
        (WriteMode::CreateOnly, (0, 2, 0), true),
    ] {
        for conflicts in [Source, Destination, Newest, Manual] {
            let rules = MergeRules { mode, ..rules(Ways::Two, conflicts) };
            assert_eq!(judge(state, rules) != forbidden, allowed, "{mode:?} {state:?} {conflicts:?}");
        }
    }
}

#[test]
fn a_write_is_known_for_ours_after_a_crash() {
    let key = EntryKey::path("/a");
    let stamps = |left, right| Pair { left: Stamp(left, 0), right: Stamp(right, 0) };
    let before = Base { digest: digest(1), stamps: stamps(1, 1), born: Born::Left };
    let update =
        Intent { key: key.clone(), to: Right, content: Some((digest(2), Stamp(7, 0))), created: false, half: None };
    let after = Base { digest: digest(2), stamps: stamps(7, 9), born: Born::Left };
    assert_eq!(update.made(Some(&before), Some((digest(2), Stamp(9, 0)))), Some(Some(after)));
    assert_eq!(update.made(Some(&before), Some((digest(1), Stamp(1, 0)))), None);
    let halves = Intent { half: Some(digest(3)), ..update.clone() };
    let half = Base { digest: digest(3), stamps: Pair { left: Stamp(0, 0), right: Stamp(8, 0) }, born: before.born };
    assert_eq!(halves.made(Some(&before), Some((digest(3), Stamp(8, 0)))), Some(Some(half)));
    assert_eq!(halves.made(Some(&before), Some((digest(1), Stamp(1, 0)))), None);
    assert_eq!(
        judge((3, 2, 3), rules(Ways::Two, Manual)),
        copy(Right, EntryReason::Edited),
        "written again, and no conflict"
    );
    assert_eq!(update.made(Some(&before), None), None);
    let create = Intent { created: true, ..update };
    assert_eq!(create.made(None, Some((digest(2), Stamp(9, 0)))), Some(Some(after)));
    let delete = Intent { content: None, ..create };
    assert_eq!(delete.made(Some(&before), None), Some(None));
    assert_eq!(delete.made(Some(&before), Some((digest(1), Stamp(1, 0)))), None);
}

#[test]
fn born_tells_our_creations() {
    let stamps = Pair::default();
    let created = Base::copied(None, Right, true, digest(1), stamps);
    assert_eq!(created.born, Born::Left);
    let edited = Base::copied(Some(&created), Right, false, digest(2), stamps);
    assert_eq!(edited.born, Born::Left, "still as we wrote it");
    let travelled = Base::copied(Some(&edited), Left, false, digest(3), stamps);
    assert_eq!(travelled.born, Born::Both, "our copy is somebody's edit now");
    assert_eq!(Base::copied(Some(&travelled), Right, false, digest(4), stamps).born, Born::Both);
    assert_eq!(Base::found(Some(&created), digest(1), stamps).born, Born::Left, "touched only");
    assert_eq!(Base::found(Some(&created), digest(5), stamps).born, Born::Both);
    assert_eq!(Base::found(None, digest(5), stamps).born, Born::Both);
}

fn any_rules() -> impl Strategy<Value = MergeRules> {
    let pick = |n: usize| 0..n;
    (pick(2), pick(2), pick(3), pick(3), pick(4)).prop_map(|(source, ways, mode, overrides, conflicts)| MergeRules {
        source: Side::BOTH[source],
        ways: [Ways::One, Ways::Two][ways],
        mode: [WriteMode::Sync, WriteMode::UpsertOnly, WriteMode::CreateOnly][mode],
        overrides: [Keep, Replace, Travel][overrides],
        conflicts: [Source, Destination, Newest, Manual][conflicts],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn laws(base in 0u8..4, left in 0u8..5, right in 0u8..5, times in (0i64..3, 0i64..3), rules in any_rules()) {
        let some = |n: u8| Some(n).filter(|n| *n > 0);
        let stand = |n: u8, modified_ms: i64| some(n).map(|n| EntryVersion { digest: digest(n), modified_ms });
        let (mut base, mut sides) =
            (some(base).map(digest), Pair { left: stand(left, times.0), right: stand(right, times.1) });
        let verdict = merge(base, &sides, &rules);

        // It does not matter from which side one looks.
        let other = MergeRules { source: rules.source.other(), ..rules };
        let swapped = match verdict.clone() {
            Verdict::Copy { to, why } => Verdict::Copy { to: to.other(), why },
            Verdict::Delete { from, why } => Verdict::Delete { from: from.other(), why },
            verdict => verdict,
        };
        prop_assert_eq!(swapped, merge(base, &Pair { left: sides.right, right: sides.left }, &other));

        // A write never destroys anything but the common version, unless it was a conflict that the policy settles, or
        // the task says that changes of its copies are written over.
        let written = match &verdict {
            Verdict::Copy { to, why } => Some((*to, *why)),
            Verdict::Delete { from, why } => Some((*from, *why)),
            _ => None,
        };
        if let Some((to, why)) = written {
            let lost = sides[to].map(|version| version.digest).filter(|digest| Some(*digest) != base);
            let said = matches!(why, EntryReason::Settled { .. }) && rules.conflicts != Manual
                || why == EntryReason::Overridden && rules.overrides == Replace;
            prop_assert!(lost.is_none() || said, "{verdict:?}");
            prop_assert!(rules.travels_from(to.other()) || to != rules.source, "a one-way task wrote its source");
            prop_assert!(base.is_some() || rules.ways == Ways::Two || to != rules.source);
        }
        if let Verdict::Delete { .. } = verdict {
            prop_assert!(base.is_some() && rules.mode == WriteMode::Sync, "only what was common is deleted");
        }
        // Nothing is left alone without a reason; a difference is never in step.
        let digests = Pair::of(|side| sides[side].map(|version| version.digest));
        prop_assert_eq!(verdict == Verdict::InStep, digests.left == digests.right);

        // What was done is done.
        match &verdict {
            Verdict::Copy { to, .. } => sides[*to] = sides[to.other()],
            Verdict::Delete { from, .. } => sides[*from] = None,
            _ => {}
        }
        let again = match verdict {
            Verdict::Leave(reason) => Verdict::Leave(reason),
            _ => {
                base = sides.left.map(|version| version.digest);
                Verdict::InStep
            }
        };
        prop_assert_eq!(merge(base, &sides, &rules), again);
    }
}
