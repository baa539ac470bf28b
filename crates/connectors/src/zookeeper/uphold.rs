//! Keeps what is ours standing when the session becomes another one.

use super::client::{Create, Error as WireError, Op};
use super::convert;
use super::publications::Published;
use super::writes::{AT_ONCE, Writes, acl};
use causeway_core::Error;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};

impl Writes {
    /// Makes sure that everything of ours stands under the present session: what is missing is made again, and what an
    /// earlier session holds is taken over in one step. Nothing of others is touched.
    pub async fn uphold(&self) -> Result<(), Error> {
        let all = self.ours.ephemerals();
        let paths: Vec<String> = all.iter().map(|(path, _)| path.to_string()).collect();
        let current = self.session.status().borrow().session;
        let stats = self.session.stat_many(&paths).await;
        let mut writes = Vec::new();
        for ((path, one), stat) in all.iter().zip(stats) {
            let stands = match stat {
                Ok(Some(stat)) => Some(stat.ephemeral_owner) == current || !self.ours.is_own(stat.ephemeral_owner),
                Ok(None) => false,
                Err(error) if error.is_transient() => return Err(convert::error(error)),
                // What may not be read is the plan's to tell.
                Err(_) => true,
            };
            if !stands {
                writes.push(self.uphold_one(path, one).boxed());
            }
        }
        let outcomes: Vec<_> = stream::iter(writes).buffered(AT_ONCE).collect().await;
        // Anything else the plan sees, and tells of.
        let again = |outcome: &Result<(), Error>| matches!(outcome, Err(Error::Unavailable(_)));
        outcomes.into_iter().find(again).unwrap_or(Ok(()))
    }

    /// Makes a znode of ours stand under the present session, unless it was withdrawn or changed meanwhile. What stands there
    /// under it already is the writer's, and newer.
    async fn uphold_one(&self, path: &str, one: &Published) -> Result<(), Error> {
        let wanted = || self.ours.get(path).is_some_and(|now| now == *one);
        if !wanted() {
            return Ok(());
        }
        let own = self.checked_acl(&one.record);
        let how = Create { ephemeral: true, acl: &own };
        let made = match self.session.create_all(path, &one.data, how, &acl(self.acl)).await {
            Err(WireError::Exists(_)) => self.relive(path, one).await,
            made => made.map(|_| ()),
        };
        match made {
            Ok(()) if !wanted() => self.take_back(path, one).await,
            made => made.map_err(convert::error),
        }
    }

    /// What an earlier session of ours holds lives by the present one afterwards, in one step.
    async fn relive(&self, path: &str, one: &Published) -> Result<(), WireError> {
        let Some(stat) = self.session.stat(path).await? else { return Ok(()) };
        let current = self.session.status().borrow().session;
        if Some(stat.ephemeral_owner) == current || !self.ours.is_own(stat.ephemeral_owner) {
            return Ok(());
        }
        let delete = Op::Delete { path: path.to_owned(), version: Some(stat.version) };
        let create = self.create(&one.record, path, &one.data);
        self.session.multi(&[delete, create]).await.map(|_| ()).map_err(|failed| failed.error)
    }

    /// It was withdrawn or changed while it was made again: what was made goes, and what is wanted is the writer's.
    async fn take_back(&self, path: &str, one: &Published) -> Result<(), Error> {
        let (there, stat) = match self.session.get(path).await {
            Err(WireError::NotFound(_)) => return Ok(()),
            read => read.map_err(convert::error)?,
        };
        if *there == *one.data && self.ours.get(path).is_none() && self.ours.is_own(stat.ephemeral_owner) {
            match self.session.delete(path, Some(stat.version)).await {
                Ok(()) | Err(WireError::NotFound(_) | WireError::BadVersion(_)) => {}
                Err(error) => return Err(convert::error(error)),
            }
        }
        Ok(())
    }
}
