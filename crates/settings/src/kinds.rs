//! Which kinds of cluster there are and what each can do: given by the caller, because this crate knows no connector.

use std::collections::BTreeMap;

use crate::model::{Mode, TaskType};

/// Kinds that are planned, and the other words for them. Those that the caller's table lacks are «not supported yet».
const WORDS: [(&str, &[&str]); 15] = [
    ("nacos", &[]),
    ("zookeeper", &["zk"]),
    ("eureka", &[]),
    ("consul", &[]),
    ("polaris", &[]),
    ("kubernetes", &["k8s"]),
    ("etcd", &[]),
    ("kong", &[]),
    ("apollo", &[]),
    ("apisix", &[]),
    ("traefik", &[]),
    ("envoy", &[]),
    ("nginx", &[]),
    ("memory", &[]),
    ("file", &[]),
];

/// What a kind can do here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// There is a connector. Without it every use is an error.
    pub implemented: bool,
    /// Services can be read.
    pub services_source: bool,
    /// Services can be written.
    pub services_sink: bool,
    /// Configuration can be read.
    pub configs_source: bool,
    /// Configuration can be written.
    pub configs_sink: bool,
    /// The kind has namespaces.
    pub namespaces: bool,
    /// A cluster of this kind needs at least one address.
    pub addresses: bool,
}

impl Capability {
    /// Services both ways, with namespaces and addresses, no configuration: Nacos today.
    pub const SERVICES: Self = Self {
        implemented: true,
        services_source: true,
        services_sink: true,
        configs_source: false,
        configs_sink: false,
        namespaces: true,
        addresses: true,
    };
    /// Services and data both ways at addresses, no namespaces: ZooKeeper.
    pub const ZOOKEEPER: Self = Self { namespaces: false, ..Self::SERVICES.with_configs() };

    /// The same, and configuration both ways.
    #[must_use]
    pub const fn with_configs(self) -> Self {
        Self { configs_source: true, configs_sink: true, ..self }
    }
}

/// The table of kinds, by lower-case name, which is the folder's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(pub BTreeMap<String, Capability>);

/// What a word for a kind turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Usable(String),
    NotYet(String),
    Unknown,
}

/// What of a task's types a pair of kinds can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// Services can travel.
    pub services: bool,
    /// Configuration can travel.
    pub configs: bool,
}

impl Kinds {
    /// The table with one more kind.
    #[must_use]
    pub fn with(mut self, kind: &str, capability: Capability) -> Self {
        self.0.insert(kind.to_owned(), capability);
        self
    }

    /// The one name of a kind: lower case, `zookeeper` for `ZK`, `kubernetes` for `K8S`.
    pub fn canonical(word: &str) -> String {
        let lower = word.trim().to_lowercase();
        let known = WORDS.iter().find(|(name, aliases)| *name == lower || aliases.contains(&lower.as_str()));
        known.map_or(lower, |(name, _)| (*name).to_owned())
    }

    /// What a pair of kinds can copy in a mode; a kind that the table lacks can nothing.
    pub fn ability(&self, source: &str, destination: &str, mode: Mode) -> Ability {
        let one_way = |from: &str, to: &str| {
            let from = self.0.get(from).copied().unwrap_or_default();
            let to = self.0.get(to).copied().unwrap_or_default();
            Ability {
                services: from.services_source && to.services_sink,
                configs: from.configs_source && to.configs_sink,
            }
        };
        let there = one_way(source, destination);
        match mode {
            Mode::Unidirectional => there,
            Mode::Bidirectional => {
                let back = one_way(destination, source);
                Ability { services: there.services && back.services, configs: there.configs && back.configs }
            }
        }
    }

    /// Whether a kind has namespaces; one that the table lacks has none.
    pub(crate) fn has_namespaces(&self, kind: &str) -> bool {
        self.0.get(kind).is_some_and(|capability| capability.namespaces)
    }

    pub(crate) fn find(&self, word: &str) -> Found {
        let name = Self::canonical(word);
        match self.0.get(&name) {
            Some(capability) if capability.implemented => Found::Usable(name),
            Some(_) => Found::NotYet(name),
            None if WORDS.iter().any(|(known, _)| *known == name) => Found::NotYet(name),
            None => Found::Unknown,
        }
    }

    /// The names of the kinds that can be used, in order.
    pub fn usable(&self) -> Vec<&str> {
        self.0.iter().filter(|(_, c)| c.implemented).map(|(name, _)| name.as_str()).collect()
    }

    /// All words that mean a kind, for suggestions.
    pub(crate) fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.usable();
        words.extend(WORDS.iter().flat_map(|(name, aliases)| std::iter::once(*name).chain(aliases.iter().copied())));
        words
    }
}

impl Ability {
    /// Whether it covers a type; `All` wants at least one of the two.
    pub fn covers(self, kind: TaskType) -> bool {
        match kind {
            TaskType::Service => self.services,
            TaskType::Config => self.configs,
            TaskType::All => self.services || self.configs,
        }
    }
}
