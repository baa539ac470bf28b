//! What an instance of Eureka says beyond the model, in few words: they travel as the record's payload, also in the metadata of
//! other kinds. Pure.

use super::client::{Lease, Port, Status, Texts, WireInstance};
use causeway_core::{Instance, Payload};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind, as in payloads.
pub(super) const KIND: &str = "eureka";

/// Only what [`Base`] would not make by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Words {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The host name, where the address that is called is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The IP address, where the address that is called is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The plain port, whether it is served, and the same of the secure one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<(u16, u8, u16, u8)>,
    /// `STARTING` or `UNKNOWN`, which both read as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Empty: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svip: Option<String>,
    /// URLs, without what host name and plain port say already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheck: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<i64>,
    /// Where it runs, in Eureka's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dc: Option<Value>,
    /// Its renewals' interval and its lease's duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<(u32, u32)>,
}

/// What is left out of the words, since the model says it or nearly all have it.
pub(super) struct Base<'a> {
    pub app: &'a str,
    /// The address that is called, and its port.
    pub host: &'a str,
    pub port: u16,
    pub id: String,
    pub lease: Lease,
}

/// How nearly all have it; an empty text stands for none.
fn other(found: Option<&str>, usual: &str) -> Option<String> {
    let found = found.unwrap_or_default();
    (found != usual).then(|| found.to_owned())
}

fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl Words {
    /// The words of an instance's payload; none where it has none of this kind.
    pub fn of(record: &Instance) -> Self {
        let payload = record.payload.as_ref().filter(|payload| &*payload.kind == KIND);
        payload.and_then(|payload| serde_json::from_str(&payload.text).ok()).unwrap_or_default()
    }

    /// The words of an instance's payload as they stand there.
    pub fn json(record: &Instance) -> Value {
        let payload = record.payload.as_ref().filter(|payload| &*payload.kind == KIND);
        payload.and_then(|payload| serde_json::from_str(&payload.text).ok()).unwrap_or_default()
    }

    /// `None`: there is nothing to say.
    pub fn payload(&self) -> Option<Payload> {
        let text = serde_json::to_string(self).ok().filter(|_| *self != Self::default())?;
        Some(Payload { kind: KIND.into(), text: text.as_str().into() })
    }

    /// What `wire` says beyond `base`.
    pub fn read(wire: &WireInstance, base: &Base<'_>) -> Self {
        let vip = base.app.to_lowercase();
        let texts = &wire.texts;
        let (plain, secure) = (wire.port, wire.secure_port);
        let home = format!("http://{}:{}", bracketed(&wire.host_name), plain.number);
        let short = |url: &Option<String>| {
            let url = url.as_deref().filter(|url| !url.is_empty())?;
            Some(url.strip_prefix(&home).filter(|rest| rest.starts_with('/')).unwrap_or(url).to_owned())
        };
        let usual = (Port { number: base.port, enabled: true }, WireInstance::no_secure_port());
        Self {
            id: (wire.id() != base.id).then(|| wire.id().to_owned()),
            host: other(Some(&wire.host_name), base.host),
            ip: other(Some(&wire.ip_addr), base.host),
            ports: ((plain, secure) != usual).then_some((
                plain.number,
                plain.enabled.into(),
                secure.number,
                secure.enabled.into(),
            )),
            status: Some(wire.status).filter(|status| matches!(status, Status::Starting | Status::Unknown)),
            vip: other(texts.vip_address.as_deref(), &vip),
            svip: other(texts.secure_vip_address.as_deref(), &vip),
            home: short(&texts.home_page_url),
            page: short(&texts.status_page_url),
            check: short(&texts.health_check_url),
            scheck: short(&texts.secure_health_check_url),
            group: texts.app_group_name.clone().and_then(present),
            asg: texts.asg_name.clone().and_then(present),
            country: (wire.country_id != WireInstance::country()).then_some(wire.country_id),
            dc: Some(&wire.data_center_info).filter(|dc| **dc != WireInstance::own_data_center()).cloned(),
            lease: (wire.lease_info != base.lease).then_some((wire.lease_info.interval, wire.lease_info.duration)),
        }
    }

    /// Lays the words over an instance that [`Base`] alone has made. What the model says stays.
    pub fn write(self, wire: &mut WireInstance, base: &Base<'_>) {
        if let Some(id) = self.id.filter(|id| is_id(id)) {
            wire.instance_id = Some(id);
        }
        wire.host_name = self.host.unwrap_or_else(|| base.host.to_owned());
        wire.ip_addr = self.ip.unwrap_or_else(|| base.host.to_owned());
        if let Some((plain, plain_on, secure, secure_on)) = self.ports {
            wire.port = Port { number: plain, enabled: plain_on == 1 };
            wire.secure_port = Port { number: secure, enabled: secure_on == 1 };
            // An edited port wins.
            called(wire).number = base.port;
        }
        if let Some(status) = self.status.filter(|_| wire.status == Status::Down) {
            wire.status = status;
        }
        let vip = base.app.to_lowercase();
        let home = format!("http://{}:{}", bracketed(&wire.host_name), wire.port.number);
        let long = |url: Option<String>| url.map(|url| if url.starts_with('/') { format!("{home}{url}") } else { url });
        wire.texts = Texts {
            vip_address: present(self.vip.unwrap_or_else(|| vip.clone())),
            secure_vip_address: present(self.svip.unwrap_or(vip)),
            home_page_url: long(self.home),
            status_page_url: long(self.page),
            health_check_url: long(self.check),
            secure_health_check_url: long(self.scheck),
            app_group_name: self.group,
            asg_name: self.asg,
        };
        wire.country_id = self.country.unwrap_or_else(WireInstance::country);
        wire.data_center_info = self.dc.unwrap_or_else(WireInstance::own_data_center);
        // A lease that is too short for a copy becomes the usual one of copies.
        let given = self.lease.map(|(interval, duration)| Lease { interval, duration });
        wire.lease_info = given.filter(|lease| lease.duration >= base.lease.duration).unwrap_or(base.lease);
    }
}

/// The id that a record was born with in Eureka, where it can stand there.
pub(super) fn given_id(record: &Instance) -> Option<String> {
    #[derive(Deserialize)]
    struct Given {
        id: Option<String>,
    }
    let payload = record.payload.as_ref().filter(|payload| &*payload.kind == KIND)?;
    serde_json::from_str::<Given>(&payload.text).ok()?.id.filter(|id| is_id(id))
}

/// The same record without the id that it was born with.
pub(super) fn without_id(record: Instance) -> Instance {
    let words = Words { id: None, ..Words::of(&record) };
    record.with(|one| one.payload = words.payload())
}

/// The same record under this id.
pub(super) fn with_id(record: Instance, id: String) -> Instance {
    let words = Words { id: Some(id), ..Words::of(&record) };
    record.with(|one| one.payload = words.payload())
}

/// Whether servers take a text for an id: what they take for a path of another kind is none.
fn is_id(text: &str) -> bool {
    !text.is_empty() && !text.contains(is_odd_in_an_id)
}

pub(super) fn is_odd_in_an_id(c: char) -> bool {
    matches!(c, '/' | '\\' | '%' | ';' | '?' | '#') || c.is_control()
}

/// The port that is called: the plain one where it is served, or where none is.
pub(super) fn called(wire: &mut WireInstance) -> &mut Port {
    match !wire.port.enabled && wire.secure_port.enabled {
        true => &mut wire.secure_port,
        false => &mut wire.port,
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
