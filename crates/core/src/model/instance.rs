//! Instances of services.

use super::intern::Pool;
use super::{ClusterId, Mark, Metadata, OwnerId, Part, compare_names, intern};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A service: `namespace/group/name`. A kind that lacks a level leaves it empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// The namespace's id, never its display name.
    pub namespace: Arc<str>,
    /// The group.
    pub group: Arc<str>,
    /// The service's name.
    pub name: Arc<str>,
}

impl ServiceKey {
    /// The service `name` in `group` of `namespace`.
    pub fn new(namespace: &str, group: &str, name: &str) -> Self {
        Self { namespace: intern(namespace), group: intern(group), name: intern(name) }
    }
}

impl Ord for ServiceKey {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_names([&self.namespace, &self.group, &self.name], [&other.namespace, &other.group, &other.name])
    }
}

impl PartialOrd for ServiceKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.group, self.name)
    }
}

impl ServiceKey {
    /// The part of the cluster that it lies in.
    pub fn part(&self) -> Part {
        Part(self.namespace.clone())
    }

    /// The same service in another part.
    pub fn in_part(&self, part: &Part) -> Self {
        Self { namespace: part.0.clone(), ..self.clone() }
    }

    /// What all services have in common whose names differ in nothing but case.
    pub fn folded(&self) -> Self {
        Self { name: folded(&self.name).into(), ..self.clone() }
    }
}

/// A name in lower case, alike for all names that are one in upper case.
pub fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

/// Where an instance listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// An IPv4 or IPv6 address without brackets, or a host name.
    pub host: Arc<str>,
    /// The TCP port.
    pub port: u16,
}

/// What tells an instance from its siblings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What else tells two instances at one address apart: the name of its cluster within the service, of its node in a tree, its own id.
    pub slot: Arc<str>,
}

impl Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.endpoint.host.contains(':') {
            true => write!(f, "[{}]:{}", self.endpoint.host, self.endpoint.port)?,
            false => write!(f, "{}:{}", self.endpoint.host, self.endpoint.port)?,
        }
        if self.slot.is_empty() { Ok(()) } else { write!(f, "@{}", self.slot) }
    }
}

/// The key of metadata by which Dubbo's providers say when they registered, in milliseconds.
const STAMP: &str = "timestamp";

/// One instance of a service. Clones are one in memory until one of them is changed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "InstanceData", into = "InstanceData")]
pub struct Instance(Arc<InstanceData>);

/// What an [`Instance`] says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceData {
    /// Where it listens, and its slot.
    #[serde(flatten)]
    pub id: InstanceId,
    /// Share of the traffic; 1 is a kind's normal weight. Finite, never negative.
    pub weight: f64,
    /// Whether the operator lets it take traffic.
    pub enabled: bool,
    /// Whether its health checks pass.
    pub healthy: bool,
    /// Whether it goes when the one who registered it goes.
    pub ephemeral: bool,
    /// It is persistent by birth, and `ephemeral` only here: its service cannot hold both. Elsewhere it is persistent
    /// again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
    /// The provider's own key/value pairs; never our mark.
    pub metadata: Metadata,
    /// What its birthplace holds of it beyond all this. Its slot is that kind's too, then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// Our mark, when it is a copy.
    pub mark: Option<Mark>,
}

/// What only a record's own kind understands, in that kind's own words: a copy in the same kind, and one that comes home
/// through another, is made exactly like the record again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Payload {
    /// The kind, as in the settings.
    pub kind: Arc<str>,
    /// In that kind's own words; short, because it travels in a record's metadata where it fits.
    pub text: Arc<str>,
}

impl Instance {
    /// A healthy ephemeral instance of weight 1 without metadata.
    pub fn new(host: &str, port: u16) -> Self {
        InstanceData {
            id: InstanceId { endpoint: Endpoint { host: intern(host), port }, slot: intern("") },
            weight: 1.0,
            enabled: true,
            healthy: true,
            ephemeral: true,
            lasting: false,
            metadata: Metadata::new(),
            payload: None,
            mark: None,
        }
        .into()
    }

    /// The same instance, changed.
    pub fn with<T>(mut self, change: impl FnOnce(&mut InstanceData) -> T) -> Self {
        change(&mut self);
        self
    }

    /// The same instance, one in memory with all equal ones that were shared before: for what is kept for long, such as what a
    /// cluster holds and what was written there.
    pub fn shared(self) -> Self {
        Self(INSTANCES.get(self.0))
    }
}

pub(super) static INSTANCES: Pool<InstanceData> = Pool::new();

impl From<InstanceData> for Instance {
    fn from(data: InstanceData) -> Self {
        Self(Arc::new(data))
    }
}

impl From<Instance> for InstanceData {
    fn from(instance: Instance) -> Self {
        Arc::unwrap_or_clone(instance.0)
    }
}

impl Deref for Instance {
    type Target = InstanceData;

    fn deref(&self) -> &InstanceData {
        &self.0
    }
}

impl DerefMut for Instance {
    fn deref_mut(&mut self) -> &mut InstanceData {
        Arc::make_mut(&mut self.0)
    }
}

impl PartialEq for Instance {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// No instance has a weight that is no number.
impl Eq for InstanceData {}

impl Hash for InstanceData {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let flags = (self.enabled, self.healthy, self.ephemeral, self.lasting);
        (&self.id, self.weight.to_bits(), flags, &self.metadata, &self.payload, &self.mark).hash(state);
    }
}

impl Instance {
    /// What tells it from its siblings.
    pub fn id(&self) -> InstanceId {
        self.id.clone()
    }

    /// `None`: no mark seen.
    pub fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    /// The same record with this mark, or with none.
    pub fn with_mark(mut self, mark: Option<Mark>) -> Self {
        self.mark = mark;
        self
    }

    /// Whether two records say the same thing, marks aside.
    pub fn same(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        self.id == other.id
            && self.weight == other.weight
            && self.enabled == other.enabled
            && self.healthy == other.healthy
            && self.ephemeral == other.ephemeral
            && self.lasting == other.lasting
            && self.metadata == other.metadata
            && self.payload == other.payload
    }

    /// In words what this record says and `to` does not, or otherwise; empty: nothing but the mark. No values of metadata: they
    /// may be long, and may be secret.
    pub fn differences(&self, to: &Self) -> Vec<String> {
        let mut words = Vec::new();
        if self.weight != to.weight {
            words.push(format!("weight {} → {}", self.weight, to.weight));
        }
        let flags = [
            ("enabled", self.enabled, to.enabled),
            ("healthy", self.healthy, to.healthy),
            ("ephemeral", self.ephemeral, to.ephemeral),
        ];
        words.extend(flags.into_iter().filter(|(_, a, b)| a != b).map(|(word, a, b)| format!("{word} {a} → {b}")));
        let keys: BTreeSet<_> = self.metadata.keys().chain(to.metadata.keys()).collect();
        words.extend(keys.into_iter().filter_map(|key| match (self.metadata.get(key), to.metadata.get(key)) {
            (None, Some(_)) => Some(format!("metadata +{key}")),
            (Some(_), None) => Some(format!("metadata -{key}")),
            (a, b) => (a != b).then(|| format!("metadata {key}")),
        }));
        words
    }

    /// This record as its birthplace holds it, where a kind could only hold it in another way ([`crate::Sink::shape`]).
    pub fn into_born(mut self) -> Self {
        if self.lasting {
            self.ephemeral = false;
            self.lasting = false;
        }
        self
    }

    /// Which of two records that fall on one id in a destination is the newer one: by the time at which providers say that
    /// they registered, where they do; else by what they say. Total, so that the choice is always the same.
    pub fn by_age(&self, other: &Self) -> Ordering {
        let stamp = |one: &Self| one.metadata.get(STAMP).and_then(|text| text.parse::<u64>().ok());
        let order = stamp(self).cmp(&stamp(other)).then_with(|| self.metadata.cmp(&other.metadata));
        let payload = |one: &Self| one.payload.as_ref().map(|payload| payload.text.clone());
        order
            .then_with(|| self.weight.total_cmp(&other.weight))
            .then_with(|| payload(self).cmp(&payload(other)))
            .then_with(|| self.id.cmp(&other.id))
            .then_with(|| {
                (self.enabled, self.healthy, self.ephemeral).cmp(&(other.enabled, other.healthy, other.ephemeral))
            })
    }

    /// This record with what an operator changed from `written` to `shown` laid over it. What a kind does not let
    /// operators change stays.
    pub fn with_edit(mut self, written: &Self, shown: &Self) -> Self {
        if shown.weight != written.weight {
            self.weight = shown.weight;
        }
        if shown.enabled != written.enabled {
            self.enabled = shown.enabled;
        }
        self
    }

    /// This record as `owner` wants to see it beyond `from`: `from` is appended to the path.
    pub fn forwarded(self, from: &ClusterId, owner: &OwnerId) -> Self {
        let mut path = self.mark().map(|mark| mark.path.clone()).unwrap_or_default();
        path.push(from.clone());
        self.with_mark(Some(Mark::new(owner.clone(), path)))
    }
}
