//! What a kind of cluster says of itself to the settings file.
//!
//! This crate knows no kind: each implements [`Kind`] in its own folder, and the caller gives the table of them.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::{Schema, SchemaGenerator};

use crate::addresses;
use crate::model::{Cluster, PUBLIC, SETTLE, TaskMode, TaskType};
use crate::options::NameCase;
use crate::read::{Fields, Reader};
use crate::secret::Secret;
use crate::tree::Node;

/// What a kind of cluster is to the settings file.
pub trait Kind: Send + Sync {
    /// The word in `clusterType`, in lower case: the name of the kind's folder, and of its own block in a cluster.
    fn name(&self) -> &'static str;

    /// Other words for it, in lower case.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// What it can do.
    fn facts(&self) -> KindFacts;

    /// The addresses of a cluster, from the items of `connectKeyList`, each with its path in the file. What is wrong with
    /// one is reported.
    fn addresses(&self, reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<String> {
        addresses::host_ports(reader, items)
    }

    /// The user and the password that stand in the addresses, where users of the kind write them there. They count where the
    /// cluster has no `userName`; [`Kind::addresses`] leaves them out.
    fn login(&self, _reader: &mut Reader<'_>, _items: &[(&Node, String)]) -> Option<(String, Secret)> {
        None
    }

    /// The block of keys that only this kind has, where there is one.
    fn block(&self) -> Option<Block> {
        None
    }

    /// Reads the block, and reports which keys of the cluster have no effect here. `fields`: all keys of the cluster, which
    /// `cluster` has read already. Returns the block as it is stored, complete with its defaults; `None`: there is none.
    fn read_block(
        &self,
        _reader: &mut Reader<'_>,
        _fields: &Fields<'_>,
        _cluster: &Cluster,
    ) -> Option<serde_json::Value> {
        None
    }

    /// Where in the cluster records are looked for, as far as settings say it. When this changes, what was written before
    /// may be out of sight.
    fn places(&self, _cluster: &Cluster) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Whether access lists are copied with services to and from this cluster.
    fn copies_access(&self, _cluster: &Cluster) -> bool {
        false
    }

    /// More for the settings page: markdown with a heading of the second level, or nothing.
    fn notes(&self) -> &'static str {
        ""
    }
}

/// What a kind can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindFacts {
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
    /// Which of them is the one that is always there. Those of two kinds are one to a task, whatever each is called; empty:
    /// the kind has none.
    pub default_namespace: &'static str,
    /// A cluster of this kind needs at least one address.
    pub addresses: bool,
    /// Marks need no place in the data, and are written there only when a task says `marks: inline`.
    pub inline_marks: bool,
    /// Who signs in does so with a token.
    pub token: bool,
    /// The one case in which the kind has names of services; [`NameCase::Keep`]: names that differ in case are different.
    pub case: NameCase,
    /// The default of a task's `settle` where this kind is a source: how long a server that was restarted may take until it
    /// knows again what its providers registered.
    pub settle: Duration,
}

impl KindFacts {
    /// Services both ways, with namespaces, at addresses.
    pub const SERVICES: Self = Self {
        services_source: true,
        services_sink: true,
        configs_source: false,
        configs_sink: false,
        namespaces: true,
        default_namespace: PUBLIC,
        addresses: true,
        inline_marks: false,
        token: false,
        case: NameCase::Keep,
        settle: SETTLE,
    };

    /// The same, and configuration both ways.
    #[must_use]
    pub const fn with_configs(self) -> Self {
        Self { configs_source: true, configs_sink: true, ..self }
    }
}

/// A block of keys of one kind.
#[derive(Clone, Copy)]
pub struct Block {
    /// The kind as its users write it: the heading of the block's section in the settings page.
    pub title: &'static str,
    /// What the block is for, in one sentence.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [&'static str],
    /// A reference to its schema, which goes into the generator's definitions.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// The table of kinds.
#[derive(Clone, Default)]
pub struct Kinds {
    known: BTreeMap<&'static str, &'static dyn Kind>,
    planned: &'static [&'static str],
}

/// What a word for a kind turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KindWord {
    Usable(String),
    NotYet(String),
    Unknown,
}

/// What of a task's types a pair of kinds can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairAbility {
    /// Services can travel.
    pub services: bool,
    /// Configuration can travel.
    pub configs: bool,
}

impl Kinds {
    /// `planned`: words for kinds that are «not supported yet».
    pub fn new(kinds: impl IntoIterator<Item = &'static dyn Kind>, planned: &'static [&'static str]) -> Self {
        Self { known: kinds.into_iter().map(|kind| (kind.name(), kind)).collect(), planned }
    }

    /// The table with one more kind.
    #[must_use]
    pub fn with(mut self, kind: &'static dyn Kind) -> Self {
        self.known.insert(kind.name(), kind);
        self
    }

    /// All kinds, by name.
    pub fn all(&self) -> impl Iterator<Item = &'static dyn Kind> {
        self.known.values().copied()
    }

    /// A kind by its one name.
    pub fn get(&self, name: &str) -> Option<&'static dyn Kind> {
        self.known.get(name).copied()
    }

    /// What a kind can do; one that is not known can nothing.
    pub fn facts(&self, name: &str) -> KindFacts {
        self.get(name).map(Kind::facts).unwrap_or_default()
    }

    /// The one name of a kind, in lower case; a word that means none stays what it is.
    pub fn canonical(&self, word: &str) -> String {
        let lower = word.trim().to_lowercase();
        let meant = self.all().find(|kind| kind.aliases().contains(&lower.as_str()));
        meant.map_or(lower, |kind| kind.name().to_owned())
    }

    /// What a pair of kinds can copy in a mode; a kind that the table lacks can nothing.
    pub fn ability(&self, source: &str, destination: &str, mode: TaskMode) -> PairAbility {
        let one_way = |from: &str, to: &str| {
            let (from, to) = (self.facts(from), self.facts(to));
            PairAbility {
                services: from.services_source && to.services_sink,
                configs: from.configs_source && to.configs_sink,
            }
        };
        let there = one_way(source, destination);
        match mode {
            TaskMode::Unidirectional => there,
            TaskMode::Bidirectional => {
                let back = one_way(destination, source);
                PairAbility { services: there.services && back.services, configs: there.configs && back.configs }
            }
        }
    }

    pub(crate) fn find(&self, word: &str) -> KindWord {
        let name = self.canonical(word);
        match self.known.contains_key(name.as_str()) {
            true => KindWord::Usable(name),
            false if self.planned.contains(&name.as_str()) => KindWord::NotYet(name),
            false => KindWord::Unknown,
        }
    }

    /// The names of the kinds that can be used, in order.
    pub fn usable(&self) -> Vec<&'static str> {
        self.known.keys().copied().collect()
    }

    /// All words that mean a kind, for suggestions.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        let aliases = self.all().flat_map(|kind| kind.aliases().iter().copied());
        self.usable().into_iter().chain(aliases).chain(self.planned.iter().copied()).collect()
    }

    /// The kinds that have a block of their own, with it.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&'static str, Block)> {
        self.all().filter_map(|kind| Some((kind.name(), kind.block()?)))
    }
}

impl PairAbility {
    /// Whether it covers a type; `All` requires at least one of the two.
    pub fn covers(self, kind: TaskType) -> bool {
        match kind {
            TaskType::Service => self.services,
            TaskType::Config => self.configs,
            TaskType::All => self.services || self.configs,
        }
    }
}
