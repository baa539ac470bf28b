//! What the operator says of a Eureka beside its addresses.

use super::client::Address;
use causeway_settings::{
    Block, Cluster, Draft, Fields, Kind, KindFacts, NameCase, Node, Reader, Secret, Value, duration_text, each,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The kind, which is also the key of its block.
const KIND: &str = "eureka";
const KEYS: [&str; 2] = ["lease", "address"];
const SHORTEST: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(3_600);
/// A server that was restarted knows nothing until each provider has sent its next heartbeat, 30 s later at most; and another
/// server shows that 30 s later. So much again is for providers that are slow.
const SETTLE: Duration = Duration::from_secs(90);
/// Keys of a cluster that say nothing about a Eureka.
const WITHOUT_EFFECT: [&str; 2] = ["ak", "sk"];

/// How a Eureka is read and written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Eureka")]
pub struct Settings {
    /// How long the servers keep our copies while we do not renew them; from 3s to 1h. A copy of a record with a longer lease
    /// has that. Copies are renewed after a third of their lease, and every 30 s at least.
    #[serde(with = "duration_text")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["90s"]))]
    pub lease: Duration,
    /// Which address of an instance is read as the one that is called: its IP address or its host name. Where it has not
    /// both, the other one.
    #[schemars(extend("x-origin" = "ours"))]
    pub address: Called,
}

/// Which address of an instance is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Called {
    /// Its IP address.
    #[default]
    Ip,
    /// Its host name.
    Host,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(90), address: Called::default() }
    }
}

impl Settings {
    /// The block as [`Kind::read_block`] made it.
    pub(super) fn of(block: Option<&serde_json::Value>) -> Self {
        block.and_then(|block| Self::deserialize(block).ok()).unwrap_or_default()
    }
}

impl Kind for super::EurekaConnector {
    fn name(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> KindFacts {
        KindFacts { namespaces: false, case: NameCase::Upper, settle: SETTLE, ..KindFacts::SERVICES }
    }

    fn addresses(&self, reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<String> {
        let expected = "an address: `host:port` or `http://host:port/eureka`";
        let read = |(node, path): &(&Node, String)| each(reader, node, path, expected, &mut Address::read_all);
        items.iter().filter_map(read).flatten().map(|address| address.to_string()).collect()
    }

    fn login(&self, reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Option<(String, Secret)> {
        let mut found: Option<(String, String)> = None;
        for (node, path) in items {
            let Value::Scalar(scalar) = &node.value else { continue };
            let logins = Address::read_all(&scalar.text).unwrap_or_default().into_iter().filter_map(|one| one.login);
            for login in logins {
                let problem = match &found {
                    _ if scalar.written.is_some() => "a reference and a user stand in one address",
                    Some(first) if *first != login => "two users stand in the addresses of one cluster",
                    _ => {
                        found = Some(login);
                        continue;
                    }
                };
                let draft = Draft::error(node.place, path.clone(), problem);
                let expected = "one user and one password for all servers";
                reader.report(draft.expected(expected).help("write them as `userName` and `password` of the cluster"));
            }
        }
        found.map(|(user, password)| (user, Secret::literal(password)))
    }

    fn block(&self) -> Option<Block> {
        Some(Block {
            title: "Eureka",
            about: "How a Eureka is read and written.",
            keys: &KEYS,
            schema: |generator| generator.subschema_for::<Settings>(),
        })
    }

    fn read_block(&self, reader: &mut Reader<'_>, fields: &Fields<'_>, _: &Cluster) -> Option<serde_json::Value> {
        for key in WITHOUT_EFFECT.into_iter().filter(|key| fields.get(key).is_some()) {
            let draft = Draft::warning(fields.place_of(key), fields.at(key), "this has no effect on a Eureka");
            reader.report(draft.help("Eureka knows users and passwords: `userName` and `password`"));
        }
        let inner = reader.fields(fields.get(KIND)?, &fields.at(KIND), &KEYS)?;
        let default = Settings::default();
        let words = [("ip", Called::Ip), ("host", Called::Host)];
        let mut lease = reader.duration(&inner, "lease", default.lease);
        if !(SHORTEST..=LONGEST).contains(&lease) {
            let message = if lease < SHORTEST { "this is too short" } else { "this is too long" };
            let draft = Draft::error(inner.place_of("lease"), inner.at("lease"), message).expected("from 3s to 1h");
            reader.report(draft.help("take it out for 90s, which is Eureka's own"));
            lease = default.lease;
        }
        let address = reader.word(&inner, "address", &words).unwrap_or_default();
        serde_json::to_value(Settings { lease, address }).ok()
    }

    fn places(&self, cluster: &Cluster) -> serde_json::Value {
        serde_json::to_value(Settings::of(cluster.own.as_ref()).address).unwrap_or_default()
    }

    fn notes(&self) -> &'static str {
        include_str!("notes.md")
    }
}
