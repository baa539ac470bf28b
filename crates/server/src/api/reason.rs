//! What happened or was left alone, and why: in words, and with a code for programs.

use causeway_core::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a reason says, beside its words: for pages in other languages, and to count by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Code {
    /// One of a fixed set ([`Reason`]), for instance `differs`. `text`: an earlier version kept the words only.
    pub code: String,
    /// What the words name, by the names that [`Reason`] gives them. What a cluster said is among it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
}

impl Code {
    pub(crate) fn of(coded: &impl Serialize) -> Self {
        let Ok(Value::Object(mut args)) = serde_json::to_value(coded) else { return Self::default() };
        let code = args.remove("code").and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default();
        Self { code, args }
    }
}

impl From<&Reason> for Code {
    fn from(reason: &Reason) -> Self {
        Self::of(reason)
    }
}

/// One thing that the operator should know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// In words.
    pub reason: String,
    /// The same for programs: `code` and `args`. The codes are those of [`causeway_engine::Notice`].
    #[serde(flatten)]
    pub code: Code,
}

/// A record that is left alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedRecord {
    /// The record: `host:port`, with `@slot` where it has one.
    pub record: String,
    /// Why.
    pub reason: String,
    /// The same for programs: `code` and `args`.
    #[serde(flatten)]
    pub code: Code,
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
    /// Why, in words.
    pub reason: String,
    /// The same for programs: `code` and `args`.
    #[serde(flatten)]
    pub code: Code,
}
