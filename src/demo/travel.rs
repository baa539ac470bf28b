//! How long changes take from one side to the other.

use super::registries::{STEPS, Step, World};
use std::time::Duration;
use tokio::time::Instant;

/// One step that was taken, and when the other side showed it.
#[derive(Clone, Debug)]
pub struct Trip {
    /// What happened.
    pub step: Step,
    /// When, after the demo's begin.
    pub at: Duration,
    /// How long the other side took; `None`: it does not show it yet.
    pub took: Option<Duration>,
    begun: Instant,
}

/// All steps so far.
pub struct Travel {
    /// In the order in which they happened.
    pub trips: Vec<Trip>,
    /// How often a look found the service that moves with no instance at all.
    pub gaps: usize,
    begin: Instant,
}

impl Travel {
    /// Nothing has happened yet.
    pub fn new(begin: Instant) -> Self {
        Self { trips: Vec::new(), gaps: 0, begin }
    }

    /// Takes the next step.
    pub fn step(&mut self, world: &World) {
        let step = STEPS[self.trips.len() % STEPS.len()];
        let begun = Instant::now();
        world.act(&step);
        self.trips.push(Trip { step, at: begun - self.begin, took: None, begun });
    }

    /// Looks at both sides; the trips that have arrived since the last look.
    pub fn look(&mut self, world: &World) -> Vec<Trip> {
        let now = Instant::now();
        let mut arrived = Vec::new();
        for trip in self.trips.iter_mut().filter(|trip| trip.took.is_none()) {
            if world.arrived(&trip.step) {
                trip.took = Some(now - trip.begun);
                arrived.push(trip.clone());
            }
        }
        self.gaps += usize::from((0..2).any(|side| world.count(side, "mail").sum() == 0));
        arrived
    }

    /// Whether every side shows what the other has done.
    pub fn all_arrived(&self) -> bool {
        self.trips.iter().all(|trip| trip.took.is_some())
    }

    /// The steps that no other side has shown.
    pub fn lost(&self) -> impl Iterator<Item = &Trip> {
        self.trips.iter().filter(|trip| trip.took.is_none())
    }

    /// The median and the longest trip.
    pub fn times(&self) -> Option<(Duration, Duration)> {
        let mut times: Vec<_> = self.trips.iter().filter_map(|trip| trip.took).collect();
        times.sort();
        Some((*times.get(times.len() / 2)?, *times.last()?))
    }
}

/// `<1 ms`, `3 ms`, `1.2 s`.
pub fn time_words(time: Duration) -> String {
    match time.as_millis() {
        0 => "<1 ms".to_owned(),
        ms @ 1..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
