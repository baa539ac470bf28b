//! What of a copy goes into the metadata of a Polaris instance, and in which form. Pure.
//!
//! Metadata take 64 pairs; a key has up to 128 characters, a value up to 4096. What fits stands there as it is. What does not, and
//! what a server may write over, goes as one JSON text in pieces, under keys of our own.

use causeway_core::{Metadata, Payload};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The key that carries our mark.
pub(super) const MARK: &str = "causeway";
/// Begins the keys of the pieces; a number of two digits follows.
const MORE: &str = "causeway.more.";
/// Keys in which a server says again where an instance stands: on some stores whether or not it was told.
pub(super) const PLACES: [&str; 3] = ["region", "zone", "campus"];
/// When a server last heard of an instance that is unhealthy now: its own affair.
pub(super) const LAST_BEAT: &str = "internal-lastheartbeat";

const PAIRS: usize = 64;
/// Pairs that stand as they are; the others are left to the pieces.
const PLAIN: usize = 56;
const KEY: usize = 128;
const VALUE: usize = 4_096;

/// What has no place of its own in a Polaris instance, or a server may write over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct More {
    /// Whose copy it is, as the mark has it: proof where an operator has written the mark over.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Pairs that count more than those that stand as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// A weight that is no whole number of hundredths from 0 to 65,535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
}

/// More than fits: how many characters there are, and how many fit.
#[derive(Debug, PartialEq)]
pub(super) struct TooLong {
    pub characters: usize,
    pub limit: usize,
}

/// A key under which a server says again what another field of an instance says, whatever stood there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Repeated {
    pub key: &'static str,
    pub value: String,
    /// The field was made of this very key: the instance has it, with this value.
    pub is_own: bool,
}

/// The pairs of a copy's metadata. `repeated`: what a server may write over.
pub(super) fn pack(
    metadata: &Metadata,
    mut more: More,
    mark: Option<String>,
    repeated: &[Repeated],
) -> Result<HashMap<String, String>, TooLong> {
    let mut pairs = HashMap::new();
    for (key, value) in metadata {
        let fits = is_plain(key, value) && pairs.len() < PLAIN;
        if fits {
            pairs.insert(key.to_owned(), value.to_owned());
        }
        let spoilt = |one: &Repeated| one.key == key && !(one.is_own && one.value == value);
        if !fits || repeated.iter().any(spoilt) {
            more.metadata.insert(key.to_owned(), value.to_owned());
        }
    }
    let room = PAIRS - 1 - pairs.len();
    pairs.extend(mark.map(|mark| (MARK.to_owned(), mark)));
    if more != More::default() {
        let text = serde_json::to_string(&more).unwrap_or_default();
        let pieces = pieces(&text);
        if pieces.len() > room {
            return Err(TooLong { characters: text.chars().count(), limit: room * VALUE });
        }
        pairs.extend(pieces.into_iter().enumerate().map(|(n, piece)| (format!("{MORE}{n:02}"), piece.to_owned())));
    }
    Ok(pairs)
}

/// The metadata that a copy's pairs stand for, and what else was put there. `repeated`: what the server says again, which is the
/// copy's own only where it says so. What is not to be read stays as it is.
pub(super) fn unpack(
    pairs: &HashMap<String, String>,
    repeated: impl Fn(&More) -> Vec<Repeated>,
) -> (BTreeMap<String, String>, More) {
    let is_piece = |key: &str| key.starts_with(MORE);
    let sorted: BTreeMap<&String, &String> = pairs.iter().collect();
    let text: String = sorted.iter().filter(|(key, _)| is_piece(key)).map(|(_, piece)| piece.as_str()).collect();
    let more = serde_json::from_str::<More>(&text).ok();
    let stays = |key: &str| key != LAST_BEAT && (more.is_none() || !is_piece(key));
    let rest = pairs.iter().filter(|(key, _)| stays(key));
    let mut metadata: BTreeMap<_, _> = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut more = more.unwrap_or_default();
    for Repeated { key, value, is_own } in repeated(&more) {
        match is_own {
            true => drop(metadata.insert(key.to_owned(), value)),
            false => drop(metadata.remove(key)),
        }
    }
    metadata.extend(std::mem::take(&mut more.metadata));
    (metadata, more)
}

fn is_plain(key: &str, value: &str) -> bool {
    !key.starts_with(MORE)
        && key != MARK
        && key != LAST_BEAT
        && key.chars().count() <= KEY
        && value.chars().count() <= VALUE
}

/// A text in pieces that a value takes.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let end = text.char_indices().nth(VALUE).map_or(text.len(), |(at, _)| at);
        let (piece, rest) = text.split_at(end);
        pieces.push(piece);
        text = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            pairs in proptest::collection::btree_map(
                "[a-z]{0,3}|zone|region|version|causeway|causeway.more.0[01]|internal-lastheartbeat|.{0,9}|[a-z]{130}",
                ".{0,200}|[a-z]{4100}",
                0..70,
            ),
            persistent: bool,
            spoilt: bool,
        ) {
            let metadata: Metadata = pairs.into();
            let more = More { persistent, weight: Some("0.001".into()), ..More::default() };
            let zone = metadata.get("zone").unwrap_or_default().to_owned();
            let repeated = |key, value: &str| Repeated { key, value: value.to_owned(), is_own: key == "zone" && !value.is_empty() };
            let repeated = [repeated("version", "x"), repeated("zone", &zone), repeated("region", "")];
            match pack(&metadata, more.clone(), Some("1;a/b;c".into()), &repeated) {
                Err(long) => prop_assert!(long.characters > long.limit, "{long:?}"),
                Ok(mut packed) => {
                    let fits = |(key, value): (&String, &String)| key.chars().count() <= 128 && value.chars().count() <= 4_096;
                    prop_assert!(packed.len() <= 64 && packed.iter().all(fits), "{packed:?}");
                    prop_assert_eq!(packed.remove(MARK), Some("1;a/b;c".to_owned()));
                    // As a server does.
                    packed.extend(repeated.iter().map(|one| (one.key.to_owned(), one.value.clone())));
                    packed.insert(LAST_BEAT.to_owned(), "1".to_owned());
                    let (read, rest) = unpack(&packed, |_| repeated.to_vec());
                    prop_assert_eq!(Metadata::from(read), metadata);
                    prop_assert_eq!(rest, more);
                }
            }
        }
    }

    #[test]
    fn what_fits_stands_as_it_is() {
        let metadata = Metadata::from([("zone", "a"), ("region", "r"), ("a", "b")]);
        let repeated = |key, value: &str, is_own| Repeated { key, value: value.to_owned(), is_own };
        let both = [repeated("zone", "a", true), repeated("region", "", false)];
        let packed = pack(&metadata, More::default(), None, &both).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let more = pair("causeway.more.00", r#"{"metadata":{"region":"r"}}"#);
        assert_eq!(packed, HashMap::from([pair("zone", "a"), pair("region", "r"), pair("a", "b"), more]));
    }
}
