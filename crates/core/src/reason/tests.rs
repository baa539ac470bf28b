use super::*;
use crate::{Conflicts, Evidence, Governed, OwnerId, Undecided};
use std::collections::BTreeSet;

fn text() -> String {
    "a \"text\" of a server".into()
}

/// One of each, those of the inner types as well.
fn all() -> Vec<Reason> {
    let (count, retry, panic, error) = (3, Duration::from_secs(30), text(), KeptError::Denied { text: text() });
    let (fields, owner) = (vec!["weight 1 → 2".to_owned()], Some(OwnerId::new("i", "t")));
    let undecided = Undecided { pattern: "a*".into(), subject: text() };
    let edited = Edited { added: vec!["a".into()], ..Edited::default() };
    let digest = Digest::try_from("0123456789abcdef0123456789abcdef".to_owned()).unwrap();
    let over = Some(WrittenOver { size: 3, digest });
    let removals = [
        Removal::Gone { evidence: Evidence::Implied },
        Removal::Native,
        Removal::Drained,
        Removal::GivesWay,
        Removal::Ousted,
    ];
    let theirs = OwnerId::new("a-tool", "a");
    let skips = [
        Skip::Foreign { owner },
        Skip::Loop,
        Skip::Mode,
        Skip::RemovalLimit,
        Skip::Stale,
        Skip::Settling,
        Skip::Paused,
        Skip::Overridden,
        Skip::Rejected { why: text() },
        Skip::Undecided(undecided.clone()),
        Skip::Blocked { why: text() },
        Skip::Crowded { owner: None },
        Skip::Governed { what: Governed::Health },
        Skip::Backs { owner: theirs.clone() },
        Skip::TakingOver,
        Skip::LeftBehind { owner: theirs.clone() },
    ];
    let whys = [
        EntryReason::New,
        EntryReason::Edited,
        EntryReason::Deleted,
        EntryReason::Missing,
        EntryReason::Overridden,
        EntryReason::Needed,
        EntryReason::Settled { by: Conflicts::Newest },
    ];
    let entries = [
        EntrySkip::Foreign,
        EntrySkip::Overridden,
        EntrySkip::Kept,
        EntrySkip::Mode,
        EntrySkip::Conflict,
        EntrySkip::Occupied,
        EntrySkip::Rejected { why: text() },
        EntrySkip::Blocked { why: text() },
        EntrySkip::Undecided(undecided),
    ];
    let errors = [
        KeptError::Unavailable { text: text() },
        KeptError::Throttled { wait: Duration::from_micros(1_500) },
        KeptError::Conflict,
        KeptError::Denied { text: text() },
        KeptError::Missing { text: text() },
        KeptError::Rejected { text: text() },
        KeptError::Blocked { text: text() },
        KeptError::Protocol { text: text() },
    ];
    let own = [
        Reason::None,
        Reason::Text { text: text() },
        Reason::SourceOnly,
        Reason::AlreadyOurs,
        Reason::Shadow,
        Reason::BacksCopy { owner: theirs.clone() },
        Reason::TakenOver { owner: theirs, fields: fields.clone() },
        Reason::Differs { fields: fields.clone() },
        Reason::OverrideTravels { fields },
        Reason::AttributesDiffer,
        Reason::EntryEqual,
        Reason::EntryWasWritten,
        Reason::EntryChangedByHand,
        Reason::EntryNotEmpty,
        Reason::EntryNotDeleted { text: text() },
        Reason::PutBack { count },
        Reason::WrittenAnew { count },
        Reason::Held { count, why: HoldReason::Wiped { part: "public".into() } },
        Reason::CameBack,
        Reason::Released { count },
        Reason::SecondLook { count },
        Reason::LookedAtAgain { count },
        Reason::ServiceBug { scope: ServiceKey::new("n", "g", "s"), retry, panic: panic.clone() },
        Reason::EntryBug { retry, panic },
        Reason::FailedThere { cluster: "a".into(), error },
        Reason::NotListed { server: text() },
        Reason::StillListed { server: text() },
        Reason::Applied { clusters: edited, tasks: Edited::default() },
        Reason::Resolved { entry: text(), side: Side::Right },
        Reason::CopiesLeft { count },
        Reason::TheirsRemoved { tool: "a-tool".into(), count },
        Reason::EventsLost { count: 3 },
    ];
    let mut all = own.to_vec();
    all.extend(removals.map(Reason::Removal));
    all.extend(skips.map(Reason::Skip));
    all.extend(whys.map(|why| Reason::Entry { why, over }));
    all.extend(entries.map(Reason::EntrySkip));
    all.extend(errors.map(Reason::Failed));
    all
}

/// A code must name one variant, also across the types: else what is kept would read back as something else.
#[test]
fn each_has_a_code_of_its_own_and_reads_back() {
    let mut codes = BTreeSet::new();
    for reason in all() {
        let kept = serde_json::to_value(&reason).unwrap();
        let code = kept["code"].as_str().unwrap().to_owned();
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
        assert!(codes.insert(code), "{kept}: another one has the same code");
        assert_eq!(serde_json::from_value::<Reason>(kept.clone()).unwrap(), reason, "{kept}");
    }
    let plain = Reason::entry(EntryReason::Edited);
    let kept = serde_json::to_string(&plain).unwrap();
    assert_eq!((kept.as_str(), serde_json::from_str(&kept).unwrap()), (r#"{"code":"entry-edited"}"#, plain));
}

#[test]
fn a_code_does_not_depend_on_what_a_server_says() {
    for why in ["", "no"] {
        let kept = serde_json::to_value(Reason::from(Skip::Rejected { why: why.into() })).unwrap();
        assert_eq!(kept, serde_json::json!({"code": "rejected", "why": why}));
    }
}

/// The words that users and their scripts know.
#[test]
fn the_words_stay_as_they_are() {
    let digest = Digest::try_from("0123456789abcdef0123456789abcdef".to_owned()).unwrap();
    let names = |name: &str| vec![name.to_owned()];
    let clusters = Edited { added: vec!["a".into(), "b".into()], changed: names("c"), ..Edited::default() };
    for (reason, words) in [
        (Reason::None, ""),
        (Reason::Differs { fields: Vec::new() }, "differs from the source: its mark"),
        (
            Reason::OverrideTravels { fields: vec!["weight 1 → 2".into(), "metadata +a".into()] },
            "an operator's change of our copy travels back: weight 1 → 2, metadata +a",
        ),
        (
            Reason::Entry {
                why: EntryReason::Settled { by: Conflicts::Source },
                over: Some(WrittenOver { size: 3, digest }),
            },
            "changed on both sides: the source's stands; written over: 3 bytes, digest 0123456789abcdef0123456789abcdef",
        ),
        (Reason::entry(EntryReason::Overridden), "edited in the destination: the source's is written again"),
        (
            Reason::Held { count: 3, why: HoldReason::Wiped { part: "public".into() } },
            "3 removals held: too much of public is missing at once, as if the source was emptied; release it if that is \
             right",
        ),
        (
            Reason::ServiceBug {
                scope: ServiceKey::new("n", "g", "s"),
                retry: Duration::from_secs(30),
                panic: "x".into(),
            },
            "n/g/s cannot be written because of a bug in Causeway, and is retried every 30s: x",
        ),
        (
            Reason::PutBack { count: 2 },
            "the cluster was put back to an earlier time: 2 entries are compared anew, and what differs is a conflict",
        ),
        (
            Reason::Applied { clusters, tasks: Edited { draining: names("t"), ..Edited::default() } },
            "clusters added: a, b; clusters changed: c; tasks draining: t",
        ),
        (Reason::Resolved { entry: "/a".into(), side: Side::Left }, "/a: the source's"),
        (
            Reason::FailedThere { cluster: "a".into(), error: KeptError::from(&crate::Error::Denied("no".into())) },
            "a: not allowed: no",
        ),
        (
            Reason::from(Skip::Blocked { why: "x".into() }),
            "the destination refuses it for now, and it is tried again: x",
        ),
        (Reason::from(EntrySkip::Rejected { why: "x".into() }), "it cannot be held: x"),
    ] {
        assert_eq!(reason.to_string(), words);
    }
}
