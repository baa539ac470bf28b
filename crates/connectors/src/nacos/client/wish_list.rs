//! What the server should hold for us, and what it is known to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_core::ServiceKey;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;

use super::error::{Error, Result};
use super::grpc::Connection;
use super::link::{Live, RETRY};
use crate::util::backoff::Backoff;

/// Sends wishes of one kind: publications or subscriptions.
pub(super) trait WishSender: Send + Sync + 'static {
    /// What is wanted of one service.
    type Wish: Clone + Send + Sync + 'static;

    /// Whether the server should hold nothing; such a wish is forgotten once it is met.
    fn is_gone(wish: &Self::Wish) -> bool;

    /// Sends a wish; `last` was met last, on any connection.
    fn send<'a>(
        &'a self,
        connection: &'a Connection,
        key: &'a ServiceKey,
        wish: Self::Wish,
        last: Option<Self::Wish>,
    ) -> BoxFuture<'a, Result<()>>;

    /// A connection is there; nothing was sent on it yet.
    fn connected(&self, _: &Connection) {}
}

struct WishEntry<W> {
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

impl<W> WishEntry<W> {
    /// Whether at least version `wanted` was met on this generation.
    fn is_met(&self, generation: u64, wanted: u64) -> bool {
        matches!(&self.met, Some((g, v, _)) if *g == generation && *v >= wanted)
    }

    /// Why at least version `wanted` was refused on this generation, if it was.
    fn refusal(&self, generation: u64, wanted: u64) -> Option<&Error> {
        self.refused.as_ref().filter(|(g, v, _)| *g == generation && *v >= wanted).map(|(_, _, error)| error)
    }
}

struct Wishes<W> {
    entries: BTreeMap<ServiceKey, WishEntry<W>>,
    version: u64,
    /// The connection that was replayed to last.
    generation: Option<u64>,
    /// Every key whose newest wish is neither met nor refused on that connection, and perhaps others.
    behind: BTreeSet<ServiceKey>,
}

/// Wishes by service. The last wish wins: callers who wait for an older one of the same service
/// are answered by the request that carries the newest.
pub(super) struct WishList<S: WishSender> {
    pub(super) sender: S,
    in_flight: usize,
    inner: Mutex<Wishes<S::Wish>>,
}

impl<S: WishSender> WishList<S> {
    /// `in_flight`: requests that a replay sends at a time.
    pub(super) fn new(sender: S, in_flight: usize) -> Self {
        let inner = Wishes { entries: BTreeMap::new(), version: 0, generation: None, behind: BTreeSet::new() };
        WishList { sender, in_flight: in_flight.max(1), inner: Mutex::new(inner) }
    }

    /// Notes a wish; the returned version is to be met.
    pub(super) fn want(&self, key: &ServiceKey, wish: S::Wish) -> u64 {
        let mut inner = self.inner.lock();
        inner.version += 1;
        let version = inner.version;
        inner.behind.insert(key.clone());
        match inner.entries.get_mut(key) {
            Some(entry) => (entry.wish, entry.version) = (wish, version),
            None => {
                let entry = WishEntry { wish, version, met: None, refused: None, gate: Arc::default() };
                inner.entries.insert(key.clone(), entry);
            }
        }
        version
    }

    /// The present wish.
    pub(super) fn get(&self, key: &ServiceKey) -> Option<S::Wish> {
        self.inner.lock().entries.get(key).map(|entry| entry.wish.clone())
    }

    /// Whether the present wish was met on this generation.
    pub(super) fn is_met(&self, key: &ServiceKey, generation: u64) -> bool {
        self.inner.lock().entries.get(key).is_some_and(|entry| entry.is_met(generation, entry.version))
    }

    /// Meets at least version `wanted` of `key` on `live`. Returns at once when that is done already.
    pub(super) async fn meet(&self, key: &ServiceKey, wanted: u64, live: &Live) -> Result<()> {
        let gate = match self.inner.lock().entries.get(key) {
            Some(entry) => Arc::clone(&entry.gate),
            None => return Ok(()),
        };
        let _turn = gate.lock().await;
        let generation = live.generation;
        let (wish, version, last) = {
            let inner = self.inner.lock();
            let Some(entry) = inner.entries.get(key).filter(|entry| !entry.is_met(generation, wanted)) else {
                return Ok(());
            };
            // Somebody else's request carried this very wish.
            if let Some(error) = entry.refusal(generation, wanted) {
                return Err(error.clone());
            }
            (entry.wish.clone(), entry.version, entry.met.as_ref().map(|(_, _, wish)| wish.clone()))
        };
        let result = self.sender.send(&live.connection, key, wish.clone(), last).await;
        let mut inner = self.inner.lock();
        // An older connection, whose place another one is taking, proves nothing for that one.
        let is_old = inner.generation.is_some_and(|last| last > generation);
        let Some(entry) = inner.entries.get_mut(key).filter(|_| !is_old) else {
            return result;
        };
        match &result {
            Ok(()) => {
                let newest = entry.version == version;
                if newest && S::is_gone(&wish) {
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

    /// Whether a call of [`WishList::replay`] would find anything to do. Costs nothing at rest.
    pub(super) fn is_behind(&self) -> bool {
        !self.inner.lock().behind.is_empty()
    }

    /// Meets every wish that is not met on this connection, `in_flight` at a time, and retries with back-off what failed
    /// for the moment. Ends when all are met or refused, or with the connection.
    pub(super) async fn replay(&self, live: &Live) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let pending = self.pending(live.generation);
            if pending.is_empty() || live.connection.has_ended() {
                return;
            }
            let meet = |(key, version): (ServiceKey, u64)| async move {
                let error = self.meet(&key, version, live).await.err()?;
                if !error.is_transient() {
                    tracing::warn!(service = %key, %error, "refused when sent again");
                }
                error.is_transient().then_some(())
            };
            let met = stream::iter(pending).map(meet).buffer_unordered(self.in_flight);
            let transient = met.fold(0_usize, async |sum, failed| sum + failed.iter().count()).await;
            if transient > 0 {
                tracing::debug!(transient, "some are to be sent once more");
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }

    /// Keys whose newest wish is neither met nor refused on this generation.
    fn pending(&self, generation: u64) -> Vec<(ServiceKey, u64)> {
        let mut inner = self.inner.lock();
        let Wishes { entries, behind, generation: last, .. } = &mut *inner;
        if last.replace(generation) != Some(generation) {
            *behind = entries.keys().cloned().collect();
        }
        let is_pending = |entry: &&WishEntry<S::Wish>| {
            !entry.is_met(generation, entry.version) && entry.refusal(generation, entry.version).is_none()
        };
        behind.retain(|key| entries.get(key).is_some_and(|entry| is_pending(&entry)));
        behind.iter().filter_map(|key| Some((key.clone(), entries.get(key)?.version))).collect()
    }
}
