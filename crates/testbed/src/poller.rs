//! Looks at instance lists all the time and keeps what was missing or double, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::open_api::OpenApi;
use crate::record::ServiceName;

/// Requests on their way at once.
const WIDTH: usize = 8;
/// Kept per service; more are counted only.
const KEPT: usize = 10_000;

/// Polls what subscribers are shown (`instance/list`) in the background. A server answers these from the state it last
/// told its subscribers. Dropping it ends the polling.
pub struct Poller {
    state: Arc<Mutex<State>>,
    _work: JoinSet<()>,
}

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Rounds over all services.
    pub rounds: u64,
    /// The longest time from one round's start to the next one's.
    pub longest_round: Duration,
    /// Lists that were not answered; they say nothing about what was there.
    pub failures: u64,
    pub services: BTreeMap<ServiceName, Watched>,
}

/// One service over time. Times are since the poller's start.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Answered lists.
    pub lists: u64,
    /// The fewest and the most instances in a list.
    pub fewest: Option<usize>,
    pub most: usize,
    /// Times in which an address was not there, though it had been before.
    pub gaps: Vec<Gap>,
    /// Times in which an address stood there more than once.
    pub doubles: Vec<Double>,
    /// Gaps and doubles beyond the 10,000 that are kept.
    pub dropped: u64,
    /// `ip:port` to how often it stands in the latest list (0 when it is gone).
    now: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// `ip:port`.
    pub address: String,
    pub from: Duration,
    /// `None` while it lasts.
    pub to: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Double {
    pub address: String,
    pub from: Duration,
    pub to: Option<Duration>,
}

#[derive(Default)]
struct State {
    report: Report,
}

impl Poller {
    /// Polls each service every 20 ms (or as fast as the server answers, eight requests at once).
    pub fn start(api: OpenApi, services: Vec<ServiceName>) -> Self {
        Self::start_every(Duration::from_millis(20), api, services)
    }

    pub fn start_every(period: Duration, api: OpenApi, services: Vec<ServiceName>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let mut work = JoinSet::new();
        work.spawn(poll(period, api, services, state.clone()));
        Self { state, _work: work }
    }

    pub fn report(&self) -> Report {
        self.state.lock().report.clone()
    }

    /// Forgets everything but what stands in the lists now, for the next phase of a test.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        let services = std::mem::take(&mut state.report.services);
        state.report = Report::default();
        for (service, watched) in services {
            let here = watched.now.into_iter().filter(|(_, times)| *times > 0).collect();
            state.report.services.insert(service, Watched { now: here, ..Watched::default() });
        }
    }
}

impl Report {
    /// The fewest instances seen in one list, over all services; `None` before the first answer.
    pub fn fewest(&self) -> Option<usize> {
        self.services.values().filter_map(|watched| watched.fewest).min()
    }

    pub fn gaps(&self) -> usize {
        self.services.values().map(|watched| watched.gaps.len()).sum()
    }

    /// The longest time that any address stood there twice; `now` ends those that last.
    pub fn longest_double(&self, now: Duration) -> Duration {
        let all = self.services.values().flat_map(|watched| &watched.doubles);
        all.map(|double| double.to.unwrap_or(now).saturating_sub(double.from)).max().unwrap_or_default()
    }
}

impl Watched {
    fn add(&mut self, at: Duration, list: BTreeMap<String, usize>, count: usize) {
        self.lists += 1;
        self.fewest = Some(self.fewest.map_or(count, |fewest| fewest.min(count)));
        self.most = self.most.max(count);
        let gone: Vec<String> = self.now.keys().filter(|address| !list.contains_key(*address)).cloned().collect();
        for address in gone {
            self.change(at, &address, 0);
        }
        for (address, times) in list {
            self.change(at, &address, times);
        }
    }

    fn change(&mut self, at: Duration, address: &str, times: usize) {
        let before = self.now.insert(address.into(), times);
        let Some(before) = before else {
            if times > 1 {
                self.open_double(at, address);
            }
            return;
        };
        if before > 0 && times == 0 {
            if self.gaps.len() < KEPT {
                self.gaps.push(Gap { address: address.into(), from: at, to: None });
            } else {
                self.dropped += 1;
            }
        }
        if before == 0 && times > 0 {
            let open = self.gaps.iter_mut().rev().find(|gap| gap.address == address && gap.to.is_none());
            if let Some(gap) = open {
                gap.to = Some(at);
            }
        }
        if before < 2 && times > 1 {
            self.open_double(at, address);
        }
        if before > 1 && times < 2 {
            let mut open = self.doubles.iter_mut().rev();
            if let Some(double) = open.find(|double| double.address == address && double.to.is_none()) {
                double.to = Some(at);
            }
        }
    }

    fn open_double(&mut self, at: Duration, address: &str) {
        if self.doubles.len() < KEPT {
            self.doubles.push(Double { address: address.into(), from: at, to: None });
        } else {
            self.dropped += 1;
        }
    }
}

async fn poll(period: Duration, api: OpenApi, services: Vec<ServiceName>, state: Arc<Mutex<State>>) {
    let start = Clock::now();
    let mut last = start;
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let round = Clock::now();
        {
            let mut state = state.lock();
            state.report.rounds += 1;
            state.report.longest_round = state.report.longest_round.max(round - last);
        }
        last = round;
        let api = &api;
        let asked = stream::iter(services.clone()).map(|service| async move {
            let answer = api.visible(&service).await;
            (service, answer)
        });
        let mut answers = asked.buffer_unordered(WIDTH);
        while let Some((service, answer)) = answers.next().await {
            let at = start.elapsed();
            let mut state = state.lock();
            let Ok(list) = answer else {
                state.report.failures += 1;
                continue;
            };
            let mut times = BTreeMap::new();
            for instance in &list {
                *times.entry(instance.address()).or_insert(0) += 1;
            }
            let watched = state.report.services.entry(service).or_default();
            watched.add(at, times, list.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> (BTreeMap<String, usize>, usize) {
        let mut out = BTreeMap::new();
        for address in addresses {
            *out.entry((*address).to_string()).or_insert(0) += 1;
        }
        (out, addresses.len())
    }

    #[test]
    fn gaps_and_doubles_have_a_beginning_and_an_end() {
        let mut watched = Watched::default();
        let at = Duration::from_millis;
        let steps: [&[&str]; 5] = [&["a"], &["a", "b", "b"], &["b"], &["a", "b"], &["a"]];
        for (n, addresses) in steps.iter().enumerate() {
            let (times, count) = list(addresses);
            watched.add(at(n as u64), times, count);
        }
        assert_eq!((watched.fewest, watched.most, watched.lists), (Some(1), 3, 5));
        let gap =
            |address: &str, from, to: Option<u64>| Gap { address: address.into(), from: at(from), to: to.map(at) };
        assert_eq!(watched.gaps, [gap("a", 2, Some(3)), gap("b", 4, None)]);
        let double = Double { address: "b".into(), from: at(1), to: Some(at(2)) };
        assert_eq!(watched.doubles, [double]);
    }
}
