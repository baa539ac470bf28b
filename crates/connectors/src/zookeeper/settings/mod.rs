//! What the settings file says of a ZooKeeper: its facts, its addresses, and the block `zookeeper` of a cluster.

mod addresses;
mod read;

use super::layout::{KIND, Layout, Roots};
use causeway_settings::{Block, Cluster, Fields, Kind, KindFacts, Node, Reader, duration_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The keys of the block; a test holds them against the schema.
const KEYS: [&str; 8] =
    ["dubboRoots", "serviceRoots", "plainRoots", "layouts", "categories", "newServices", "acl", "sessionTimeout"];

/// What is read and written in a ZooKeeper, and how. Paths begin below the chroot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "ZooKeeper")]
pub struct Settings {
    /// The roots of Dubbo's tree (its `group`): interfaces with their providers, and `mapping` and `metadata`.
    #[schemars(extend("x-origin" = "ours", "examples" = [["/dubbo", "/dubbo-test"]]))]
    pub dubbo_roots: Vec<String>,
    /// The roots of Curator's service discovery: Spring Cloud's services, Dubbo's applications, and others.
    #[schemars(extend("x-origin" = "ours", "examples" = [["/services"]]))]
    pub service_roots: Vec<String>,
    /// The roots of other trees of ephemeral nodes.
    #[schemars(extend("x-origin" = "ours", "examples" = [["/workers"]]))]
    pub plain_roots: Vec<String>,
    /// Which forms of services are read and written. What has another form is left alone. Absent: all.
    #[schemars(length(min = 1), extend("x-origin" = "ours", "examples" = [["dubbo", "application"]]))]
    pub layouts: BTreeSet<Layout>,
    /// Which of an interface's nodes in Dubbo's tree are copied.
    #[schemars(length(min = 1), extend("x-origin" = "ours", "examples" = [["providers", "configurators"]]))]
    pub categories: BTreeSet<Category>,
    /// The form of a service that was born in another kind of cluster and is none of Dubbo's. One of `layouts`; with
    /// `spring` not among them, such services are not written unless this says how.
    #[schemars(extend("x-origin" = "ours"))]
    pub new_services: NewServices,
    /// Who may use the nodes that are made: `open` to all; `creator`: only who signs in as we do, reading is open to
    /// all; `copy`: as at the source, where that is a ZooKeeper, else `open`.
    #[schemars(extend("x-origin" = "ours"))]
    pub acl: AclChoice,
    /// How long the servers keep our session, and with it our copies, while we are not connected; from 4s to 10m.
    /// The servers have bounds of their own.
    #[serde(with = "duration_text")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["40s"]))]
    pub session_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dubbo_roots: vec!["/dubbo".into()],
            service_roots: vec!["/services".into()],
            plain_roots: Vec::new(),
            layouts: Layout::ALL.into(),
            categories: BTreeSet::from([Category::Providers]),
            new_services: NewServices::default(),
            acl: AclChoice::default(),
            session_timeout: Duration::from_secs(40),
        }
    }
}

/// What stands below an interface in Dubbo's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Category {
    /// Who offers it.
    Providers,
    /// Who calls it.
    Consumers,
    /// Rules of routing.
    Routers,
    /// Overrides.
    Configurators,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Providers, Self::Consumers, Self::Routers, Self::Configurators];

    /// The node's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Providers => "providers",
            Self::Consumers => "consumers",
            Self::Routers => "routers",
            Self::Configurators => "configurators",
        }
    }
}

/// What a service becomes that was not born in a ZooKeeper and is none of Dubbo's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NewServices {
    /// One of Spring Cloud.
    #[default]
    Spring,
    /// A Dubbo application.
    Application,
    /// Another of Curator's.
    Curator,
}

impl NewServices {
    /// The layout that it stands in.
    pub fn layout(self) -> Layout {
        match self {
            Self::Spring => Layout::Spring,
            Self::Application => Layout::Application,
            Self::Curator => Layout::Curator,
        }
    }
}

/// Who may use the nodes that are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AclChoice {
    /// Anybody.
    #[default]
    Open,
    /// Who signs in as we do.
    Creator,
    /// Who may use them at the source.
    Copy,
}

impl Settings {
    /// What a cluster's settings say; the defaults where they say nothing.
    pub fn of(cluster: &Cluster) -> Self {
        Self::from_block(cluster.own.as_ref())
    }

    /// The same from the block itself, as [`Kind::read_block`] made it.
    pub fn from_block(block: Option<&Value>) -> Self {
        block.and_then(|block| Self::deserialize(block).ok()).unwrap_or_default()
    }

    /// The block that says this.
    pub fn block(&self) -> Value {
        json!(self)
    }

    /// Where services stand, and how.
    pub(super) fn roots(&self) -> Roots {
        Roots {
            dubbo: self.dubbo_roots.clone(),
            categories: self.categories.iter().map(|category| category.word().to_owned()).collect(),
            services: self.service_roots.clone(),
            plain: self.plain_roots.clone(),
            layouts: self.layouts.iter().copied().collect(),
            new: self.new_services.layout(),
        }
    }
}

impl Kind for super::ZooKeeperConnector {
    fn name(&self) -> &'static str {
        KIND
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["zk"]
    }

    fn facts(&self) -> KindFacts {
        KindFacts { namespaces: false, inline_marks: true, ..KindFacts::SERVICES.with_configs() }
    }

    fn addresses(&self, reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<String> {
        addresses::read(reader, items)
    }

    fn block(&self) -> Option<Block> {
        Some(Block {
            title: "ZooKeeper",
            about: "What is read and written in a ZooKeeper, and how.",
            keys: &KEYS,
            schema: |generator| generator.subschema_for::<Settings>(),
        })
    }

    fn read_block(&self, reader: &mut Reader<'_>, fields: &Fields<'_>, cluster: &Cluster) -> Option<Value> {
        read::read(reader, fields, cluster).map(|read| read.block())
    }

    fn places(&self, cluster: &Cluster) -> Value {
        let own = Settings::of(cluster);
        let chroot = cluster.addresses.last().and_then(|last| last.split_once('/')).map(|(_, path)| path.to_owned());
        json!([chroot, own.dubbo_roots, own.service_roots, own.plain_roots, own.layouts, own.categories])
    }

    fn copies_access(&self, cluster: &Cluster) -> bool {
        Settings::of(cluster).acl == AclChoice::Copy
    }

    fn notes(&self) -> &'static str {
        include_str!("notes.md")
    }
}
