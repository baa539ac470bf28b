//! What the watch of a cluster is asked for: the union over the routes that read it or write it.

use crate::services::cluster::ActiveCluster;
use causeway_core::{Interest, Part, ServiceKey};
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

pub(crate) struct RoutesInterest(pub Weak<ActiveCluster>);

impl Interest for RoutesInterest {
    fn part(&self, part: &Part, title: Option<&str>) -> bool {
        let Some(cluster) = self.0.upgrade() else { return false };
        let written = cluster.written_parts.read().contains(part);
        let titled = |words: &BTreeSet<Arc<str>>| title.is_some_and(|title| words.contains(title));
        written
            || cluster.outbound.read().iter().any(|route| {
                let words = route.spec.parts.as_ref();
                words.is_none_or(|words| words.contains(&part.0) || titled(words))
            })
            || cluster.inbound.read().iter().any(|route| {
                // Copies of ours may stand there that the ledger has not heard of.
                let to = |word: &Arc<str>| route.target_part(&Part(word.clone())) == *part;
                route.spec.parts.as_ref().is_none_or(|words| words.iter().any(to) || titled(words))
            })
    }

    fn named(&self) -> BTreeSet<Arc<str>> {
        let Some(cluster) = self.0.upgrade() else { return BTreeSet::new() };
        let written = cluster.written_parts.read().iter().map(|part| part.0.clone()).collect::<Vec<_>>();
        let outbound = cluster.outbound.read();
        let named = outbound.iter().filter_map(|route| route.spec.parts.as_ref()).flatten().cloned();
        named.chain(written).collect()
    }

    fn needed(&self) -> BTreeSet<Part> {
        let Some(cluster) = self.0.upgrade() else { return BTreeSet::new() };
        let mut needed = cluster.ledger.lock().parts_held();
        let listed = cluster.listed.lock().clone().unwrap_or_default();
        let is_title = |part: &Part| listed.values().any(|title| title.as_ref() == Some(&part.0));
        for route in cluster.outbound.read().iter() {
            let copies = route.destination.ledger.lock().parts_held_by(&route.spec.owner);
            match &route.spec.parts {
                Some(words) => {
                    let ids = words.iter().map(|word| Part(word.clone())).filter(|part| !is_title(part));
                    needed.extend(ids.filter(|part| copies.contains(&route.target_part(part))));
                }
                // A copy's part is the one that it was made from.
                None if !route.renames() => needed.extend(copies),
                None => {}
            }
        }
        needed
    }

    fn scope(&self, scope: &ServiceKey) -> bool {
        let Some(cluster) = self.0.upgrade() else { return false };
        cluster.is_selected(scope) || cluster.ledger.lock().contains_key(scope)
    }

    fn epoch(&self) -> u64 {
        self.0.upgrade().map_or(0, |cluster| cluster.selection_epoch())
    }
}
