use super::*;
use causeway_core::{Attributes, Instance};

const SETTLE: Duration = Duration::from_secs(30);

fn scope() -> ServiceKey {
    ServiceKey::new("p", "g", "s")
}

fn owned(by: &str) -> Attributes {
    Attributes([("owner".to_owned(), by.to_owned())].into())
}

fn bare(port: u16) -> Set {
    Set { attributes: None, ..Set::of(scope(), [Instance::new("127.0.0.1", port)]) }
}

fn known(mirror: &Mirror) -> Option<Attributes> {
    mirror.part(&scope().part())?.observed(&scope())?.attributes.clone()
}

#[test]
fn what_is_known_of_a_scope_itself_stays_until_told_anew() {
    let (mut mirror, now) = (Mirror::default(), Instant::now());
    let update = |mirror: &mut Mirror, update| mirror.update(update, Some(SETTLE), now).len();
    let reset = |sets| Update::Reset { part: scope().part(), title: None, sets };
    assert_eq!(update(&mut mirror, reset(vec![bare(1)])), 1);
    assert_eq!(known(&mirror), None, "not known is not empty");
    assert_eq!(update(&mut mirror, Update::Attributes(scope(), owned("me"))), 1);
    assert_eq!(update(&mut mirror, Update::Attributes(scope(), owned("me"))), 0, "no news");
    // Neither the same records again, nor others, nor a complete report without attributes.
    for (again, news) in [(bare(1), 0), (bare(2), 1)] {
        assert_eq!(update(&mut mirror, Update::Changed(again)), news);
        assert_eq!(known(&mirror), Some(owned("me")));
    }
    assert_eq!(update(&mut mirror, reset(vec![bare(2)])), 0);
    assert_eq!(known(&mirror), Some(owned("me")));
    // What we wrote shows at once, and is replaced by what is told.
    mirror.overlay(&scope(), now, |set| set.attributes = Some(owned("us")));
    assert_eq!(known(&mirror), Some(owned("us")));
    update(&mut mirror, Update::Attributes(scope(), owned("them")));
    assert_eq!(known(&mirror), Some(owned("them")));
    assert_eq!(update(&mut mirror, Update::Attributes(ServiceKey::new("p", "g", "other"), owned("me"))), 0);
}

#[test]
fn a_write_that_was_reported_before_its_answer_is_not_looked_for() {
    let (mut mirror, now) = (Mirror::default(), Instant::now());
    let reset = Update::Reset { part: scope().part(), title: None, sets: vec![bare(1)] };
    mirror.update(reset, Some(SETTLE), now);
    let put = |set: &mut Set| set.put(Instance::new("127.0.0.1", 2));
    let mut both = bare(1);
    put(&mut both);
    mirror.update(Update::Changed(both.clone()), Some(SETTLE), now);
    mirror.overlay(&scope(), now, put);
    assert_eq!(mirror.unreported(now + REPORTED), BTreeSet::new());
    // One that is not reported is.
    mirror.overlay(&scope(), now, |set| set.put(Instance::new("127.0.0.1", 3)));
    assert_eq!(mirror.unreported(now + REPORTED), BTreeSet::from([scope().part()]));
    // Nor is one that is taken back before a report: what was accepted first may still come.
    mirror.overlay(&scope(), now, |set| *set = both.clone());
    assert_eq!(mirror.part(&scope().part()).unwrap().observed(&scope()).map(|set| &**set), Some(&both));
}
