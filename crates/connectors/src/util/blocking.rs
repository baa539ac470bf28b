//! Queries that a server answers when something has changed, by an index.

use super::backoff::Backoff;
use std::mem;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The index of a first query: the server answers at once.
const FIRST: u64 = 0;

/// One query that is asked again and again.
#[derive(Debug)]
pub(crate) struct Blocking {
    /// What the next query sends.
    index: u64,
    /// The index of the last answer.
    last: u64,
    /// How long the server holds a query back that has nothing new to say.
    wait: Duration,
    /// The least time between two queries, where an answer says nothing new.
    pause: Duration,
    backoff: Backoff,
    /// No query is sent before.
    not_before: Option<Instant>,
    /// The next answer is returned, whatever its index.
    owed: bool,
    /// The last answer came before its time and said nothing new.
    doubted: bool,
    follows: bool,
}

impl Blocking {
    /// Nothing is known yet. `backoff` is the wait after the first error and the longest one.
    pub fn new(wait: Duration, pause: Duration, backoff: (Duration, Duration)) -> Self {
        Self {
            index: FIRST,
            last: FIRST,
            wait,
            pause,
            backoff: Backoff::new(backoff.0, backoff.1),
            not_before: None,
            owed: true,
            doubted: false,
            follows: true,
        }
    }

    /// The same where the answer with this index is known already.
    pub fn resumed(index: u64, wait: Duration, pause: Duration, backoff: (Duration, Duration)) -> Self {
        Self { index, last: index, owed: false, ..Self::new(wait, pause, backoff) }
    }

    /// Whether the answer that was returned last follows from the one before. It does not where the index went backwards, or
    /// where an answer that came before its time turned out to hide another index: the server was restarted, replaced or put
    /// back to an earlier state, and what it lacks was not simply removed.
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// Asks until there is an answer with another index than the last one. `ask` gets the index to send (0 for the current
    /// state, at once) and returns the answer's index and content; how long it may take is for `ask` to decide.
    ///
    /// An error is returned at once. The call after it waits, longer after each error in a row, and asks for the current
    /// state: so the first answer after an outage is always returned. The current state is also asked for after an index that
    /// went backwards, as after a restart of the server. Answers without an index (0) are all returned. Dropping the future
    /// loses nothing.
    ///
    /// An answer with the same index before half of the wait is over is doubted: a server that is put back to an earlier state
    /// wakes everybody who waits, and tells them the index of what it has thrown away. The current state is asked for at once.
    /// If that has the same index, nothing has happened; else it is returned, and [`Blocking::follows`] says so.
    pub async fn next<T, E, F>(&mut self, ask: impl Fn(u64) -> F) -> Result<T, E>
    where
        F: Future<Output = Result<(u64, T), E>>,
    {
        loop {
            if let Some(at) = self.not_before {
                sleep_until(at).await;
            }
            let begun = Instant::now();
            let answer = ask(self.index).await;
            let (index, content) = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    (self.index, self.owed) = (FIRST, true);
                    self.not_before = Some(Instant::now() + self.backoff.next());
                    return Err(error);
                }
            };
            self.backoff.reset();
            let asked = mem::replace(&mut self.index, index);
            let before = mem::replace(&mut self.last, index);
            let (owed, doubted) = (mem::take(&mut self.owed), mem::take(&mut self.doubted));
            if index == asked && asked != FIRST && begun.elapsed() < self.wait / 2 {
                (self.index, self.doubted, self.not_before) = (FIRST, true, None);
                continue;
            }
            let back = index < before;
            if back {
                (self.index, self.owed) = (FIRST, true);
            }
            self.not_before = (index <= asked || doubted).then_some(begun + self.pause);
            if owed || index != before || index == FIRST {
                let hidden = doubted && index != before;
                self.follows = !(back || hidden);
                return Ok(content);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use tokio::time::{sleep, timeout};

    const SECOND: Duration = Duration::from_secs(1);

    fn blocking() -> Blocking {
        Blocking::new(SECOND * 20, SECOND, (SECOND * 2, SECOND * 60))
    }

    /// A server that gives these answers, each after a time, and then none. Notes when each query came, and its index.
    struct Fake {
        answers: Mutex<Vec<(Duration, Result<u64, &'static str>)>>,
        asked: Mutex<Vec<(u64, u64)>>,
        begun: Instant,
    }

    impl Fake {
        fn new(answers: &[(u64, Result<u64, &'static str>)]) -> Self {
            let answers = answers.iter().rev().map(|(after, answer)| (SECOND * (*after as u32), *answer)).collect();
            Self { answers: Mutex::new(answers), asked: Mutex::default(), begun: Instant::now() }
        }

        async fn ask(&self, index: u64) -> Result<(u64, u64), &'static str> {
            self.asked.lock().push((self.begun.elapsed().as_secs(), index));
            let Some((after, answer)) = self.answers.lock().last().copied() else {
                return std::future::pending().await;
            };
            sleep(after).await;
            self.answers.lock().pop();
            answer.map(|index| (index, index))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_returned_and_other_answers_are_not() {
        // Unchanged until the wait is over; a change; two changes without a pause.
        let fake = Fake::new(&[(0, Ok(5)), (20, Ok(5)), (3, Ok(6)), (0, Ok(7)), (0, Ok(8))]);
        let mut blocking = blocking();
        for expected in 5..=8 {
            assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(expected));
            assert!(blocking.follows());
        }
        assert_eq!(*fake.asked.lock(), [(0, 0), (0, 5), (20, 5), (23, 6), (23, 7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_before_its_time_that_hides_nothing_is_nothing_new() {
        // Twice too early, and the current state is the same; in time; a change.
        let (again, same) = ((0, Ok(5)), (0, Ok(5)));
        let fake = Fake::new(&[(0, Ok(5)), again, same, again, same, (15, Ok(5)), (3, Ok(6))]);
        let mut blocking = blocking();
        for expected in [5, 6] {
            assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(expected));
            assert!(blocking.follows());
        }
        assert_eq!(*fake.asked.lock(), [(0, 0), (0, 5), (0, 0), (1, 5), (1, 0), (2, 5), (17, 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_put_back_is_noticed() {
        // All who wait are woken with the index of what is no more. What stands now is older, or was written since.
        for now in [40, 60] {
            let fake = Fake::new(&[(0, Ok(50)), (3, Ok(50)), (0, Ok(now))]);
            let mut blocking = blocking();
            assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(50));
            assert!(blocking.follows());
            assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(now));
            assert!(!blocking.follows());
            assert_eq!(*fake.asked.lock(), [(0, 0), (0, 50), (3, 0)]);
        }
        // The doubt lasts over an error.
        let fake = Fake::new(&[(3, Ok(50)), (0, Err("a")), (0, Ok(60)), (0, Ok(61))]);
        let mut blocking = Blocking::resumed(50, SECOND * 20, SECOND, (SECOND * 2, SECOND * 60));
        assert_eq!(blocking.next(|index| fake.ask(index)).await, Err("a"));
        assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(60));
        assert!(!blocking.follows());
        assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(61));
        assert!(blocking.follows());
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_that_goes_backwards_begins_anew() {
        let fake = Fake::new(&[(0, Ok(50)), (3, Ok(4)), (0, Ok(4)), (2, Ok(0)), (0, Ok(0)), (0, Ok(2))]);
        let mut blocking = blocking();
        for expected in [50, 4, 4, 0, 0, 2] {
            assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(expected));
        }
        // Only the last one waited: the other answers took longer than the pause, or said something new.
        assert_eq!(*fake.asked.lock(), [(0, 0), (0, 50), (3, 0), (3, 4), (5, 0), (6, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_goes_backwards_at_once_is_not_asked_all_the_time() {
        let fake = Fake::new(&(0..40).map(|n| (0, Ok(10 - n % 2))).collect::<Vec<_>>());
        let mut blocking = blocking();
        for n in 0..40 {
            assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(10 - n % 2));
        }
        assert!(fake.begun.elapsed() >= SECOND * 19, "{:?}", fake.begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_returned_and_waited_for() {
        let fake = Fake::new(&[(0, Ok(5)), (0, Err("a")), (0, Err("b")), (0, Err("c")), (0, Ok(5)), (0, Err("d"))]);
        let mut blocking = blocking();
        for expected in [Ok(5), Err("a"), Err("b"), Err("c"), Ok(5), Err("d")] {
            assert_eq!(blocking.next(|index| fake.ask(index)).await, expected);
        }
        let asked = fake.asked.lock();
        assert_eq!(asked.iter().map(|(_, index)| *index).collect::<Vec<_>>(), [0, 5, 0, 0, 0, 5]);
        let waits: Vec<_> = asked.windows(2).map(|two| two[1].0 - two[0].0).collect();
        assert!(waits[0] == 0 && (1..=2).contains(&waits[1]) && (2..=4).contains(&waits[2]), "{waits:?}");
        assert!((4..=8).contains(&waits[3]) && waits[4] == 0, "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_that_is_dropped_is_asked_again() {
        let fake = Fake::new(&[(0, Ok(5)), (30, Ok(6)), (0, Err("a")), (0, Ok(6))]);
        let mut blocking = blocking();
        assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(5));
        for _ in 0..3 {
            assert!(timeout(SECOND * 10, blocking.next(|index| fake.ask(index))).await.is_err());
        }
        assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(6));
        assert_eq!(blocking.next(|index| fake.ask(index)).await, Err("a"));
        // A wait that is dropped is not forgotten.
        for _ in 0..9 {
            drop(timeout(SECOND / 10, blocking.next(|index| fake.ask(index))).await);
        }
        assert_eq!(fake.asked.lock().len(), 6);
        assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(6));
        assert!(fake.begun.elapsed() >= SECOND * 61);
    }
}
