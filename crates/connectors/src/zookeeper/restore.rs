//! Restores our znodes when sessions end, and moves them out of a session that holds too much: an earlier version held all
//! in one.

use super::carriers::{SessionChoice, SessionSlot};
use super::client::{Create, Op, Session, WireError};
use super::publications::Published;
use super::writes::{AT_ONCE, Writes};
use causeway_core::Error;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Znodes that are moved in one step.
const STEP: usize = 64;

impl Writes {
    /// Makes sure that everything of ours, or what is ours of these paths, is held by one of our sessions: what is missing is
    /// made again, and what a former session still holds is taken over in one step. Nothing of others is touched.
    pub async fn restore(&self, only: Option<BTreeSet<Arc<str>>>) -> Result<(), Error> {
        let mut all = self.ours.ephemerals();
        all.retain(|(path, _)| only.as_ref().is_none_or(|only| only.contains(path)));
        let paths: Vec<String> = all.iter().map(|(path, _)| path.to_string()).collect();
        let stats = self.session.stat_many(&paths).await;
        let mut writes = Vec::new();
        for ((path, one), stat) in all.iter().zip(stats) {
            let stands = match stat {
                Ok(Some(stat)) => {
                    self.ours.spread().seen(path, Some(stat.ephemeral_owner));
                    !self.is_left(stat.ephemeral_owner)
                }
                Ok(None) => false,
                Err(error) if error.is_transient() => return Err(error.into()),
                // What may not be read is the plan's to tell.
                Err(_) => true,
            };
            if !stands {
                writes.push(self.restore_one(path, one).boxed());
            }
        }
        let outcomes: Vec<_> = stream::iter(writes).buffered(AT_ONCE).collect().await;
        // Anything else the plan sees, and tells of.
        let again = |outcome: &Result<(), Error>| matches!(outcome, Err(Error::Unavailable(_)));
        outcomes.into_iter().find(again).unwrap_or(Ok(()))
    }

    /// Whether what lives by this session is ours, and is to live by another one.
    fn is_left(&self, owner: i64) -> bool {
        let spread = self.ours.spread();
        spread.is_own(owner) && spread.slot_of(owner).is_none()
    }

    /// Makes a znode of ours stand under one of our sessions, unless it was withdrawn or changed meanwhile. What stands there
    /// under it already is the writer's, and newer.
    async fn restore_one(&self, path: &str, one: &Published) -> Result<(), Error> {
        let wanted = || self.ours.get(path).is_some_and(|now| now == *one);
        if !wanted() {
            return Ok(());
        }
        let session = self.carriers.hold(path, SessionChoice::Any).await?;
        match self.create(&session, path, one).await {
            Err(WireError::Exists(_)) => self.relive(&session, path, one).await?,
            made => made?,
        }
        if wanted() { Ok(()) } else { self.take_back(path, one).await }
    }

    /// Moves a znode that an earlier session of ours holds to this one, in one step.
    async fn relive(&self, session: &Session, path: &str, one: &Published) -> Result<(), WireError> {
        let Some(stat) = session.stat(path).await? else { return Ok(()) };
        if !self.is_left(stat.ephemeral_owner) {
            self.ours.spread().seen(path, Some(stat.ephemeral_owner));
            return Ok(());
        }
        self.create_over(session, path, one, stat.version).await
    }

    /// It was withdrawn or changed while it was made again: what was made goes, and what is wanted is the writer's.
    async fn take_back(&self, path: &str, one: &Published) -> Result<(), Error> {
        let session = self.carriers.session_of(path);
        let (there, stat) = match session.get(path).await {
            Err(WireError::NotFound(_)) => return Ok(()),
            read => read?,
        };
        if *there == *one.data && self.ours.get(path).is_none() && self.ours.is_own(stat.ephemeral_owner) {
            match session.delete(path, Some(stat.version)).await {
                Ok(()) | Err(WireError::NotFound(_) | WireError::BadVersion(_)) => {}
                Err(error) => return Err(error.into()),
            }
            self.ours.spread().release(path);
        }
        Ok(())
    }

    /// Moves some of what a session holds too much. Returns whether anything was moved.
    pub async fn move_some(&self, slot: SessionSlot) -> bool {
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

    /// Deletes a znode and creates it again under another session, in one transaction: it is there at any moment. Watchers
    /// see both events.
    async fn move_one(&self, path: &str, slot: SessionSlot) -> Result<(), Error> {
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
            let session = self.carriers.hold(path, SessionChoice::Leave(slot)).await?;
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
