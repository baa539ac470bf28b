//! Any tree of ephemeral znodes: the service is the path between root and znode, the address stands in the znode's name
//! or in its data. Items of its words: `n` the znode's name · `d` the data.

use super::words::{DATA, NAME, Words};
use super::{Layout, json};
use crate::zookeeper::host;
use causeway_core::{Instance, ServiceKey};

/// What a znode says.
pub(super) fn said(service: &str, name: &str, data: &[u8]) -> Result<(ServiceKey, Instance), String> {
    let owned = |(host, port): (&str, u16)| (host.to_owned(), port);
    let found = host::parse(name).map(owned).or_else(|| inside(data));
    let (host, port) = found.ok_or("neither its name nor its data say host and port")?;
    Ok((super::service(service), Instance::new(&host, port)))
}

/// The address in the data: `host:port`, or JSON with both.
fn inside(data: &[u8]) -> Option<(String, u16)> {
    let text = str::from_utf8(data).ok()?.trim();
    if let Some((host, port)) = host::parse(text) {
        return Some((host.to_owned(), port));
    }
    let pairs = json::pairs(text).ok()?;
    let host = ["host", "ip", "address"].into_iter().find_map(|key| json::find(&pairs, key).and_then(json::string))?;
    let port = json::find(&pairs, "port")?;
    let port = json::string(port).unwrap_or_else(|| port.to_owned()).parse().ok()?;
    host::is_one(&host).then_some((host, port))
}

/// What tells this znode from the canonical one: `host:port` without data.
pub(super) fn words(instance: &Instance, name: &str, data: &[u8]) -> Words {
    let mut words = Words::new(Layout::Plain);
    if name != host::join(&instance.id.endpoint.host, instance.id.endpoint.port) {
        words.push(NAME, name);
    }
    if !data.is_empty() {
        words.push(DATA, data);
    }
    words
}

/// The path below the root, and the data.
pub(super) fn build(service: &str, instance: &Instance, words: &Words) -> Result<(String, Vec<u8>), String> {
    let endpoint = &instance.id.endpoint;
    if !host::is_one(&endpoint.host) {
        return Err(format!("{:?} is no host", endpoint.host));
    }
    if !instance.ephemeral {
        return Err("a plain tree holds ephemeral znodes only".to_owned());
    }
    if !super::takes_calls(instance) {
        return Err("it takes no calls now, which a plain znode cannot say".to_owned());
    }
    let name = words.get(NAME).map_or_else(|| host::join(&endpoint.host, endpoint.port), str::to_owned);
    let path = if service == "/" { format!("/{name}") } else { format!("/{service}/{name}") };
    Ok((path, words.bytes(DATA).unwrap_or_default().to_vec()))
}
