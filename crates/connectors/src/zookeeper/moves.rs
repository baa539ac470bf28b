//! Moves znodes of ours from a session that holds too much to others: an earlier version held all in one.

use super::carriers::{Slot, Wish};
use super::client::{Create, Error as WireError, Op};
use super::writes::Writes;
use causeway_core::Error;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};

/// Znodes that are moved in one step.
const STEP: usize = 64;

impl Writes {
    /// Moves some of what a session holds too much. Returns whether anything was moved.
    pub async fn move_some(&self, slot: Slot) -> bool {
        let paths = self.ours.spread().excess(slot, STEP);
        let moves: Vec<_> = paths.iter().map(|path| self.move_one(path, slot).boxed()).collect();
        let outcomes: Vec<_> = stream::iter(moves).buffered(STEP).collect().await;
        let failed = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
        let moved = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        tracing::info!(
            moved,
            failed = failed.map(|error| error.to_string()),
            "copies moved to sessions that hold less"
        );
        moved > 0
    }

    /// Deletes a znode and creates it again under another session, in one transaction: it is there at any moment. Who
    /// watches it is told of both.
    async fn move_one(&self, path: &str, slot: Slot) -> Result<(), Error> {
        let now = self.carriers.session_of(path);
        let (data, stat) = match now.read(path).await {
            Err(WireError::NotFound(_)) => {
                self.ours.spread().release(path);
                return Ok(());
            }
            read => read?,
        };
        if self.ours.spread().slot_of(stat.ephemeral_owner) != Some(slot) {
            self.ours.spread().seen(path, Some(stat.ephemeral_owner));
            return Ok(());
        }
        let acl = match self.ours.get(path) {
            Some(one) => self.checked_acl(&one.record),
            None => now.acl(path).await?.0,
        };
        let moved = async {
            let session = self.carriers.hold(path, Wish::Leave(slot)).await?;
            let create = Op::Create(path, data.as_deref(), Create { ephemeral: true, acl: &acl });
            Ok(session.multi(&[Op::Delete(path, Some(stat.version)), create]).await?)
        };
        let outcome: Result<(), Error> = moved.await;
        if outcome.is_err() {
            // Where it was moved in spite of that, the watch tells.
            self.ours.spread().found(path, slot);
        }
        outcome
    }
}
