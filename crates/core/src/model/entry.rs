//! Config entries: persistent data such as znodes, or a config centre's files.

use super::{Attributes, Part, compare_names};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt::{self, Display};
use std::ops::{Index, IndexMut};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use xxhash_rust::xxh3::Xxh3;

/// A config entry: `namespace/group/name`. A kind that lacks a level leaves it empty, or says `public` for the namespace.
///
/// How names stand to each other is said by the kind's `NameShape`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryKey {
    /// The namespace's id.
    pub namespace: Arc<str>,
    /// The config group.
    pub group: Arc<str>,
    /// The data id, or the path.
    pub name: Arc<str>,
}

impl EntryKey {
    /// The entry `name` in `group` of `namespace`.
    pub fn new(namespace: &str, group: &str, name: &str) -> Self {
        Self { namespace: shared(namespace), group: shared(group), name: name.into() }
    }

    /// The znode or the like at `path`.
    pub fn path(path: &str) -> Self {
        Self::new("public", "", path)
    }

    /// The part of the cluster that it lies in.
    pub fn part(&self) -> Part {
        Part(self.namespace.clone())
    }
}

/// There may be a million keys, and most have these two words in common.
fn shared(word: &str) -> Arc<str> {
    static WORDS: LazyLock<[Arc<str>; 2]> = LazyLock::new(|| ["public".into(), "".into()]);
    WORDS.iter().find(|known| ***known == *word).cloned().unwrap_or_else(|| word.into())
}

impl Ord for EntryKey {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_names([&self.namespace, &self.group, &self.name], [&other.namespace, &other.group, &other.name])
    }
}

impl PartialOrd for EntryKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As a user writes it: a path alone, or all three.
        match self.name.starts_with('/') && self.group.is_empty() && &*self.namespace == "public" {
            true => f.write_str(&self.name),
            false => write!(f, "{}/{}/{}", self.namespace, self.group, self.name),
        }
    }
}

/// What a cluster says cheaply about an entry's version: equal stamps of one key mean equal body and attributes. Whether they
/// also mean that nothing has happened in between depends on the kind: see `StampKind`. Two numbers that only the connector
/// understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(pub i64, pub i64);

impl From<Digest> for Stamp {
    /// The stamp of this content, for a kind whose stamps are made of contents.
    fn from(digest: Digest) -> Self {
        let number = u128::from_le_bytes(digest.0);
        let [high, low] = [64, 0].map(|shift| ((number >> shift) as u64).cast_signed());
        Self(high, low)
    }
}

/// An entry as a listing shows it, without what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its version.
    pub stamp: Stamp,
    /// When it was last changed, by the cluster's clock, in milliseconds since 1970; 0: the cluster does not say.
    pub modified_ms: i64,
    /// The body's size in bytes; 0 where a listing does not say.
    pub size: u32,
    /// Why it is no data although it is listed; `None`: it is data. Only listings and watches tell it.
    pub aside: Option<Aside>,
}

/// Why something that a cluster lists is no data, and is left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Aside {
    /// It goes with its session.
    Ephemeral,
    /// The server numbered it: a member of a lock or a queue.
    Numbered,
    /// Services stand below it.
    Services,
    /// The other side's kind has no name for it.
    NoPlace,
}

impl Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ephemeral => "it is ephemeral: it goes with the session of its client",
            Self::Numbered => "the server numbered it (a lock or a queue); it is left out with all below it",
            Self::NoPlace => "its name has no place among those of the other side",
            Self::Services => "services stand below it, which tasks of the types Service and All copy",
        })
    }
}

/// What an entry holds. A znode may hold no data at all, which is not the same as none of length 0.
pub type Body = Option<Arc<[u8]>>;

/// What is in an entry: fetched only when it is needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The data.
    pub body: Body,
    /// ACL, type, labels: what belongs to the entry beside its data.
    pub attributes: Attributes,
}

impl Content {
    /// A body without attributes.
    pub fn of(body: impl AsRef<[u8]>) -> Self {
        Self { body: Some(body.as_ref().into()), attributes: Attributes::default() }
    }

    /// The body's size in bytes.
    pub fn size(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.len())
    }

    /// Names the content: equal digests, equal contents.
    pub fn digest(&self) -> Digest {
        let mut hash = Xxh3::new();
        let mut add = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        // Lengths go first, so that no two contents make the same bytes.
        match &self.body {
            None => add(b"no data"),
            Some(body) => {
                add(b"data");
                add(body);
            }
        }
        for (key, value) in &self.attributes.0 {
            add(key.as_bytes());
            add(value.as_bytes());
        }
        Digest(hash.digest128().to_le_bytes())
    }
}

/// Names a content: XXH3, 128 bits. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 16]);

impl Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_le_bytes(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32 && !text.starts_with('+'));
        number.map(|number| Self(number.to_le_bytes())).ok_or_else(|| format!("`{text}` is no digest"))
    }
}

/// One of the two clusters that a task keeps in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The task's source.
    Left,
    /// The task's destination.
    Right,
}

impl Side {
    /// Both, left first.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// One thing for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair<T> {
    /// The left side's.
    pub left: T,
    /// The right side's.
    pub right: T,
}

impl<T> Pair<T> {
    /// What `each` says for either side.
    pub fn of(mut each: impl FnMut(Side) -> T) -> Self {
        Self { left: each(Side::Left), right: each(Side::Right) }
    }

    /// Each side with what is its own, left first.
    pub fn sides(self) -> [(Side, T); 2] {
        [(Side::Left, self.left), (Side::Right, self.right)]
    }
}

impl<T> Index<Side> for Pair<T> {
    type Output = T;
    fn index(&self, side: Side) -> &T {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

impl<T> IndexMut<Side> for Pair<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_digest_tells_contents_apart_and_reads_back() {
        let with = |key: &str, value: &str| Content {
            attributes: Attributes(BTreeMap::from([(key.into(), value.into())])),
            ..Content::of("a")
        };
        let contents =
            [Content::default(), Content::of(""), Content::of("a"), with("b", ""), with("", "b"), Content::of("ab")];
        for (n, a) in contents.iter().enumerate() {
            for (m, b) in contents.iter().enumerate() {
                assert_eq!(a.digest() == b.digest(), n == m, "{a:?} {b:?}");
            }
            let text = serde_json::to_string(&a.digest()).unwrap();
            assert_eq!((text.len(), serde_json::from_str::<Digest>(&text).unwrap()), (34, a.digest()));
        }
        assert!("0".parse::<Digest>().is_err());
    }
}
