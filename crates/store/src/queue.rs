//! What waits to be written: the latest state per scope, and a ring of events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use causeway_core::Reason;

use crate::events::Event;
use crate::ledger::LedgerRow;

/// Events that wait at most; beyond it the oldest are dropped and counted.
pub(crate) const RING: usize = 10_000;
/// The action of the event that tells of those that were dropped.
const LOST: &str = "lost";

type RowKey = (Arc<str>, Arc<str>);

#[derive(Default)]
pub(crate) struct Queue {
    ledger: BTreeMap<RowKey, Option<Arc<str>>>,
    events: VecDeque<Event>,
    /// When the oldest of what waits came.
    since: Option<Instant>,
    /// Counts everything that ever came in.
    arrived: u64,
    /// Events dropped and not yet told in the history.
    untold: u64,
    lost: u64,
}

/// Taken for writing.
pub(crate) struct Batch {
    pub(crate) ledger: Vec<LedgerRow>,
    pub(crate) events: Vec<Event>,
    pub(crate) since: Instant,
    /// Everything up to this arrival is in here or written.
    pub(crate) up_to: u64,
    untold: u64,
}

/// How much waits.
pub(crate) struct Waiting {
    pub(crate) records: usize,
    pub(crate) events: usize,
    pub(crate) since: Option<Instant>,
    pub(crate) lost: u64,
}

impl Queue {
    /// The latest state of a scope wins. True when it is the first thing to wait.
    pub(crate) fn put(&mut self, entry: LedgerRow, now: Instant) -> bool {
        self.ledger.insert((entry.route, entry.scope), entry.document);
        self.came(now)
    }

    /// True when it is the first thing to wait.
    pub(crate) fn push(&mut self, event: Event, now: Instant) -> bool {
        self.events.push_back(event);
        self.trim();
        self.came(now)
    }

    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    pub(crate) fn waiting(&self) -> Waiting {
        Waiting { records: self.ledger.len(), events: self.events.len(), since: self.since, lost: self.lost }
    }

    /// Everything that waits, in order of route and scope; `None`: nothing does.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        let since = self.since.take()?;
        let ledger = std::mem::take(&mut self.ledger)
            .into_iter()
            .map(|((route, scope), document)| LedgerRow { route, scope, document })
            .collect();
        let mut events: Vec<Event> = std::mem::take(&mut self.events).into();
        let untold = std::mem::take(&mut self.untold);
        if let Some(first) = events.first()
            && untold > 0
        {
            let told = lost_event(first.time_ms, untold);
            events.insert(0, told);
        }
        Some(Batch { ledger, events, since, up_to: self.arrived, untold })
    }

    /// What could not be written waits again; what came meanwhile is newer.
    pub(crate) fn put_back(&mut self, mut batch: Batch) {
        for LedgerRow { route, scope, document } in batch.ledger {
            self.ledger.entry((route, scope)).or_insert(document);
        }
        if batch.untold > 0 && batch.events.first().is_some_and(|e| e.action == LOST) {
            batch.events.remove(0);
            self.untold += batch.untold;
        }
        for event in batch.events.into_iter().rev() {
            self.events.push_front(event);
        }
        self.trim();
        self.since = Some(batch.since);
    }

    fn came(&mut self, now: Instant) -> bool {
        self.arrived += 1;
        let first = self.since.is_none();
        self.since.get_or_insert(now);
        first
    }

    fn trim(&mut self) {
        let over = self.events.len().saturating_sub(RING);
        self.events.drain(..over);
        self.lost += over as u64;
        self.untold += over as u64;
    }
}

fn lost_event(time_ms: i64, count: u64) -> Event {
    Event { time_ms, ..Event::now(LOST, Reason::EventsLost { count }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(scope: &str, document: &str) -> LedgerRow {
        LedgerRow { route: "r".into(), scope: scope.into(), document: Some(document.into()) }
    }

    fn event(time_ms: i64) -> Event {
        Event { time_ms, ..Event::now("created", Reason::None) }
    }

    #[test]
    fn the_latest_state_wins_also_over_what_is_put_back() {
        let now = Instant::now();
        let mut queue = Queue::default();
        assert!(queue.put(entry("a", "1"), now));
        assert!(!queue.put(entry("a", "2"), now));
        assert!(!queue.put(entry("b", "1"), now));
        let batch = queue.take().unwrap();
        assert_eq!(batch.ledger, [entry("a", "2"), entry("b", "1")]);
        assert_eq!(batch.up_to, 3);
        assert!(queue.take().is_none());
        assert!(queue.put(entry("a", "3"), now));
        queue.put_back(batch);
        assert_eq!(queue.take().unwrap().ledger, [entry("a", "3"), entry("b", "1")]);
    }

    /// After every transaction the database holds exactly what had arrived by then, whatever failed before and whatever came
    /// meanwhile: nothing of a later moment without all that came before it.
    #[test]
    fn the_database_is_always_as_it_was_at_one_moment() {
        let mut seed = 7u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let now = Instant::now();
        let (mut queue, mut database) = (Queue::default(), BTreeMap::new());
        let (mut history, mut state) = (vec![BTreeMap::new()], BTreeMap::new());
        for step in 0..20_000 {
            let mut come = |queue: &mut Queue, random: &mut dyn FnMut(u64) -> u64| {
                let (scope, gone) = (random(20).to_string(), random(4) == 0);
                let document: Option<Arc<str>> = (!gone).then(|| step.to_string().into());
                queue.put(
                    LedgerRow { route: "r".into(), scope: scope.as_str().into(), document: document.clone() },
                    now,
                );
                match document {
                    Some(document) => drop(state.insert(scope, document)),
                    None => drop(state.remove(&scope)),
                }
                history.push(state.clone());
            };
            come(&mut queue, &mut random);
            if random(3) > 0 {
                continue;
            }
            let batch = queue.take().unwrap();
            (0..random(3)).for_each(|_| come(&mut queue, &mut random));
            if random(2) == 0 {
                queue.put_back(batch);
                continue;
            }
            for LedgerRow { scope, document, .. } in &batch.ledger {
                match document {
                    Some(document) => drop(database.insert(scope.to_string(), document.clone())),
                    None => drop(database.remove(&**scope)),
                }
            }
            assert_eq!(database, history[usize::try_from(batch.up_to).unwrap()], "after {step}");
        }
    }

    #[test]
    fn dropped_events_are_counted_and_told_once() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for time in 0..(RING as i64 + 5) {
            queue.push(event(time), now);
        }
        let batch = queue.take().unwrap();
        assert_eq!(batch.events.len(), RING + 1);
        assert!(batch.events[0].reason.to_string().starts_with("5 older"));
        // Not written: nothing is told twice, nothing more is lost, and the next ones push out the oldest.
        queue.push(event(-1), now);
        queue.put_back(batch);
        assert_eq!(queue.waiting().lost, 6);
        let batch = queue.take().unwrap();
        assert!(batch.events[0].reason.to_string().starts_with("6 older"));
        assert_eq!(batch.events[1], event(6));
        assert_eq!(batch.events.last(), Some(&event(-1)));
    }
}
