//! Follows the services of a Nacos cluster: pushes (or polls, on 1.x) say which to look at again, the lists that show
//! disabled instances are the truth, and the names are polled, since nothing pushes a new service or a new namespace.

mod listing;
mod names;
mod reads;
mod subscriptions;

use super::client::{Error as WireError, Phase, Status};
use super::convert;
use super::reading::Reading;
use super::trigger::Trigger;
use causeway_core::{Lost, Part, Selector, Update};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use names::FollowedNamespace;
use reads::Reads;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use subscriptions::Subscriptions;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};

/// New services and namespaces are noticed within twice this time.
const NAMES: Duration = Duration::from_secs(1);
/// Lists may fail for this long before what they list counts as unknown: a server that is really away is known by the
/// connection's end.
const PATIENCE: Duration = Duration::from_secs(4);
/// A service whose reading failed is read again after this time; so is one that has just been listed, since the lists of
/// instances follow a change after half a second.
const AGAIN: Duration = Duration::from_millis(700);
/// A service that cannot be read for more than a moment (no right, an answer of a proxy or a starting server) is retried
/// after this time: its namespace is unknown until then.
const UNREADABLE: Duration = Duration::from_secs(5);

/// What the watch does when some work is done.
type Then = Box<dyn FnOnce(&mut ServiceWatch) + Send>;

/// One watch. Dropping it ends its connection.
pub(super) struct ServiceWatch {
    reading: Reading,
    reader: Arc<Trigger>,
    select: Selector,
    named: Vec<String>,
    generation: u64,
    connected: bool,
    namespaces: BTreeMap<Part, FollowedNamespace>,
    listing: bool,
    listed_at: Option<Instant>,
    /// When namespaces that no list shows were last looked for.
    looked_at: Option<Instant>,
    list_failing: Option<Instant>,
    reads: Reads,
    subscriptions: Subscriptions,
    work: FuturesUnordered<BoxFuture<'static, Then>>,
    tick: Interval,
    ready: VecDeque<Result<Update, Lost>>,
}

impl ServiceWatch {
    pub fn new(reading: Reading, select: Selector, named: Vec<String>, trigger: Trigger) -> Self {
        let mut tick = interval(NAMES);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            // 1.x has no pages that tell enough.
            reads: Reads::new(matches!(trigger, Trigger::Push(_))),
            reader: Arc::new(trigger),
            reading,
            select,
            named,
            generation: 0,
            connected: false,
            namespaces: BTreeMap::new(),
            listing: false,
            listed_at: None,
            looked_at: None,
            list_failing: None,
            subscriptions: Subscriptions::default(),
            work: FuturesUnordered::new(),
            tick,
            ready: VecDeque::new(),
        }
    }

    /// The next thing to report. Never ends.
    pub async fn next(&mut self) -> Result<Update, Lost> {
        let mut status = self.reader.status();
        loop {
            if let Some(item) = self.ready.pop_front() {
                return item;
            }
            self.check_connection(&status.borrow_and_update().clone());
            let pause = self.start_reads();
            self.start_subscriptions();
            if !self.ready.is_empty() {
                continue;
            }
            let reader = self.reader.clone();
            tokio::select! {
                Some(then) = self.work.next(), if !self.work.is_empty() => then(self),
                key = reader.next() => self.want(key),
                changed = status.changed() => if changed.is_err() {
                    sleep(NAMES).await;
                },
                _ = self.tick.tick() => self.poll(),
                () = sleep_until(pause.unwrap_or_else(Instant::now)), if pause.is_some() => {}
            }
        }
    }

    /// A connection that broke takes all certainty with it: what was seen on it may have changed unseen.
    fn check_connection(&mut self, status: &Status) {
        let connected = status.phase == Phase::Ready;
        if self.connected && (!connected || status.generation != self.generation) {
            let why = status.error.clone().unwrap_or_else(|| WireError::Unavailable("connection lost".into()));
            self.lose_all(why);
        } else if !self.connected
            && status.phase == Phase::Down
            && let Some(error) = &status.error
            && self.list_failing.is_none()
        {
            self.list_failing = Some(Instant::now());
            self.ready.push_back(Err(Lost { part: None, error: convert::error(error.clone()) }));
        }
        let is_new = connected && !self.connected;
        self.connected = connected;
        self.generation = status.generation;
        if is_new {
            self.list_failing = None;
            self.poll();
        }
    }

    fn lose_all(&mut self, why: WireError) {
        self.namespaces.values_mut().for_each(FollowedNamespace::lose);
        self.ready.push_back(Err(Lost { part: None, error: convert::error(why) }));
    }

    /// Asks for the names of everything.
    fn poll(&mut self) {
        if !self.connected {
            return;
        }
        if !self.listing && self.listed_at.is_none_or(|at| at.elapsed() >= NAMES) {
            self.list();
        }
        let due = self.namespaces.iter().filter(|(_, namespace)| !namespace.asking);
        let due: Vec<_> = due.map(|(part, _)| part.clone()).collect();
        due.into_iter().for_each(|part| self.ask_names(part));
    }

    /// Does some work beside everything else, and then something with what it has come to.
    fn spawn<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(&mut Self, T) + Send + 'static,
    ) {
        self.work.push(Box::pin(async move {
            let outcome = work.await;
            Box::new(move |watch: &mut Self| then(watch, outcome)) as Then
        }));
    }

    fn later(&mut self, after: Duration, then: impl FnOnce(&mut Self) + Send + 'static) {
        self.spawn(sleep(after), |watch, ()| then(watch));
    }
}

#[cfg(test)]
mod tests;
