//! What the Admin API says in JSON, as far as it is used.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The fields of an entity that are written.
pub type Body = Map<String, Value>;

/// `null` is nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// Where the next one begins.
    #[serde(default)]
    pub offset: Option<String>,
}

/// An entity that carries a tag.
#[derive(Debug, Deserialize)]
pub struct Tagged {
    pub entity_name: String,
    pub entity_id: String,
}

/// Why something was refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    pub code: Option<i64>,
    pub name: Option<String>,
    pub message: Option<String>,
    pub fields: Option<Value>,
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct UpstreamRow {
    #[serde(default)]
    pub id: String,
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Everything else that it says.
    #[serde(flatten)]
    pub rest: Body,
}

/// A target of an upstream.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TargetRow {
    #[serde(default)]
    pub id: String,
    /// `host:port` as Kong writes it.
    pub target: String,
    #[serde(default = "hundred")]
    pub weight: i64,
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

fn hundred() -> i64 {
    100
}

/// A service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServiceRow {
    #[serde(default)]
    pub id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Everything else that it says.
    #[serde(flatten)]
    pub rest: Body,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RouteRow {
    #[serde(default)]
    pub id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Everything else that it says.
    #[serde(flatten)]
    pub rest: Body,
}
