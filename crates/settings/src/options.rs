//! Our own optional keys of a task.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::duration::text as duration_text;
use crate::model::is_default;
use crate::pattern::Pattern;

/// What a task may do at its destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Policy {
    /// Create, update and delete.
    #[default]
    Sync,
    /// Create and update, never delete.
    UpsertOnly,
    /// Create, never update or delete.
    CreateOnly,
}

/// The case that names of services are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NameCase {
    /// As at the source.
    #[default]
    Keep,
    /// In lower case.
    Lower,
    /// In upper case.
    Upper,
}

/// What happens to a change that somebody made to a copy of ours at the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Overrides {
    /// It stays, and is shown.
    #[default]
    Keep,
    /// It is written over.
    Replace,
    /// It goes back to the source.
    Travel,
}

/// What settles a conflict: the same entry of data was changed at both sides since the two were last the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ConflictRule {
    /// The task's source is right.
    Source,
    /// The task's destination is right.
    Destination,
    /// The later change is right, as far as the clusters tell the time.
    Newest,
    /// Both stay as they are, and the conflict is shown, until somebody makes them the same.
    #[default]
    Manual,
}

/// How the copies of services are known as ours, where a kind keeps marks apart from the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Marks {
    /// By the session that holds them; their data stay byte for byte those of the source.
    #[default]
    Session,
    /// By a mark in their data too.
    Inline,
}

/// How data are copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Data {
    /// Whether the access lists of entries travel: `copy` them and their changes, or `ignore` them, so that each side
    /// keeps its own.
    #[schemars(extend("x-origin" = "ours"))]
    pub acl: DataAcl,
}

/// Whether the access lists of data travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DataAcl {
    /// They do.
    #[default]
    Copy,
    /// Each side keeps its own.
    Ignore,
}

/// Another tool whose copies are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum TakeOver {
    /// Nacos Sync and MSE Sync.
    NacosSync,
    /// Polaris Sync.
    PolarisSync,
}

impl TakeOver {
    /// The word in the settings file.
    pub fn word(self) -> &'static str {
        match self {
            Self::NacosSync => "nacos-sync",
            Self::PolarisSync => "polaris-sync",
        }
    }

    /// Whether the tool's copies name the cluster that they come from as a settings file does; else by an id of the tool's own.
    pub fn names_sources(self) -> bool {
        match self {
            Self::NacosSync => false,
            Self::PolarisSync => true,
        }
    }
}

/// What is copied: what any `include` rule matches (all, when there is none) and no `exclude` rule matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    /// Copied is what at least one of these rules matches. Absent: everything. Where none speaks of services, or none of
    /// configuration, all of these are copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-origin" = "ours"))]
    pub include: Vec<Rule>,
    /// Not copied is what at least one of these rules matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-origin" = "ours"))]
    pub exclude: Vec<Rule>,
}

/// Matches when all of its patterns match the whole of what they speak of, at the source, before renaming. A rule with
/// `service` or `metadata` speaks of services only, one with `path` of configuration only, any other of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// A pattern of the namespace's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Pattern", extend("x-origin" = "ours", "examples" = ["prod|public"]))]
    pub namespace: Option<Pattern>,
    /// A pattern of the group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Pattern", extend("x-origin" = "ours", "examples" = ["DEFAULT_GROUP"]))]
    pub group: Option<Pattern>,
    /// A pattern of the service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Pattern", extend("x-origin" = "ours", "examples" = ["order-.*"]))]
    pub service: Option<Pattern>,
    /// A pattern of a configuration entry's whole path: a node's path, `group/dataId` elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Pattern", extend("x-origin" = "ours", "examples" = ["/config/.*"]))]
    pub path: Option<Pattern>,
    /// Patterns of an instance's metadata, by key. An instance without the key does not match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-origin" = "ours", "examples" = [{"env": "prod"}]))]
    pub metadata: BTreeMap<String, Pattern>,
}

impl Rule {
    /// Whether it has no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.namespace.is_none() && self.group.is_none() && self.path.is_none() && self.speaks_of_configs()
    }

    /// Whether it speaks of services. A rule that does not is none for them, whether it includes or excludes.
    pub fn speaks_of_services(&self) -> bool {
        self.path.is_none()
    }

    /// Whether it speaks of configuration. A rule that does not is none for it, whether it includes or excludes.
    pub fn speaks_of_configs(&self) -> bool {
        self.service.is_none() && self.metadata.is_empty()
    }
}

/// How names and metadata change between source and destination. A two-way task undoes it on the way back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renames {
    /// The namespace at the destination: a template, or a table of source names and destination names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Rename", extend("x-origin" = "ours", "examples" = [{"prod": "production"}]))]
    pub namespace: Option<Rename>,
    /// The group at the destination: a template or a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Rename", extend("x-origin" = "ours", "examples" = ["{group}"]))]
    pub group: Option<Rename>,
    /// The service's name at the destination: a template or a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Rename", extend("x-origin" = "ours", "examples" = ["east-{service}"]))]
    pub service: Option<Rename>,
    /// Changes to instance metadata.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-origin" = "ours"))]
    pub metadata: MetadataRenames,
}

/// A template with `{namespace}`, `{group}` and `{service}` in it (the names at the source), or a table from names at
/// the source to names at the destination; what the table lacks keeps its name. `{{` and `}}` in a template stand
/// for the single characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Rename {
    /// One text for all, with places for the source's names.
    Template(String),
    /// Name by name.
    Table(BTreeMap<String, String>),
}

/// Changes to instance metadata, in this order: drop, rename, add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataRenames {
    /// Entries that every copy gets, over those of the same key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-origin" = "ours", "examples" = [{"origin": "east"}]))]
    pub add: BTreeMap<String, String>,
    /// Keys that no copy gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-origin" = "ours", "examples" = [["debug"]]))]
    pub drop: Vec<String>,
    /// Keys at the source and their names at the destination.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-origin" = "ours", "examples" = [{"ver": "version"}]))]
    pub rename: BTreeMap<String, String>,
}

/// Those of a service's instances whose metadata have all of these pairs: a place of its own at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataGroup {
    /// The group's name, unique in the task.
    #[schemars(length(min = 1), extend("x-origin" = "ours", "examples" = ["version-1"]))]
    pub name: String,
    /// Keys and values of an instance's metadata at the source, compared exactly. Absent: all instances.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-origin" = "ours", "examples" = [{"version": "1.0.0"}]))]
    pub metadata: BTreeMap<String, String>,
    /// The name of what the group's instances go to at the destination, which exists there already and stays somebody else's; a
    /// template as in `map.service`. Absent: a place of our own, `SOURCE.NAMESPACE.SERVICE.GROUP`.
    #[serde(rename = "upstreamName", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1), extend("x-origin" = "ours", "examples" = ["orders-v1"]))]
    pub upstream: Option<String>,
}

/// Removals are held when, within `window`, they are more than `floor` and more than `share` of the task's records.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Guard {
    /// The share of the task's records at the destination, from 0 to 1.
    #[schemars(range(min = 0, max = 1), extend("x-origin" = "ours"))]
    pub share: f64,
    /// So many removals always pass.
    #[schemars(extend("x-origin" = "ours"))]
    pub floor: u32,
    /// The time within which removals are counted.
    #[serde(with = "duration_text")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["5m"]))]
    pub window: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self { share: 0.3, floor: 50, window: Duration::from_secs(60) }
    }
}
