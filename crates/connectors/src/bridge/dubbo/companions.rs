//! What consumers of Dubbo's services need beside instances, between two clusters.

use super::{MAPPING, METADATA, Root};
use crate::zookeeper::client::paths::within;
use crate::zookeeper::{Layout, Settings};
use causeway_core::{EntryInterest, EntryKey, Fingerprint, Part};
use causeway_settings::Cluster;
use std::collections::BTreeSet;

/// The kinds that hold it: one as a tree, the other in one place and flat.
const TREE: &str = "zookeeper";
const FLAT: &str = "nacos";

/// What services need beside their instances, whatever else is taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Companions {
    /// Nothing.
    None,
    /// These subtrees: between two ZooKeepers.
    Subtrees(Vec<String>),
    /// What consumers of Dubbo's application level need: between a ZooKeeper and a Nacos.
    Application(Root),
}

impl Companions {
    /// What is needed between clusters with these settings.
    pub fn between(clusters: [&Cluster; 2]) -> Self {
        let roots = |cluster: &Cluster| {
            let settings = Settings::of(cluster);
            let dubbo = settings.layouts.contains(&Layout::Dubbo) || settings.layouts.contains(&Layout::Application);
            if dubbo { settings.dubbo_roots } else { Vec::new() }
        };
        match (clusters.map(|cluster| cluster.kind.as_str()), clusters) {
            ([TREE, TREE], [left, right]) => {
                let right: BTreeSet<_> = roots(right).into_iter().collect();
                let both: BTreeSet<_> = roots(left).into_iter().filter(|root| right.contains(root)).collect();
                let subtrees = both.iter().flat_map(|root| [MAPPING, METADATA].map(|name| format!("{root}/{name}")));
                Some(subtrees.collect()).filter(|all: &Vec<_>| !all.is_empty()).map_or(Self::None, Self::Subtrees)
            }
            ([TREE, FLAT], [tree, _]) | ([FLAT, TREE], [_, tree]) => {
                roots(tree).into_iter().next().map_or(Self::None, |root| Self::Application(Root(root)))
            }
            _ => Self::None,
        }
    }

    /// The root below which the entries of this cluster, which holds them flat, are shown as a tree; `None`: they are one.
    pub fn shown_below(&self, cluster: &Cluster) -> Option<&Root> {
        match self {
            Self::Application(root) if cluster.kind == FLAT => Some(root),
            _ => None,
        }
    }
}

/// Where Dubbo keeps, by interface, the applications that offer it: lists to which each application adds itself.
pub fn lists(cluster: &Cluster) -> Vec<String> {
    let roots = if cluster.kind == TREE { Settings::of(cluster).dubbo_roots } else { Vec::new() };
    roots.into_iter().map(|root| format!("{root}/{MAPPING}/")).collect()
}

impl EntryInterest for Companions {
    fn takes(&self, key: &EntryKey) -> bool {
        match self {
            Self::None => false,
            Self::Subtrees(roots) => roots.iter().any(|root| within(root, &key.name)),
            Self::Application(root) => root.takes(key),
        }
    }

    fn part(&self, _: &Part) -> bool {
        *self != Self::None
    }

    fn may_hold(&self, key: &EntryKey) -> bool {
        let path = &*key.name;
        let towards = |root: &String| within(root, path) || within(path, root);
        match self {
            Self::None => false,
            Self::Subtrees(roots) => roots.iter().any(towards),
            Self::Application(root) => root.may_hold(key),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}
