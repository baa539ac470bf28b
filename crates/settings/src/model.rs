//! What a settings file says. The types serialize to the keys of the file itself, and their comments
//! are the descriptions in the schema and in the settings page.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::duration::text as duration_text;
use crate::options::{ConflictRule, Data, Guard, Marks, NameCase, Overrides, Policy, Renames, Selection, TakeOver};
use crate::pattern::Pattern;
use crate::problem::Problem;
use crate::schema::{any_case_mode, any_case_type, comma_list};
use crate::secret::Secret;

/// The default namespace's one name here; the empty id means it too.
pub const PUBLIC: &str = "public";

/// A whole file: MSE Sync's keys and ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Causeway settings", extend("patternProperties" = {"^x-": {"description": "Ignored: a place for YAML anchors."}}))]
pub struct Settings {
    /// The registries, configuration centres and gateways to connect to.
    #[serde(default)]
    #[schemars(extend("x-origin" = "MSE"))]
    pub clusters: Vec<Cluster>,
    /// What is copied from where to where.
    #[serde(default)]
    #[schemars(extend("x-origin" = "MSE"))]
    pub tasks: Vec<Task>,
    /// What has no effect or only a part of it. Not a key of the file.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
}

/// One running registry, configuration centre or gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// The cluster's name, unique in the file. Tasks refer to it.
    #[serde(rename = "clusterName")]
    #[schemars(length(min = 1), extend("x-origin" = "MSE", "examples" = ["src"]))]
    pub name: String,
    /// The kind of cluster, in any case.
    #[serde(rename = "clusterType")]
    #[schemars(length(min = 1), extend("x-origin" = "MSE", "examples" = ["FILE"]))]
    // In memory always the kind's own lower-case name.
    pub kind: String,
    /// The servers' addresses, `host:port` each; all of them belong to this one cluster, and any that answers is used.
    /// Some kinds take more, or something else: see theirs.
    #[serde(rename = "connectKeyList", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-origin" = "MSE", "examples" = [["10.0.0.1:8848", "10.0.0.2:8848"]]))]
    pub addresses: Vec<String>,
    /// The namespaces of the tasks whose source this cluster is, separated by commas; ids or display names.
    /// Absent or empty: all, also those created later. `public` is the default namespace.
    #[serde(rename = "namespace", default, skip_serializing_if = "Vec::is_empty", serialize_with = "comma_list")]
    #[schemars(with = "String", extend("x-origin" = "MSE", "examples" = ["public,test"]))]
    pub namespaces: Vec<String>,
    /// The user to sign in as.
    #[serde(rename = "userName", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "MSE", "examples" = ["sync"]))]
    pub user: Option<String>,
    /// The user's password. Better a reference than the value.
    #[serde(default, skip_serializing_if = "Secret::is_literal")]
    #[schemars(with = "Secret", extend("x-origin" = "MSE", "examples" = ["${env:REGISTRY_PASSWORD}"]))]
    pub password: Option<Secret>,
    /// The access key of a cloud registry that checks signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "MSE", "examples" = ["LTAI5t…"]))]
    pub ak: Option<String>,
    /// The secret of the access key. Better a reference than the value.
    #[serde(default, skip_serializing_if = "Secret::is_literal")]
    #[schemars(with = "Secret", extend("x-origin" = "MSE", "examples" = ["${file:/run/secrets/sk}"]))]
    pub sk: Option<Secret>,
    /// The token of a kind that knows tokens in place of users. Better a reference than the value.
    #[serde(default, skip_serializing_if = "Secret::is_literal")]
    #[schemars(with = "Secret", extend("x-origin" = "ours", "examples" = ["${env:REGISTRY_TOKEN}"]))]
    pub token: Option<Secret>,
    /// The cluster's identity in the paths of copies. Absent: made of the install's id and the cluster's name.
    /// Set the same in two installs that reach one cluster by different names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1), extend("x-origin" = "ours", "examples" = ["hangzhou-1"]))]
    pub cluster_id: Option<String>,
    /// The path before the server's HTTP API. Absent: the kind's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["/registry"]))]
    pub context_path: Option<String>,
    /// Connect with TLS. `tls: {}` uses the machine's certificate authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Tls", extend("x-origin" = "ours"))]
    pub tls: Option<Tls>,
    /// The block of the cluster's kind, complete with its defaults. In the file it stands under the kind's name.
    #[serde(skip)]
    pub own: Option<serde_json::Value>,
    /// The file's own text of the values that hold references, by JSON pointer (`/connectKeyList/0`); not the secrets,
    /// which know their own. Not a key of the file.
    #[serde(skip)]
    pub written: BTreeMap<String, String>,
}

/// How a TLS connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// A PEM file of the certificate authorities to trust. Absent: the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["/etc/causeway/ca.pem"]))]
    pub ca: Option<String>,
    /// A PEM file of our own certificate, where the server asks for one; together with `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["/etc/causeway/client.pem"]))]
    pub cert: Option<String>,
    /// A PEM file of the key of `cert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["/etc/causeway/client.key"]))]
    pub key: Option<String>,
    /// The name that the server's certificate must hold. Absent: the address's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["registry.example.org"]))]
    pub server_name: Option<String>,
    /// Take any certificate. Only for trials: whoever stands between can read and change everything.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false, "x-origin" = "ours"))]
    pub insecure_skip_verify: bool,
}

/// What is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum TaskType {
    /// Services and their instances.
    #[default]
    Service,
    /// Configuration entries.
    Config,
    /// Both, as far as the pair can.
    All,
}

impl TaskType {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Config => "Config",
            Self::All => "All",
        }
    }

    /// Whether services are asked for.
    pub fn wants_services(self) -> bool {
        self != Self::Config
    }

    /// Whether config entries are asked for.
    pub fn wants_configs(self) -> bool {
        self != Self::Service
    }
}

/// One way or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum TaskMode {
    /// From the source to the destination.
    #[default]
    Unidirectional,
    /// Both ways.
    Bidirectional,
}

impl TaskMode {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unidirectional => "Unidirectional",
            Self::Bidirectional => "Bidirectional",
        }
    }
}

/// What is copied from where to where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Task {
    /// The task's name, unique in the file. Absent: `<source>-<destination>-<type in lower case>`.
    #[serde(rename = "name", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1), extend("x-origin" = "ours", "examples" = ["orders"]))]
    pub given_name: Option<String>,
    /// The name of the cluster to copy from. Its namespaces are the task's, for both ways.
    #[schemars(length(min = 1), extend("x-origin" = "MSE", "examples" = ["src"]))]
    pub source: String,
    /// The name of the cluster to copy to. A namespace that it lacks is created.
    #[schemars(length(min = 1), extend("x-origin" = "MSE", "examples" = ["dst"]))]
    pub destination: String,
    /// What is copied, in any case: Service, Config (in a tree of nodes the persistent ones), or All that the pair can.
    #[serde(rename = "type", default)]
    #[schemars(schema_with = "any_case_type", extend("x-origin" = "MSE"))]
    pub kind: TaskType,
    /// One way or two, in any case: Unidirectional or Bidirectional.
    #[serde(default)]
    #[schemars(schema_with = "any_case_mode", extend("x-origin" = "MSE"))]
    pub mode: TaskMode,
    /// Which services are copied: a regular expression in Java's syntax that matches the whole name at the source. For
    /// `type: Config` it speaks of the entries' paths instead: a node's path, `group/dataId` elsewhere.
    #[serde(default)]
    #[schemars(extend("x-origin" = "MSE", "examples" = ["com\\.example\\..*"]))]
    pub service_match_pattern: Pattern,
    /// Whether services that appear later are copied too; `false`: only those that exist when the task is added.
    #[serde(rename = "autoScanAndAddService", default = "yes")]
    #[schemars(extend("x-origin" = "MSE"))]
    pub auto_scan: bool,
    /// What may be done at the destination: `sync` creates, updates and deletes; `upsert-only` never deletes;
    /// `create-only` neither deletes nor updates.
    #[serde(default)]
    #[schemars(extend("x-origin" = "ours"))]
    pub policy: Policy,
    /// When somebody changes a copy of ours at the destination: `keep` the change, `replace` it, or let it `travel` back.
    /// What the destination decides itself, such as the health of an instance that it checks, is no change.
    #[serde(default)]
    #[schemars(extend("x-origin" = "ours"))]
    pub overrides: Overrides,
    /// Where a two-way task copies configuration: which side is right when both changed the same entry. `manual` keeps
    /// both and shows the conflict.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "manual", "x-origin" = "ours"))]
    pub conflict: ConflictRule,
    /// How configuration is copied.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-origin" = "ours"))]
    pub data: Data,
    /// How copies of services are known as ours where the kind keeps marks apart from the data: by our `session`, so that
    /// they stay byte for byte as at the source, or by a mark in their data too (`inline`), for chains over several
    /// installs of Causeway.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "session", "x-origin" = "ours"))]
    pub marks: Marks,
    /// Whether copies that another install of Causeway made at the source are copied onward.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = false, "x-origin" = "ours"))]
    pub relay: bool,
    /// The tool that copied the same before, `nacos-sync` or `polaris-sync`: its copies at the destination become this task's
    /// without a gap. It may still run; stop it when `causeway get tasks` says so. A copy that stands by itself becomes ours
    /// as it stands. Where an instance lives by the connection or the heart beats of who registered it, an identical one of
    /// ours stands with it until it goes. Copies that no task wants are named, and removed by `causeway drain --theirs`
    /// only. Absent: the copies of such a tool are never touched. They are never copied onward in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TakeOver", extend("x-origin" = "ours"))]
    pub take_over: Option<TakeOver>,
    /// What is copied, more finely than by service name.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-origin" = "ours"))]
    pub select: Selection,
    /// How things are renamed on the way.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("x-origin" = "ours"))]
    pub map: Renames,
    /// The case of services' names at the destination, where `map` does not give a whole name: `keep`, `lower` or `upper`.
    /// Absent: `lower` for what comes from a kind whose names are all in upper case, else `keep`. The way back writes a
    /// service under the name that it has at the source already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NameCase", extend("x-origin" = "ours", "examples" = ["keep"]))]
    pub name_case: Option<NameCase>,
    /// When removals are held until somebody releases them.
    #[serde(default)]
    #[schemars(extend("x-origin" = "ours"))]
    pub guard: Guard,
    /// How long a source must be connected without a break before what it lacks is taken as gone. Absent: the longest
    /// time that the kinds of the task's sources ask for, at least `30s`.
    #[serde(default = "settle", with = "duration_text")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["90s"]))]
    pub settle: Duration,
    /// Which namespaces meet, as the two clusters' kinds and `namespace` keys leave it. Not a key of the file.
    #[serde(skip)]
    pub namespaces: Namespaces,
    /// What becomes of the case of services' names, as `nameCase` and the two clusters' kinds leave it. Not a key of the file.
    #[serde(skip)]
    pub cases: Cases,
    /// The file's own text of the values that hold references, by JSON pointer. Not a key of the file.
    #[serde(skip)]
    pub written: BTreeMap<String, String>,
}

/// Which namespaces of a task's two clusters meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// Those of the source, each with what `map.namespace` makes of it.
    #[default]
    Each,
    /// The same, and what `map.namespace` says nothing of is as it is, but for the default namespaces of two kinds, which
    /// each calls otherwise: they are one.
    Defaults {
        /// At the source.
        source: String,
        /// At the destination.
        destination: String,
    },
    /// One only, because one of the two kinds has no namespaces, or neither has.
    One {
        /// The one at the source: an id or, where the source's kind has namespaces, a display name.
        source: String,
        /// The one at the destination that it becomes, an id; `None`: `map.namespace` says which.
        destination: Option<String>,
    },
}

/// What becomes of the case of services' names on a task's two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cases {
    /// At the destination.
    pub there: NameCase,
    /// At the source, of what comes back.
    pub back: NameCase,
    /// Names on the way back are known but for their case: the source's own spelling goes before `back`.
    pub spells: bool,
}

impl Task {
    /// The namespaces that the task copies from, ids or display names; empty: all that there are, and ever will be.
    pub fn namespaces_of<'a>(&'a self, source: &'a Cluster) -> &'a [String] {
        match &self.namespaces {
            Namespaces::Each | Namespaces::Defaults { .. } => &source.namespaces,
            Namespaces::One { source, .. } => std::slice::from_ref(source),
        }
    }

    /// Which entries are copied by their paths alone: `serviceMatchPattern` of a task that copies nothing else.
    pub fn path_pattern(&self) -> Pattern {
        match self.kind {
            TaskType::Config => self.service_match_pattern.clone(),
            TaskType::Service | TaskType::All => Pattern::all(),
        }
    }

    /// The task's name: the given one, or `<source>-<destination>-<type in lower case>`.
    pub fn name(&self) -> String {
        self.given_name
            .clone()
            .unwrap_or_else(|| format!("{}-{}-{}", self.source, self.destination, self.kind.word().to_lowercase()))
    }

    /// Whether records go from the destination to the source as well.
    pub fn is_two_way(&self) -> bool {
        self.mode == TaskMode::Bidirectional
    }
}

/// The least default of `settle`.
pub(crate) const SETTLE: Duration = Duration::from_secs(30);

pub(crate) fn settle() -> Duration {
    SETTLE
}

fn yes() -> bool {
    true
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
