//! Sends the renewals.

use super::Leases;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How a renewal ended.
pub(crate) enum Renewal {
    /// The server has renewed the lease. It may ask for another interval.
    Done(Option<Duration>),
    /// Not renewed. It is repeated after this time.
    Failed(Duration),
    /// No server answered, or what it said holds for all leases; and why. It is repeated after this time, and until then no lease
    /// is renewed; then one at a time, until one is answered.
    Away(Duration, String),
}

/// Leases, and the task that renews them. Dropping [`Keeper::run`] stops the renewals; the leases stay.
pub(crate) struct Keeper<K> {
    leases: Mutex<Leases<K>>,
    news: Notify,
}

impl<K> Default for Keeper<K> {
    fn default() -> Self {
        Self { leases: Mutex::default(), news: Notify::new() }
    }
}

impl<K: Ord + Clone> Keeper<K> {
    /// Changes which leases there are.
    pub fn change<T>(&self, change: impl FnOnce(&mut Leases<K>) -> T) -> T {
        let result = change(&mut self.leases.lock());
        self.news.notify_one();
        result
    }

    /// Renews leases when they are due, for as long as it is polled: at most `at_a_time` at once, and each lease once at a
    /// time. `renew` decides about a lease that the server does not know: it may make it again, or remove it with
    /// [`Keeper::change`]. What it changes of its own lease stands, whatever it returns. Must not run twice at once.
    pub async fn run<F: Future<Output = Renewal>>(&self, at_a_time: usize, renew: impl Fn(K) -> F) {
        self.change(|leases| leases.restart(Instant::now()));
        let mut work = FuturesUnordered::new();
        // While no lease is renewed: when to try the next one.
        let mut away: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let limit = if away.is_some() { 1 } else { at_a_time };
            while work.len() < limit && away.is_none_or(|until| until <= now) {
                let Some(key) = self.leases.lock().pop(now) else { break };
                let renewal = renew(key.clone());
                work.push(async move { (key, renewal.await) });
            }
            let free = work.len() < limit;
            let due = self.leases.lock().next().filter(|_| free);
            let due = due.map(|due| away.map_or(due, |until| until.max(due)));
            let (key, renewal) = tokio::select! {
                Some(done) = work.next(), if !work.is_empty() => done,
                () = sleep_until(due.unwrap_or(now)), if due.is_some() => continue,
                () = self.news.notified() => continue,
            };
            let now = Instant::now();
            let mut leases = self.leases.lock();
            match renewal {
                Renewal::Done(every) => leases.renewed(&key, every, now),
                Renewal::Failed(after) | Renewal::Away(after, _) => leases.failed(&key, now + after),
            }
            away = match renewal {
                Renewal::Away(after, why) => {
                    if away.is_none() {
                        tracing::info!(why, "no lease is renewed for now");
                    }
                    Some(now + after)
                }
                Renewal::Done(_) | Renewal::Failed(_) => None,
            };
        }
    }
}
