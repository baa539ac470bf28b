//! The ring balancer: which target of an upstream gets the next request.

use super::KongDouble;
use super::health::{is_checked, resolves};
use super::schema::{KongEntity, KongRow};
use super::store::id;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How far each target is from its turn, and how long each upstream has been known.
#[derive(Default)]
pub struct KongRing {
    turns: Mutex<HashMap<String, i64>>,
    born: Mutex<HashMap<String, Option<Instant>>>,
}

/// One target that can be called.
struct KongPeer {
    id: String,
    target: String,
    weight: i64,
}

/// Where a host leads to.
pub enum KongWay {
    /// A target of the upstream of that name.
    Target(String),
    /// No upstream has that name.
    Host,
    /// The upstream has no target that can be called.
    Nobody,
}

impl KongRing {
    /// An upstream that is there; `now`: since now, and not since before this process.
    pub fn born(&self, upstream: &str, now: bool) {
        self.born.lock().entry(upstream.to_owned()).or_insert_with(|| now.then(Instant::now));
    }

    /// How long ago this process saw it made.
    pub fn age(&self, upstream: &str) -> Option<Duration> {
        self.born.lock().get(upstream)?.as_ref().map(Instant::elapsed)
    }

    /// Each in turn, as often as its weight says, spread evenly.
    fn next(&self, peers: Vec<KongPeer>) -> Option<String> {
        let total: i64 = peers.iter().map(|peer| peer.weight).sum();
        let mut turns = self.turns.lock();
        for peer in &peers {
            *turns.entry(peer.id.clone()).or_default() += peer.weight;
        }
        let first = peers.into_iter().max_by_key(|peer| turns.get(&peer.id).copied())?;
        *turns.entry(first.id).or_default() -= total;
        Some(first.target)
    }
}

impl KongDouble {
    /// The next target of the upstream of this name, without those that were tried.
    pub fn next_target(&self, host: &str, tried: &[String]) -> KongWay {
        let peers = {
            let store = self.store.lock();
            let found = store.spaces().find_map(|space| {
                let upstreams = space.table(KongEntity::Upstreams);
                Some((space, upstreams.get(upstreams.id_of(host)?)?))
            });
            let Some((space, upstream)) = found else { return KongWay::Host };
            let peer = |row: &KongRow| {
                let target = row["target"].as_str().filter(|target| resolves(target))?.to_owned();
                let weight = row.get("weight").and_then(Value::as_i64).filter(|weight| *weight > 0)?;
                let sick = is_checked(upstream) && self.health.is_unhealthy(id(row));
                (!sick && !tried.contains(&target)).then(|| KongPeer { id: id(row).to_owned(), target, weight })
            };
            space.table(KongEntity::Targets).of(id(upstream)).filter_map(peer).collect::<Vec<_>>()
        };
        self.ring.next(peers).map_or(KongWay::Nobody, KongWay::Target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn turns_follow_the_weights() {
        let (ring, mut seen) = (KongRing::default(), BTreeMap::<String, usize>::new());
        let peer = |name: &str, weight| KongPeer { id: name.to_owned(), target: name.to_owned(), weight };
        for _ in 0..100 {
            let next = ring.next(vec![peer("a", 70), peer("b", 20), peer("c", 10)]).unwrap();
            *seen.entry(next).or_default() += 1;
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("a".into(), 70), ("b".into(), 20), ("c".into(), 10)]);
        assert!(ring.next(Vec::new()).is_none());
    }
}
