//! How our sessions share the servers: a server takes a limited number of connections from one address.

use super::features::ServerVersion;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The connections of several sessions to the same servers, by the place of the server among the addresses.
#[derive(Debug, Default)]
pub struct ConnectionCounts(Mutex<BTreeMap<usize, ServerConnections>>);

#[derive(Debug, Default)]
struct ServerConnections {
    connections: usize,
    /// Its version, as it was last told. Forgotten when a connection ends, since another version may come back.
    number: Option<ServerVersion>,
}

/// A connection that counts, or a try to make one.
#[derive(Debug)]
pub(super) struct CountedConnection {
    counts: Arc<ConnectionCounts>,
    pub(super) server: usize,
}

impl ConnectionCounts {
    /// All places below `count` in the order in which they are to be tried: those with the fewest connections first, of
    /// those `next` first, and `last` last.
    pub(super) fn order(&self, count: usize, next: usize, last: Option<usize>) -> Vec<usize> {
        let servers = self.0.lock();
        let connections = |server: &usize| servers.get(server).map_or(0, |server| server.connections);
        let mut order: Vec<usize> = (0..count).map(|n| (next + n) % count).collect();
        order.sort_by_key(|server| (Some(*server) == last, connections(server)));
        order
    }

    /// Counts a connection until the place is dropped.
    pub(super) fn take(self: &Arc<Self>, server: usize) -> CountedConnection {
        self.0.lock().entry(server).or_default().connections += 1;
        CountedConnection { counts: Arc::clone(self), server }
    }

    /// The version that a server told one of us.
    pub(super) fn number(&self, server: usize) -> Option<ServerVersion> {
        self.0.lock().get(&server)?.number
    }

    pub(super) fn told(&self, server: usize, number: Option<ServerVersion>) {
        self.0.lock().entry(server).or_default().number = number;
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        if let Some(server) = self.counts.0.lock().get_mut(&self.server) {
            server.connections -= 1;
            server.number = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_share_the_connections() {
        let counts = Arc::<ConnectionCounts>::default();
        let places: Vec<_> = (0..9).map(|n| counts.take(counts.order(3, n, None)[0])).collect();
        assert!((0..3).all(|server| places.iter().filter(|place| place.server == server).count() == 3));
        assert_eq!(counts.order(3, 1, Some(1)), [2, 0, 1]);
        let one = counts.take(2);
        counts.told(2, Some((3, 9, 3)));
        assert_eq!((counts.order(3, 1, None), counts.number(2)), (vec![1, 0, 2], Some((3, 9, 3))));
        drop(one);
        assert_eq!(counts.number(2), None);
        drop(places);
        assert_eq!(counts.order(3, 2, Some(0)), [2, 1, 0]);
    }
}
