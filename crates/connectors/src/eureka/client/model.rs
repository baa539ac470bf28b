//! What goes over the wire, in Eureka's JSON. Servers differ in how they write it: numbers may be texts, and a list of one may
//! be that one.

use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use xxhash_rust::xxh3::xxh3_64;

/// What a delta says has happened to an instance that is gone.
const DELETED: &str = "DELETED";

/// How an instance is, in Eureka's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in super::super) enum Status {
    Up,
    Down,
    Starting,
    OutOfService,
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
            Self::Starting => "STARTING",
            Self::OutOfService => "OUT_OF_SERVICE",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The status of a word; of one that is not known, [`Status::Unknown`].
    pub fn of(word: &str) -> Self {
        let all = [Self::Up, Self::Down, Self::Starting, Self::OutOfService];
        all.into_iter().find(|status| status.word() == word).unwrap_or_default()
    }
}

/// A port, and whether it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Port {
    #[serde(rename = "$", deserialize_with = "number", default)]
    pub number: u16,
    #[serde(rename = "@enabled", with = "flag", default)]
    pub enabled: bool,
}

/// How long an instance stands without renewals, and how often its provider renews it, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Lease {
    #[serde(rename = "renewalIntervalInSecs", deserialize_with = "number", default = "Lease::default_interval")]
    pub interval: u32,
    #[serde(rename = "durationInSecs", deserialize_with = "number", default = "Lease::default_duration")]
    pub duration: u32,
}

impl Lease {
    /// What Eureka's own clients ask for.
    pub const DEFAULT: Self = Self { interval: 30, duration: 90 };

    fn default_interval() -> u32 {
        Self::DEFAULT.interval
    }
    fn default_duration() -> u32 {
        Self::DEFAULT.duration
    }
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct WireInstance {
    /// Without one the host name is the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The application, in upper case where it is read.
    pub app: String,
    #[serde(default)]
    pub host_name: String,
    #[serde(default)]
    pub ip_addr: String,
    #[serde(default)]
    pub status: Status,
    /// What an operator has laid over the status; `Unknown`: nothing.
    #[serde(default, alias = "overriddenstatus", skip_serializing)]
    pub overridden_status: Status,
    pub port: Port,
    #[serde(default = "WireInstance::no_secure_port")]
    pub secure_port: Port,
    #[serde(default = "WireInstance::country", deserialize_with = "number")]
    pub country_id: i64,
    pub data_center_info: Value,
    #[serde(default = "WireInstance::lease")]
    pub lease_info: Lease,
    #[serde(default)]
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    pub texts: Texts,
    /// When the provider last changed it, in milliseconds by its own clock. A registration with an older one is ignored.
    #[serde(default, deserialize_with = "number", serialize_with = "as_text")]
    pub last_dirty_timestamp: i64,
    /// In a delta: what has happened.
    #[serde(default, skip_serializing)]
    pub action_type: Option<String>,
}

/// Fields that are texts or missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Texts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_vip_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_page_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_page_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_health_check_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_group_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asg_name: Option<String>,
}

impl WireInstance {
    pub fn id(&self) -> &str {
        self.instance_id.as_deref().unwrap_or(&self.host_name)
    }

    pub fn is_deleted(&self) -> bool {
        self.action_type.as_deref() == Some(DELETED)
    }

    /// Where an instance runs that is in no cloud.
    pub fn own_data_center() -> Value {
        json!({"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"})
    }

    pub fn no_secure_port() -> Port {
        Port { number: 443, enabled: false }
    }
    pub fn country() -> i64 {
        1
    }
    fn lease() -> Lease {
        Lease::DEFAULT
    }
}

/// A list of instances, or of what has become of some.
#[derive(Debug, Default)]
pub(in super::super) struct Listing {
    /// How many of each status the registry holds, as the server says it.
    pub hash: String,
    /// In the server's order.
    pub instances: Vec<WireInstance>,
    /// What cannot be read: its application and id, and why.
    pub unreadable: Vec<(String, String)>,
    /// What a delta says is gone, and nothing else can be read of: application and id.
    pub deleted: Vec<String>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    applications: Applications<'a>,
}

#[derive(Deserialize)]
struct Applications<'a> {
    #[serde(rename = "apps__hashcode", default)]
    hash: String,
    #[serde(borrow)]
    application: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Application<'a> {
    name: String,
    #[serde(borrow)]
    instance: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct One {
    instance: WireInstance,
}

impl Listing {
    /// Reads the answer to `/apps` or `/apps/delta`. One instance that cannot be read spoils no other. What is in `seen` is left
    /// out, and afterwards that is what was in this answer: a delta repeats each change for minutes.
    pub fn read(body: &str, seen: &mut Seen) -> Result<Self, serde_json::Error> {
        let Document { applications } = serde_json::from_str(body)?;
        let mut listing = Self { hash: applications.hash, ..Self::default() };
        let mut now = Seen::default();
        for raw in several(applications.application)? {
            let application: Application<'_> = serde_json::from_str(raw.get())?;
            for raw in several(application.instance)? {
                let print = xxh3_64(raw.get().as_bytes());
                now.0.insert(print);
                if seen.0.contains(&print) {
                    continue;
                }
                match serde_json::from_str::<WireInstance>(raw.get()) {
                    Ok(mut one) => {
                        one.app.clone_from(&application.name);
                        listing.instances.push(one);
                    }
                    Err(error) => {
                        let one = serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
                        let id = match (&one["instanceId"], &one["hostName"]) {
                            (Value::String(id), _) | (Value::Null, Value::String(id)) => id.clone(),
                            (odd, _) => odd.to_string(),
                        };
                        let record = format!("{}/{id}", application.name);
                        match one["actionType"].as_str() {
                            Some(DELETED) => listing.deleted.push(record),
                            _ => listing.unreadable.push((record, error.to_string())),
                        }
                    }
                }
            }
        }
        *seen = now;
        Ok(listing)
    }
}

/// Fingerprints of the instances in a delta.
#[derive(Default)]
pub(in super::super) struct Seen(HashSet<u64>);

/// The answer to a look at one instance.
pub(super) fn read_one(body: &str) -> Result<WireInstance, serde_json::Error> {
    serde_json::from_str::<One>(body).map(|one| one.instance)
}

/// A list, which is its one element where it has no other; nothing where it is missing.
fn several(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, serde_json::Error> {
    match raw {
        None => Ok(Vec::new()),
        Some(raw) if raw.get().starts_with('[') => serde_json::from_str(raw.get()),
        Some(raw) => Ok(vec![raw]),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(i64),
    Flag(bool),
    Text(String),
    Other(IgnoredAny),
}

/// A number, or a text of one. What fits nowhere is 0.
fn number<'de, T: TryFrom<i64> + Default, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    let number = match Loose::deserialize(input)? {
        Loose::Number(number) => number,
        Loose::Text(text) => text.trim().parse().unwrap_or_default(),
        Loose::Flag(_) | Loose::Other(_) => 0,
    };
    Ok(T::try_from(number).unwrap_or_default())
}

fn as_text<T: Display, S: serde::Serializer>(value: &T, output: S) -> Result<S::Ok, S::Error> {
    output.collect_str(value)
}

/// `"true"` or `true`.
mod flag {
    use super::{Deserialize, Deserializer, Loose};

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
        Ok(match Loose::deserialize(input)? {
            Loose::Flag(flag) => flag,
            Loose::Text(text) => text == "true",
            Loose::Number(_) | Loose::Other(_) => false,
        })
    }

    pub fn serialize<S: serde::Serializer>(flag: &bool, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(flag)
    }
}

/// The texts of metadata; values that are none, as JSON.
pub(in super::super) fn texts(metadata: &Map<String, Value>) -> BTreeMap<String, String> {
    // How the server writes that there is none.
    let own = metadata.iter().filter(|(key, _)| *key != "@class");
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    own.map(|(key, value)| (key.clone(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = r#"{"instanceId":"h:orders:8080","hostName":"h","app":"ORDERS","ipAddr":"10.0.0.1","status":"UP",
        "overriddenStatus":"UNKNOWN","port":{"$":8080,"@enabled":"true"},"securePort":{"$":"443","@enabled":false},"countryId":1,
        "dataCenterInfo":{"@class":"x","name":"MyOwn"},"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90},
        "metadata":{"@class":"java.util.Collections$EmptyMap"},"vipAddress":"orders","lastDirtyTimestamp":"1796070369887",
        "actionType":"ADDED","new":{"field":[1]}}"#;

    fn listing(applications: &str) -> Listing {
        Listing::read(
            &format!(r#"{{"applications":{{"apps__hashcode":"UP_1_",{applications}}}}}"#),
            &mut Seen::default(),
        )
        .unwrap()
    }

    #[test]
    fn lists_are_read_in_every_form() {
        let many = listing(&format!(r#""application":[{{"name":"ORDERS","instance":[{INSTANCE}]}}]"#));
        let one = listing(&format!(r#""application":{{"name":"ORDERS","instance":{INSTANCE}}}"#));
        assert_eq!((&many.instances, many.hash.as_str()), (&one.instances, "UP_1_"));
        let [read] = many.instances.as_slice() else { panic!("{many:?}") };
        assert_eq!((read.id(), read.port.number, read.secure_port.number), ("h:orders:8080", 8080, 443));
        assert_eq!((read.last_dirty_timestamp, read.lease_info), (1_796_070_369_887, Lease::DEFAULT));
        assert!(read.port.enabled && !read.secure_port.enabled && texts(&read.metadata).is_empty());
        assert!(listing(r#""application":[]"#).instances.is_empty());
        assert!(listing(r#""versions__delta":"1""#).instances.is_empty());
        for wrong in ["{}", "<html>"] {
            assert!(Listing::read(wrong, &mut Seen::default()).is_err());
        }
    }

    #[test]
    fn what_a_delta_repeats_is_read_once() {
        let delta = |instances: &str| {
            format!(
                r#"{{"applications":{{"apps__hashcode":"UP_1_","application":[{{"name":"A","instance":[{instances}]}}]}}}}"#
            )
        };
        let other = INSTANCE.replace("8080", "8081");
        let (mut seen, both) = (Seen::default(), format!("{INSTANCE},{other}"));
        let read = |instances: &str| Listing::read(&delta(instances), &mut seen).unwrap().instances.len();
        assert_eq!([INSTANCE, INSTANCE, both.as_str(), &other, INSTANCE].map(read), [1, 0, 1, 0, 1]);
    }

    #[test]
    fn what_is_no_instance_hides_no_other() {
        let both = listing(&format!(
            r#""application":[{{"name":"ORDERS","instance":[{INSTANCE},{{"instanceId":"x","app":"ORDERS"}}]}}]"#
        ));
        assert_eq!((both.instances.len(), both.unreadable[0].0.as_str()), (1, "ORDERS/x"));
        let gone = listing(
            r#""application":[{"name":"A","instance":[{"instanceId":"x","actionType":"DELETED"},{"hostName":"y"},{"instanceId":7}]}]"#,
        );
        assert_eq!(gone.deleted, ["A/x"]);
        assert_eq!(gone.unreadable.iter().map(|(one, _)| one.as_str()).collect::<Vec<_>>(), ["A/y", "A/7"]);
    }

    #[test]
    fn what_is_written_is_what_servers_read() {
        let read: WireInstance = serde_json::from_str(INSTANCE).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written["port"], json!({"$": 8080, "@enabled": "true"}));
        assert_eq!(written["lastDirtyTimestamp"], "1796070369887");
        assert_eq!(written["leaseInfo"], json!({"renewalIntervalInSecs": 30, "durationInSecs": 90}));
        assert!(written.get("overriddenStatus").is_none() && written.get("actionType").is_none());
        assert!(written.get("homePageUrl").is_none());
    }
}
