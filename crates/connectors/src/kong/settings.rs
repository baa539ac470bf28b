//! What the settings file says of a Kong: its facts, and the block `kong` of a cluster.

use causeway_settings::{Block, Cluster, Draft, Fields, Kind, KindFacts, Node, Reader, Value as Yaml};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The kind, which is also the key of its block.
pub(super) const KIND: &str = "kong";
const KEYS: [&str; 6] = ["workspace", "mode", "file", "base", "upstream", "routes"];
const ROUTE_KEYS: [&str; 6] = ["hosts", "paths", "methods", "protocols", "stripPath", "preserveHost"];
/// Keys of a cluster that say nothing about a Kong.
const WITHOUT_EFFECT: [&str; 2] = ["userName", "ak"];
/// Fields of an upstream that are not the operator's to give here.
const OWN_FIELDS: [&str; 5] = ["name", "tags", "id", "targets", "created_at"];
/// What a template can name.
const PLACES: [&str; 5] = ["{source}", "{namespace}", "{group}", "{service}", "{name}"];

/// How a Kong is written. Only for clusters of the type `KONG`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Kong")]
pub struct KongOptions {
    /// A workspace of Kong's enterprise edition. Absent: the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["team-a"]))]
    pub workspace: Option<String>,
    /// How Kong keeps its configuration: in a `database`, so that each change is written by itself; or `dbless`, so that the whole
    /// is written at once. Absent: Kong is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KongMode", extend("x-origin" = "ours", "examples" = ["dbless"]))]
    pub mode: Option<KongMode>,
    /// The declarative configuration is written to this file, as JSON, in place of the Admin API. Somebody else lets Kong load it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["/etc/kong/kong.json"]))]
    pub file: Option<String>,
    /// A file of declarative configuration, as JSON, that holds everything that is not ours. Absent: without a
    /// database what Kong lists that is not ours is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-origin" = "ours", "examples" = ["/etc/kong/base.json"]))]
    pub base: Option<String>,
    /// Fields of every upstream that we make, as in the Admin API, such as `algorithm` and `healthchecks`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "Map<String, Value>", extend("x-origin" = "ours", "examples" = [{"algorithm": "least-connections"}]))]
    pub upstream: Map<String, Value>,
    /// Routes of every service that we make. Absent: none, they are somebody else's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-origin" = "ours"))]
    pub routes: Vec<RouteTemplate>,
}

/// How Kong keeps its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum KongMode {
    /// In a database.
    Database,
    /// As one declarative configuration.
    Dbless,
}

/// A route of a service. In its texts `{source}`, `{namespace}`, `{group}` and `{service}` stand for names at the source,
/// `{name}` for the service's name in Kong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct RouteTemplate {
    /// Host names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Paths; each begins with `/` or `~/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Methods, in capital letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// `http`, `https` or both; absent: both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
    /// Whether the path is taken off before a request is sent on; absent: Kong's own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_path: Option<bool>,
    /// Whether the request's host is sent on; absent: Kong's own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_host: Option<bool>,
}

impl KongOptions {
    /// What the block says, as [`Kind::read_block`] made it; the defaults where there is none.
    pub fn from_block(block: Option<&Value>) -> Self {
        block.and_then(|block| Self::deserialize(block).ok()).unwrap_or_default()
    }
}

impl Kind for super::KongConnector {
    fn name(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> KindFacts {
        KindFacts { services_source: false, namespaces: false, token: true, grouped: true, ..KindFacts::SERVICES }
    }

    fn block(&self) -> Option<Block> {
        Some(Block {
            title: "Kong",
            about: "How a Kong is written.",
            keys: &KEYS,
            schema: |generator| generator.subschema_for::<KongOptions>(),
        })
    }

    fn read_block(&self, reader: &mut Reader<'_>, fields: &Fields<'_>, _: &Cluster) -> Option<Value> {
        for key in WITHOUT_EFFECT.into_iter().filter(|key| fields.get(key).is_some()) {
            let draft = Draft::warning(fields.place_of(key), fields.at(key), "this has no effect on a Kong");
            reader.report(draft.help("the Admin API knows tokens: write `token`"));
        }
        let inner = reader.fields(fields.get(KIND)?, &fields.at(KIND), &KEYS)?;
        let read = KongOptions {
            workspace: reader.text(&inner, "workspace", "a workspace's name"),
            mode: reader.word(&inner, "mode", &[("database", KongMode::Database), ("dbless", KongMode::Dbless)]),
            file: path(reader, &inner, "file"),
            base: path(reader, &inner, "base"),
            upstream: upstream(reader, &inner),
            routes: routes(reader, &inner),
        };
        if let Some(key) = ["file", "base"].into_iter().find(|key| inner.get(key).is_some())
            && read.mode == Some(KongMode::Database)
        {
            reader.report(
                Draft::key_error(&inner, key, "a Kong with a database has no declarative configuration")
                    .expected("this only with `mode: dbless`")
                    .help(format!("take `{key}` out, or write `mode: dbless`")),
            );
        }
        Some(json!(read))
    }

    fn places(&self, cluster: &Cluster) -> Value {
        let own = KongOptions::from_block(cluster.own.as_ref());
        json!([own.workspace, own.file])
    }

    fn notes(&self) -> &'static str {
        include_str!("notes.md")
    }
}

fn path(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<String> {
    let path = reader.text(fields, key, "the whole path of a file")?;
    if !path.starts_with('/') || path.ends_with('/') {
        reader.report(
            Draft::key_error(fields, key, "this is not the whole path of a file")
                .expected("the whole path of a file")
                .help(format!("write `{key}: /etc/kong/kong.json`, say")),
        );
        return None;
    }
    Some(path)
}

fn upstream(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Map<String, Value> {
    let Some(node) = fields.get("upstream") else { return Map::new() };
    let mut own = Map::new();
    for (key, value) in reader.entries(node, &fields.at("upstream"), "fields of an upstream, such as `algorithm`") {
        if OWN_FIELDS.contains(&key.text.as_str()) {
            let path = format!("{}.{}", fields.at("upstream"), key.text);
            let draft = Draft::error(key.place, path, format!("`{}` is set by Causeway", key.text));
            reader.report(draft.expected("fields such as `algorithm` and `healthchecks`").help("take it out"));
            continue;
        }
        own.insert(key.text.clone(), as_json(value));
    }
    own
}

/// A value as JSON: what looks like a number or a truth value is one.
fn as_json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Scalar(scalar) => match scalar.text.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            text => {
                let number = text.parse::<i64>().ok().map(Value::from);
                // `inf` and the like are texts.
                let is_number = || text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
                let float = || text.parse::<f64>().ok().filter(|number| number.is_finite() && is_number());
                number.or_else(|| float().map(Value::from)).unwrap_or_else(|| text.into())
            }
        },
        Yaml::List(items) => items.iter().map(as_json).collect(),
        Yaml::Map(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.text.clone(), as_json(value))).collect())
        }
    }
}

fn routes(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<RouteTemplate> {
    let mut routes = Vec::new();
    for (node, path) in reader.list(fields, "routes", "routes") {
        let Some(inner) = reader.fields(node, &path, &ROUTE_KEYS) else { continue };
        let mut texts = |key: &str| {
            let items = reader.list(&inner, key, "texts");
            let one = |(node, path): (_, String)| Some(reader.one(node, &path, "a text")?.text.clone());
            items.into_iter().filter_map(one).collect::<Vec<_>>()
        };
        let [hosts, paths, methods, protocols] = ["hosts", "paths", "methods", "protocols"].map(&mut texts);
        let mut flag = |key: &str| inner.get(key).is_some().then(|| reader.flag(&inner, key, true));
        let (strip_path, preserve_host) = (flag("stripPath"), flag("preserveHost"));
        let route = RouteTemplate { hosts, paths, methods, protocols, strip_path, preserve_host };
        if route.hosts.is_empty() && route.paths.is_empty() && route.methods.is_empty() {
            reader.report(
                Draft::error(inner.place, path.clone(), "this route takes nothing")
                    .expected("at least one of `hosts`, `paths` and `methods`")
                    .help("write `paths: ['/{service}']`, say"),
            );
        }
        if let Some(wrong) = route.paths.iter().find(|path| !path.starts_with('/') && !path.starts_with("~/")) {
            let draft = Draft::key_error(&inner, "paths", format!("`{wrong}` does not begin with `/` or `~/`"));
            reader.report(draft.expected("paths such as `/{service}`").help("write a `/` before it"));
        }
        if !route.hosts.iter().chain(&route.paths).any(|text| PLACES.iter().any(|place| text.contains(place))) {
            reader.report(
                Draft::warning(inner.place, path, "every service gets this same route: Kong chooses one of them")
                    .help("write `{service}` into one of its hosts or paths"),
            );
        }
        routes.push(route);
    }
    routes
}
