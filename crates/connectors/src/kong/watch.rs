//! One watch: Kong tells of nothing, so it is looked at again and again.

use super::gateway::Gateway;
use crate::util::backoff::Backoff;
use causeway_core::{Error, Lost, Part, Selector, ServiceKey, Set, Update};
use causeway_settings::PUBLIC;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::{BTreeMap, VecDeque};
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often all upstreams are listed, and some of ours read.
const EVERY: Duration = Duration::from_secs(2);
/// The pause is at least so many times what a look took.
const REST: u32 = 4;
/// How often services and routes are looked at.
const PUT_RIGHT: Duration = Duration::from_secs(10);
/// So many looks in a row that fail are an outage: one may be a node that another one takes over from.
const OUTAGE: u32 = 2;
/// The wait after the first failure and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

struct Watch {
    gateway: Arc<Gateway>,
    select: Selector,
    selection: u64,
    /// What was told of each scope; `None`: it is not of interest.
    told: BTreeMap<ServiceKey, Option<Arc<Set>>>,
    /// Everything was read since the last outage, and the part is told.
    is_complete: bool,
    failures: u32,
    /// The outage that was told.
    fault: Option<Error>,
    backoff: Backoff,
    next: Instant,
    put_right: Instant,
    /// The upstream that was read last.
    last: Option<String>,
    ready: VecDeque<Result<Update, Lost>>,
}

/// An endless stream of what stands in Kong that is ours.
pub(super) fn watch(gateway: &Arc<Gateway>, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
    let now = Instant::now();
    let watch = Watch {
        gateway: gateway.clone(),
        select: select.clone(),
        selection: select.epoch(),
        told: BTreeMap::new(),
        is_complete: false,
        failures: 0,
        fault: None,
        backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
        next: now,
        put_right: now,
        last: None,
        ready: VecDeque::new(),
    };
    stream::unfold(watch, async |mut watch| {
        loop {
            if let Some(item) = watch.ready.pop_front() {
                return Some((item, watch));
            }
            watch.step().await;
        }
    })
    .boxed()
}

impl Watch {
    async fn step(&mut self) {
        let gateway = self.gateway.clone();
        let changed = gateway.view.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if self.is_complete {
            self.tell();
            if !self.ready.is_empty() {
                return;
            }
        }
        tokio::select! {
            () = sleep_until(self.next) => {}
            () = changed => return,
        }
        let part = Part::new(PUBLIC);
        if !self.select.part(&part, None) && !self.select.needed().contains(&part) {
            (self.is_complete, self.next) = (false, Instant::now() + EVERY);
            return;
        }
        let begun = Instant::now();
        match self.look().await {
            Ok(()) => {
                self.failures = 0;
                self.fault = None;
                self.backoff.reset();
                self.next = begun + EVERY.max(begun.elapsed() * (1 + REST));
                if !self.is_complete {
                    self.reset();
                }
            }
            Err(error) => self.fail(error),
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        if !self.is_complete {
            self.gateway.look().await?;
        } else {
            self.gateway.look_on(&mut self.last).await?;
        }
        if Instant::now() >= self.put_right {
            self.gateway.put_right().await?;
            self.put_right = Instant::now() + PUT_RIGHT;
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) {
        self.failures += 1;
        let asked = if let Error::Throttled(wait) = &error { *wait } else { Duration::ZERO };
        self.next = Instant::now() + asked.max(self.backoff.next());
        let is_refusal = !error.is_transient();
        if self.failures < OUTAGE && !is_refusal && self.is_complete {
            return;
        }
        self.is_complete = false;
        self.gateway.view.lose();
        let is_new = self.fault.as_ref().is_none_or(|before| discriminant(before) != discriminant(&error));
        if is_new {
            self.fault = Some(super::gateway::again(&error));
            self.ready.push_back(Err(Lost { part: None, error }));
        }
    }

    fn reset(&mut self) {
        self.is_complete = true;
        self.selection = self.select.epoch();
        let sets = self.gateway.view.sets();
        self.told =
            sets.into_iter().map(|(scope, set)| (scope.clone(), self.select.scope(&scope).then_some(set))).collect();
        let sets = self.told.values().flatten().map(|set| (**set).clone()).collect();
        self.ready.push_back(Ok(Update::Reset { part: Part::new(PUBLIC), title: None, sets }));
    }

    /// Tells what is other than it was told.
    fn tell(&mut self) {
        let selection = self.select.epoch();
        let anew = std::mem::replace(&mut self.selection, selection) != selection;
        let sets = self.gateway.view.sets();
        let gone: Vec<_> = self.told.keys().filter(|scope| !sets.contains_key(*scope)).cloned().collect();
        for scope in gone {
            if let Some(Some(_)) = self.told.remove(&scope) {
                self.ready.push_back(Ok(Update::Removed(scope)));
            }
        }
        for (scope, set) in sets {
            let wanted = match self.told.get(&scope) {
                Some(before) if !anew => before.is_some(),
                _ => self.select.scope(&scope),
            };
            let known = self.told.get(&scope).and_then(Option::as_ref);
            if wanted && !known.is_some_and(|known| Arc::ptr_eq(known, &set) || **known == *set) {
                self.ready.push_back(Ok(Update::Changed((*set).clone())));
            }
            self.told.insert(scope, wanted.then_some(set));
        }
    }
}
