//! A Kong, as a destination: the strict double. It has no namespaces: names tell the tests apart.

use super::record::{Field, Record};
use super::{Registry, Side};
use crate::zk_estate::cluster;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Kong, KongApi, KongSetup, KongTarget};
use std::sync::Arc;
use tokio::sync::Mutex;

static SERVER: Mutex<Option<Arc<Kong>>> = Mutex::const_new(None);

/// Ends the server.
pub fn end() {
    drop(SERVER.blocking_lock().take());
}

pub struct Place {
    address: String,
    api: KongApi,
    test: String,
}

/// The name of the source in the tests' settings, which begins the names of all copies.
const SOURCE: &str = "from.";
/// What a record that stands there by hand is called: it is in no service of ours.
const BY_HAND: &str = "hand.";

/// Every byte that no host name has, as `_` and two digits.
fn encoded(name: &str) -> String {
    let plain = |one: u8| one.is_ascii_alphanumeric() || matches!(one, b'-' | b'.');
    name.bytes().map(|one| if plain(one) { char::from(one).to_string() } else { format!("_{one:02x}") }).collect()
}

/// The bytes behind `sign` and two digits, and all others as they are.
fn decoded(text: &str, sign: u8) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let digits = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.filter(|_| *first == sign).and_then(|two| u8::from_str_radix(two, 16).ok()) {
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

/// The service that an upstream is for: behind the source and its namespace, before the group.
fn service(upstream: &str) -> Option<String> {
    if let Some(name) = upstream.strip_prefix(BY_HAND) {
        return Some(decoded(name, b'_'));
    }
    let (_, name) = upstream.strip_prefix(SOURCE)?.strip_suffix(".default")?.split_once('.')?;
    Some(decoded(name, b'_'))
}

fn record(service: &str, row: &KongTarget) -> Result<Record> {
    let pairs = row.tags.iter().filter(|tag| !tag.starts_with("causeway")).filter_map(|tag| tag.split_once('='));
    Ok(Record {
        service: service.to_owned(),
        port: row.target.rsplit_once(':').context("no port")?.1.parse()?,
        metadata: pairs.map(|(key, value)| (decoded(key, b'%'), decoded(value, b'%'))).collect(),
        weight: f64::from(row.weight) / 100.0,
        enabled: true,
        healthy: true,
    })
}

impl Registry for Place {
    const FIELDS: &[Field] = &[Field::Weight];

    async fn at(side: Side, test: &str) -> Result<Self> {
        ensure!(side == Side::Destination, "a Kong is no source");
        let mut server = SERVER.lock().await;
        if server.is_none() {
            *server = Some(Arc::new(Kong::start(KongSetup::default()).await?));
        }
        let server = server.clone().context("no server")?;
        Ok(Self { address: server.addr(), api: server.api()?, test: test.to_owned() })
    }

    fn cluster(&self, name: &str) -> String {
        cluster(name, "KONG", &self.address, "")
    }

    async fn put(&self, records: &[Record]) -> Result<()> {
        for record in records {
            let upstream = format!("{BY_HAND}{}", encoded(&record.service));
            self.api.make_upstream(&upstream).await?;
            let tags: Vec<_> = record.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let weight = (record.weight * 100.0) as u16;
            self.api.put_target(&upstream, &format!("127.0.0.1:{}", record.port), weight, &tags).await?;
        }
        Ok(())
    }

    async fn remove(&self, record: &Record) -> Result<()> {
        let upstream = format!("{BY_HAND}{}", encoded(&record.service));
        self.api.remove_target(&upstream, &format!("127.0.0.1:{}", record.port)).await
    }

    async fn all(&self) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        for upstream in self.api.names("upstreams").await? {
            let Some(service) = service(&upstream) else { continue };
            if service.to_lowercase().contains(&format!("{}-", self.test)) {
                let targets = self.api.targets(&upstream).await?;
                all.extend(targets.values().map(|row| record(&service, row)).collect::<Result<Vec<_>>>()?);
            }
        }
        Ok(all)
    }
}
