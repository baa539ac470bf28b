//! Dubbo's interface level: `<root>/<interface>/<category>/<escaped URL>`.
//!
//! Items of its words: `e` the way in which the URL is escaped · `f` the interface's znode · `h` an IPv6 host without
//! brackets · `u` user and password · `-` a parameter that is not there · `x` one that is there besides · `o` the order
//! of the parameters · `d` the data · `=` the whole name of the znode.

use super::service_name::{DubboServiceName, GROUP, VERSION};
use super::words::{DATA, ORDER, WHOLE, Words, order, reorder};
use super::{Layout, escape};
use crate::zookeeper::host;
use causeway_core::{Instance, ServiceKey};
use std::borrow::Cow;
use std::collections::BTreeMap;

const WAY: char = 'e';
const FOLDER: char = 'f';
const BARE_V6: char = 'h';
const USER: char = 'u';
const GONE: char = '-';
const EXTRA: char = 'x';

pub(super) const PROVIDERS: &str = "providers";
const PROTOCOL: &str = "protocol";
const PATH: &str = "path";
const CATEGORY: &str = "category";
const INTERFACE: &str = "interface";
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
    let (interface, text) = unescaped(interface, name)?;
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
    let service =
        DubboServiceName { category, interface: &interface, version: part(VERSION), group: part(GROUP) }.to_string();
    instance.metadata = metadata.into();
    Ok((super::service(&service), instance))
}

/// The interface and the URL.
fn unescaped(interface: &str, name: &str) -> Result<(String, String), String> {
    let interface = escape::read(interface).ok_or("the interface's name is not escaped as Dubbo does")?;
    Ok((interface, escape::read(name).ok_or("the URL is not escaped as Dubbo does")?))
}

/// The service of what [`said`] says, and the same errors.
pub(super) fn service_said(interface: &str, category: &str, name: &str) -> Result<String, String> {
    let (interface, text) = unescaped(interface, name)?;
    let url = Url::parse(&text)?;
    // Of several, the last one stands.
    let part = |wanted: &str| {
        let found = url.params.iter().rev().find(|param| key(param) == wanted);
        found.map_or("", |param| param.split_once('=').map_or(param, |pair| pair.1))
    };
    Ok(DubboServiceName { category, interface: &interface, version: part(VERSION), group: part(GROUP) }.to_string())
}

/// Dubbo's weight as ours: 100 is 1.
fn scaled(text: &str) -> f64 {
    text.parse::<i32>().map_or(1.0, |weight| f64::from(weight.max(0)) / NORMAL_WEIGHT)
}

/// What tells this znode from the canonical one of what it says.
pub(super) fn words(scope: &ServiceKey, instance: &Instance, folder: &str, name: &str, data: &[u8]) -> Option<Words> {
    let text = escape::read(name)?;
    let url = Url::parse(&text).ok()?;
    let service = DubboServiceName::of(&scope.name, &instance.metadata)?;
    if url.params.len() > PARAMS {
        return None;
    }
    let mut words = frame(&service, instance, folder, data);
    if let way @ 1.. = (0..escape::WAYS).find(|&way| escape::is(&text, way, name))? {
        words.push(WAY, way.to_string());
    }
    if let Some(user) = url.user {
        words.push(USER, user);
    }
    if url.host.contains(':') && !url.brackets {
        words.push(BARE_V6, "");
    }
    let canonical = canonical(&service, instance);
    if canonical.len() == url.params.len() && canonical.iter().zip(&url.params).all(|(pair, param)| pair.is(param)) {
        return Some(words);
    }
    let canonical: Vec<String> = canonical.iter().map(Param::to_string).collect();
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
    let mut words = frame(&DubboServiceName::of(&scope.name, &instance.metadata)?, instance, folder, data);
    words.push(WHOLE, name);
    Some(words)
}

/// Words of what is not the URL.
fn frame(service: &DubboServiceName<'_>, instance: &Instance, folder: &str, data: &[u8]) -> Words {
    let mut words = Words::new(Layout::Dubbo);
    if !escape::is(service.interface, 0, folder) {
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
    let service = DubboServiceName::of(name, &instance.metadata).ok_or_else(wrong)?;
    let host = &instance.id.endpoint.host;
    if !host::is_one(host) {
        return Err(format!("{host:?} is no host"));
    }
    let protocol = instance.metadata.get(PROTOCOL).filter(|text| !text.is_empty() && !text.contains(['/', ':', '?']));
    let protocol = protocol.ok_or("its metadata name no `protocol`, so that no consumer of Dubbo's could call it")?;
    let path = instance.metadata.get(PATH).unwrap_or(service.interface);
    if path.contains('?') {
        return Err(format!("its path {path:?} has a question mark"));
    }
    let params: Vec<String> = canonical(&service, instance).iter().map(Param::to_string).collect();
    let params = sorted(params, words);
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

/// One canonical parameter.
struct Param<'a> {
    key: &'a str,
    value: Cow<'a, str>,
}

impl Param<'_> {
    /// Dubbo cannot say an ampersand; escaped it at least hurts no neighbour.
    fn is_plain(&self) -> bool {
        !self.key.contains(['&', '=']) && !self.value.contains('&')
    }

    /// Whether it is written like this, and stands among the others as its key does.
    fn is(&self, written: &str) -> bool {
        let value = written.strip_prefix(self.key).and_then(|rest| rest.strip_prefix('='));
        value == Some(&*self.value) && self.is_plain()
    }
}

impl std::fmt::Display for Param<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.is_plain() {
            true => [self.key, "=", &self.value].into_iter().try_for_each(|part| f.write_str(part)),
            false => {
                let key = self.key.replace('&', "%26").replace('=', "%3D");
                write!(f, "{key}={}", self.value.replace('&', "%26"))
            }
        }
    }
}

/// Canonical parameters, sorted by their keys, each there once.
struct Params<'a>(Vec<Param<'a>>);

impl<'a> Params<'a> {
    fn at(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|param| param.key.cmp(key))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.at(key).ok().map(|at| &*self.0[at].value)
    }

    fn insert(&mut self, key: &'a str, value: impl Into<Cow<'a, str>>) {
        let param = Param { key, value: value.into() };
        match self.at(key) {
            Ok(at) => self.0[at] = param,
            Err(at) => self.0.insert(at, param),
        }
    }

    fn remove(&mut self, key: &str) {
        if let Ok(at) = self.at(key) {
            self.0.remove(at);
        }
    }
}

/// The canonical parameters, sorted by their keys: what the metadata say, and what the service's name says.
fn canonical<'a>(service: &DubboServiceName<'a>, instance: &'a Instance) -> Vec<Param<'a>> {
    let own = |pair: &(&str, &str)| pair.0 != PROTOCOL && pair.0 != PATH;
    let mut all = Vec::with_capacity(instance.metadata.len() + 4);
    all.extend(instance.metadata.iter().filter(own).map(|(key, value)| Param { key, value: value.into() }));
    let mut all = Params(all);
    all.insert(INTERFACE, service.interface);
    for (key, value) in [(VERSION, service.version), (GROUP, service.group)] {
        if !value.is_empty() {
            all.insert(key, value);
        } else if all.get(key).is_some_and(|text| !text.is_empty()) {
            all.remove(key);
        }
    }
    match all.get(CATEGORY).unwrap_or(service.category) {
        PROVIDERS if service.category == PROVIDERS => all.remove(CATEGORY),
        _ if all.get(CATEGORY).is_none() => all.insert(CATEGORY, service.category),
        _ => {}
    }
    let weight = all.get(WEIGHT).map(scaled);
    // Dubbo's providers in flat registries have the normal weight, 1, whatever their own; another was set by somebody.
    if instance.weight != 1.0 && weight != Some(instance.weight) {
        // However small, it takes calls.
        let least = if instance.weight > 0.0 { 1.0 } else { 0.0 };
        let weight = (instance.weight * NORMAL_WEIGHT).round().clamp(least, i32::MAX.into());
        all.insert(WEIGHT, weight.to_string());
    }
    let is = instance.enabled && instance.healthy;
    if all.get(ENABLED).is_none_or(is_enabled) != is {
        all.insert(ENABLED, if is { "true" } else { "false" });
    }
    all.0.retain(|param| !param.key.is_empty());
    all.0
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
