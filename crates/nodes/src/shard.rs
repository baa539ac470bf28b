//! Shares of what is written.

use causeway_core::{ClusterId, ServiceKey};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// One share of what is written: some of a destination's scopes, a whole destination, or a whole task of config entries. Everything
/// that is written to one service is in one shard. Shown and read as `subject/n`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardId {
    subject: Arc<str>,
    n: u16,
}

impl ShardId {
    /// The shard of a destination's scope, of `count` (1 and more) of this destination. Every version of Causeway gives the same
    /// answer.
    pub fn of_scope(destination: &ClusterId, scope: &ServiceKey, count: u16) -> Self {
        let mut hash = Xxh3::new();
        for text in [&scope.namespace, &scope.group, &scope.name] {
            hash.update(text.as_bytes());
            hash.update(&[0]);
        }
        let n = hash.digest() % u64::from(count.max(1));
        Self { subject: destination.as_str().into(), n: n as u16 }
    }

    /// All shards of a destination that has `count`.
    pub fn of_destination(destination: &ClusterId, count: u16) -> impl Iterator<Item = Self> + use<> {
        let subject: Arc<str> = destination.as_str().into();
        (0..count.max(1)).map(move |n| Self { subject: subject.clone(), n })
    }

    /// The shard of a task of config entries, by the task's id.
    pub fn of_entries(task: &str) -> Self {
        Self { subject: format!("entries:{task}").into(), n: 0 }
    }
}

impl Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject, self.n)
    }
}

impl FromStr for ShardId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} names no shard: expected SUBJECT/NUMBER");
        let (subject, n) = text.rsplit_once('/').ok_or_else(wrong)?;
        Ok(Self { subject: subject.into(), n: n.parse().map_err(|_| wrong())? })
    }
}

impl TryFrom<String> for ShardId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ShardId> for String {
    fn from(shard: ShardId) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_scope_stays_in_its_shard_and_shards_are_of_one_size() {
        let cluster = ClusterId::of("a");
        // A change of these numbers moves every scope in a rolling upgrade.
        let known = ShardId::of_scope(&cluster, &ServiceKey::new("public", "DEFAULT_GROUP", "orders"), 16);
        assert_eq!(known.to_string(), format!("{cluster}/{}", known.n));
        let mut counts = BTreeMap::<ShardId, usize>::new();
        for n in 0..16_000 {
            *counts
                .entry(ShardId::of_scope(&cluster, &ServiceKey::new("p", "g", &format!("s{n}")), 16))
                .or_default() += 1;
        }
        let all: Vec<_> = ShardId::of_destination(&cluster, 16).collect();
        assert!(counts.keys().eq(&all) && counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn shown_and_read() {
        for shard in ShardId::of_destination(&ClusterId::of("a"), 3).chain([ShardId::of_entries("t/1")]) {
            assert_eq!(shard.to_string().parse(), Ok(shard));
        }
        assert!("a".parse::<ShardId>().is_err() && "a/x".parse::<ShardId>().is_err());
    }
}
