//! The namespace of a Nacos that stands for one Dubbo root.

use super::Root;
use causeway_core::{DataSelector, Entry, EntryInterest, EntryKey, Error, Fingerprint, Part, Port, Undecided};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The part that a ZooKeeper has.
pub(super) const PART: &str = "public";

/// Where in the Nacos.
pub(super) struct NacosNamespace {
    pub services: Port,
    pub namespace: String,
    pub root: Root,
    pub writes: bool,
    /// The namespace's id, once it was found.
    pub id: Mutex<Option<Arc<str>>>,
}

impl NacosNamespace {
    /// The namespace's id; `None`: there is none, but the task may make it.
    pub async fn id(&self) -> Result<Option<Arc<str>>, Error> {
        let known = self.id.lock().clone();
        if known.is_some() {
            return Ok(known);
        }
        let services = self.services.source();
        let id = match services.parts().await {
            Ok(parts) if parts.contains_key(&Part::new(&self.namespace)) => Some(self.namespace.as_str().into()),
            Ok(parts) => {
                let titled = |title: &Option<Arc<str>>| title.as_deref() == Some(&self.namespace);
                let mut ids = parts.into_iter().filter(|(_, title)| titled(title)).map(|(part, _)| part.0);
                match ids.next() {
                    Some(id) => Some(id).filter(|_| ids.next().is_none()),
                    None => self.id_of_unlisted().await?,
                }
            }
            // Without the right to list them, the name must be the id.
            Err(Error::Denied(_)) => Some(self.namespace.as_str().into()),
            Err(error) => return Err(error),
        };
        match id {
            Some(id) => {
                *self.id.lock() = Some(id.clone());
                Ok(Some(id))
            }
            None if self.writes => Ok(None),
            None => Err(Error::Missing(format!("there is no namespace {}", self.namespace))),
        }
    }

    /// The id of a namespace that was never created but has services: its name in the settings.
    async fn id_of_unlisted(&self) -> Result<Option<Arc<str>>, Error> {
        let used = self.services.source().count(&Part::new(&self.namespace)).await? > 0;
        Ok(used.then(|| self.namespace.as_str().into()))
    }

    pub fn forget(&self) {
        *self.id.lock() = None;
    }

    /// The id, where the namespace is made if it is not there.
    pub async fn id_to_write(&self) -> Result<Arc<str>, Error> {
        if let Some(id) = self.id().await? {
            return Ok(id);
        }
        if let Some(sink) = self.services.sink() {
            sink.prepare(&Part::new(&self.namespace), None).await?;
        }
        Ok(self.namespace.as_str().into())
    }

    pub fn inside(self: &Arc<Self>, id: &Arc<str>, select: &DataSelector) -> DataSelector {
        Arc::new(NamespaceInterest { place: self.clone(), id: id.clone(), select: select.clone() })
    }

    pub fn outside(&self, entries: BTreeMap<EntryKey, Entry>) -> BTreeMap<EntryKey, Entry> {
        entries.into_iter().filter_map(|(key, entry)| Some((self.root.to_zookeeper(&key)?, entry))).collect()
    }
}

/// What a task takes, as the Nacos' own entries.
struct NamespaceInterest {
    place: Arc<NacosNamespace>,
    id: Arc<str>,
    select: DataSelector,
}

impl EntryInterest for NamespaceInterest {
    fn takes(&self, key: &EntryKey) -> bool {
        key.namespace == self.id && self.place.root.to_zookeeper(key).is_some_and(|path| self.select.takes(&path))
    }
    fn undecided(&self, key: &EntryKey) -> Option<Undecided> {
        self.select.undecided(&self.place.root.to_zookeeper(key)?)
    }
    fn part(&self, part: &Part) -> bool {
        part.0 == self.id
    }
    fn may_hold(&self, key: &EntryKey) -> bool {
        key.namespace == self.id
    }
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&(&self.id, &self.place.root, self.select.fingerprint()))
    }
}
