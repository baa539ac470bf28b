//! A Kong, with a database and without one: the strict double.

use super::open;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use crate::tap::http::HttpTap;
use anyhow::{Context, Result, bail};
use causeway_connectors::Connect;
use causeway_core::{Instance, Mark, ServiceKey};
use causeway_testbed::{KONG_TOKEN, Kong, KongApi, KongSetup, KongTarget, Server};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Begins the tag of a target that carries our mark, in which `+` is a comma and `|` a slash.
const MARK: &str = "causeway.mark=";
/// Begins all tags of ours.
const OURS: &str = "causeway";
/// The tag of an upstream that our install has made.
const OUR_UPSTREAM: &str = "causeway:cf3a9e01";

/// Kong; a server of its own for every test, since there is one part a server.
#[derive(Clone, Copy)]
pub struct KongKind {
    label: &'static str,
    dbless: bool,
}

impl KongKind {
    /// With a database, or without one.
    pub fn new(label: &'static str, dbless: bool) -> Self {
        Self { label, dbless }
    }

    async fn subject(self, token: bool) -> Result<KongSubject> {
        let kong = Kong::start(KongSetup { token, dbless: self.dbless, ..KongSetup::default() }).await?;
        let api = kong.api()?;
        Ok(KongSubject { kong, api, token, dbless: self.dbless, published: Mutex::default() })
    }
}

impl Kind for KongKind {
    type Subject = KongSubject;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        &[Server::Kong]
    }
    async fn shared(&self) -> Result<KongSubject> {
        self.subject(false).await
    }
    async fn own(&self) -> Result<KongSubject> {
        self.subject(true).await
    }
}

/// One server.
pub struct KongSubject {
    kong: Kong,
    api: KongApi,
    token: bool,
    dbless: bool,
    /// The targets of each provider, as the server calls them.
    published: Mutex<BTreeMap<(String, ServiceKey), BTreeSet<String>>>,
}

impl KongSubject {
    fn connect(&self, addr: String, token: Option<&str>) -> Connect {
        Connect {
            install: "cf3a9e01".into(),
            addresses: vec![addr],
            token: token.map(|token| token.to_owned().into()),
            ..Connect::default()
        }
    }

    fn token(&self) -> Option<&'static str> {
        self.token.then_some(KONG_TOKEN)
    }

    /// Changes targets in an upstream, which is made as ours where there is none: in others nothing is looked at. With
    /// `replaces` a copy of ours makes room for a target, which has an id of its own then.
    async fn change(
        &self,
        service: &ServiceKey,
        put: &[Instance],
        gone: &BTreeSet<String>,
        replaces: bool,
    ) -> Result<()> {
        let upstream = upstream(service);
        let empty = json!({"name": upstream, "tags": [OUR_UPSTREAM]});
        if !self.dbless {
            // One that is there is left as it is.
            self.api.ask(Method::POST, "/upstreams", Some(&empty)).await?;
            let stands = self.api.targets(&upstream).await?;
            for one in put {
                // A provider's own target takes the place of our copy.
                let copy = stands.get(&target(one)).filter(|row| row.tags.iter().any(|tag| tag.starts_with(MARK)));
                if let Some(copy) = copy.filter(|_| replaces) {
                    self.api.remove_target(&upstream, &copy.target).await?;
                }
                self.api.put_target(&upstream, &target(one), weight(one), &tags(one)).await?;
            }
            for gone in gone {
                self.api.remove_target(&upstream, gone).await?;
            }
            return Ok(());
        }
        let mut document = self.api.document().await?;
        let upstreams = document["upstreams"].as_array_mut().context("no upstreams")?;
        let there = upstreams.iter().find(|row| row["name"] == *upstream).map(|row| row["id"].clone());
        if there.is_none() {
            upstreams.push(empty);
        }
        let id = there.unwrap_or_else(|| upstream.into());
        let targets = document["targets"].as_array_mut().context("no targets")?;
        let put: Vec<_> = put
            .iter()
            .map(|one| json!({"upstream": id, "target": target(one), "weight": weight(one), "tags": tags(one)}))
            .collect();
        let stays = |row: &Value| {
            row["upstream"] != id
                || !(put.iter().any(|one| one["target"] == row["target"])
                    || row["target"].as_str().is_some_and(|target| gone.contains(target)))
        };
        targets.retain(stays);
        targets.extend(put.iter().cloned());
        self.api.declare(&document).await
    }
}

impl Subject for KongSubject {
    fn facts(&self) -> Facts {
        Facts {
            kind: "kong",
            versions: "",
            // A look every 2 s.
            told_in: Duration::from_secs(4),
            found_in: Duration::from_secs(4),
            health_in: Duration::from_secs(4),
            lost_in: Duration::from_secs(8),
            ends_in: Duration::from_secs(1),
            checked_in: Duration::from_millis(100),
            expiry: None,
            // With the sign between them they are a tag.
            size_limit: Limit::Pair(2_600 - 1),
            // An upstream, a service, and each target; and a look before.
            calls_to_write: |services, instances| services * (instances + 6) + 100,
            // The targets of each upstream; there is no call for those of several.
            calls_to_read: |services, _| services + 60,
            calls_at_once: 1,
            shape: Shape {
                only: Some(("public", "default")),
                groups: true,
                part_goes: false,
                slots: false,
                ..Shape::PLAIN
            },
        }
    }

    async fn open(&self, who: &Who, _: &[String]) -> Result<Session> {
        let token = match who {
            Who::Administrator => self.token(),
            Who::WrongPassword => Some("not the token"),
            Who::Only(_) => bail!("the Admin API closes nothing to some"),
        };
        open("kong", self.connect(self.kong.addr(), token))
    }

    async fn open_next(&self) -> Result<Session> {
        self.open(&Who::Administrator, &[]).await
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let port = self.kong.addr().rsplit_once(':').context("an address without a port")?.1.parse()?;
        let tap = HttpTap::start(port).await?;
        let session = open("kong", self.connect(tap.addr(), self.token()))?;
        let (calls, peak) = (tap.counts(), tap.counts());
        let meter =
            Meter { calls: Box::new(move || calls.calls()), peak: Box::new(move || peak.peak()), wire: Box::new(tap) };
        Ok((session, meter))
    }

    async fn create_namespace(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn remove_namespace(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let targets: BTreeSet<_> = instances.iter().map(target).collect();
        let key = (provider.to_owned(), service.clone());
        let before = self.published.lock().insert(key, targets.clone()).unwrap_or_default();
        let gone = before.difference(&targets).cloned().collect();
        self.change(service, instances, &gone, true).await
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        self.change(service, std::slice::from_ref(as_wanted), &BTreeSet::new(), false).await?;
        Ok(true)
    }

    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.truth(service).await
    }

    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.api.targets(&upstream(service)).await?.into_values().map(instance).collect()
    }

    async fn subscribe(&self, _: &ServiceKey) -> Result<Told> {
        Ok(Box::new(Vec::new))
    }

    async fn unwelcome(&self, mut record: Instance) -> Instance {
        record.id.endpoint.host = "256.0.0.1".into();
        record
    }

    async fn deny(&self, _: &ServiceKey) -> Result<()> {
        bail!("the Admin API closes nothing to some")
    }

    async fn stop(&self) -> Result<()> {
        self.kong.kill9()
    }

    async fn start(&self) -> Result<()> {
        match self.kong.pid() {
            Some(_) => bail!("it runs"),
            None => self.kong.start_again().await,
        }
    }
}

/// The upstream of a service, as its README says: `<service>.<group>`, and every byte that a host name has not as `_` and two
/// digits.
fn upstream(service: &ServiceKey) -> String {
    format!("{}.{}", host_name(&service.name, false), host_name(&service.group, true))
}

fn host_name(name: &str, is_label: bool) -> String {
    let bytes = name.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(|one| matches!(one, b'0'..=b'9' | b'a'..=b'f'));
    let plain = |at: usize| match bytes[at] {
        b'_' => !(hex(at + 1) && hex(at + 2)),
        b'.' => !is_label && at > 0 && bytes.get(at + 1).is_some_and(|next| *next != b'.'),
        b'-' => bytes.get(at + 1).is_some_and(|next| *next != b'.'),
        one => one.is_ascii_alphanumeric(),
    };
    let write = |at: usize| if plain(at) { char::from(bytes[at]).to_string() } else { format!("_{:02x}", bytes[at]) };
    (0..bytes.len()).map(write).collect()
}

/// What the server calls it.
fn target(one: &Instance) -> String {
    let (host, port) = (&one.id.endpoint.host, one.id.endpoint.port);
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => {
            let groups: Vec<_> = address.segments().iter().map(|group| format!("{group:04x}")).collect();
            format!("[{}]:{port}", groups.join(":"))
        }
        Err(_) => format!("{host}:{port}"),
    }
}

fn weight(one: &Instance) -> u16 {
    (one.weight * 100.0).round() as u16
}

/// What an operator writes: a tag `key=value` for each pair of metadata.
fn tags(one: &Instance) -> Vec<String> {
    one.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// A target as any tool would find it.
fn instance(row: KongTarget) -> Result<Instance> {
    let (host, port) = row.target.rsplit_once(':').context("no port")?;
    let host = host.trim_matches(['[', ']']);
    let host = host.parse::<std::net::Ipv6Addr>().map_or_else(|_| host.to_owned(), |address| address.to_string());
    let mark = row.tags.iter().find_map(|tag| tag.strip_prefix(MARK));
    let mark = mark.and_then(|text| Mark::decode(&text.replace('|', "/").replace('+', ",")));
    let own = row.tags.iter().filter(|tag| !tag.starts_with(OURS)).filter_map(|tag| tag.split_once('='));
    let metadata: BTreeMap<String, String> = own.map(|(key, value)| (unescaped(key), unescaped(value))).collect();
    Ok(Instance::new(&host, port.parse()?).with(|one| {
        one.weight = f64::from(row.weight) / 100.0;
        one.metadata = metadata.into();
        one.mark = mark;
    }))
}

/// Commas, slashes and the like stand in tags as `%` and two digits.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
