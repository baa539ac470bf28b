//! What of a record goes into the `Meta` of a Consul service, and in which form. Pure.
//!
//! `Meta` takes 64 pairs; a key is up to 128 of `0-9 a-z A-Z - _` and does not begin with `consul-`, a value has up to 512
//! bytes. What fits stands there as it is. All else goes, as one JSON text in pieces, under keys of our own.

use causeway_core::{Metadata, Payload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The key that carries our mark.
pub(super) const MARK: &str = "causeway";
/// Begins the keys of the pieces; a number of two digits follows.
const MORE: &str = "causeway-more-";
/// The key of our metadata that stands for a service's tags: a JSON array of texts. No key of `Meta` can be called so.
pub(super) const TAGS: &str = "consul.tags";

const PAIRS: usize = 64;
/// Pairs that stand as they are; the others are left to the pieces.
const PLAIN: usize = 40;
const KEY: usize = 128;
const VALUE: usize = 512;
const RESERVED: &str = "consul-";

/// What has no place of its own in a Consul service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct More {
    /// Pairs that `Meta` does not take.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub slot: String,
    /// A weight that is no whole number from 1 to 65,535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
}

/// More than fits: how many bytes there are, and how many fit.
#[derive(Debug, PartialEq)]
pub(super) struct TooLong {
    pub bytes: usize,
    pub limit: usize,
}

/// The tags that a text of our metadata stands for; `None` where it does not read back as the same text.
pub(super) fn tags(text: &str) -> Option<Vec<String>> {
    let tags: Vec<String> = serde_json::from_str(text).ok()?;
    (!tags.is_empty() && tags_text(&tags) == text).then_some(tags)
}

/// The text that stands for these tags.
pub(super) fn tags_text(tags: &[String]) -> String {
    serde_json::Value::from(tags).to_string()
}

/// The pairs of `Meta`, and the tags.
pub(super) fn pack(
    metadata: &Metadata,
    mut more: More,
    mark: Option<String>,
) -> Result<(BTreeMap<String, String>, Vec<String>), TooLong> {
    let mut meta = BTreeMap::new();
    let mut found = Vec::new();
    for (key, value) in metadata {
        if let Some(tags) = Some(value).filter(|_| key == TAGS).and_then(tags) {
            found = tags;
        } else if is_plain(key, value) && meta.len() < PLAIN {
            meta.insert(key.to_owned(), value.to_owned());
        } else {
            more.metadata.insert(key.to_owned(), value.to_owned());
        }
    }
    let room = PAIRS - 1 - meta.len();
    meta.extend(mark.map(|mark| (MARK.to_owned(), mark)));
    if more != More::default() {
        let text = serde_json::to_string(&more).unwrap_or_default();
        let pieces = pieces(&text);
        if pieces.len() > room {
            return Err(TooLong { bytes: text.len(), limit: room * VALUE });
        }
        meta.extend(pieces.into_iter().enumerate().map(|(n, piece)| (format!("{MORE}{n:02}"), piece.to_owned())));
    }
    Ok((meta, found))
}

/// The metadata that `Meta` and tags stand for, and what else was put there. What is not to be read stays as it is.
pub(super) fn unpack(meta: &BTreeMap<String, String>, tags: &[String]) -> (BTreeMap<String, String>, More) {
    let is_piece = |key: &str| key.starts_with(MORE);
    let text: String = meta.iter().filter(|(key, _)| is_piece(key)).map(|(_, piece)| piece.as_str()).collect();
    let more = serde_json::from_str::<More>(&text).ok();
    let rest = meta.iter().filter(|(key, _)| more.is_none() || !is_piece(key));
    let mut pairs: BTreeMap<_, _> = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut more = more.unwrap_or_default();
    // A pair that somebody has put there since is the newer one.
    for (key, value) in std::mem::take(&mut more.metadata) {
        pairs.entry(key).or_insert(value);
    }
    if !tags.is_empty() {
        pairs.insert(TAGS.to_owned(), tags_text(tags));
    }
    (pairs, more)
}

fn is_plain(key: &str, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=KEY).contains(&key.len())
        && key.bytes().all(plain)
        && !key.starts_with(RESERVED)
        && !key.starts_with(MORE)
        && key != MARK
        && value.len() <= VALUE
}

/// A text in pieces that a value takes.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(VALUE));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepted(meta: &BTreeMap<String, String>) -> bool {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let pair = |(key, value): (&String, &String)| {
            !key.is_empty()
                && key.len() <= 128
                && key.bytes().all(good)
                && !key.starts_with("consul-")
                && value.len() <= 512
        };
        meta.len() <= 64 && meta.iter().all(pair)
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            pairs in proptest::collection::btree_map("[a-z_.-]{0,3}|consul-[ab]|causeway|causeway-more-0[01]|.{0,9}|[a-z]{130}", ".{0,200}|[a-z]{600}", 0..60),
            tags in proptest::collection::vec(".{0,5}", 0..3),
            slot in ".{0,4}",
            persistent: bool,
        ) {
            let mut metadata: Metadata = pairs.clone().into();
            if !tags.is_empty() {
                metadata.insert(TAGS, tags_text(&tags));
            }
            let more = More { slot, persistent, weight: Some("0.5".into()), ..More::default() };
            match pack(&metadata, more.clone(), Some("1;a/b;c".into())) {
                Err(long) => prop_assert!(long.bytes > long.limit - 4 * 64, "{long:?}"),
                Ok((mut meta, packed)) => {
                    prop_assert!(accepted(&meta), "{meta:?}");
                    prop_assert_eq!(&packed, &tags);
                    prop_assert_eq!(meta.remove(MARK), Some("1;a/b;c".to_owned()));
                    let (read, rest) = unpack(&meta, &packed);
                    prop_assert_eq!(Metadata::from(read), metadata);
                    prop_assert_eq!(rest, more);
                }
            }
        }
    }

    #[test]
    fn what_fits_stands_as_it_is() {
        let metadata =
            Metadata::from([("zone", "a"), ("consul.tags", r#"["x","k=v"]"#), ("a.b", "c"), ("consul.", "d")]);
        let (meta, tags) = pack(&metadata, More::default(), None).unwrap();
        let text = r#"{"metadata":{"a.b":"c","consul.":"d"}}"#;
        assert_eq!(meta, BTreeMap::from([("zone".into(), "a".into()), ("causeway-more-00".into(), text.into())]));
        assert_eq!(tags, ["x", "k=v"]);
        // No list of texts, or not as we write it: a text like any other.
        for text in ["[]", "x", r#"["a", "b"]"#, r#"{"a":1}"#] {
            let metadata = Metadata::from([(TAGS, text)]);
            let (meta, tags) = pack(&metadata, More::default(), None).unwrap();
            assert!(tags.is_empty() && Metadata::from(unpack(&meta, &tags).0) == metadata, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_told_with_its_length() {
        let with = |length: usize| {
            let mark = Some(String::new());
            pack(&Metadata::from([("fill", "x".repeat(length))]), More::default(), mark).map(|(meta, _)| meta.len())
        };
        let around = r#"{"metadata":{"fill":""}}"#.len();
        assert_eq!(with(63 * 512 - around), Ok(64));
        assert_eq!(with(63 * 512 - around + 1), Err(TooLong { bytes: 63 * 512 + 1, limit: 63 * 512 }));
        assert_eq!(with(512), Ok(2), "as it is, and the mark");
    }

    #[test]
    fn pieces_that_somebody_broke_stay_as_they_are() {
        let meta = BTreeMap::from([("causeway-more-00".to_owned(), "{\"slot\":".to_owned())]);
        assert_eq!(unpack(&meta, &[]), (meta.clone(), More::default()));
    }
}
