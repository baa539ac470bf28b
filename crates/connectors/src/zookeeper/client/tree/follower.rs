//! The task behind a tree.

use super::super::error::{Result, WireError};
use super::super::followers::{DirtyPaths, Work};
use super::super::many_calls::IN_FLIGHT;
use super::super::paths::{parent, within};
use super::super::proto::op;
use super::super::session::Session;
use super::super::types::Phase;
use super::super::wire::Wire;
use super::model::Model;
use super::walk::{Depth, Walk};
use super::{TreeChanges, TreeNews, TreeOptions, Watches};
use crate::util::backoff::Backoff;
use causeway_core::contain;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Nodes that a look compares before it lets events in between.
const SLICE: usize = 256;
/// Nodes that a look reads at a time: it is in no hurry.
const LOOK_IN_FLIGHT: usize = 32;
/// How long to wait after a listing that failed on a good connection: from, up to.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

pub(super) struct Follower {
    session: Session,
    options: TreeOptions,
    dirty: Arc<DirtyPaths>,
    news: mpsc::Sender<TreeNews>,
    model: Model,
    /// Nodes that are still to be looked at.
    looks: BTreeSet<Arc<str>>,
}

impl Follower {
    pub(super) fn new(
        session: Session,
        options: TreeOptions,
        dirty: Arc<DirtyPaths>,
        news: mpsc::Sender<TreeNews>,
    ) -> Follower {
        Follower { session, options, dirty, news, model: Model::default(), looks: BTreeSet::new() }
    }

    /// Runs until it is aborted, or nobody listens.
    pub(super) async fn run(mut self) {
        let mut status = self.session.status();
        let mut last: Option<WireError> = None;
        let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
        // A session that has not tried yet is no news.
        if status.wait_for(|s| s.phase != Phase::Down || s.error.is_some()).await.is_err() {
            return;
        }
        while !self.news.is_closed() {
            let (error, wire) = match self.session.wire() {
                Ok(wire) => {
                    let error = match contain(self.follow(&wire, &mut last)).await {
                        Ok(Ok(())) => wire.lost(),
                        Ok(Err(error)) => error,
                        Err(panic) => self.broken(&panic),
                    };
                    (if wire.has_ended() { wire.lost() } else { error }, Some(wire))
                }
                Err(error) => (error, None),
            };
            // Who follows the session knows it all: this one is quietly left behind.
            if last.as_ref() != Some(&error) && !self.session.is_followed() {
                if self.news.send(TreeNews::Lost(error.clone())).await.is_err() {
                    return;
                }
                last = Some(error);
            }
            let old = wire.as_ref().map_or(0, |wire| wire.generation);
            if wire.is_some_and(|wire| !wire.has_ended()) {
                sleep(pause.next()).await;
                continue;
            }
            pause.reset();
            if status.wait_for(|s| s.phase != Phase::Down && s.generation > old).await.is_err() {
                return;
            }
        }
    }

    /// After a panic nothing counts as known any more.
    fn broken(&mut self, panic: &str) -> WireError {
        let why = format!("following {} failed unexpectedly, and is started again: {panic}", self.options.root);
        tracing::error!("{why}");
        self.model = Model::default();
        WireError::Unavailable(why)
    }

    /// Follows as long as the connection lasts and answers. Clears `last` when it has told all there is.
    async fn follow(&mut self, wire: &Wire, last: &mut Option<WireError>) -> Result<()> {
        // What happened on an earlier connection is part of what is listed now.
        drop(self.dirty.take());
        self.looks.clear();
        let root: Arc<str> = self.options.root.as_str().into();
        let single = match self.options.watches {
            Watches::Single => true,
            Watches::Best if !wire.features.knows(op::ADD_WATCH) => true,
            Watches::Best => match wire.watch_tree(&root).await {
                Ok(()) => false,
                Err(WireError::Unsupported(_)) => true,
                Err(error) => return Err(error),
            },
        };
        // A server may lag behind what others have shown.
        if let Err(error) = wire.run(wire.sync()).await
            && error.is_transient()
        {
            return Err(error);
        }
        let found = self.walk(wire, single, Depth::All, IN_FLIGHT).run([Arc::clone(&root)]).await?;
        if let Some(error) = found.denied.get(&root) {
            return Err(error.clone());
        }
        let listing = self.model.reset(found);
        let news = self.news.clone();
        if news.send(TreeNews::Reset(listing)).await.is_err() {
            return Ok(());
        }
        *last = None;
        loop {
            if self.looks.is_empty() {
                tokio::select! {
                    () = wire.ended() => return Ok(()),
                    () = news.closed() => return Ok(()),
                    () = self.dirty.wait() => {}
                }
            }
            // Room first, so that what is read is told while it is new.
            let room = tokio::select! {
                () = wire.ended() => return Ok(()),
                room = news.reserve() => room,
            };
            let Ok(room) = room else { return Ok(()) };
            let changes = self.catch_up(wire, single).await?;
            if changes.denied.contains_key(&root) {
                return Err(WireError::Denied(root.to_string()));
            }
            if !changes.is_empty() {
                room.send(TreeNews::Changed(changes));
            }
        }
    }

    /// Reads what is to be read again.
    async fn catch_up(&mut self, wire: &Wire, single: bool) -> Result<TreeChanges> {
        let Work { paths, looks } = self.dirty.take();
        let mut changes = TreeChanges::default();
        let paths: Vec<Arc<str>> =
            paths.into_iter().filter(|path| self.follows(path)).map(|path| path.as_str().into()).collect();
        if !paths.is_empty() {
            let depth = if single { Depth::Unknown } else { Depth::Touched };
            let found = self.walk(wire, single, depth, IN_FLIGHT).run(paths).await?;
            self.model.apply(found, &mut changes);
        }
        for look in looks {
            if self.follows(&look) {
                self.looks.extend(self.model.subtree(&look));
                self.looks.insert(look.into());
            }
        }
        let slice: Vec<_> = std::iter::from_fn(|| self.looks.pop_first()).take(SLICE).collect();
        if !slice.is_empty() {
            let found = self.walk(wire, single, Depth::Unknown, LOOK_IN_FLIGHT).run(slice).await?;
            self.model.apply(found, &mut changes);
        }
        Ok(changes)
    }

    fn walk<'a>(&'a self, wire: &'a Wire, single: bool, depth: Depth, at_a_time: usize) -> Walk<'a> {
        Walk { wire, options: &self.options, model: &self.model, single, depth, at_a_time }
    }

    /// Whether a path is part of the tree: nothing between it and the root keeps us from going there.
    fn follows(&self, path: &str) -> bool {
        let root = self.options.root.as_str();
        if !within(root, path) {
            return false;
        }
        let mut above = parent(path).filter(|_| path != root);
        while let Some(folder) = above.filter(|folder| *folder != root) {
            if !(self.options.descend)(folder) {
                return false;
            }
            above = parent(folder);
        }
        true
    }
}
