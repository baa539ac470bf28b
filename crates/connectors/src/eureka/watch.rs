//! One watch: the whole list first, then what has changed, as deltas tell it.
//!
//! A delta comes with a hash of all that the server knows. Where what we know is otherwise twice in a row, the whole list is
//! read again. What is missing from it without a delta that told of its end may be missing for another reason, such as a server
//! that was restarted behind one address: then the part counts as lost, and is complete again from that list on.

use super::client::{EurekaClient, Listing, Seen};
use super::convert::{PART, scope};
use super::publications::Publications;
use super::settings::Settings;
use super::view::{Replaced, View};
use crate::util::poll::Pace;
use causeway_core::{Error, KeptError, Lost, Part, Selector, Set, Unreadable, Update};
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const PACE: Pace = Pace { every: Duration::from_secs(1), rest: 10, longest: Duration::from_secs(10), outage: 2 };
/// Servers tell deltas for three minutes. Who has heard none for so long may have missed one.
const MISSED: Duration = Duration::from_secs(60);

/// So many deltas in a row with another hash than ours: one may have been made while something changed.
const DIFFERS: u32 = 2;

/// What all watches of a cluster share.
#[derive(Clone)]
pub(super) struct Shared {
    pub client: Arc<EurekaClient>,
    pub settings: Settings,
    pub publications: Publications,
    /// What the last watch could not read.
    pub unreadable: Arc<Mutex<Vec<Unreadable>>>,
}

struct Watch {
    shared: Shared,
    select: Selector,
    /// Whether an application is of interest, as the selection of this epoch says.
    interest: BTreeMap<String, bool>,
    epoch: u64,
    view: View,
    /// What was in the last delta.
    seen: Seen,
    /// What was told of each application.
    told: BTreeMap<String, Set>,
    complete: bool,
    /// The loss that was told.
    lost: Option<KeptError>,
    failures: u32,
    /// Deltas in a row with another hash than ours.
    differs: u32,
    /// The servers tell no deltas, as far as is known.
    no_deltas: bool,
    /// They are asked for deltas once more: another one has answered, or they were away.
    ask_again: bool,
    /// The server that answered last, and when.
    server: Option<usize>,
    heard: Instant,
    next: Instant,
    ready: VecDeque<Result<Update, Lost>>,
}

/// An endless stream of what the registry holds.
pub(super) fn watch(shared: &Shared, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
    stream::unfold(Watch::new(shared, select), async |mut watch| {
        loop {
            if let Some(item) = watch.ready.pop_front() {
                return Some((item, watch));
            }
            watch.step().await;
        }
    })
    .boxed()
}

/// What a look has shown.
enum Looked {
    All(Listing),
    /// All, since no server tells deltas.
    NoDeltas(Listing),
    Delta(Listing),
}

impl Watch {
    fn new(shared: &Shared, select: &Selector) -> Self {
        let now = Instant::now();
        Self {
            shared: shared.clone(),
            select: select.clone(),
            interest: BTreeMap::new(),
            epoch: select.epoch(),
            view: View::new(&shared.settings),
            seen: Seen::default(),
            told: BTreeMap::new(),
            complete: false,
            lost: None,
            failures: 0,
            differs: 0,
            no_deltas: false,
            ask_again: false,
            server: None,
            heard: now,
            next: now,
            ready: VecDeque::new(),
        }
    }

    /// Waits for the next look, or for a write of ours, and tells what is new.
    async fn step(&mut self) {
        let publications = self.shared.publications.clone();
        tokio::select! {
            () = sleep_until(self.next) => {}
            () = publications.changed() => return self.tell_pending(),
        }
        let part = Part::new(PART);
        if !self.select.part(&part, None) && !self.select.needed().contains(&part) {
            self.complete = false;
            self.next = Instant::now() + PACE.every;
            return;
        }
        let begun = Instant::now();
        let looked = self.look().await;
        self.next = Instant::now() + PACE.pause(begun.elapsed());
        match looked {
            Ok(looked) => self.take(looked),
            Err(error) => self.fail(error),
        }
    }

    async fn look(&mut self) -> Result<Looked, Error> {
        let client = &self.shared.client;
        let moved = self.server.is_some_and(|server| server != client.server());
        let none = self.no_deltas && !self.ask_again;
        if !self.complete || none || moved || self.differs >= DIFFERS || self.heard.elapsed() > MISSED {
            return client.all().await.map(Looked::All);
        }
        let error = match client.delta(&mut self.seen).await {
            Ok(delta) => return Ok(Looked::Delta(delta)),
            Err(error) => error,
        };
        // Where they told none before, one that is away and another one that refuses are no news.
        if !self.no_deltas && !matches!(error, Error::Denied(_) | Error::Missing(_)) {
            return Err(error);
        }
        let listing = client.all().await?;
        if !self.no_deltas {
            tracing::info!(%error, "the servers tell no deltas: all is listed every time");
        }
        Ok(Looked::NoDeltas(listing))
    }

    fn take(&mut self, looked: Looked) {
        (self.failures, self.heard) = (0, Instant::now());
        let server = Some(self.shared.client.server());
        let before = std::mem::replace(&mut self.server, server);
        match &looked {
            Looked::All(_) => self.ask_again |= before != server,
            Looked::NoDeltas(_) => (self.no_deltas, self.ask_again) = (true, false),
            Looked::Delta(_) => self.no_deltas = false,
        }
        let touched = match looked {
            Looked::All(listing) | Looked::NoDeltas(listing) => {
                // It may be older than what deltas have told: they tell all of it again.
                (self.differs, self.seen) = (0, Seen::default());
                let Replaced { touched, missing, known } = self.view.replace(listing);
                self.note_unreadable();
                if !self.complete {
                    return self.reset();
                }
                // Where one server tells no deltas, all that can be told is whether it has lost most of what it knew.
                let most = missing > 1 && missing * 2 > known;
                let unseen = if self.no_deltas && before == server { most } else { missing > 0 };
                if unseen {
                    let why = format!("the server lists {missing} instances less, and told of the end of none of them");
                    self.lose(Error::unavailable(why));
                    return self.reset();
                }
                touched
            }
            // Another server's, which may not have been told the same: all of it is to be listed.
            Looked::Delta(_) if before != server => {
                (self.differs, self.next) = (DIFFERS, Instant::now());
                return;
            }
            Looked::Delta(delta) => {
                let hash = delta.hash.clone();
                let broken = !delta.unreadable.is_empty() || !delta.deleted.is_empty();
                let touched = self.view.apply(delta);
                if broken {
                    self.note_unreadable();
                }
                self.differs = if self.view.agrees(&hash) { 0 } else { self.differs + 1 };
                touched
            }
        };
        let selection = self.select.epoch();
        if std::mem::replace(&mut self.epoch, selection) != selection {
            self.interest.clear();
            let untold = self.view.apps().filter(|app| !self.told.contains_key(*app));
            let untold: Vec<_> = untold.map(str::to_owned).collect();
            untold.iter().for_each(|app| self.tell(app));
        }
        if !touched.is_empty() {
            self.note_unreadable();
        }
        touched.iter().for_each(|app| self.tell(app));
        self.tell_pending();
    }

    fn fail(&mut self, error: Error) {
        self.failures += 1;
        // One failure may be a server that is left for another.
        if self.complete && error.is_transient() && self.failures < PACE.outage {
            return;
        }
        self.shared.publications.believe();
        self.ask_again = true;
        self.lose(error);
    }

    /// Nothing is known to be complete any more. One reason is told once.
    fn lose(&mut self, error: Error) {
        let why = KeptError::from(&error);
        let told = self.lost.replace(why.clone());
        if self.complete || told.is_none_or(|told| discriminant(&told) != discriminant(&why)) {
            self.ready.push_back(Err(Lost { part: Some(Part::new(PART)), error }));
        }
        self.complete = false;
    }

    /// Tells everything.
    fn reset(&mut self) {
        (self.complete, self.lost, self.epoch) = (true, None, self.select.epoch());
        self.interest.clear();
        self.told.clear();
        let mut apps: BTreeSet<String> = self.view.apps().map(str::to_owned).collect();
        apps.extend(self.shared.publications.pending().iter().map(|app| app.to_string()));
        for app in apps {
            if self.is_wanted(&app) {
                let set = self.shared.publications.set(&self.view, &app);
                if !set.records.is_empty() {
                    self.told.insert(app, set);
                }
            }
        }
        let sets = self.told.values().cloned().collect();
        self.ready.push_back(Ok(Update::Reset { part: Part::new(PART), title: None, sets }));
    }

    fn is_wanted(&mut self, app: &str) -> bool {
        if let Some(wanted) = self.interest.get(app) {
            return *wanted;
        }
        let wanted = self.select.scope(&scope(app));
        self.interest.insert(app.to_owned(), wanted);
        wanted
    }

    fn tell_pending(&mut self) {
        if self.complete {
            self.shared.publications.pending().iter().for_each(|app| self.tell(app));
        }
    }

    /// Tells an application, where it is otherwise than it was told.
    fn tell(&mut self, app: &str) {
        if !self.is_wanted(app) {
            return;
        }
        let set = self.shared.publications.set(&self.view, app);
        if self.view.rows(app).is_none() {
            self.interest.remove(app);
        }
        if set.records.is_empty() {
            if self.told.remove(app).is_some() {
                self.ready.push_back(Ok(Update::Removed(set.scope)));
            }
        } else if self.told.get(app) != Some(&set) {
            self.told.insert(app.to_owned(), set.clone());
            self.ready.push_back(Ok(Update::Changed(set)));
        }
    }

    fn note_unreadable(&self) {
        *self.shared.unreadable.lock() = self.view.unreadable();
    }
}

#[cfg(test)]
mod tests;
