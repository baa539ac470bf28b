//! Which connection of this process uses what a vault keeps, when one connection follows another.

use std::sync::Arc;
use tokio::sync::watch;

/// The turns of one vault, one after the other. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<watch::Sender<Stand>>);

#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    /// The last turn that was taken.
    taken: u64,
    /// The last one that has begun.
    begun: u64,
}

/// One connection's turn. It is over when a later one has begun; until then the connection goes on as it is, so that nothing
/// is lost where the later one never works.
#[derive(Clone, Debug)]
pub struct Turn {
    number: u64,
    stand: Arc<watch::Sender<Stand>>,
}

impl Turns {
    /// The next turn.
    pub fn take(&self) -> Turn {
        let mut number = 0;
        self.0.send_modify(|stand| {
            stand.taken += 1;
            number = stand.taken;
        });
        Turn { number, stand: self.0.clone() }
    }
}

impl Turn {
    /// Whether nobody has taken a turn after this one.
    pub fn is_last(&self) -> bool {
        self.stand.borrow().taken == self.number
    }

    /// Does this while nobody has taken a turn after this one: who takes one waits for the end of it. Returns whether it
    /// was done.
    pub fn while_last(&self, what: impl FnOnce()) -> bool {
        let stand = self.stand.borrow();
        let last = stand.taken == self.number;
        if last {
            what();
        }
        last
    }

    /// The connection works: all turns before this one are over.
    pub fn begin(&self) {
        self.stand.send_modify(|stand| stand.begun = stand.begun.max(self.number));
    }

    /// Returns when this turn is over.
    pub async fn over(&self) {
        let mut stand = self.stand.subscribe();
        // The sender is ours: it does not end.
        drop(stand.wait_for(|stand| stand.begun > self.number).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_turn_is_over_when_a_later_one_has_begun() {
        let turns = Turns::default();
        let (first, second) = (turns.take(), turns.take());
        assert!(!first.is_last() && second.is_last());
        assert!(!first.while_last(|| unreachable!()) && second.while_last(|| ()));
        first.begin();
        assert!(first.over().now_or_never().is_none(), "the second has not begun");
        second.begin();
        first.begin();
        assert!(first.over().now_or_never().is_some() && second.over().now_or_never().is_none());
    }
}
