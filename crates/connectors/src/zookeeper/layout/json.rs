//! JSON objects whose keys keep their order and whose values keep their letters.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// An object's keys, and its values as they are written.
pub(super) type JsonPairs = Vec<(String, String)>;

struct Object(JsonPairs);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = JsonPairs::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    pairs.push((key, value.get().to_owned()));
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// The pairs of an object.
pub(super) fn pairs(text: &str) -> Result<JsonPairs, String> {
    serde_json::from_str::<Object>(text).map(|object| object.0).map_err(|error| error.to_string())
}

/// The value of a key, if it is there and not null. Of several, readers take the last.
pub(super) fn find<'a>(pairs: &'a JsonPairs, key: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|pair| pair.0 == key).map(|pair| pair.1.as_str()).filter(|raw| *raw != "null")
}

/// The text of a string.
pub(super) fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// An object in its shortest form.
pub(super) fn object(pairs: &JsonPairs) -> String {
    let inner: Vec<_> = pairs.iter().map(|(key, raw)| format!("{}:{raw}", quote(key))).collect();
    format!("{{{}}}", inner.join(","))
}

/// A string as Java's Jackson writes it.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if !(' '..='\u{ffff}').contains(&c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What makes `wanted` of `base`: the keys that go, and the pairs that come or change, as `key=value`.
pub(super) fn patch(base: &JsonPairs, wanted: &JsonPairs) -> (Vec<String>, Vec<String>) {
    let gone = base.iter().filter(|pair| wanted.iter().all(|other| other.0 != pair.0));
    let set = wanted.iter().filter(|pair| !base.contains(pair));
    (gone.map(|pair| pair.0.clone()).collect(), set.map(|(key, raw)| format!("{key}={raw}")).collect())
}

/// Does what [`patch`] found.
pub(super) fn apply<'a>(
    base: &mut JsonPairs,
    gone: impl Iterator<Item = &'a str>,
    set: impl Iterator<Item = &'a str>,
) -> Option<()> {
    for key in gone {
        base.retain(|pair| pair.0 != key);
    }
    for (key, raw) in set.map(|text| text.split_once('=')).collect::<Option<Vec<_>>>()? {
        match base.iter_mut().find(|pair| pair.0 == key) {
            Some(pair) => pair.1 = raw.to_owned(),
            None => base.push((key.to_owned(), raw.to_owned())),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_letters() {
        let text = r#"{"a":1.0e5,"b":"\u00e9","a":[ 1 ],"n":null}"#;
        let all = pairs(text).unwrap();
        assert_eq!(object(&all), text);
        assert_eq!((find(&all, "a"), find(&all, "n"), find(&all, "x")), (Some("[ 1 ]"), None, None));
        assert!(pairs("[]").is_err() && pairs("{} x").is_err() && pairs("").is_err());
        // As Jackson 2.18 wrote it.
        assert_eq!(quote("\u{1f}\u{7f}/\"é\u{feff}😀"), "\"\\u001F\u{7f}/\\\"é\u{feff}\\uD83D\\uDE00\"");
    }

    #[test]
    fn a_patch_makes_the_other() {
        let base = pairs(r#"{"a":1,"b":2,"c":3}"#).unwrap();
        let wanted = pairs(r#"{"a":1,"c":"=","d":null}"#).unwrap();
        let (gone, set) = patch(&base, &wanted);
        let mut made = base;
        apply(&mut made, gone.iter().map(String::as_str), set.iter().map(String::as_str)).unwrap();
        assert_eq!(made, wanted);
    }
}
