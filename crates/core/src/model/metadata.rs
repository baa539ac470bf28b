//! An instance's key/value pairs.

use super::intern;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Key/value pairs in the order of their keys. Equal ones share one text in memory: a clone costs nothing, a change makes a
/// new text.
///
/// The text holds each key and each value behind its length in bytes. A length is written in digits of six bits, the lowest
/// first, each an ASCII character below 128; all but the last have bit 6 set.
#[derive(Clone, Eq, PartialEq, Hash)]
pub struct Metadata(Arc<str>);

impl Metadata {
    /// No pairs.
    pub fn new() -> Self {
        Self(intern(""))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(this, _)| *this == key).map(|(_, value)| value)
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All pairs, in the order of their keys.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(_, value)| value)
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets one value; returns the one before.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.change(|map| map.insert(key.into(), value.into()))
    }

    /// Takes one pair out; returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        if self.contains_key(key) { self.change(|map| map.remove(key)) } else { None }
    }

    /// Keeps only some pairs.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        *self = self.iter().filter(|(key, value)| keep(key, value)).collect();
    }

    /// Takes all pairs out.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The pairs as a map.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Makes several changes at once.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> T {
        let mut map = self.to_map();
        let answer = change(&mut map);
        *self = map.into();
        answer
    }

    /// Of pairs in the order of their keys, each key once.
    fn of_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (key, value) in pairs {
            for word in [key, value] {
                put_length(&mut text, word.len());
                text.push_str(word);
            }
        }
        Self(intern(&text))
    }
}

fn put_length(text: &mut String, mut length: usize) {
    while length >= 64 {
        text.push(char::from(64 | (length % 64) as u8));
        length /= 64;
    }
    text.push(char::from(length as u8));
}

/// Takes the first word off.
fn take<'a>(text: &mut &'a str) -> Option<&'a str> {
    let (mut length, mut shift) = (0, 0);
    for (at, digit) in text.bytes().enumerate() {
        length |= usize::from(digit % 64) << shift;
        shift += 6;
        if digit < 64 {
            let (word, rest) = text.get(at + 1..)?.split_at_checked(length)?;
            *text = rest;
            return Some(word);
        }
    }
    None
}

/// The pairs of a [`Metadata`].
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a str);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((take(&mut self.0)?, take(&mut self.0)?))
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// As maps of the same pairs compare.
impl Ord for Metadata {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Metadata {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::ops::Index<&str> for Metadata {
    type Output = str;

    /// Panics where there is no such key, as a map does.
    fn index(&self, key: &str) -> &str {
        self.get(key).unwrap_or_else(|| panic!("no key {key}"))
    }
}

impl From<BTreeMap<String, String>> for Metadata {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self::of_sorted(map.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Metadata {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

/// Of two pairs with one key the later one stands.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect::<BTreeMap<_, _>>().into()
    }
}

impl<K: Into<String>, V: Into<String>> Extend<(K, V)> for Metadata {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        self.change(|map| map.extend(pairs.into_iter().map(|(key, value)| (key.into(), value.into()))));
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetadataVisitor;
        impl<'de> Visitor<'de> for MetadataVisitor {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    pairs.insert(key, value);
                }
                Ok(pairs.into())
            }
        }
        deserializer.deserialize_map(MetadataVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_map(pairs in proptest::collection::vec((".{0,90}", ".{0,200}"), 0..12), key in ".{0,3}") {
            let mut map: BTreeMap<String, String> = pairs.iter().cloned().collect();
            let mut ours: Metadata = pairs.iter().cloned().collect();
            prop_assert_eq!(ours.to_map(), map.clone());
            prop_assert_eq!(ours.len(), map.len());
            for (key, value) in &map {
                prop_assert_eq!(ours.get(key), Some(value.as_str()));
            }
            let json = serde_json::to_string(&ours).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(&map).unwrap());
            prop_assert_eq!(serde_json::from_str::<Metadata>(&json).unwrap(), ours.clone());
            prop_assert_eq!(ours.remove(&key), map.remove(&key));
            prop_assert_eq!(ours.insert(key.clone(), "x"), map.insert(key.clone(), "x".into()));
            prop_assert_eq!(ours.to_map(), map.clone());
            let mut other = map.clone();
            other.insert(key, "y".into());
            prop_assert_eq!(ours.cmp(&Metadata::from(other.clone())), map.cmp(&other));
        }
    }

    #[test]
    fn equal_ones_share_their_text() {
        let (one, other) = (Metadata::from([("a", "1"), ("b", "2")]), Metadata::from([("b", "2"), ("a", "1")]));
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert_eq!(format!("{one:?}"), r#"{"a": "1", "b": "2"}"#);
    }
}
