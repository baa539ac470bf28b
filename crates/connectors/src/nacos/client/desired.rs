//! What the server should hold for us, and what it is known to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;

use super::error::{Error, Result};
use super::link::{Live, RETRY};
use super::wire::ServiceKey;
use crate::util::backoff::Backoff;

/// A wish about one service.
pub(super) trait Wish: Clone + Send + Sync + 'static {
    /// True when the server should hold nothing; such a wish is forgotten once it is met.
    fn is_gone(&self) -> bool;
}

struct Entry<W> {
    wish: W,
    /// Grows with every new wish of any key.
    version: u64,
    /// Generation of the connection and version that the server took last, with the wish.
    met: Option<(u64, u64, W)>,
    /// Refused for good: generation, version, why.
    refused: Option<(u64, u64, Error)>,
    /// One request a key at a time, so that the last wish is also the last to arrive.
    gate: Arc<tokio::sync::Mutex<()>>,
}

struct Inner<W> {
    entries: BTreeMap<ServiceKey, Entry<W>>,
    version: u64,
    /// The connection that was replayed to last.
    generation: Option<u64>,
    /// Every key whose newest wish is neither met nor refused on that connection, and perhaps others.
    behind: BTreeSet<ServiceKey>,
}

/// Wishes by service. The last wish wins: callers who wait for an older one of the same service
/// are answered by the request that carries the newest.
pub(super) struct Desired<W> {
    inner: Mutex<Inner<W>>,
}

impl<W: Wish> Desired<W> {
    pub(super) fn new() -> Self {
        Desired {
            inner: Mutex::new(Inner {
                entries: BTreeMap::new(),
                version: 0,
                generation: None,
                behind: BTreeSet::new(),
            }),
        }
    }

    /// Notes a wish; the returned version is to be met.
    pub(super) fn want(&self, key: &ServiceKey, wish: W) -> u64 {
        let mut inner = self.inner.lock();
        inner.version += 1;
        let version = inner.version;
        inner.behind.insert(key.clone());
        match inner.entries.get_mut(key) {
            Some(entry) => {
                entry.wish = wish;
                entry.version = version;
            }
            None => {
                let entry = Entry { wish, version, met: None, refused: None, gate: Arc::default() };
                inner.entries.insert(key.clone(), entry);
            }
        }
        version
    }

    /// The present wish.
    pub(super) fn get(&self, key: &ServiceKey) -> Option<W> {
        let inner = self.inner.lock();
        inner.entries.get(key).map(|entry| entry.wish.clone())
    }

    /// Whether the present wish was met on this generation.
    pub(super) fn is_met(&self, key: &ServiceKey, generation: u64) -> bool {
        let inner = self.inner.lock();
        let met = |entry: &Entry<W>| matches!(&entry.met, Some((g, v, _)) if *g == generation && *v == entry.version);
        inner.entries.get(key).is_some_and(met)
    }

    /// Keys with wishes.
    pub(super) fn keys(&self) -> Vec<ServiceKey> {
        self.inner.lock().entries.keys().cloned().collect()
    }

    /// Wishes that the server refused and that were not changed since.
    pub(super) fn refused(&self) -> Vec<(ServiceKey, Error)> {
        let inner = self.inner.lock();
        inner
            .entries
            .iter()
            .filter_map(|(key, entry)| match &entry.refused {
                Some((_, version, error)) if *version == entry.version => Some((key.clone(), error.clone())),
                _ => None,
            })
            .collect()
    }

    /// Meets at least version `wanted` of `key` on `live` with `send`, which gets the wish and
    /// what was met last on any connection. Returns at once when that is done already.
    pub(super) async fn meet<F, Fut>(&self, key: &ServiceKey, wanted: u64, live: &Live, send: F) -> Result<()>
    where
        F: FnOnce(W, Option<W>) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let gate = match self.inner.lock().entries.get(key) {
            Some(entry) => Arc::clone(&entry.gate),
            None => return Ok(()),
        };
        let _turn = gate.lock().await;
        let generation = live.generation;
        let (wish, version, last) = {
            let inner = self.inner.lock();
            let Some(entry) = inner.entries.get(key) else {
                return Ok(());
            };
            match &entry.met {
                Some((g, v, _)) if *g == generation && *v >= wanted => return Ok(()),
                _ => {}
            }
            // Somebody else's request carried this very wish.
            match &entry.refused {
                Some((g, v, error)) if *g == generation && *v >= wanted => return Err(error.clone()),
                _ => {}
            }
            let last = entry.met.as_ref().map(|(_, _, wish)| wish.clone());
            (entry.wish.clone(), entry.version, last)
        };
        let result = send(wish.clone(), last).await;
        let mut inner = self.inner.lock();
        // An older connection, whose place another one is taking, proves nothing for that one.
        let is_old = inner.generation.is_some_and(|last| last > generation);
        let Some(entry) = inner.entries.get_mut(key).filter(|_| !is_old) else {
            return result;
        };
        match &result {
            Ok(()) => {
                let newest = entry.version == version;
                if newest && wish.is_gone() {
                    inner.entries.remove(key);
                } else {
                    entry.met = Some((generation, version, wish));
                    entry.refused = None;
                }
                if newest {
                    inner.behind.remove(key);
                }
            }
            Err(error) if !error.is_transient() => {
                entry.refused = Some((generation, version, error.clone()));
            }
            Err(_) => {}
        }
        result
    }

    /// Whether a call of [`Desired::replay`] would find anything to do. Costs nothing at rest.
    pub(super) fn is_behind(&self) -> bool {
        !self.inner.lock().behind.is_empty()
    }

    /// Meets every wish that is not met on this connection, `in_flight` at a time, and tries again with
    /// back-off what failed for the moment. Ends when all are met or refused, or with the
    /// connection.
    pub(super) async fn replay<F, Fut>(&self, live: &Live, in_flight: usize, send: F)
    where
        F: Fn(ServiceKey, W, Option<W>) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let pending = self.pending(live.generation);
            if pending.is_empty() || live.connection.has_ended() {
                return;
            }
            let send = &send;
            let transient = stream::iter(pending)
                .map(|(key, version)| async move {
                    let about = key.clone();
                    let met = self.meet(&key, version, live, |wish, last| send(about, wish, last));
                    match met.await {
                        Ok(()) => 0_usize,
                        Err(error) if error.is_transient() => 1,
                        Err(error) => {
                            tracing::warn!(service = %key, %error, "refused when sent again");
                            0
                        }
                    }
                })
                .buffer_unordered(in_flight.max(1))
                .fold(0, |sum, one| async move { sum + one })
                .await;
            if transient > 0 {
                tracing::debug!(transient, "some are to be sent once more");
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }

    /// Keys whose newest wish is neither met nor refused on this generation.
    fn pending(&self, generation: u64) -> Vec<(ServiceKey, u64)> {
        let mut inner = self.inner.lock();
        let Inner { entries, behind, generation: last, .. } = &mut *inner;
        if *last != Some(generation) {
            *last = Some(generation);
            *behind = entries.keys().cloned().collect();
        }
        let mut pending = Vec::new();
        behind.retain(|key| {
            let Some(entry) = entries.get(key) else { return false };
            let met = matches!(&entry.met, Some((g, v, _)) if *g == generation && *v == entry.version);
            let refused = matches!(&entry.refused, Some((g, v, _)) if *g == generation && *v == entry.version);
            if !met && !refused {
                pending.push((key.clone(), entry.version));
            }
            !met && !refused
        });
        pending
    }
}
