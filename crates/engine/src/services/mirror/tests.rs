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
