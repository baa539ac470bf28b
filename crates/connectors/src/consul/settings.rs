//! What the settings file says of a Consul: its facts, and the block `consul` of a cluster.

use causeway_settings::{Block, Cluster, Draft, Fields, Kind, KindFacts, Reader, duration_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The kind, which is also the key of its block.
pub(super) const KIND: &str = "consul";
const KEYS: [&str; 7] =
    ["datacenter", "includeUnhealthy", "addressOf", "destination", "checkTtl", "namespace", "partition"];
/// Keys of a cluster that say nothing about a Consul.
const WITHOUT_EFFECT: [&str; 2] = ["userName", "ak"];
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);

/// What is read and written in a Consul, and how. Only for clusters of the type `CONSUL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Consul")]
pub struct ConsulOptions {
    /// The data centre. Absent: the one of the servers at `connectKeyList`. Make one cluster for each data centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["dc1"]))]
    pub datacenter: Option<String>,
    /// Whether instances whose checks do not all pass, or that are in maintenance, are copied too, as unhealthy or
    /// disabled ones.
    #[schemars(extend("x-origin" = "ours"))]
    pub include_unhealthy: bool,
    /// Whose address an instance is copied with: the `service`'s, and its node's where it has none; or always the
    /// `node`'s.
    #[schemars(extend("x-origin" = "ours"))]
    pub address_of: AddressOf,
    /// Where copies are written: into the `catalog`, on nodes of our own, where they outlive Causeway; or to the `agent`
    /// at the one address of `connectKeyList`, with a check that turns critical when Causeway ends.
    #[schemars(extend("x-origin" = "ours"))]
    pub destination: Destination,
    /// With `destination: agent`: how long an instance stays healthy after the last sign of life; from 5s to 10m.
    #[serde(with = "duration_text")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["30s"]))]
    pub check_ttl: Duration,
    /// A namespace of Consul's enterprise edition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["team-a"]))]
    pub namespace: Option<String>,
    /// An admin partition of Consul's enterprise edition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["east"]))]
    pub partition: Option<String>,
}

impl Default for ConsulOptions {
    fn default() -> Self {
        Self {
            datacenter: None,
            include_unhealthy: false,
            address_of: AddressOf::default(),
            destination: Destination::default(),
            check_ttl: Duration::from_secs(30),
            namespace: None,
            partition: None,
        }
    }
}

/// Whose address an instance has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AddressOf {
    /// The instance's own; its node's where it has none.
    #[default]
    Service,
    /// Always its node's.
    Node,
}

/// Where copies are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Destination {
    /// Into the servers' catalog, on nodes of our own.
    #[default]
    Catalog,
    /// To an agent, with checks that wait for signs of life.
    Agent,
}

impl ConsulOptions {
    /// What the block says, as [`Kind::read_block`] made it; the defaults where there is none.
    pub fn from_block(block: Option<&Value>) -> Self {
        block.and_then(|block| Self::deserialize(block).ok()).unwrap_or_default()
    }
}

impl Kind for super::ConsulConnector {
    fn name(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> KindFacts {
        KindFacts { namespaces: false, token: true, ..KindFacts::SERVICES }
    }

    fn block(&self) -> Option<Block> {
        Some(Block {
            title: "Consul",
            about: "What is read and written in a Consul, and how.",
            keys: &KEYS,
            schema: |generator| generator.subschema_for::<ConsulOptions>(),
        })
    }

    fn read_block(&self, reader: &mut Reader<'_>, fields: &Fields<'_>, cluster: &Cluster) -> Option<Value> {
        for key in WITHOUT_EFFECT.into_iter().filter(|key| fields.get(key).is_some()) {
            let draft = Draft::warning(fields.place_of(key), fields.at(key), "this has no effect on a Consul");
            reader.report(draft.help("Consul knows tokens: write `token`"));
        }
        let inner = reader.fields(fields.get(KIND)?, &fields.at(KIND), &KEYS)?;
        let default = ConsulOptions::default();
        let read = ConsulOptions {
            datacenter: reader.text(&inner, "datacenter", "a data centre's name"),
            include_unhealthy: reader.flag(&inner, "includeUnhealthy", default.include_unhealthy),
            address_of: reader
                .word(&inner, "addressOf", &[("service", AddressOf::Service), ("node", AddressOf::Node)])
                .unwrap_or_default(),
            destination: reader
                .word(&inner, "destination", &[("catalog", Destination::Catalog), ("agent", Destination::Agent)])
                .unwrap_or_default(),
            check_ttl: check_ttl(reader, &inner, default.check_ttl),
            namespace: reader.text(&inner, "namespace", "a namespace's name"),
            partition: reader.text(&inner, "partition", "a partition's name"),
        };
        if read.destination == Destination::Agent && cluster.addresses.len() > 1 {
            reader.report(
                Draft::error(
                    inner.place_of("destination"),
                    inner.at("destination"),
                    "this cluster has several addresses",
                )
                .expected("the address of one agent with `destination: agent`")
                .help("name that agent alone in `connectKeyList`, or write `destination: catalog`"),
            );
        }
        if read.destination == Destination::Agent && read.datacenter.is_some() {
            reader.report(
                Draft::error(
                    inner.place_of("datacenter"),
                    inner.at("datacenter"),
                    "an agent writes into its own data centre only",
                )
                .expected("no data centre with `destination: agent`")
                .help("take `datacenter` out and name an agent of that data centre in `connectKeyList`, or write `destination: catalog`"),
            );
        }
        Some(json!(read))
    }

    fn places(&self, cluster: &Cluster) -> Value {
        let own = ConsulOptions::from_block(cluster.own.as_ref());
        json!([own.datacenter, own.namespace, own.partition, own.destination])
    }

    fn notes(&self) -> &'static str {
        include_str!("notes.md")
    }
}

fn check_ttl(reader: &mut Reader<'_>, fields: &Fields<'_>, default: Duration) -> Duration {
    let ttl = reader.duration(fields, "checkTtl", default);
    if (SHORTEST..=LONGEST).contains(&ttl) {
        return ttl;
    }
    let message = if ttl < SHORTEST { "this is too short" } else { "this is too long" };
    reader.report(
        Draft::error(fields.place_of("checkTtl"), fields.at("checkTtl"), message)
            .expected("a duration from `5s` to `10m`")
            .help("write `checkTtl: 30s`"),
    );
    default
}
