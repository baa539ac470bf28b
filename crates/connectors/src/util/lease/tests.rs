use super::*;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use tokio::time::{sleep, timeout};

const MANY: u32 = 10_000;
const SECOND: Duration = Duration::from_secs(1);

/// Leases and what has happened to them, in a time of its own.
struct World {
    leases: Leases<u32>,
    every: Duration,
    now: Instant,
    /// When each was renewed last.
    last: HashMap<u32, Instant>,
    renewals: Vec<Instant>,
}

impl World {
    fn new(every: Duration) -> Self {
        let (last, renewals) = (HashMap::new(), Vec::new());
        Self { leases: Leases::default(), every, now: Instant::now(), last, renewals }
    }

    fn add(&mut self, keys: impl IntoIterator<Item = u32>) {
        for key in keys {
            self.leases.keep(key, self.every, self.now);
            self.last.insert(key, self.now);
        }
    }

    fn remove(&mut self, key: u32) {
        self.leases.remove(&key);
        self.last.remove(&key);
    }

    /// Lets this time pass. Every renewal is answered at once, and none may be late.
    fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(at) = self.leases.next().filter(|at| *at < end) {
            self.now = self.now.max(at);
            while let Some(key) = self.leases.pop(self.now) {
                self.leases.renewed(&key, None, self.now);
                let before = self.last.insert(key, self.now).unwrap();
                assert!(self.now - before <= self.every, "renewed after {:?}", self.now - before);
                self.renewals.push(self.now);
            }
        }
        self.now = end;
        self
    }

    /// The most renewals within any second since this was called last, as a multiple of the mean for `count` leases. There
    /// may not be more than a few renewals too many.
    fn busiest(&mut self, passed: Duration, count: usize) -> f64 {
        let mean = count as f64 / self.every.as_secs_f64();
        let all = std::mem::take(&mut self.renewals);
        let (mut window, mut most) = (VecDeque::new(), 0);
        for at in &all {
            window.push_back(*at);
            while window.front().is_some_and(|first| *at - *first >= SECOND) {
                window.pop_front();
            }
            most = most.max(window.len());
        }
        let expected = mean * passed.as_secs_f64();
        assert!((all.len() as f64) < 1.03 * expected && all.len() as f64 > 0.97 * expected, "{} {expected}", all.len());
        most as f64 / mean
    }

    /// Checks that the renewals are even for some time from now on.
    fn is_even(&mut self) {
        self.renewals.clear();
        let time = self.every * 3;
        self.pass(time);
        let most = self.busiest(time, self.last.len());
        assert!(most <= 1.2, "{most} times the mean");
    }
}

#[tokio::test]
async fn what_is_added_at_once_is_spread_evenly() {
    for every in [5, 30, 90].map(Duration::from_secs) {
        let mut world = World::new(every);
        world.add(0..MANY);
        world.is_even();
        world.add(MANY..2 * MANY);
        world.is_even();
    }
}

#[tokio::test]
async fn what_is_added_over_time_is_spread_evenly() {
    for (every, portion, pause) in [(30, 1, 2), (5, 100, 200), (30, 2_500, 9_000), (10, 40, 1)] {
        let mut world = World::new(Duration::from_secs(every));
        for first in (0..MANY).step_by(portion) {
            world.add(first..first + portion as u32);
            world.pass(Duration::from_millis(pause));
        }
        world.is_even();
    }
}

#[tokio::test]
async fn what_is_left_is_spread_evenly_again() {
    let every = Duration::from_secs(30);
    // A third of the ring, from the lease that was renewed so long ago on; or every third.
    for part in [None, Some(0.999), Some(0.8), Some(0.5), Some(0.34)] {
        let mut world = World::new(every);
        world.add(0..MANY);
        world.pass(every * 2);
        let age = |key: &u32| (world.now - world.last[key]).as_secs_f64() / every.as_secs_f64();
        let goes = |key: &u32| part.map_or(key.is_multiple_of(3), |from| (from - 1.0 / 3.0..from).contains(&age(key)));
        let gone: Vec<_> = (0..MANY).filter(goes).collect();
        assert!((3_200..3_400).contains(&gone.len()), "{}", gone.len());
        gone.into_iter().for_each(|key| world.remove(key));
        world.renewals.clear();
        // Until each has been renewed once, deadlines ask for as many as before.
        world.pass(every);
        let most = world.renewals.chunks_exact(2 * MANY as usize / 3 / 30).map(|all| all[all.len() - 1] - all[0]);
        let limit = SECOND.mul_f64(1.0 / 1.5 / 1.2);
        assert!(most.min().unwrap() >= limit, "more than 1.2 times as many as before");
        world.is_even();
    }
}

#[tokio::test]
async fn intervals_are_exact_at_rest() {
    let mut world = World::new(Duration::from_secs(5));
    let begun = world.now;
    world.add([1]);
    world.pass(SECOND * 16);
    let after: Vec<_> = world.renewals.iter().map(|at| (*at - begun).as_secs()).collect();
    assert_eq!(after, [5, 10, 15]);
    // An interval of its own: from the request on, though the answer took a second.
    let now = world.now;
    world.leases.keep(2, SECOND * 8, now);
    assert_eq!(world.leases.pop(now + SECOND * 4), Some(1));
    assert_eq!(world.leases.pop(now + SECOND * 8), Some(2));
    world.leases.renewed(&2, Some(SECOND * 4), now + SECOND * 9);
    assert_eq!(world.leases.next(), Some(now + SECOND * 12));
}

#[tokio::test]
async fn a_lease_is_under_way_once() {
    let (mut leases, now, every) = (Leases::default(), Instant::now(), SECOND * 5);
    leases.keep('a', every, now);
    assert_eq!(leases.pop(now + every), Some('a'));
    // Added anew while it is under way: it waits for the answer, even when it is due.
    leases.remove(&'a');
    leases.keep('a', every, now + every);
    assert_eq!(leases.pop(now + every * 2), None);
    assert_eq!(leases.next(), None);
    leases.failed(&'a', now + every * 3);
    assert_eq!(leases.pop(now + every * 3), Some('a'));
    // What is planned while it is under way stands.
    leases.renew_at('a', every, now + every * 7);
    leases.renewed(&'a', None, now + every * 3);
    assert_eq!(leases.next(), Some(now + every * 7));
    assert_eq!(leases.pop(now + every * 7), Some('a'));
    leases.remove(&'a');
    leases.renewed(&'a', None, now + every * 7);
    assert_eq!(leases.next(), None);
    leases.keep('b', every, now);
    assert_eq!(leases.pop(now + every), Some('b'));
    leases.restart(now + every * 2);
    assert_eq!(leases.pop(now + every * 2), Some('b'), "the answer is never going to come");
}

#[tokio::test]
async fn others_that_fail_or_hang_do_not_hurry_a_lease() {
    for hang in [false, true] {
        let mut world = World::new(SECOND * 10);
        world.add(0..50);
        world.pass(SECOND * 20);
        let end = world.now + SECOND * 10;
        let mut renewed = 0;
        while let Some(at) = world.leases.next().filter(|at| *at < end) {
            match world.leases.pop(at) {
                Some(0) => {
                    world.leases.renewed(&0, None, at);
                    renewed += 1;
                }
                Some(key) if !hang => world.leases.failed(&key, at + SECOND),
                _ => {}
            }
        }
        assert!((1..=3).contains(&renewed), "{renewed}");
    }
}

/// What was sent, with the second.
type Sent = Mutex<Vec<(u64, u32)>>;

async fn for_seconds(seconds: u64, run: impl Future<Output = ()>) {
    assert!(timeout(Duration::from_millis(seconds * 1_000 + 500), run).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn slow_renewals_are_bounded_and_never_doubled() {
    let keeper = Keeper::default();
    let (busy, most, count) = (Mutex::new(BTreeSet::new()), Mutex::new(Vec::new()), Mutex::new(0));
    (0..100_u32).for_each(|key| keeper.change(|leases| leases.keep(key, SECOND, Instant::now())));
    let renew = |key| {
        let (busy, most, count) = (&busy, &most, &count);
        async move {
            assert!(busy.lock().insert(key), "twice at once");
            let now = busy.lock().len();
            most.lock().push(now);
            sleep(SECOND * 3).await;
            *count.lock() += 1;
            busy.lock().remove(&key);
            Renewal::Done(None)
        }
    };
    for_seconds(30, keeper.run(10, renew)).await;
    assert_eq!(most.lock().iter().max(), Some(&10));
    let count = *count.lock();
    assert!((90..=100).contains(&count), "{count}");
}

#[tokio::test(start_paused = true)]
async fn the_driver_keeps_the_pace() {
    // Servers that answer at once, and after a second.
    for (latency, at_a_time) in [(Duration::ZERO, 32), (SECOND, 4_000)] {
        let keeper = Keeper::default();
        let begun = Instant::now();
        let seconds = Mutex::new([0_u32; 31]);
        let renew = |_| {
            seconds.lock()[begun.elapsed().as_secs() as usize] += 1;
            sleep(latency).map(|()| Renewal::Done(None))
        };
        keeper.change(|leases| (0..MANY).for_each(|key| leases.keep(key, SECOND * 5, begun)));
        for_seconds(30, keeper.run(at_a_time, renew)).await;
        let seconds = &seconds.lock()[..30];
        assert!(seconds.iter().all(|n| (1_600..=2_400).contains(n)), "{seconds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_caller_hears_of_failures_and_decides() {
    let keeper = Keeper::default();
    let (begun, sent) = (Instant::now(), Sent::default());
    let renew = |key| {
        sent.lock().push((begun.elapsed().as_secs(), key));
        let first = sent.lock().iter().filter(|(_, one)| *one == key).count() == 1;
        match key {
            // Refused once.
            1 if first => Renewal::Failed(SECOND),
            // Not known to the server: given up.
            2 => {
                keeper.change(|leases| leases.remove(&2));
                Renewal::Failed(SECOND)
            }
            // Not known to the server: registered again, with another interval.
            3 if first => {
                keeper.change(|leases| leases.keep(3, SECOND * 3, Instant::now()));
                Renewal::Failed(SECOND)
            }
            _ => Renewal::Done(None),
        }
    };
    (1..=3).for_each(|key| keeper.change(|leases| leases.renew_at(key, SECOND * 20, begun + SECOND * 4)));
    for_seconds(8, keeper.run(8, |key| std::future::ready(renew(key)))).await;
    assert_eq!(*sent.lock(), [(4, 1), (4, 2), (4, 3), (5, 1), (7, 3)]);
}

#[tokio::test(start_paused = true)]
async fn while_no_server_answers_one_lease_is_tried_at_a_time() {
    let keeper = Keeper::default();
    let (begun, sent) = (Instant::now(), Sent::default());
    let renew = |key| {
        let second = begun.elapsed().as_secs();
        sent.lock().push((second, key));
        match second {
            0..5 => Renewal::Away(SECOND, "refused".into()),
            _ => Renewal::Done(None),
        }
    };
    (0..50).for_each(|key| keeper.change(|leases| leases.renew_at(key, SECOND * 60, begun)));
    for_seconds(6, keeper.run(10, |key| sleep(SECOND / 10).map(move |()| renew(key)))).await;
    let sent = sent.lock();
    let per_second = |second| sent.iter().filter(|(at, _)| *at == second).count();
    assert_eq!((0..4).map(per_second).collect::<Vec<_>>(), [10, 1, 1, 1], "{sent:?}");
    assert_eq!(sent.iter().filter(|(at, _)| *at >= 5).count(), 50, "all, once it answers: {sent:?}");
}
