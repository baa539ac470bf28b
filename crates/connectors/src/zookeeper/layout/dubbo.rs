//! Dubbo's interface level: `<root>/<interface>/<category>/<escaped URL>`.
//!
//! Items of its words: `e` the way in which the URL is escaped · `f` the interface's znode · `h` an IPv6 host without
//! brackets · `u` user and password · `-` a parameter that is not there · `x` one that is there besides · `o` the order
//! of the parameters · `d` the data · `=` the whole name of the znode.

use super::words::{DATA, ORDER, WHOLE, Words, order, reorder};
use super::{Layout, escape, host};
use causeway_core::{Instance, ServiceKey};
use std::borrow::Cow;
use std::collections::BTreeMap;

const WAY: char = 'e';
const FOLDER: char = 'f';
const BARE_V6: char = 'h';
const USER: char = 'u';
const GONE: char = '-';
const EXTRA: char = 'x';

/// The categories that Dubbo itself has.
pub(super) const CATEGORIES: [&str; 4] = [PROVIDERS, "consumers", "routers", "configurators"];
pub(super) const PROVIDERS: &str = "providers";
const PROTOCOL: &str = "protocol";
const PATH: &str = "path";
const CATEGORY: &str = "category";
const INTERFACE: &str = "interface";
const VERSION: &str = "version";
const GROUP: &str = "group";
const WEIGHT: &str = "weight";
const ENABLED: &str = "enabled";
/// Dubbo's weight of a provider that names none.
const NORMAL_WEIGHT: f64 = 100.0;
/// Most parameters that are compared one by one.
const PARAMS: usize = 1000;

/// A URL, not escaped.
struct Url<'a> {
    protocol: &'a str,
    user: Option<&'a str>,
    host: &'a str,
    brackets: bool,
    port: Option<u16>,
    path: &'a str,
    /// As they are written, `key=value`.
    params: Vec<&'a str>,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (body, query) = text.split_once('?').map_or((text, None), |(body, query)| (body, Some(query)));
        let (protocol, rest) =
            body.split_once("://").filter(|url| !url.0.is_empty()).ok_or("the URL has no protocol")?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, address) = address.rsplit_once('@').map_or((None, address), |(user, rest)| (Some(user), rest));
        let (name, port, brackets) = match address.strip_prefix('[') {
            Some(v6) => {
                let (name, rest) = v6.split_once(']').ok_or("a bracket of the URL's host is not closed")?;
                (name, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest)), true)
            }
            // As Dubbo has it: what follows the last colon is the port, but for the zone of an IPv6 address.
            None => match address.rsplit_once(':').filter(|(_, port)| !port.contains('%')) {
                Some((name, port)) if host::is_one(name) || !host::is_one(address) => (name, Some(port), false),
                _ => (address, None, false),
            },
        };
        let port = port.map(|port| port.parse().map_err(|_| format!("{port:?} is no port")));
        if !host::is_one(name) {
            return Err(format!("{name:?} is no host"));
        }
        let params = query.map(|query| query.split('&').collect()).unwrap_or_default();
        Ok(Self { protocol, user, host: name, brackets, port: port.transpose()?, path, params })
    }
}

impl std::fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://", self.protocol)?;
        if let Some(user) = self.user {
            write!(f, "{user}@")?;
        }
        if self.brackets { write!(f, "[{}]", self.host) } else { f.write_str(self.host) }?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        let mut before = '?';
        for param in &self.params {
            write!(f, "{before}{param}")?;
            before = '&';
        }
        Ok(())
    }
}

/// What a znode says.
pub(super) fn said(
    interface: &str,
    category: &str,
    name: &str,
    ephemeral: bool,
) -> Result<(ServiceKey, Instance), String> {
    let interface = escape::read(interface).ok_or("the interface's name is not escaped as Dubbo does")?;
    let text = escape::read(name).ok_or("the URL is not escaped as Dubbo does")?;
    let url = Url::parse(&text)?;
    let mut instance = Instance::new(url.host, url.port.unwrap_or_default());
    // A parameter without a value has its name for one, as Dubbo reads it.
    let pairs = url.params.iter().map(|param| param.split_once('=').unwrap_or((param, param)));
    let mut metadata: BTreeMap<String, String> =
        pairs.filter(|pair| !pair.0.is_empty()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    metadata.insert(PROTOCOL.to_owned(), url.protocol.to_owned());
    metadata.insert(PATH.to_owned(), url.path.to_owned());
    for (key, value) in [(CATEGORY, category), (INTERFACE, &interface)] {
        metadata.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    instance.weight = metadata.get(WEIGHT).map_or(1.0, |text| scaled(text));
    instance.enabled = metadata.get(ENABLED).is_none_or(|text| is_enabled(text));
    instance.ephemeral = ephemeral;
    let part = |key| metadata.get(key).map(String::as_str).unwrap_or_default();
    let service = format!("{category}:{interface}:{}:{}", part(VERSION), part(GROUP));
    instance.metadata = metadata;
    Ok((super::service(&service), instance))
}

/// Dubbo's weight as ours: 100 is 1.
fn scaled(text: &str) -> f64 {
    text.parse::<i32>().map_or(1.0, |weight| f64::from(weight.max(0)) / NORMAL_WEIGHT)
}

/// What tells this znode from the canonical one of what it says.
pub(super) fn words(scope: &ServiceKey, instance: &Instance, folder: &str, name: &str, data: &[u8]) -> Option<Words> {
    let text = escape::read(name)?;
    let url = Url::parse(&text).ok()?;
    let service = Service::of(&scope.name, &instance.metadata)?;
    if url.params.len() > PARAMS {
        return None;
    }
    let mut words = frame(&service, instance, folder, data);
    if let way @ 1.. = (0..escape::WAYS).find(|&way| escape::escape(&text, way) == name)? {
        words.push(WAY, way.to_string());
    }
    if let Some(user) = url.user {
        words.push(USER, user);
    }
    if url.host.contains(':') && !url.brackets {
        words.push(BARE_V6, "");
    }
    let canonical = params(&service, instance);
    let mut extra = BTreeMap::<&str, isize>::new();
    for param in &url.params {
        *extra.entry(*param).or_default() += 1;
    }
    for param in &canonical {
        match extra.get_mut(param.as_str()) {
            Some(count @ 1..) => *count -= 1,
            _ => words.push(GONE, key(param)),
        }
    }
    for (param, count) in extra {
        (0..count).for_each(|_| words.push(EXTRA, param));
    }
    let sorted = sorted(canonical, &words);
    let order = order(&sorted.iter().map(String::as_str).collect::<Vec<_>>(), &url.params)?;
    if !order.is_empty() {
        words.push(ORDER, order);
    }
    Some(words)
}

/// The last resort: the whole name of the znode.
pub(super) fn whole(scope: &ServiceKey, instance: &Instance, folder: &str, name: &str, data: &[u8]) -> Option<Words> {
    let mut words = frame(&Service::of(&scope.name, &instance.metadata)?, instance, folder, data);
    words.push(WHOLE, name);
    Some(words)
}

/// Words of what is not the URL.
fn frame(service: &Service<'_>, instance: &Instance, folder: &str, data: &[u8]) -> Words {
    let mut words = Words::new(Layout::Dubbo);
    if escape::escape(service.interface, 0) != folder {
        words.push(FOLDER, folder);
    }
    if data != instance.id.endpoint.host.as_bytes() {
        words.push(DATA, data);
    }
    words
}

/// The path below the root, and the data.
pub(super) fn build(name: &str, instance: &Instance, words: &Words) -> Result<(String, Vec<u8>), String> {
    let wrong = || format!("{name:?} is no service of Dubbo's; their names are category:interface:version:group");
    let service = Service::of(name, &instance.metadata).ok_or_else(wrong)?;
    let host = &instance.id.endpoint.host;
    if !host::is_one(host) {
        return Err(format!("{host:?} is no host"));
    }
    let protocol = instance.metadata.get(PROTOCOL).filter(|text| !text.is_empty() && !text.contains(['/', ':', '?']));
    let protocol = protocol.ok_or("its metadata name no `protocol`, so that no consumer of Dubbo's could call it")?;
    let path = instance.metadata.get(PATH).map_or(service.interface, String::as_str);
    if path.contains('?') {
        return Err(format!("its path {path:?} has a question mark"));
    }
    let params = sorted(params(&service, instance), words);
    let mut params: Vec<&str> = params.iter().map(String::as_str).collect();
    if let Some(order) = words.get(ORDER) {
        params = reorder(params, order);
    }
    let url = Url {
        protocol,
        user: words.get(USER),
        host,
        brackets: host.contains(':') && words.get(BARE_V6).is_none(),
        port: Some(instance.id.endpoint.port).filter(|port| *port > 0),
        path,
        params,
    };
    let way = words.get(WAY).and_then(|way| way.parse().ok()).unwrap_or_default();
    let znode = words.get(WHOLE).map_or_else(|| escape::escape(&url.to_string(), way), str::to_owned);
    let folder = words.get(FOLDER).map_or_else(|| escape::escape(service.interface, 0), str::to_owned);
    let data = words.bytes(DATA).unwrap_or(host.as_bytes()).to_vec();
    Ok((format!("/{folder}/{}/{znode}", service.category), data))
}

/// The canonical parameters, sorted by their keys: what the metadata say, and what the service's name says.
fn params(service: &Service<'_>, instance: &Instance) -> Vec<String> {
    let own = |pair: &(&String, &String)| pair.0 != PROTOCOL && pair.0 != PATH;
    let mut all: BTreeMap<&str, Cow<'_, str>> =
        instance.metadata.iter().filter(own).map(|(key, value)| (key.as_str(), value.into())).collect();
    all.insert(INTERFACE, service.interface.into());
    for (key, value) in [(VERSION, service.version), (GROUP, service.group)] {
        if !value.is_empty() {
            all.insert(key, value.into());
        } else if all.get(key).is_some_and(|text| !text.is_empty()) {
            all.remove(key);
        }
    }
    let category = all.entry(CATEGORY).or_insert(service.category.into());
    if category == PROVIDERS && service.category == PROVIDERS {
        all.remove(CATEGORY);
    }
    let weight = all.get(WEIGHT).map(|text| scaled(text));
    // Dubbo's providers in Nacos have its normal weight, 1, whatever their own; another was set by somebody.
    if instance.weight != 1.0 && weight != Some(instance.weight) {
        // However small, it takes calls.
        let least = if instance.weight > 0.0 { 1.0 } else { 0.0 };
        let weight = (instance.weight * NORMAL_WEIGHT).round().clamp(least, i32::MAX.into());
        all.insert(WEIGHT, weight.to_string().into());
    }
    let is = instance.enabled && instance.healthy;
    if all.get(ENABLED).is_none_or(|text| is_enabled(text)) != is {
        all.insert(ENABLED, is.to_string().into());
    }
    // Dubbo cannot say an ampersand; this way it at least hurts no neighbour.
    let pair = |(key, value): (&&str, &Cow<'_, str>)| match key.contains(['&', '=']) || value.contains('&') {
        true => format!("{}={}", key.replace('&', "%26").replace('=', "%3D"), value.replace('&', "%26")),
        false => format!("{key}={value}"),
    };
    all.iter().filter(|pair| !pair.0.is_empty()).map(pair).collect()
}

/// As Java reads a boolean: what is not true is false.
fn is_enabled(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("true")
}

/// The canonical parameters with what the words add and take, sorted again.
fn sorted(mut params: Vec<String>, words: &Words) -> Vec<String> {
    for gone in words.all(GONE) {
        params.retain(|param| key(param) != gone);
    }
    params.extend(words.all(EXTRA).map(str::to_owned));
    params.sort_by(|left, right| key(left).cmp(key(right)));
    params
}

fn key(param: &str) -> &str {
    param.split_once('=').map_or(param, |pair| pair.0)
}

/// A service as Dubbo names it in Nacos: `category:interface:version:group`.
struct Service<'a> {
    category: &'a str,
    interface: &'a str,
    version: &'a str,
    group: &'a str,
}

impl<'a> Service<'a> {
    /// The parts of a name. What the metadata say of version and group tells where the interface ends, should a part hold
    /// a colon.
    fn of(name: &'a str, metadata: &BTreeMap<String, String>) -> Option<Self> {
        let (category, rest) = name.split_once(':')?;
        let part = |key| metadata.get(key).map(String::as_str).unwrap_or_default();
        let (version, group) = (part(VERSION), part(GROUP));
        let known = rest.strip_suffix(&format!(":{version}:{group}"));
        let (interface, version, group) = match known {
            Some(interface) => {
                let tail = &rest[interface.len() + 1..];
                (interface, &tail[..version.len()], &tail[version.len() + 1..])
            }
            None => {
                let (rest, group) = rest.rsplit_once(':')?;
                let (interface, version) = rest.rsplit_once(':')?;
                (interface, version, group)
            }
        };
        (!category.is_empty() && !interface.is_empty()).then_some(Self { category, interface, version, group })
    }
}

/// Whether this is the name of a service of Dubbo's.
pub(super) fn is_named(name: &str, instance: &Instance, categories: &[String]) -> bool {
    let known = |category| CATEGORIES.contains(&category) || categories.iter().any(|one| one == category);
    Service::of(name, &instance.metadata).is_some_and(|service| known(service.category))
}
