//! Curator's service discovery: `<root>/<name>/<id>` with JSON, which Spring Cloud and Dubbo's application level share.
//!
//! Which layout a znode has is told by the class of its payload. Items of its words: `n` or `U` the znode's name · `i` an
//! id in the JSON that differs from it · `t` the time of registration · `o` the order of the metadata · `e` metadata that
//! name `secure` themselves · `k`, `-` a field that is set or not there · `K`, `~` the same within the payload · `d` the
//! whole data.

use super::Layout;
use super::json::{self, JsonPairs, find, object, quote, string};
use super::words::{DATA, ID, NAME, ORDER, TIME, UUID, Words, base36, order, reorder};
use crate::zookeeper::host;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_core::{Instance, ServiceKey};
use std::collections::BTreeMap;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

const EXPLICIT: char = 'e';
const SET: char = 'k';
const GONE: char = '-';
const INNER_SET: char = 'K';
const INNER_GONE: char = '~';

/// The class of Spring Cloud's payloads.
const SPRING: &str = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance";
/// The class of Dubbo's payloads.
pub(super) const DUBBO: &str = "org.apache.dubbo.registry.zookeeper.ZookeeperInstance";
const CLASS: &str = "@class";
/// How Spring Cloud builds a URI; without it, its clients have none.
const URI_SPEC: &str = r#"{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},{"value":"address","variable":true},{"value":":","variable":false},{"value":"port","variable":true}]}"#;
const TYPES: [&str; 4] = ["DYNAMIC", "STATIC", "PERMANENT", "DYNAMIC_SEQUENTIAL"];
/// Where Spring Cloud keeps whether an instance takes calls.
const STATUS: &str = "instance_status";
const UP: &str = "UP";
const OUT: &str = "OUT_OF_SERVICE";
const DOWN: &str = "DOWN";
/// What marks an instance that speaks TLS, in Spring Cloud's metadata elsewhere; here that is `sslPort`.
const SECURE: &str = "secure";
/// Most fields of one object that are compared one by one.
const FIELDS: usize = 200;

/// What a znode says, and in which layout.
pub(super) fn said(service: &str, data: &[u8], ephemeral: bool) -> Result<(Layout, ServiceKey, Instance), String> {
    let top = fields(data)?;
    let (layout, mut metadata) = payload(&top)?;
    let address = find(&top, "address").and_then(string).ok_or("it has no address")?;
    let address = address.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')).unwrap_or(&address);
    if !host::is_one(address) {
        return Err(format!("its address {address:?} is no host"));
    }
    let port = |key: &str| match find(&top, key) {
        // Jackson takes a number in quotes, too.
        Some(raw) => raw.trim_matches('"').parse().map(Some).map_err(|_| format!("its {key} {raw} is no port")),
        None => Ok(None),
    };
    let (port, secure): (Option<u16>, _) = (port("port")?, port("sslPort")?);
    if layout == Layout::Spring && port.or(secure).is_none() {
        return Err("it has no port, at which Spring Cloud's whole lookup fails".to_owned());
    }
    if secure.is_some() {
        metadata.entry(SECURE.to_owned()).or_insert_with(|| "true".to_owned());
    }
    let mut instance = Instance::new(address, secure.or(port).unwrap_or_default());
    instance.ephemeral = ephemeral;
    match layout {
        Layout::Spring => (instance.enabled, instance.healthy) = status(&metadata),
        Layout::Curator => instance.enabled = find(&top, "enabled") != Some("false"),
        _ => (),
    }
    instance.metadata = metadata.into();
    Ok((layout, super::service(service), instance))
}

/// The fields of a znode that every reader of Curator's takes: one that it does not take hides all its siblings.
fn fields(data: &[u8]) -> Result<JsonPairs, String> {
    let text = str::from_utf8(data).map_err(|_| "its data are no UTF-8")?;
    let top = json::pairs(text).map_err(|error| format!("its data are no JSON object: {error}"))?;
    for key in ["name", "id"] {
        find(&top, key).and_then(string).ok_or_else(|| format!("its JSON has no {key}"))?;
    }
    if find(&top, "registrationTimeUTC").is_some_and(|raw| raw.parse::<i64>().is_err()) {
        return Err("its registrationTimeUTC is no whole number".to_owned());
    }
    if find(&top, "enabled").is_some_and(|raw| raw != "true" && raw != "false") {
        return Err("its `enabled` is neither true nor false".to_owned());
    }
    if find(&top, "serviceType").is_some_and(|raw| !string(raw).is_some_and(|text| TYPES.contains(&text.as_str()))) {
        return Err("its serviceType is none of Curator's".to_owned());
    }
    if find(&top, "uriSpec").is_some_and(|raw| !is_uri_spec(raw)) {
        return Err("its uriSpec is none of Curator's".to_owned());
    }
    Ok(top)
}

fn is_uri_spec(raw: &str) -> bool {
    let part = |part: &&serde_json::value::RawValue| {
        json::pairs(part.get()).is_ok_and(|part| {
            let flag = find(&part, "variable").is_none_or(|raw| raw == "true" || raw == "false");
            flag && find(&part, "value").is_none_or(|raw| string(raw).is_some())
        })
    };
    let parts = |raw: &str| serde_json::from_str::<Vec<_>>(raw).is_ok_and(|parts| parts.iter().all(part));
    json::pairs(raw).is_ok_and(|spec| find(&spec, "parts").is_none_or(parts))
}

/// The layout that a payload's class tells, and the metadata in it.
fn payload(top: &JsonPairs) -> Result<(Layout, BTreeMap<String, String>), String> {
    let Some(inner) = find(top, "payload").and_then(|raw| json::pairs(raw).ok()) else {
        return Ok((Layout::Curator, BTreeMap::new()));
    };
    let layout = match find(&inner, CLASS).and_then(string).as_deref() {
        Some(SPRING) => Layout::Spring,
        Some(DUBBO) => Layout::Application,
        _ => return Ok((Layout::Curator, strings(&inner).unwrap_or_default())),
    };
    if ["id", "name"].into_iter().any(|key| find(&inner, key).is_some_and(|raw| string(raw).is_none())) {
        return Err("the id or the name of its payload is no text".to_owned());
    }
    let metadata = match find(&inner, "metadata").map(json::pairs) {
        Some(pairs) => pairs.ok().and_then(|pairs| strings(&pairs)).ok_or("its metadata are not all text")?,
        None => BTreeMap::new(),
    };
    Ok((layout, metadata))
}

/// The pairs of an object that holds nothing but text.
fn strings<C: FromIterator<(String, String)>>(pairs: &JsonPairs) -> Option<C> {
    pairs.iter().map(|(key, raw)| Some((key.clone(), string(raw)?))).collect()
}

/// Whether Spring Cloud lets an instance be called, and whether it is well.
fn status(metadata: &BTreeMap<String, String>) -> (bool, bool) {
    match metadata.get(STATUS).map(String::as_str) {
        Some(OUT) => (false, true),
        Some(text) if !text.is_empty() && !text.eq_ignore_ascii_case(UP) => (true, false),
        _ => (true, true),
    }
}

/// The class of a znode's payload: `None` where it has no payload, empty where it says no class.
pub(super) fn class(data: &[u8]) -> Option<String> {
    let top = json::pairs(str::from_utf8(data).ok()?).ok()?;
    let inner = json::pairs(find(&top, "payload")?).ok();
    Some(inner.and_then(|inner| find(&inner, CLASS).and_then(string)).unwrap_or_default())
}

/// What tells this znode from the canonical one of what it says.
pub(super) fn words(layout: Layout, service: &str, instance: &Instance, name: &str, data: &[u8]) -> Option<Words> {
    let top = fields(data).ok()?;
    let mut words = named(layout, instance, name);
    if let Some(id) = find(&top, "id").and_then(string).filter(|id| id != name) {
        words.push(ID, id);
    }
    if let Some(time) = find(&top, "registrationTimeUTC").and_then(|raw| raw.parse::<i64>().ok())
        && let Some(late @ (..=-1 | 1..)) = time.checked_sub(canonical_time(layout, instance))
    {
        words.push(TIME, base36(late));
    }
    let inner = find(&top, "payload").and_then(|raw| json::pairs(raw).ok());
    let metadata = match layout {
        Layout::Curator => inner.clone(),
        _ => inner.as_ref().and_then(|inner| find(inner, "metadata")).and_then(|raw| json::pairs(raw).ok()),
    };
    if let Some(metadata) = metadata.as_ref().and_then(strings::<Vec<_>>) {
        if find(&top, "sslPort").is_some() && metadata.iter().any(|(key, value)| key == SECURE && value == "true") {
            words.push(EXPLICIT, "");
        }
        if let Some(order) = order(&written(layout, instance, &words), &metadata).filter(|order| !order.is_empty()) {
            words.push(ORDER, order);
        }
    }
    if top.len() > FIELDS {
        return None;
    }
    // First within the payload, then what is still different as a whole.
    if layout != Layout::Curator
        && let Some(inner) = inner.filter(|inner| inner.len() <= FIELDS)
    {
        let base = json::pairs(&canonical_payload(layout, service, instance, name, &words)).ok()?;
        let (gone, set) = json::patch(&base, &inner);
        gone.iter().for_each(|key| words.push(INNER_GONE, key));
        set.iter().for_each(|pair| words.push(INNER_SET, pair));
    }
    let (gone, set) = json::patch(&json_of(layout, service, instance, name, &words)?, &top);
    gone.iter().for_each(|key| words.push(GONE, key));
    set.iter().for_each(|pair| words.push(SET, pair));
    Some(words)
}

/// The last resort: the whole data.
pub(super) fn whole(layout: Layout, instance: &Instance, name: &str, data: &[u8]) -> Words {
    let mut words = named(layout, instance, name);
    words.push(DATA, data);
    words
}

/// Words that hold nothing but the znode's name.
fn named(layout: Layout, instance: &Instance, name: &str) -> Words {
    let mut words = Words::new(layout);
    match Uuid::try_parse(name).ok().filter(|uuid| uuid.to_string() == name) {
        Some(uuid) => words.push(UUID, URL_SAFE_NO_PAD.encode(uuid)),
        None if layout == Layout::Application && name == address(instance) => (),
        None => words.push(NAME, name),
    }
    words
}

/// The path below the root, and the data.
pub(super) fn build(service: &str, instance: &Instance, words: &Words) -> Result<(String, Vec<u8>), String> {
    let layout = words.layout;
    if !host::is_one(&instance.id.endpoint.host) {
        return Err(format!("{:?} is no host", instance.id.endpoint.host));
    }
    if layout == Layout::Application && !super::takes_calls(instance) {
        let reason = "it takes no calls now, which Dubbo's application level cannot say: consumers would call it";
        return Err(reason.to_owned());
    }
    let name = name(service, instance, words);
    let path = format!("/{service}/{name}");
    if let Some(data) = words.bytes(DATA) {
        return Ok((path, data.to_vec()));
    }
    let json = json_of(layout, service, instance, &name, words).ok_or("its payload's words are broken")?;
    Ok((path, object(&json).into_bytes()))
}

/// The name of the znode: its own, Dubbo's `host:port`, or one that the record alone makes, always the same.
fn name(service: &str, instance: &Instance, words: &Words) -> String {
    let uuid = words.get(UUID).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    if let Some(uuid) = uuid.and_then(|bytes| Uuid::from_slice(&bytes).ok()) {
        return uuid.to_string();
    }
    if let Some(name) = words.get(NAME) {
        return name.to_owned();
    }
    if words.layout == Layout::Application {
        return address(instance);
    }
    let seed = format!("{service}\0{}\0{}", address(instance), instance.id.slot);
    uuid::Builder::from_custom_bytes(xxh3_128(seed.as_bytes()).to_be_bytes()).into_uuid().to_string()
}

/// As Dubbo joins them, without brackets.
fn address(instance: &Instance) -> String {
    format!("{}:{}", instance.id.endpoint.host, instance.id.endpoint.port)
}

/// Dubbo's own time stamp, else 0: it must be the same whenever and by whichever node a copy is written.
fn canonical_time(layout: Layout, instance: &Instance) -> i64 {
    let own = instance.metadata.get("timestamp").filter(|_| layout == Layout::Application);
    own.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The metadata as they are written.
fn written(layout: Layout, instance: &Instance, words: &Words) -> Vec<(String, String)> {
    let mut all = instance.metadata.to_map();
    if is_secure(instance) && words.get(EXPLICIT).is_none() {
        all.remove(SECURE);
    }
    if layout == Layout::Spring {
        let enabled = instance.enabled && instance.weight > 0.0;
        let is = (enabled, instance.healthy || !enabled);
        if status(&all) != is {
            let word = match is {
                (true, true) => UP,
                (true, false) => DOWN,
                _ => OUT,
            };
            all.insert(STATUS.to_owned(), word.to_owned());
        }
    }
    let all: Vec<_> = all.into_iter().collect();
    match words.get(ORDER) {
        Some(order) => reorder(all, order),
        None => all,
    }
}

fn is_secure(instance: &Instance) -> bool {
    instance.metadata.get(SECURE).is_some_and(|text| text == "true")
}

/// The payload, before the words' own fields come in.
fn canonical_payload(layout: Layout, service: &str, instance: &Instance, name: &str, words: &Words) -> String {
    let metadata = written(layout, instance, words);
    let none = metadata.is_empty();
    let metadata = object(&metadata.into_iter().map(|(key, value)| (key, quote(&value))).collect());
    let (class, id) = match layout {
        Layout::Spring => (SPRING, service),
        Layout::Application => (DUBBO, words.get(ID).unwrap_or(name)),
        _ if none => return "null".to_owned(),
        _ => return metadata,
    };
    let pairs = [(CLASS, quote(class)), ("id", quote(id)), ("name", quote(service)), ("metadata", metadata)];
    object(&pairs.map(|(key, raw)| (key.to_owned(), raw)).into())
}

/// All fields of the znode. `None` when the words are broken.
fn json_of(layout: Layout, service: &str, instance: &Instance, name: &str, words: &Words) -> Option<JsonPairs> {
    let id = words.get(ID).unwrap_or(name);
    let mut payload = canonical_payload(layout, service, instance, name, words);
    if words.get(INNER_SET).is_some() || words.get(INNER_GONE).is_some() {
        let mut inner = json::pairs(&payload).ok()?;
        json::apply(&mut inner, words.all(INNER_GONE), words.all(INNER_SET))?;
        payload = object(&inner);
    }
    let late = words.get(TIME).and_then(|text| i64::from_str_radix(text, 36).ok()).unwrap_or_default();
    let port = instance.id.endpoint.port.to_string();
    let pairs = [
        ("name", quote(service)),
        ("id", quote(id)),
        ("address", quote(&instance.id.endpoint.host)),
        ("port", port.clone()),
        ("sslPort", if is_secure(instance) { port } else { "null".to_owned() }),
        ("payload", payload),
        ("registrationTimeUTC", canonical_time(layout, instance).saturating_add(late).to_string()),
        ("serviceType", quote(if instance.ephemeral { "DYNAMIC" } else { "STATIC" })),
        ("uriSpec", if layout == Layout::Spring { URI_SPEC.to_owned() } else { "null".to_owned() }),
    ];
    let mut pairs: JsonPairs = pairs.map(|(key, raw)| (key.to_owned(), raw)).into();
    if layout == Layout::Curator && !super::takes_calls(instance) {
        pairs.push(("enabled".to_owned(), "false".to_owned()));
    }
    json::apply(&mut pairs, words.all(GONE), words.all(SET))?;
    Some(pairs)
}
