//! One watch: three queries that wait for a change at the servers, and looks at what has changed.
//!
//! At rest there is nothing but the three queries, however much stands in the catalog. The services' and the nodes' say only that
//! something was registered or taken away; then everything is listed once. The checks' tells which do not pass; then only the
//! services of those that are other than before are read.

mod query;

use super::client::{Check, NOT_PASSING, NOTHING_OF_NODES, NOTHING_OF_SERVICES};
use super::convert::scope;
use super::reading::{AT_ONCE, Failing, Listing, One, Reading, Sets, failing, is_about_name};
use crate::util::backoff::Backoff;
use causeway_core::{Error, Lost, Part, Selector, Set, Update, intern};
use causeway_settings::PUBLIC;
use futures_util::stream::{self, BoxStream, StreamExt};
use query::{News, Query};
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// The wait after the first failure and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// After a list of everything the servers rest for this many times what it took...
const REST: u32 = 4;
/// ...within these bounds.
const RESTS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));
/// How often the selection is asked whether it has changed.
const TICK: Duration = Duration::from_secs(1);
/// What may not be read is looked for again after this time.
const AGAIN: Duration = Duration::from_secs(30);
/// More services than this at once are listed with all others.
const MANY: usize = 64;
/// A query that is told to wait so many times in a row has failed.
const PATIENCE: u32 = 5;

/// A refusal after an outage is believed when it was repeated so often.
const DOUBTS: u32 = 3;

struct Watch {
    reading: Arc<Reading>,
    select: Selector,
    /// The selection's epoch at the last look.
    selection: u64,
    /// What was told of each service; `None`: it is not of interest. Stays as it was in an outage.
    told: BTreeMap<Arc<str>, Option<Arc<Set>>>,
    /// Whether the part is of interest, and has been told whole since the last outage.
    followed: bool,
    /// What was said of an outage; `None`: there is none.
    fault: Option<Discriminant<Error>>,
    /// How often in a row a server that came back has refused us.
    doubts: u32,
    backoff: Backoff,
    /// The waiting queries. None in an outage.
    queries: JoinSet<()>,
    news: Option<mpsc::Receiver<News>>,
    /// The highest index that a query has told since the last outage.
    index: u64,
    /// The checks that did not pass when that was read which was told. What a query says is compared with this, and not with what
    /// it said before: what came and went between two answers may have been read.
    failing: Failing,
    all: bool,
    some: BTreeSet<Arc<str>>,
    rest: Instant,
    throttled: u32,
    /// Services of which not all may be read.
    denied: BTreeSet<Arc<str>>,
    again: Instant,
    ready: VecDeque<Result<Update, Lost>>,
}

/// An endless stream of what stands in the data centre.
pub(super) fn watch(reading: &Arc<Reading>, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
    stream::unfold(Watch::new(reading.clone(), select.clone()), async |mut watch| {
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
    fn new(reading: Arc<Reading>, select: Selector) -> Self {
        let now = Instant::now();
        Self {
            selection: select.epoch(),
            reading,
            select,
            told: BTreeMap::new(),
            followed: false,
            fault: None,
            doubts: 0,
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            queries: JoinSet::new(),
            news: None,
            index: 0,
            failing: Failing::new(),
            all: false,
            some: BTreeSet::new(),
            rest: now,
            throttled: 0,
            denied: BTreeSet::new(),
            again: now,
            ready: VecDeque::new(),
        }
    }

    async fn step(&mut self) {
        if self.news.is_none() {
            match self.begin().await {
                Ok(()) => self.backoff.reset(),
                // A server that has just begun knows no tokens yet.
                Err(Error::Denied(_)) if self.is_away() && self.doubts < DOUBTS => {
                    self.doubts += 1;
                    sleep(self.backoff.next()).await;
                }
                Err(error) => {
                    let asked = if let Error::Throttled(wait) = &error { *wait } else { Duration::ZERO };
                    self.lose(error);
                    sleep(asked.max(self.backoff.next())).await;
                }
            }
            return;
        }
        let done = if self.all && self.rest <= Instant::now() {
            self.look().await
        } else if !self.some.is_empty() && !self.all {
            self.look_at_some().await
        } else {
            self.wait().await
        };
        match done {
            Ok(()) => {}
            // Not an outage: what is known stays known for a while, and is looked at again.
            Err(Error::Throttled(wait)) if self.throttled < PATIENCE => {
                self.throttled += 1;
                self.all = true;
                self.rest = Instant::now() + wait.max(self.backoff.next());
            }
            Err(error) => self.lose(error),
        }
    }

    /// Starts the queries, and tells everything. What is known from before an outage helps to tell what is gone from what may
    /// not be read any more.
    async fn begin(&mut self) -> Result<(), Error> {
        self.reading.check().await?;
        let (tell, news) = mpsc::channel(8);
        let mut queries = JoinSet::new();
        let of = |path, filter| Query::new(self.reading.clone(), path, filter, tell.clone());
        let services = of("/v1/catalog/services", NOTHING_OF_SERVICES);
        let nodes = of("/v1/catalog/nodes", NOTHING_OF_NODES);
        let checks = of("/v1/health/state/any", NOT_PASSING);
        // Their first answers come before the list, so that they tell of whatever the list does not have.
        let services = services.first::<IgnoredAny>().await?.0;
        let nodes = nodes.first::<IgnoredAny>().await?.0;
        let checks = checks.first::<IgnoredAny>().await?.0;
        self.index = services.index().max(nodes.index()).max(checks.index());
        let listing = self.list().await?;
        let sets = self.resolve(listing).await?;
        queries.spawn(services.run(|index, _: IgnoredAny| News::Everything(index)));
        queries.spawn(nodes.run(|index, _: IgnoredAny| News::Everything(index)));
        queries.spawn(checks.run(|index, checks: Vec<Check>| News::Checks(index, failing(&checks))));
        (self.queries, self.news) = (queries, Some(news));
        (self.all, self.some, self.throttled) = (false, BTreeSet::new(), 0);
        self.selection = self.select.epoch();
        self.fault = None;
        self.told = sets.into_iter().map(|(name, set)| (name, self.select.scope(&set.scope).then_some(set))).collect();
        self.followed = self.is_wanted();
        self.tell_whole();
        Ok(())
    }

    /// All there is. Not believed where it is older than what a query has told: the servers were put back meanwhile.
    async fn list(&self) -> Result<Listing, Error> {
        let listing = self.reading.all().await?;
        match listing.index != 0 && listing.index < self.index {
            true => {
                Err(Error::unavailable("the servers list an earlier state than they have told of: they were restored"))
            }
            false => Ok(listing),
        }
    }

    fn is_wanted(&self) -> bool {
        let part = Part::new(PUBLIC);
        self.select.part(&part, None) || self.select.needed().contains(&part)
    }

    fn tell_whole(&mut self) {
        if self.followed {
            let sets = self.told.values().flatten().map(|set| (**set).clone()).collect();
            self.ready.push_back(Ok(Update::Reset { part: Part::new(PUBLIC), title: None, sets }));
        }
    }

    /// Whether no server could be reached when it was last said that something is wrong.
    fn is_away(&self) -> bool {
        self.fault == Some(discriminant(&Error::unavailable("")))
    }

    /// Nothing is known any more; that is said once.
    fn lose(&mut self, error: Error) {
        self.queries.abort_all();
        self.news = None;
        (self.followed, self.doubts) = (false, 0);
        if self.fault.replace(discriminant(&error)) != Some(discriminant(&error)) {
            let part = matches!(error, Error::Missing(_)).then(|| Part::new(PUBLIC));
            self.ready.push_back(Err(Lost { part, error }));
        }
    }

    /// Waits for something to do.
    async fn wait(&mut self) -> Result<(), Error> {
        let Some(news) = &mut self.news else { return Ok(()) };
        let tick = Instant::now() + TICK;
        let until = if self.all { tick.min(self.rest) } else { tick };
        tokio::select! {
            said = news.recv() => match said {
                Some(News::Everything(index)) => {
                    self.index = self.index.max(index);
                    self.all = true;
                }
                Some(News::Checks(index, failing)) => {
                    self.index = self.index.max(index);
                    self.take_checks(failing);
                }
                Some(News::Failed(error)) => return Err(error),
                None => return Err(Error::unavailable("a query ended unexpectedly")),
            },
            () = sleep_until(until) => {}
        }
        if !self.denied.is_empty() && self.again <= Instant::now() {
            self.all = true;
            self.again = Instant::now() + AGAIN;
        }
        self.all |= self.select.epoch() != self.selection || self.is_wanted() != self.followed;
        Ok(())
    }

    fn take_checks(&mut self, failing: Failing) {
        let before = std::mem::replace(&mut self.failing, failing);
        let now = &self.failing;
        let went = before.iter().filter(|(key, one)| now.get(*key) != Some(one));
        let came = now.iter().filter(|(key, one)| before.get(*key) != Some(one));
        for (_, (_, service)) in went.chain(came) {
            match service.is_empty() {
                true => self.all = true,
                false => drop(self.some.insert(intern(service))),
            }
        }
        self.all |= self.some.len() > MANY;
    }

    /// Lists everything, and tells what is other than before.
    async fn look(&mut self) -> Result<(), Error> {
        (self.all, self.some) = (false, BTreeSet::new());
        let begun = Instant::now();
        let listing = self.list().await?;
        let sets = self.resolve(listing).await?;
        self.rest = Instant::now() + (begun.elapsed() * REST).clamp(RESTS.0, RESTS.1);
        self.throttled = 0;
        let selection = self.select.epoch();
        let anew = std::mem::replace(&mut self.selection, selection) != selection;
        let gone: Vec<_> = self.told.keys().filter(|name| !sets.contains_key(*name)).cloned().collect();
        gone.into_iter().for_each(|name| self.forget(&name));
        for (name, set) in sets {
            self.tell(name, set, anew);
        }
        let wanted = self.is_wanted();
        if std::mem::replace(&mut self.followed, wanted) != wanted {
            self.tell_whole();
        }
        Ok(())
    }

    /// Reads the services whose checks have changed.
    async fn look_at_some(&mut self) -> Result<(), Error> {
        let names = std::mem::take(&mut self.some);
        let found = self.each(names).await?;
        self.throttled = 0;
        for (name, one) in found {
            // It stands in the list of everything.
            let Some(one) = one else {
                self.all = true;
                continue;
            };
            match self.merged(&name, one) {
                Some(set) => self.tell(name, set, false),
                None => self.forget(&name),
            }
        }
        Ok(())
    }

    /// Each of these services; `None`: it cannot be asked for by its name.
    async fn each(&self, names: BTreeSet<Arc<str>>) -> Result<Vec<(Arc<str>, Option<One>)>, Error> {
        let looks = names.into_iter().map(|name| async move {
            match self.reading.one(&name).await {
                Ok(one) => Ok((name, Some(one))),
                Err(error) if is_about_name(&error) => Ok((name, None)),
                Err(error) => Err(error),
            }
        });
        stream::iter(looks).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
    }

    /// What really stands there, of a list that may lack what the token may not read: what is missing is asked for by itself, and
    /// where that is not answered in full, what was known stays.
    async fn resolve(&mut self, listing: Listing) -> Result<Sets, Error> {
        let mut sets = listing.sets;
        self.failing = listing.failing;
        if !listing.filtered {
            self.denied.clear();
            return Ok(sets);
        }
        let lacks = |(name, told): (&Arc<str>, &Option<Arc<Set>>)| {
            let told = told.as_ref()?;
            let whole = sets.get(name).is_some_and(|set| told.records.keys().all(|id| set.records.contains_key(id)));
            (!whole).then(|| name.clone())
        };
        let doubtful: BTreeSet<_> = self.told.iter().filter_map(lacks).collect();
        self.denied.retain(|name| doubtful.contains(name));
        for (name, one) in self.each(doubtful).await? {
            let listed = || One { set: sets.get(&name).cloned(), failing: self.failing.clone(), filtered: true };
            let one = one.unwrap_or_else(listed);
            match self.merged(&name, one) {
                Some(set) => drop(sets.insert(name, set)),
                None => drop(sets.remove(&name)),
            }
        }
        Ok(sets)
    }

    /// What stands in a service: what was found, and what was known before where not all of it may be read.
    fn merged(&mut self, name: &Arc<str>, one: One) -> Option<Arc<Set>> {
        self.failing.retain(|_, (_, service)| **service != **name);
        self.failing.extend(one.failing.into_iter().filter(|(_, (_, service))| !service.is_empty()));
        if !one.filtered {
            self.denied.remove(name);
            return one.set;
        }
        let known = self.told.get(name).cloned().flatten();
        let Some(known) = known else { return one.set };
        if self.denied.is_empty() {
            self.again = Instant::now() + AGAIN;
        }
        if self.denied.insert(name.clone()) {
            tracing::warn!(service = &**name, "not all of it may be read (any more): what was known of it stays");
        }
        let mut merged = (*known).clone();
        for (id, held) in one.set.iter().flat_map(|set| &set.records) {
            merged.records.insert(id.clone(), held.clone());
        }
        Some(Arc::new(merged))
    }

    fn tell(&mut self, name: Arc<str>, set: Arc<Set>, anew: bool) {
        let before = self.told.get(&name);
        let wanted = match before {
            Some(before) if !anew => before.is_some(),
            _ => self.select.scope(&set.scope),
        };
        let same = before.and_then(Option::as_ref).is_some_and(|before| Arc::ptr_eq(before, &set) || *before == set);
        if wanted && !same && self.followed {
            self.ready.push_back(Ok(Update::Changed((*set).clone())));
        }
        self.told.insert(name, wanted.then_some(set));
    }

    fn forget(&mut self, name: &str) {
        if let Some(Some(_)) = self.told.remove(name)
            && self.followed
        {
            self.ready.push_back(Ok(Update::Removed(scope(name))));
        }
    }
}

#[cfg(test)]
mod tests;
