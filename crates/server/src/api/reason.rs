//! What happened or was left alone, and why: in words, and with a code for programs.

#[cfg(doc)]
use causeway_core::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Display;

/// Why, in words and for programs: for pages in other languages, and to count by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// In words.
    pub reason: String,
    /// One of a fixed set: of [`Reason`], for instance `differs`, or, of a task, of [`causeway_engine::Notice`]. `text`: an
    /// earlier version kept the words only.
    #[serde(default)]
    pub code: String,
    /// What the words name, by the names that [`Reason`] gives them. What a cluster said is among it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
}

impl Cause {
    pub(crate) fn of(coded: &(impl Serialize + Display)) -> Self {
        let mut args =
            serde_json::to_value(coded).ok().and_then(|value| Some(value.as_object()?.clone())).unwrap_or_default();
        let code = args.remove("code").and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default();
        Self { reason: coded.to_string(), code, args }
    }
}

/// One record of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordRef {
    /// The cluster, by name.
    pub cluster: String,
    /// `namespace/group/name` of a service; empty for a config entry.
    pub scope: String,
    /// The instance, or the entry's path or name; empty for what belongs to the service itself.
    pub record: String,
}

impl RecordRef {
    /// A config entry.
    pub(crate) fn entry(cluster: &str, key: impl Display) -> Self {
        Self { cluster: cluster.to_owned(), scope: String::new(), record: key.to_string() }
    }
}

/// A record that is left alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedRecord {
    /// The record: `host:port`, with `@slot` where it has one.
    pub record: String,
    /// Why.
    #[serde(flatten)]
    pub cause: Cause,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Grows with each event; for `before`.
    pub id: i64,
    /// When, as RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// The task's name; empty where it does not apply.
    pub task: String,
    /// The cluster written to, by name.
    pub cluster: String,
    /// `namespace/group/name`; empty for a whole task.
    pub service: String,
    /// The record; empty for a whole service.
    pub record: String,
    /// `created`, `adopted`, `updated`, `deleted`, `skipped`, `held`, `released`, `failed`, `lost`, or what an operator
    /// did: `applied`, `paused`, `resumed`, `draining`, `drained`, `removed`.
    pub action: String,
    /// Why.
    #[serde(flatten)]
    pub cause: Cause,
}
