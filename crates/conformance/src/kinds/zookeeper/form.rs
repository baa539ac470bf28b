//! What providers write into ZooKeeper, and what anybody reads there: the suite's own words, not the connector's.

use crate::shape::Shape;
use causeway_core::Instance;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How services stand in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As Spring Cloud has them: `/services/<name>/<id>`, all in JSON.
    Spring,
    /// As Dubbo's interface level has them: `/dubbo/<interface>/providers/<URL>`.
    Dubbo,
}

/// A znode that a provider writes. Without a path it needs a new one.
pub struct ProviderZnode {
    pub path: Option<String>,
    pub data: Vec<u8>,
}

const ONLY: (&str, &str) = ("public", "DEFAULT_GROUP");
const SPRING: &str = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance";

impl Form {
    pub fn shape(self) -> Shape {
        let base = Shape { only: Some(ONLY), slots: false, marks: false, ..Shape::PLAIN };
        match self {
            Self::Spring => Shape { words: &["instance_status"], ..base },
            Self::Dubbo => Shape {
                service: |name| format!("providers:{name}::"),
                // All four below one znode.
                neighbours: [
                    "providers:lab.Orders::",
                    "providers:lab.Orders:1.0:",
                    "providers:lab.Orders::blue",
                    "providers:lab.Orders:1.0:blue",
                ],
                metadata: &[("protocol", "dubbo")],
                words: &["category", "enabled", "group", "interface", "path", "version", "weight"],
                ..base
            },
        }
    }

    /// The folder of a service's znodes.
    pub fn folder(self, service: &str) -> String {
        match self {
            Self::Spring => format!("/services/{service}"),
            Self::Dubbo => format!("/dubbo/{}/providers", escaped(Url::of(service)[0])),
        }
    }

    pub fn write(self, service: &str, one: &Instance) -> ProviderZnode {
        match self {
            Self::Spring => ProviderZnode { path: None, data: spring(service, one).to_string().into_bytes() },
            Self::Dubbo => {
                let path = format!("{}/{}", self.folder(service), escaped(&url(service, one)));
                ProviderZnode { path: Some(path), data: b"127.0.0.1".to_vec() }
            }
        }
    }

    /// What a znode in the folder of a service says; `None` when it is nobody, or of another service there.
    pub fn read(self, service: &str, name: &str, data: &[u8], ephemeral: bool) -> Option<Instance> {
        let instance = match self {
            Self::Spring => read_spring(data)?,
            Self::Dubbo => read_dubbo(service, &unescaped(name))?,
        };
        Some(self.shape().bare(instance.with(|one| one.ephemeral = ephemeral)))
    }
}

/// As Spring Cloud ZooKeeper 4.2 writes it. The id is put in when the znode is made.
fn spring(service: &str, one: &Instance) -> Value {
    let status = match (one.enabled, one.healthy) {
        (true, true) => "UP",
        (true, false) => "DOWN",
        (false, _) => "OUT_OF_SERVICE",
    };
    let mut metadata: Map<String, Value> = one.metadata.iter().map(|(k, v)| (k.to_owned(), json!(v))).collect();
    metadata.insert("instance_status".into(), json!(status));
    let part = |value: &str, variable: bool| json!({"value": value, "variable": variable});
    let parts = [("scheme", true), ("://", false), ("address", true), (":", false), ("port", true)];
    json!({
        "name": service, "id": "", "address": &*one.id.endpoint.host, "port": one.id.endpoint.port, "sslPort": null,
        "payload": {"@class": SPRING, "id": service, "name": service, "metadata": metadata},
        "registrationTimeUTC": 1_795_308_830_991_i64,
        "serviceType": if one.ephemeral { "DYNAMIC" } else { "PERMANENT" },
        "uriSpec": {"parts": parts.map(|(value, variable)| part(value, variable))},
    })
}

/// Gives the JSON the id of its znode.
pub fn with_id(data: &[u8], id: &str) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(data).ok()?;
    *json.get_mut("id")? = json!(id);
    Some(json.to_string().into_bytes())
}

fn read_spring(data: &[u8]) -> Option<Instance> {
    let json: Value = serde_json::from_slice(data).ok()?;
    let port = json["sslPort"].as_u64().or_else(|| json["port"].as_u64())?;
    let mut one = Instance::new(json["address"].as_str()?, u16::try_from(port).ok()?);
    assert_eq!(json["payload"]["@class"], SPRING, "one of another class makes every lookup of Spring Cloud's fail");
    for (key, value) in json["payload"]["metadata"].as_object()? {
        one.metadata.insert(key.clone(), value.as_str()?.to_owned());
    }
    (one.enabled, one.healthy) = match one.metadata.get("instance_status") {
        None | Some("UP") => (true, true),
        Some("OUT_OF_SERVICE") => (false, true),
        Some(_) => (true, false),
    };
    Some(one)
}

/// A name of a service as Dubbo's registries have it: `providers:<interface>:<version>:<group>`.
struct Url;

impl Url {
    fn of(service: &str) -> [&str; 3] {
        let rest = service.strip_prefix("providers:").unwrap_or(service);
        let mut parts = rest.rsplitn(3, ':');
        let (group, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        [parts.next().unwrap_or_default(), version, group]
    }
}

fn url(service: &str, one: &Instance) -> String {
    let [interface, version, group] = Url::of(service);
    let mut params: BTreeMap<&str, String> = BTreeMap::new();
    params.extend(one.metadata.iter().filter(|(key, _)| *key != "protocol").map(|(k, v)| (k, v.to_owned())));
    params.insert("interface", interface.to_owned());
    params.extend([("version", version), ("group", group)].map(|(key, value)| (key, value.to_owned())));
    params.retain(|key, value| !value.is_empty() || !["version", "group"].contains(key));
    if one.weight != 1.0 {
        params.insert("weight", format!("{:.0}", one.weight * 100.0));
    }
    if !one.enabled {
        params.insert("enabled", "false".into());
    }
    let params: Vec<_> = params.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let (endpoint, protocol) = (&one.id.endpoint, one.metadata.get("protocol").unwrap_or("dubbo"));
    format!("{protocol}://{}:{}/{interface}?{}", endpoint.host, endpoint.port, params.join("&"))
}

fn read_dubbo(service: &str, url: &str) -> Option<Instance> {
    let (protocol, rest) = url.split_once("://")?;
    let (address, query) = rest.split_once('?')?;
    let (address, _) = address.split_once('/')?;
    // Without a port it is the protocol's own, which Dubbo has as 0.
    let (host, port) = match address.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (address, 0),
    };
    let mut one = Instance::new(host.trim_start_matches('[').trim_end_matches(']'), port);
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=')?;
        one.metadata.insert(key, value.to_owned());
    }
    one.metadata.insert("protocol", protocol.to_owned());
    let says = |key: &str| one.metadata.get(key);
    if [says("interface")?, says("version").unwrap_or_default(), says("group").unwrap_or_default()] != Url::of(service)
    {
        return None;
    }
    let weight =
        says("weight").map_or(Some(1.0), |text| text.parse::<i32>().ok().map(|weight| f64::from(weight) / 100.0))?;
    let enabled = says("enabled") != Some("false");
    one.weight = weight;
    one.enabled = enabled;
    Some(one)
}

/// As `java.net.URLEncoder` does.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-_.".contains(&byte);
    let one = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect::<String>().replace("%20", "+")
}

/// As `java.net.URLDecoder` does.
fn unescaped(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = |pair: &[u8]| str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, tail.first_chunk::<2>().and_then(|pair| hex(pair))) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_write_reads_back() {
        for form in [Form::Spring, Form::Dubbo] {
            let mut one = form.shape().dressed(Instance::new("127.0.0.1", 80));
            one.metadata.insert("a", "b c%+é");
            one.enabled = false;
            let service = (form.shape().service)("orders");
            let ProviderZnode { path, data } = form.write(&service, &one);
            let path = path.unwrap_or_else(|| format!("{}/x", form.folder(&service)));
            let name = path.strip_prefix(&form.folder(&service)).expect("its folder").trim_start_matches('/');
            assert_eq!(form.read(&service, name, &data, true), Some(one));
        }
    }
}
