//! Listings that are repeated, where a cluster does not tell of changes.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often something is listed. Pure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// From the beginning of one listing to the next.
    pub every: Duration,
    /// The pause is at least this many times what the listing took, so that the server can rest...
    pub rest: u32,
    /// ...but no longer than this, unless the listing itself took longer: it never takes more than half of the time.
    pub longest: Duration,
    /// Failures in a row that count as an outage: one may be a server that a fail-over is leaving.
    pub outage: u32,
}

impl Pace {
    /// The pause after a listing that took so long.
    pub fn pause(&self, took: Duration) -> Duration {
        (took * self.rest).min(self.longest).max(took).max(self.every.saturating_sub(took))
    }
}

/// What a listing has shown.
#[derive(Debug, PartialEq)]
pub(crate) enum Polled<S, V, E> {
    /// All there is: the first listing, and the first after an outage.
    All(BTreeMap<S, V>),
    /// What is new or different, and (`None`) what has gone.
    Changed(BTreeMap<S, Option<V>>),
    /// So many failures in a row that it is an outage; and each one after them.
    Down(E),
}

/// Repeats a listing, and tells what has changed. It keeps a fingerprint of each scope and nothing else.
#[derive(Debug)]
pub(crate) struct Poll<S> {
    pace: Pace,
    /// `None` before the first listing, and in an outage.
    seen: Option<BTreeMap<S, u64>>,
    failures: u32,
    /// No listing begins before.
    not_before: Option<Instant>,
}

impl<S: Ord + Clone> Poll<S> {
    pub fn new(pace: Pace) -> Self {
        Self { pace, seen: None, failures: 0, not_before: None }
    }

    /// Lists until there is something to tell. `list` returns all scopes there are, and fails where it does not know them
    /// all; `print` is a fingerprint of what was listed of one. Dropping the future loses nothing.
    pub async fn next<V, E, F>(&mut self, list: impl Fn() -> F, print: impl Fn(&V) -> u64) -> Polled<S, V, E>
    where
        F: Future<Output = Result<BTreeMap<S, V>, E>>,
    {
        loop {
            if let Some(at) = self.not_before {
                sleep_until(at).await;
            }
            let begun = Instant::now();
            let found = list().await;
            self.not_before = Some(Instant::now() + self.pace.pause(begun.elapsed()));
            match found {
                Ok(found) => {
                    self.failures = 0;
                    let prints = found.iter().map(|(scope, one)| (scope.clone(), print(one))).collect();
                    let Some(before) = self.seen.replace(prints) else { return Polled::All(found) };
                    let changed = self.changed(&before, found);
                    if !changed.is_empty() {
                        return Polled::Changed(changed);
                    }
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    if self.failures >= self.pace.outage {
                        self.seen = None;
                        return Polled::Down(error);
                    }
                }
            }
        }
    }

    fn changed<V>(&self, before: &BTreeMap<S, u64>, found: BTreeMap<S, V>) -> BTreeMap<S, Option<V>> {
        let now = self.seen.as_ref();
        let print = |scope: &S| now.and_then(|seen| seen.get(scope));
        let gone = before.keys().filter(|scope| print(scope).is_none()).map(|scope| (scope.clone(), None));
        let differs = |(scope, _): &(S, V)| before.get(scope) != print(scope);
        found.into_iter().filter(differs).map(|(scope, one)| (scope, Some(one))).chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::collections::VecDeque;
    use tokio::time::{sleep, timeout};

    const SECOND: Duration = Duration::from_secs(1);
    const PACE: Pace = Pace { every: SECOND, rest: 10, longest: Duration::from_secs(10), outage: 2 };

    type Listing = Result<BTreeMap<char, u64>, &'static str>;

    fn some(all: &[(char, u64)]) -> Listing {
        Ok(all.iter().copied().collect())
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_is_told_and_a_failure_is_no_empty_list() {
        let answers = [
            some(&[('a', 1), ('b', 1)]),
            some(&[('a', 1), ('b', 1)]),
            Err("once"),
            some(&[('a', 2), ('c', 1)]),
            Err("once"),
            Err("twice"),
            Err("thrice"),
            some(&[('a', 2)]),
            some(&[]),
        ];
        let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
        let list = || std::future::ready(answers.lock().pop_front().unwrap());
        let (mut poll, begun) = (Poll::new(PACE), Instant::now());
        let mut told = Vec::new();
        while !answers.lock().is_empty() {
            told.push((begun.elapsed().as_secs(), poll.next(list, |print| *print).await));
        }
        let expected = [
            Polled::All([('a', 1), ('b', 1)].into()),
            Polled::Changed([('a', Some(2)), ('b', None), ('c', Some(1))].into()),
            Polled::Down("twice"),
            Polled::Down("thrice"),
            Polled::All([('a', 2)].into()),
            Polled::Changed([('a', None)].into()),
        ];
        assert_eq!(told.into_iter().map(|(_, what)| what).collect::<Vec<_>>(), expected);
        assert_eq!(begun.elapsed().as_secs(), 8, "nine listings, one a second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_server_gets_its_rest() {
        let millis = |took| PACE.pause(Duration::from_millis(took)).as_millis();
        assert_eq!([0, 50, 100, 500, 5_000, 30_000].map(millis), [1_000, 950, 1_000, 5_000, 10_000, 30_000]);
        let count = Mutex::new(0);
        let list = || async {
            sleep(SECOND / 2).await;
            *count.lock() += 1;
            Ok::<_, ()>(BTreeMap::from([('a', *count.lock())]))
        };
        let (mut poll, begun) = (Poll::new(PACE), Instant::now());
        // Dropped again and again: the pace stays.
        for _ in 0..110 {
            while timeout(SECOND, poll.next(list, |print| *print)).await.is_ok() {}
        }
        let each = begun.elapsed() / *count.lock() as u32;
        assert!(each >= SECOND * 5 && each <= SECOND * 6, "a listing every {each:?}");
    }
}
