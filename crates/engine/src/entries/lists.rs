//! Entries that are lists with commas, to which each side adds its own: the applications that offer an interface.
//!
//! Whatever either side has stands on both. Nothing is ever taken out: whoever wrote it alone could say so, and does not.

use causeway_core::{Body, Side, Ways};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is to be done about a list whose two sides differ.
#[derive(Debug, PartialEq)]
pub(super) enum Union {
    /// This side has all that the other one has: it is written there.
    Copy { to: Side },
    /// Each has what the other lacks: this is written to the destination, and from there goes back.
    Both(Arc<[u8]>),
    /// The destination of a one-way task has all of the source's, and more of its own.
    Enough,
}

/// `None`: one of them is no list.
pub(super) fn union(left: &Body, right: &Body, ways: Ways) -> Option<Union> {
    let text = |body: &'_ Body| String::from_utf8(body.as_deref().unwrap_or_default().to_vec()).ok();
    let (left, right) = (text(left)?, text(right)?);
    let items = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let (of_left, of_right) = (items(&left), items(&right));
    let (has_left, has_right): (BTreeSet<_>, BTreeSet<_>) = (of_left.iter().collect(), of_right.iter().collect());
    Some(match (has_left.is_superset(&has_right), has_right.is_superset(&has_left), ways) {
        (true, ..) => Union::Copy { to: Side::Right },
        (_, true, Ways::Two) => Union::Copy { to: Side::Left },
        (_, true, Ways::One) => Union::Enough,
        _ => {
            let more = of_left.iter().filter(|item| !has_right.contains(item));
            let all: Vec<&str> = of_right.iter().chain(more).map(String::as_str).collect();
            Union::Both(all.join(",").into_bytes().into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_what_either_has() {
        let body = |text: &str| Some(Arc::from(text.as_bytes()));
        let of = |left: &str, right: &str, ways| union(&body(left), &body(right), ways).unwrap();
        for ways in [Ways::One, Ways::Two] {
            assert_eq!(of("a,b", "b", ways), Union::Copy { to: Side::Right });
            assert_eq!(of("a, b", "b,a", ways), Union::Copy { to: Side::Right });
            assert_eq!(of("a,c", "b,a", ways), Union::Both(Arc::from(&b"b,a,c"[..])));
        }
        assert_eq!(of("a", "b,a", Ways::Two), Union::Copy { to: Side::Left });
        assert_eq!(of("a", "b,a", Ways::One), Union::Enough);
        assert_eq!(union(&body("a"), &Some(Arc::from(&b"\xff"[..])), Ways::Two), None);
        assert_eq!(union(&None, &body("a"), Ways::Two), Some(Union::Copy { to: Side::Left }));
    }
}
