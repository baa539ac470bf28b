//! The keys of an instance's metadata by which its owner sets heart beats and their time-outs, in milliseconds. Pure.
//!
//! They are the native's: over gRPC nothing beats, and on 1.x it is we who beat for a copy. Where a server would refuse a
//! copy because of them, or would ask for more beats than we send, a blank behind each value keeps the server from reading
//! it as a number: then the defaults hold. [`restore`] takes the blanks off again.

use causeway_core::Metadata;
use std::time::Duration;

/// Each with what the server takes where it is missing.
const INTERVAL: (&str, u64) = ("preserved.heart.beat.interval", 5_000);
const TIMEOUT: (&str, u64) = ("preserved.heart.beat.timeout", 15_000);
const DELETE: (&str, u64) = ("preserved.ip.delete.timeout", 30_000);
const KEYS: [(&str, u64); 3] = [INTERVAL, TIMEOUT, DELETE];

/// A copy is beaten for at most this often: on a record whose keys ask for more they do not count.
const FLOOR: Duration = Duration::from_millis(500);
/// So many beats may be lost before a time-out passes.
const SPARE: u64 = 3;

/// A value as the server reads it: digits alone.
fn value(metadata: &Metadata, (key, default): (&str, u64)) -> u64 {
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    metadata.get(key).filter(digits).map_or(default, |text| text.parse().unwrap_or(u64::MAX))
}

fn asked(metadata: &Metadata) -> Duration {
    let [interval, timeout, delete] = KEYS.map(|key| value(metadata, key));
    Duration::from_millis(interval.min(timeout / SPARE).min(delete / SPARE))
}

/// Whether 2.x and later refuse an instance with these keys, or a value ends with a blank of its owner's, which is to be
/// told from ours.
pub(super) fn are_odd(metadata: &Metadata) -> bool {
    let [interval, timeout, delete] = KEYS.map(|key| value(metadata, key));
    let ends = |(key, _): (&str, u64)| metadata.get(key).is_some_and(|value| value.ends_with(' '));
    timeout < interval || delete < interval || KEYS.into_iter().any(ends)
}

/// Whether they ask for more beats than are sent for a copy.
pub(super) fn are_too_quick(metadata: &Metadata) -> bool {
    asked(metadata) < FLOOR
}

/// How often a copy with these metadata is beaten for, where each beat counts.
pub(super) fn every(metadata: &Metadata) -> Duration {
    match are_too_quick(metadata) {
        true => asked(&Metadata::new()),
        false => asked(metadata),
    }
}

/// Keeps the server from reading them.
pub(super) fn blank(metadata: &mut Metadata) {
    metadata.change(|pairs| {
        for (key, _) in KEYS {
            if let Some(value) = pairs.get_mut(key) {
                value.push(' ');
            }
        }
    });
}

/// Makes the keys of a copy what they were again.
pub(super) fn restore(metadata: &mut Metadata) {
    if !KEYS.into_iter().any(|(key, _)| metadata.get(key).is_some_and(|value| value.ends_with(' '))) {
        return;
    }
    metadata.change(|pairs| {
        for (key, _) in KEYS {
            if let Some(value) = pairs.get_mut(key)
                && value.ends_with(' ')
            {
                value.pop();
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(all: [&str; 3]) -> Metadata {
        let pairs = KEYS.iter().zip(all).filter(|(_, value)| !value.is_empty());
        pairs.map(|((key, _), value)| ((*key).to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn beats_are_as_many_as_the_keys_ask_for() {
        let millis = |all| every(&keys(all)).as_millis();
        assert_eq!(millis(["", "", ""]), 5_000);
        assert_eq!(millis(["1000", "3000", "6000"]), 1_000);
        assert_eq!(millis(["", "3000", ""]), 1_000);
        assert_eq!(millis(["", "", "6000"]), 2_000);
        assert_eq!(millis(["9000", "", ""]), 5_000);
        assert_eq!(millis(["1s", "", ""]), 5_000, "no number");
        // More than is sent: they do not count.
        for all in [["30", "120", "180"], ["499", "", ""], ["", "1499", ""], ["0", "0", "0"]] {
            assert_eq!((millis(all), are_too_quick(&keys(all))), (5_000, true), "{all:?}");
        }
        assert!(["30000", "9 "].iter().all(|odd| are_odd(&keys([odd, "", ""]))) && are_odd(&keys(["10", "120", "5"])));
        assert!(!are_odd(&keys(["30", "120", "180"])) && !are_odd(&keys(["", "", ""])));
    }

    #[test]
    fn a_blank_keeps_them_from_being_read() {
        for all in [["30", "120", "180"], ["30 ", "", "99999999999999999999"]] {
            let (before, mut metadata) = (keys(all), keys(all));
            blank(&mut metadata);
            assert_eq!((every(&metadata).as_millis(), are_too_quick(&metadata)), (5_000, false));
            restore(&mut metadata);
            assert_eq!(metadata, before);
        }
    }
}
