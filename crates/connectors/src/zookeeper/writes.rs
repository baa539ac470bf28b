//! Writes instances as znodes under our sessions, and touches nothing that is not ours.

use super::carriers::{Carriers, SessionChoice};
use super::claim::Claim;
use super::client::{Op, Session, WireError};
use super::layout::{self, NewZnode, Roots};
use super::publications::{Publications, Published};
use super::settings::AclChoice;
use super::view::{Classes, MARK};
use crate::InlineMarks;
use causeway_core::{Change, Error, Instance, Mark, OwnerId, ServiceKey, WrittenRecord};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Znodes written at once; they go over one connection, in order.
pub(super) const AT_ONCE: usize = 256;

/// Most bytes of a znode's path and data.
const MOST: usize = 1_047_552;

/// Everything that a write needs.
#[derive(Clone)]
pub(super) struct Writes {
    /// The main session.
    pub session: Session,
    /// All of them.
    pub carriers: Carriers,
    pub roots: Arc<Roots>,
    pub ours: Publications,
    pub classes: Classes,
    pub inline: InlineMarks,
    pub acl: AclChoice,
    /// Whether access lists are read, since they are copied somewhere.
    pub access: bool,
}

impl Writes {
    /// The znode of a record, or why it cannot be one. A server ends the connection that brings it a request of 1 MiB; what
    /// besides path and data is in one fits into the rest.
    pub fn node(&self, scope: &ServiceKey, record: &Instance) -> Result<NewZnode, String> {
        let node = layout::write(&self.roots, scope, record)?;
        self.acl_of(record)?;
        match node.path.len() + node.data.len() {
            size if size > MOST => Err(format!("its path and its data have {size} bytes, and ZooKeeper takes {MOST}")),
            _ => Ok(node),
        }
    }

    /// Applies the changes of one service; one outcome each.
    pub async fn apply(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        let (mut outcomes, mut rest) = (Vec::new(), changes);
        // The first of a new service makes its folders, which all others would look for, too.
        if let [first @ (Change::Create(_) | Change::Adopt(_)), others @ ..] = changes {
            outcomes.push(self.change(scope, first).await);
            rest = others;
        }
        let writes: Vec<_> = rest.iter().map(|change| self.change(scope, change).boxed()).collect();
        outcomes.extend(stream::iter(writes).buffered(AT_ONCE).collect::<Vec<_>>().await);
        outcomes
    }

    async fn change(&self, scope: &ServiceKey, change: &Change) -> Result<(), Error> {
        match change {
            Change::Create(record) | Change::Adopt(record) => match self.wait(scope, record) {
                Some(wait) => Err(Error::Throttled(wait)),
                None => self.put(scope, record).await,
            },
            Change::Update { from, to } => self.update(scope, from, to).await,
            Change::Delete { record, .. } => self.remove(scope, record).await,
            Change::Shadow(native, owner) => self.shadow(scope, native, owner).await,
            // A service has nothing of its own.
            Change::Scope { .. } => Ok(()),
            Change::Edit { .. } => Err(Error::Rejected("a znode of somebody else's is not edited".into())),
        }
    }

    /// How long the place of a record is to be left alone.
    fn wait(&self, scope: &ServiceKey, record: &Instance) -> Option<Duration> {
        // Its path is known only once its znode has been built.
        self.ours.leaves_any().then(|| self.ours.left_for(&self.path_of(scope, record).ok()?))?
    }

    /// A record as it is written: with its mark among the data, where its task asks for that.
    fn shown<'r>(&self, record: &'r Instance) -> Cow<'r, Instance> {
        match record.mark().filter(|mark| self.inline.has(&mark.owner.task)) {
            None => Cow::Borrowed(record),
            Some(mark) => {
                let mut shown = record.clone();
                shown.metadata.insert(MARK, mark.encode());
                Cow::Owned(shown)
            }
        }
    }

    fn published(&self, scope: &ServiceKey, record: &Instance) -> Result<(String, Published), Error> {
        let node = self.node(scope, &self.shown(record)).map_err(Error::Rejected)?;
        let other = |one: &Published| one.scope != *scope || one.record.id() != record.id();
        if self.ours.get(&node.path).as_ref().is_some_and(other) {
            return Err(Error::Blocked(format!("another instance has the same znode: {}", node.path)));
        }
        if let Some(class) = layout::class(&self.roots, &node.path, &node.data)
            && let Some(other) = self.classes.other(scope, &class)
        {
            return Err(Error::Blocked(format!(
                "the instances of this service are of the class {other:?}: one of {class:?} would make every lookup fail"
            )));
        }
        Ok((node.path, Published { scope: scope.clone(), record: record.clone(), data: node.data.into() }))
    }

    /// Whether a native record can be backed by another znode of ours with the same content. A mark among the data makes
    /// the content another one.
    pub fn shadows(&self, scope: &ServiceKey, native: &Instance, owner: &OwnerId) -> bool {
        native.ephemeral && !self.inline.has(&owner.task) && self.backing(scope, native, owner).is_ok()
    }

    /// The znode that backs a native record, under its other name.
    fn backing(&self, scope: &ServiceKey, native: &Instance, owner: &OwnerId) -> Result<(String, Published), Error> {
        let node = self.node(scope, native).map_err(Error::Rejected)?;
        let path = layout::alias(&self.roots, &node.path, &node.data);
        let path = path.ok_or_else(|| Error::Rejected("its readers would see two instances".into()))?;
        let record = native.clone().with_mark(Some(Mark::new(owner.clone(), Vec::new())));
        Ok((path, Published { scope: scope.clone(), record, data: node.data.into() }))
    }

    /// Backs a native record, in place of our copy if there is one.
    async fn shadow(&self, scope: &ServiceKey, native: &Instance, owner: &OwnerId) -> Result<(), Error> {
        let (path, published) = self.backing(scope, native, owner)?;
        let Some(old) = self.ours.path_of(scope, &native.id()).filter(|old| **old != *path) else {
            return self.put_at(&path, published).await;
        };
        // The native has taken the place of our copy.
        if *old == *self.node(scope, native).map_err(Error::Rejected)?.path {
            self.ours.forget(&old);
            return self.put_at(&path, published).await;
        }
        self.replace(&old, &path, published).await
    }

    /// Makes a znode, or takes over the one that stands there when it is ours.
    async fn put(&self, scope: &ServiceKey, record: &Instance) -> Result<(), Error> {
        let (path, published) = self.published(scope, record)?;
        self.put_at(&path, published).await
    }

    async fn put_at(&self, path: &str, published: Published) -> Result<(), Error> {
        // Its event may come before its answer: it is ours from now on.
        let claim = Claim::new(&self.ours, path, &published);
        let outcome = self.make(path, &published, claim.before()).await;
        claim.end(&outcome);
        outcome
    }

    async fn make(&self, path: &str, published: &Published, before: Option<&Published>) -> Result<(), Error> {
        let session = self.session_for(&published.record, path, SessionChoice::Any).await?;
        match self.create(&session, path, published).await {
            Err(WireError::Exists(_)) => self.take_over(&session, path, published, before).await,
            outcome => Ok(outcome?),
        }
    }

    /// The session that a record is written with.
    async fn session_for(&self, record: &Instance, path: &str, wish: SessionChoice<'_>) -> Result<Session, Error> {
        match record.ephemeral {
            true => self.carriers.hold(path, wish).await,
            false => Ok(self.session.clone()),
        }
    }

    /// What stands at the path already becomes what it is to be, if it is ours.
    async fn take_over(
        &self,
        session: &Session,
        path: &str,
        wanted: &Published,
        before: Option<&Published>,
    ) -> Result<(), Error> {
        let Published { scope, record, .. } = wanted;
        let (found, stat) = match session.read(path).await {
            // It went meanwhile.
            Err(WireError::NotFound(_)) => return Err(Error::Conflict),
            read => read?,
        };
        let there = found.as_deref().unwrap_or_default();
        let slot = self.ours.spread().slot_of(stat.ephemeral_owner);
        let unchanged = |before: &Published| !before.record.ephemeral && *before.data == *there;
        let (ours, lives) = match stat.ephemeral_owner {
            0 => (before.is_some_and(unchanged) || self.ours.may_hold(scope, path, there), !record.ephemeral),
            owner => (self.ours.is_own(owner), record.ephemeral && slot.is_some()),
        };
        if let Some(slot) = slot.filter(|_| lives) {
            self.ours.spread().found(path, slot);
        }
        match (ours, lives) {
            (true, true) => {
                let over = (found.as_deref() != wanted.body()).then_some(stat.version);
                Ok(self.make_equal(session, path, wanted, over).await?)
            }
            // An earlier session of ours holds it, or it must be of the other sort, ephemeral or persistent.
            (true, false) => Ok(self.create_over(session, path, wanted, stat.version).await?),
            // It belongs to others: the plan looks again.
            (false, _) => Err(Error::Conflict),
        }
    }

    async fn update(&self, scope: &ServiceKey, from: &Instance, to: &Instance) -> Result<(), Error> {
        let (path, published) = self.published(scope, to)?;
        let old = self.path_of(scope, from)?;
        if old == path {
            return self.put_at(&path, published).await;
        }
        match self.ours.left_for(&path) {
            Some(wait) => Err(Error::Throttled(wait)),
            None => self.replace(&old, &path, published).await,
        }
    }

    /// Replaces our znode at `old` by another one, in one step.
    async fn replace(&self, old: &str, path: &str, published: Published) -> Result<(), Error> {
        let Some(stat) = self.carriers.session_of(old).stat(old).await? else {
            self.forget(old);
            return self.put_at(path, published).await;
        };
        if !self.is_ours(old, stat.ephemeral_owner) {
            return Err(Error::Conflict);
        }
        let session = self.session_for(&published.record, path, SessionChoice::Instead(old)).await?;
        let (before, proven) = (self.ours.get(old), published.record.ephemeral);
        self.ours.put(path, published.clone());
        self.ours.forget(old);
        let own = self.checked_acl(&published.record);
        let create = Op::Create(path, published.body(), published.how(&own));
        match session.multi(&[create, Op::Delete(old, Some(stat.version))]).await {
            Ok(()) => {
                self.ours.spread().release(old);
                self.ours.sure(path, published);
                Ok(())
            }
            // Either may stand.
            Err(error) if error.is_transient() && !proven => Err(error.into()),
            Err(error) => {
                self.forget(path);
                if let Some(before) = before {
                    self.ours.sure(old, before);
                }
                match error {
                    WireError::NotFound(_) => Err(Error::Conflict),
                    error => Err(error.into()),
                }
            }
        }
    }

    /// Removes a znode if it is ours. One that is gone already is no error.
    async fn remove(&self, scope: &ServiceKey, record: &Instance) -> Result<(), Error> {
        if let Some(path) = self.ours.path_of(scope, &record.id()) {
            return self.remove_at(&path).await;
        }
        let node = layout::write(&self.roots, scope, &self.shown(record)).map_err(Error::Rejected)?;
        // It is not remembered which of its names it has.
        if let Some(alias) = layout::alias(&self.roots, &node.path, &node.data) {
            self.remove_at(&alias).await?;
        }
        self.remove_at(&node.path).await
    }

    async fn remove_at(&self, path: &str) -> Result<(), Error> {
        // What it has written, its server shows.
        let session = self.carriers.session_of(path);
        let stat = session.stat(path).await?;
        let ours = match &stat {
            Some(stat) if stat.ephemeral_owner != 0 => self.ours.is_own(stat.ephemeral_owner),
            Some(_) => self.still_holds(path).await?,
            None => false,
        };
        if let Some(stat) = stat.filter(|_| ours) {
            match session.delete(path, Some(stat.version)).await {
                Ok(()) | Err(WireError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.forget(path);
        Ok(())
    }

    /// Forgets a path: nothing of ours stands there any more.
    fn forget(&self, path: &str) {
        self.ours.spread().release(path);
        self.ours.forget(path);
    }

    /// Whether a persistent znode still holds what we wrote.
    async fn still_holds(&self, path: &str) -> Result<bool, Error> {
        let Some(published) = self.ours.get(path).filter(|one| !one.record.ephemeral) else { return Ok(false) };
        match self.session.get(path).await {
            Ok((data, _)) => Ok(*data == *published.data),
            Err(WireError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn is_ours(&self, path: &str, owner: i64) -> bool {
        match owner {
            0 => self.ours.get(path).is_some_and(|one| !one.record.ephemeral),
            session => self.ours.is_own(session),
        }
    }

    fn path_of(&self, scope: &ServiceKey, record: &Instance) -> Result<String, Error> {
        if let Some(path) = self.ours.path_of(scope, &record.id()) {
            return Ok(path.to_string());
        }
        layout::write(&self.roots, scope, &self.shown(record)).map(|node| node.path).map_err(Error::Rejected)
    }

    /// Remembers what earlier processes wrote, as it was.
    pub fn remember(&self, scope: &ServiceKey, written: &WrittenRecord) {
        let WrittenRecord { record, owner, shadow, before, .. } = written;
        if let Some(before) = before {
            let record = (**before).clone();
            self.remember(scope, &WrittenRecord { record, before: None, ..written.clone() });
        }
        let place = match shadow {
            true => self.backing(scope, record, owner),
            false if record.mark().is_none_or(|mark| mark.owner != *owner) => return,
            false => self.published(scope, record),
        };
        match place {
            Ok((path, published)) => drop(self.ours.put(&path, published)),
            Err(error) => tracing::warn!(%scope, id = %record.id(), %error, "cannot be taken over"),
        }
    }
}
