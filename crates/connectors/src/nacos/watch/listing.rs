//! Which namespaces a watch follows: those that the cluster lists, and those that no list shows and that are used all the
//! same. Nacos keeps and serves what is registered in any namespace, created or not, and goes on doing so after it was
//! deleted in the console.

use super::names::{FollowedNamespace, Knowledge};
use super::{PATIENCE, ServiceWatch};
use crate::nacos::client::{Error as WireError, NacosClient};
use crate::nacos::reading::parts;
use causeway_core::{Error, Lost, Part, Parts};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// Between two looks at the named namespaces that are not listed: one call for each.
const LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// What the cluster said of its namespaces.
pub(super) struct NamespaceListing {
    pub listed: Parts,
    /// Of those that were asked for and are not listed: whether any service in them has an instance. One whose look failed
    /// is left out.
    pub used: BTreeMap<Part, bool>,
}

impl ServiceWatch {
    /// Asks for the namespaces.
    pub(super) fn list(&mut self) {
        self.listing = true;
        let client = self.reading.client.clone();
        let mut words = BTreeSet::new();
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK) {
            self.looked_at = Some(Instant::now());
            // What is followed already stays so.
            words = self.select.named();
            words.retain(|word| self.namespaces.get(&Part(word.clone())).is_none_or(|one| one.listed));
        }
        let followed = self.namespaces.iter().filter(|(_, one)| one.listed).map(|(part, _)| part.clone()).collect();
        self.spawn(async move { ask(&client, words, followed).await }, Self::listed);
    }

    pub(super) fn listed(&mut self, listing: Result<NamespaceListing, WireError>) {
        self.listing = false;
        self.listed_at = Some(Instant::now());
        let NamespaceListing { listed, used } = match listing {
            Ok(listing) => {
                self.list_failing = None;
                listing
            }
            // Who may not list namespaces can still be told which there are.
            Err(WireError::Denied(_)) => {
                let named = self.select.named().into_iter().chain(self.named.iter().map(|name| name.as_str().into()));
                NamespaceListing { listed: named.map(|word| (Part(word), None)).collect(), used: BTreeMap::new() }
            }
            Err(error) => {
                let since = *self.list_failing.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE
                    && self.namespaces.values().any(|one| !matches!(one.knowledge, Knowledge::Unknown))
                {
                    self.lose_all(error);
                }
                return;
            }
        };
        let unlisted = self.unlisted(&listed, &used);
        let unknown = |part: &Part| !listed.contains_key(part) && !unlisted.contains(part);
        let gone: Vec<_> = self.namespaces.keys().filter(|part| unknown(part)).cloned().collect();
        for part in gone {
            let title = self.namespaces.get(&part).and_then(|namespace| namespace.title.clone());
            if self.select.part(&part, title.as_deref()) {
                let text = format!("namespace {part} is no longer there");
                self.ready.push_back(Err(Lost { part: Some(part.clone()), error: Error::Missing(text) }));
            }
            self.drop_namespace(&part);
        }
        for (part, title) in listed {
            let wanted = self.select.part(&part, title.as_deref());
            match self.namespaces.get_mut(&part) {
                Some(_) if !wanted => self.drop_namespace(&part),
                // One that was created while it was used goes on as it is.
                Some(namespace) => (namespace.title, namespace.listed) = (title, true),
                None if wanted => self.follow(part, title, true),
                None => {}
            }
        }
        for part in unlisted {
            match self.namespaces.get_mut(&part) {
                // A list that has lost it may come of a server that has lost more: what is not seen again is not taken for
                // witnessed to go.
                Some(namespace) if namespace.listed => {
                    namespace.listed = false;
                    namespace.lose();
                    let error = Error::Missing(format!("namespace {part} is no longer listed"));
                    self.ready.push_back(Err(Lost { part: Some(part.clone()), error }));
                    if !namespace.asking {
                        self.ask_names(part);
                    }
                }
                Some(_) => {}
                None => self.follow(part, None, false),
            }
        }
    }

    /// What is to be followed although it is not listed. A word that is another namespace's display name is no id.
    fn unlisted(&self, listed: &Parts, used: &BTreeMap<Part, bool>) -> BTreeSet<Part> {
        let is_title = |part: &Part| listed.values().any(|title| title.as_ref() == Some(&part.0));
        // A namespace that has just gone from the list and could not be looked at stays until it can be.
        let known = self.namespaces.iter().filter(|(part, one)| !one.listed || !used.contains_key(*part));
        let wanted = known.filter(|(part, one)| self.select.part(part, one.title.as_deref()));
        let known = wanted.map(|(part, _)| part).filter(|part| !is_title(part));
        let in_use = used.iter().filter(|(_, used)| **used).map(|(part, _)| part);
        let all = known.chain(in_use).cloned().chain(self.select.needed());
        all.filter(|part| !listed.contains_key(part)).collect()
    }

    fn follow(&mut self, part: Part, title: Option<Arc<str>>, listed: bool) {
        self.namespaces.insert(part.clone(), FollowedNamespace::new(title, listed));
        self.ask_names(part);
    }

    fn drop_namespace(&mut self, part: &Part) {
        if let Some(namespace) = self.namespaces.remove(part) {
            namespace.names.into_keys().for_each(|key| self.unsubscribe(key));
        }
    }
}

/// The listed namespaces, and whether those of `words` and `followed` that are not listed are used.
async fn ask(
    client: &NacosClient,
    words: BTreeSet<Arc<str>>,
    followed: BTreeSet<Part>,
) -> Result<NamespaceListing, WireError> {
    let listed = parts(client).await?;
    let is_title = |word: &Arc<str>| listed.values().any(|title| title.as_ref() == Some(word));
    let mut asked: BTreeSet<_> = words.into_iter().filter(|word| !is_title(word)).map(Part).collect();
    asked.extend(followed);
    let mut used = BTreeMap::new();
    for part in asked.into_iter().filter(|part| !listed.contains_key(part)) {
        match client.has_instances(&part.0).await {
            Ok(any) => drop(used.insert(part, any)),
            Err(error) => tracing::debug!(%part, %error, "cannot tell whether this namespace is used"),
        }
    }
    Ok(NamespaceListing { listed, used })
}
