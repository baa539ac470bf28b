//! Queries that a server answers when something has changed, by an index.

use super::backoff::Backoff;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The index of a first query: the server answers at once.
const FIRST: u64 = 0;

/// One query that is asked again and again.
#[derive(Debug)]
pub(crate) struct Blocking {
    index: u64,
    /// The least time between two queries, where an answer says nothing new.
    pause: Duration,
    backoff: Backoff,
    /// No query is sent before.
    not_before: Option<Instant>,
}

impl Blocking {
    /// Nothing is known yet. `backoff` is the wait after the first error and the longest one.
    pub fn new(pause: Duration, backoff: (Duration, Duration)) -> Self {
        Self { index: FIRST, pause, backoff: Backoff::new(backoff.0, backoff.1), not_before: None }
    }

    /// The same where the answer with this index is known already.
    pub fn resumed(index: u64, pause: Duration, backoff: (Duration, Duration)) -> Self {
        Self { index, ..Self::new(pause, backoff) }
    }

    /// Asks until there is an answer with another index than the last one. `ask` gets the index to send (0 for the current
    /// state, at once) and returns the answer's index and content; how long it may take is for `ask` to decide.
    ///
    /// An error is returned at once. The call after it waits, longer after each error in a row, and asks for the current
    /// state: so the first answer after an outage is always returned. The current state is also asked for after an index that
    /// went backwards, as after a restart of the server. Answers without an index (0) are all returned. Dropping the future
    /// loses nothing.
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
            let before = self.index;
            match answer {
                Ok((index, content)) => {
                    self.backoff.reset();
                    self.index = if index < before { FIRST } else { index };
                    self.not_before = (index <= before).then_some(begun + self.pause);
                    if index != before || index == FIRST {
                        return Ok(content);
                    }
                }
                Err(error) => {
                    self.index = FIRST;
                    self.not_before = Some(Instant::now() + self.backoff.next());
                    return Err(error);
                }
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
        Blocking::new(SECOND, (SECOND * 2, SECOND * 60))
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
        // Unchanged at once, twice; unchanged after a while; a change; two changes without a pause.
        let fake = Fake::new(&[(0, Ok(5)), (0, Ok(5)), (0, Ok(5)), (9, Ok(5)), (3, Ok(6)), (0, Ok(7)), (0, Ok(8))]);
        let mut blocking = blocking();
        for expected in 5..=8 {
            assert_eq!(blocking.next(|index| fake.ask(index)).await, Ok(expected));
        }
        let asked = [(0, 0), (0, 5), (1, 5), (2, 5), (11, 5), (14, 6), (14, 7)];
        assert_eq!(*fake.asked.lock(), asked);
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
