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
/// Keys in which a server says a field again, where it has a value.
pub(super) const VERSION: &str = "version";
pub(super) const PROTOCOL: &str = "protocol";
/// Keys in which a server says again where an instance stands: on some stores whether or not it was told, and where the server has
/// a list of places by host, as that says.
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
    /// A weight that is no whole number of hundredths up to the heaviest.
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

/// The pairs of a copy's metadata. What a server may write over is in the pieces too, and counts as it is there.
pub(super) fn pack(
    metadata: &Metadata,
    mut more: More,
    mark: Option<String>,
) -> Result<HashMap<String, String>, TooLong> {
    let mut pairs = HashMap::new();
    for (key, value) in metadata {
        let fits = is_plain(key, value) && pairs.len() < PLAIN;
        if fits {
            pairs.insert(key.to_owned(), value.to_owned());
        }
        if !fits || is_repeated(key) {
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

/// The metadata that a copy's pairs stand for, and what else was put there. What is not to be read stays as it is.
pub(super) fn unpack(pairs: &HashMap<String, String>) -> (BTreeMap<String, String>, More) {
    let is_piece = |key: &str| key.starts_with(MORE);
    let sorted: BTreeMap<&String, &String> = pairs.iter().collect();
    let text: String = sorted.iter().filter(|(key, _)| is_piece(key)).map(|(_, piece)| piece.as_str()).collect();
    let more = serde_json::from_str::<More>(&text).ok();
    let stays = |key: &str| key != LAST_BEAT && !is_repeated(key) && (more.is_none() || !is_piece(key));
    let rest = pairs.iter().filter(|(key, _)| stays(key));
    let mut metadata: BTreeMap<_, _> = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut more = more.unwrap_or_default();
    metadata.extend(std::mem::take(&mut more.metadata));
    (metadata, more)
}

/// Whether a server may write over it.
fn is_repeated(key: &str) -> bool {
    [VERSION, PROTOCOL].contains(&key) || PLACES.contains(&key)
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
        ) {
            let metadata: Metadata = pairs.into();
            let more = More { persistent, weight: Some("0.001".into()), ..More::default() };
            match pack(&metadata, more.clone(), Some("1;a/b;c".into())) {
                Err(long) => prop_assert!(long.characters > long.limit, "{long:?}"),
                Ok(mut packed) => {
                    let fits = |(key, value): (&String, &String)| key.chars().count() <= 128 && value.chars().count() <= 4_096;
                    prop_assert!(packed.len() <= 64 && packed.iter().all(fits), "{packed:?}");
                    prop_assert_eq!(packed.remove(MARK), Some("1;a/b;c".to_owned()));
                    // As a server does.
                    packed.extend([("version", "x"), ("zone", "a"), ("region", "")].map(|(key, value)| (key.into(), value.into())));
                    packed.insert(LAST_BEAT.to_owned(), "1".to_owned());
                    let (read, rest) = unpack(&packed);
                    prop_assert_eq!(Metadata::from(read), metadata);
                    prop_assert_eq!(rest, more);
                }
            }
        }
    }

    #[test]
    fn what_fits_stands_as_it_is() {
        let metadata = Metadata::from([("zone", "a"), ("a", "b")]);
        let packed = pack(&metadata, More::default(), None).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let more = pair("causeway.more.00", r#"{"metadata":{"zone":"a"}}"#);
        assert_eq!(packed, HashMap::from([pair("zone", "a"), pair("a", "b"), more]));
    }
}
