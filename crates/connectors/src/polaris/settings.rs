//! What the settings file says of a Polaris: its facts, and the block `polaris` of a cluster.

use super::client;
use super::names::DEFAULT;
use causeway_settings::{Block, Cluster, Draft, Fields, Kind, KindFacts, Node, Reader, each};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind, which is also the key of its block.
pub(super) const KIND: &str = "polaris";
const KEYS: [&str; 2] = ["fieldsInMetadata", "healthChecks"];
/// Keys of a cluster that say nothing about a Polaris.
const WITHOUT_EFFECT: [&str; 2] = ["userName", "ak"];

/// What is read and written in a Polaris, and how. Only for clusters of the type `POLARIS`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Polaris")]
pub struct PolarisOptions {
    /// Whether an instance's protocol, version, region, zone and campus are copied as metadata too, as Polaris shows them to its
    /// clients: so that filters and groups can use them.
    #[schemars(extend("x-origin" = "ours"))]
    pub fields_in_metadata: bool,
    /// Who decides whether a copy is healthy whose original is kept alive by heartbeats in another Polaris: with `static` its
    /// original does, and the copy needs no heartbeats; with `heartbeat` this Polaris does, by heartbeats of Causeway.
    #[schemars(extend("x-origin" = "ours"))]
    pub health_checks: HealthChecks,
}

/// Who decides whether a copy is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HealthChecks {
    /// Its original.
    #[default]
    Static,
    /// The server, by heartbeats.
    Heartbeat,
}

impl PolarisOptions {
    /// What the block says, as [`Kind::read_block`] made it; the defaults where there is none.
    pub fn from_block(block: Option<&Value>) -> Self {
        block.and_then(|block| Self::deserialize(block).ok()).unwrap_or_default()
    }
}

impl Kind for super::PolarisConnector {
    fn name(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> KindFacts {
        KindFacts { token: true, default_namespace: DEFAULT, ..KindFacts::SERVICES }
    }

    fn addresses(&self, reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<String> {
        let expected = "an address: `host:port`, `http://host:8090` or `grpc://host:8091`";
        let one = |(node, path): &(&Node, String)| {
            each(reader, node, path, expected, &mut |text| client::check(text).map(|()| text.to_owned()))
        };
        items.iter().filter_map(one).collect()
    }

    fn block(&self) -> Option<Block> {
        Some(Block {
            title: "Polaris",
            about: "What is read and written in a Polaris, and how.",
            keys: &KEYS,
            schema: |generator| generator.subschema_for::<PolarisOptions>(),
        })
    }

    fn read_block(&self, reader: &mut Reader<'_>, fields: &Fields<'_>, _: &Cluster) -> Option<Value> {
        for key in WITHOUT_EFFECT.into_iter().filter(|key| fields.get(key).is_some()) {
            let draft = Draft::warning(fields.place_of(key), fields.at(key), "this has no effect on a Polaris");
            reader.report(draft.help("Polaris knows tokens: write `token`, a user's token from its console"));
        }
        let inner = reader.fields(fields.get(KIND)?, &fields.at(KIND), &KEYS)?;
        let default = PolarisOptions::default();
        let words = [("static", HealthChecks::Static), ("heartbeat", HealthChecks::Heartbeat)];
        let read = PolarisOptions {
            fields_in_metadata: reader.flag(&inner, "fieldsInMetadata", default.fields_in_metadata),
            health_checks: reader.word(&inner, "healthChecks", &words).unwrap_or_default(),
        };
        Some(json!(read))
    }

    fn notes(&self) -> &'static str {
        include_str!("notes.md")
    }
}
