//! The calls, on one connection and on the session.

use super::error::{Result, WireError};
use super::jute::{Decoder, Encoder};
use super::paths::{check_path, parent};
use super::proto::{self, ANY_WATCH, RECURSIVE, op};
use super::session::Session;
use super::types::{Acl, Create, Op, Stat};
use super::wire::{Answered, PreparedCall, Wire};
use bytes::Bytes;

/// The requests, one by one. All check their paths.
impl Wire {
    /// A request about one node: the operation and the path, and what `rest` puts behind them.
    fn about<'a, T>(
        &self,
        operation: i32,
        path: &'a str,
        rest: impl FnOnce(&mut Encoder) -> &mut Encoder,
        decode: fn(Answered<'_>) -> Result<T>,
    ) -> Result<PreparedCall<'a, T>> {
        check_path(path)?;
        let mut encoder = Encoder::request(operation);
        rest(encoder.path(self.chroot(), path));
        Ok(PreparedCall { path, frame: encoder.finish(), decode })
    }

    /// A node's data and stat. No data at all is not the same as empty data.
    pub(super) fn read<'a>(&self, path: &'a str) -> Result<PreparedCall<'a, (Option<Bytes>, Stat)>> {
        let decode = |answer: Answered<'_>| {
            let mut answer = answer?;
            // A copy, so that the data does not hold on to the whole of what was read from the socket.
            let data = answer.buffer_if_any()?.map(Bytes::copy_from_slice);
            Ok((data, answer.stat()?))
        };
        self.about(op::GET, path, |to| to.flag(false), decode)
    }

    /// With `watch`, an event comes when a child comes or goes, or the node goes.
    pub(super) fn children<'a>(&self, path: &'a str, watch: bool) -> Result<PreparedCall<'a, (Vec<String>, Stat)>> {
        let decode = |answer: Answered<'_>| {
            let mut answer = answer?;
            Ok((answer.list(Decoder::text)?, answer.stat()?))
        };
        self.about(op::CHILDREN, path, |to| to.flag(watch), decode)
    }

    /// With `watch`, an event comes when the node comes, goes, or its data changes.
    pub(super) fn stat<'a>(&self, path: &'a str, watch: bool) -> Result<PreparedCall<'a, Option<Stat>>> {
        let decode = |answer: Answered<'_>| match answer {
            Err(WireError::NotFound(_)) => Ok(None),
            answer => answer?.stat().map(Some),
        };
        self.about(op::EXISTS, path, |to| to.flag(watch), decode)
    }

    /// With the stat of the new node, where the server tells it.
    pub(super) fn create<'a>(
        &self,
        path: &'a str,
        data: Option<&[u8]>,
        how: Create<'_>,
    ) -> Result<PreparedCall<'a, Option<Stat>>> {
        let operation = if self.features.knows(op::CREATE_STAT) { op::CREATE_STAT } else { op::CREATE };
        let decode = |answer: Answered<'_>| {
            let mut answer = answer.map_err(|error| match error {
                // The next time it is asked in the old way.
                WireError::Unsupported(path) => {
                    WireError::Unavailable(format!("{path}: the server is older than thought"))
                }
                other => other,
            })?;
            answer.buffer()?;
            if answer.left() == 0 { Ok(None) } else { answer.stat().map(Some) }
        };
        self.about(operation, path, |to| to.creation(data, how), decode)
    }

    pub(super) fn set<'a>(
        &self,
        path: &'a str,
        data: Option<&[u8]>,
        version: Option<i32>,
    ) -> Result<PreparedCall<'a, Stat>> {
        self.about(op::SET, path, |to| to.buffer_if_any(data).version(version), |answer| answer?.stat())
    }

    pub(super) fn delete<'a>(&self, path: &'a str, version: Option<i32>) -> Result<PreparedCall<'a, ()>> {
        self.about(op::DELETE, path, |to| to.version(version), |answer| answer.map(drop))
    }

    pub(super) fn acl<'a>(&self, path: &'a str) -> Result<PreparedCall<'a, (Vec<Acl>, Stat)>> {
        let decode = |answer: Answered<'_>| {
            let mut answer = answer?;
            Ok((answer.acl()?, answer.stat()?))
        };
        self.about(op::GET_ACL, path, |to| to, decode)
    }

    /// Waits until the server has all that the ensemble had decided on before the call.
    pub(super) fn sync(&self) -> Result<PreparedCall<'static, ()>> {
        self.about(op::SYNC, "/", |to| to, |answer| answer.map(drop))
    }

    /// Creates a node. Servers before 3.5 do not tell its stat, but tell it to everybody who asks.
    async fn create_one(&self, path: &str, data: Option<&[u8]>, how: Create<'_>) -> Result<Stat> {
        let stat = match self.run(self.create(path, data, how)).await? {
            None => self.run(self.stat(path, false)).await?,
            told => told,
        };
        stat.ok_or_else(|| WireError::NotFound(path.to_owned()))
    }

    /// From now on an event comes for everything that happens to the node or below it. The node need not exist.
    pub(super) async fn watch_tree(&self, path: &str) -> Result<()> {
        self.run(self.about(op::ADD_WATCH, path, |to| to.int(RECURSIVE), |answer| answer.map(drop))).await
    }

    /// Ends [`Wire::watch_tree`], and every other watch on exactly this node.
    pub(super) fn unwatch(&self, path: &str) {
        if let Ok(call) = self.about(op::REMOVE_WATCHES, path, |to| to.int(ANY_WATCH), |answer| answer.map(drop)) {
            self.tell(call.frame);
        }
    }
}

/// Paths begin with a slash and are below the chroot. All calls fail with `Unavailable` at once while there is no
/// connection, and when no answer comes in time. A write that ends so may have been done.
impl Session {
    async fn call<'a, T>(&self, call: impl FnOnce(&Wire) -> Result<PreparedCall<'a, T>>) -> Result<T> {
        self.begin(call).await?.finish().await
    }

    /// A node's data; none at all reads as empty.
    pub async fn get(&self, path: &str) -> Result<(Bytes, Stat)> {
        self.read(path).await.map(|(data, stat)| (data.unwrap_or_default(), stat))
    }

    /// [`Session::get`] that tells a node without any data, which is not the same as empty data, and rare.
    pub async fn read(&self, path: &str) -> Result<(Option<Bytes>, Stat)> {
        self.call(|wire| wire.read(path)).await
    }

    /// The names of a node's children, in no order, and its own stat.
    pub async fn children(&self, path: &str) -> Result<(Vec<String>, Stat)> {
        self.call(|wire| wire.children(path, false)).await
    }

    /// A node's stat; `None` without the node. Servers since 3.9 refuse it to those who may not read the node.
    pub async fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.call(|wire| wire.stat(path, false)).await
    }

    /// A node's access list. Without the right to administer the node, digests have an `x` for their hash.
    pub async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat)> {
        self.call(|wire| wire.acl(path)).await
    }

    /// Creates a node; `None`: one without any data.
    pub async fn create(&self, path: &str, data: Option<&[u8]>, how: Create<'_>) -> Result<Stat> {
        self.wire()?.create_one(path, data, how).await
    }

    /// [`Session::create`] that first creates those of the node's parents that are missing: persistent, with empty data,
    /// with the access list `parents` (empty: open to all).
    pub async fn create_all(&self, path: &str, data: Option<&[u8]>, how: Create<'_>, parents: &[Acl]) -> Result<Stat> {
        let wire = self.wire()?;
        match wire.create_one(path, data, how).await {
            Err(WireError::NotFound(_)) => {}
            other => return other,
        }
        let folder = Create { ephemeral: false, acl: parents };
        let mut missing = Vec::new();
        let mut above = parent(path);
        // From below upwards, until there is one.
        while let Some(folder_path) = above.filter(|above| *above != "/") {
            match wire.run(wire.stat(folder_path, false)).await {
                Ok(None) => missing.push(folder_path),
                Ok(Some(_)) | Err(WireError::Denied(_)) => break,
                Err(error) => return Err(error),
            }
            above = parent(folder_path);
        }
        for folder_path in missing.into_iter().rev() {
            match wire.create_one(folder_path, Some(b""), folder).await {
                Ok(_) | Err(WireError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        wire.create_one(path, data, how).await
    }

    /// Writes a node's data, or takes it away (`None`); with a version, only onto that version.
    pub async fn set(&self, path: &str, data: Option<&[u8]>, version: Option<i32>) -> Result<Stat> {
        self.call(|wire| wire.set(path, data, version)).await
    }

    /// Writes a node's access list; with a version (`Stat::aversion`), only onto that version.
    pub async fn set_acl(&self, path: &str, acl: &[Acl], version: Option<i32>) -> Result<Stat> {
        let decode = |answer: Answered<'_>| answer?.stat();
        self.call(|wire| wire.about(op::SET_ACL, path, |to| to.acl(acl).version(version), decode)).await
    }

    /// Deletes a node without children; with a version, only that version.
    pub async fn delete(&self, path: &str, version: Option<i32>) -> Result<()> {
        self.call(|wire| wire.delete(path, version)).await
    }

    /// All steps or none. Errors: that of the first step that failed; nothing was done then, but for `Unavailable`, where
    /// it is not known.
    pub async fn multi(&self, steps: &[Op<'_>]) -> Result<()> {
        let wire = self.wire()?;
        let mut encoder = Encoder::request(op::MULTI);
        for step in steps {
            check_path(step.path())?;
            step.encode(&mut encoder, wire.chroot());
        }
        encoder.int(op::ERROR).flag(true).int(-1);
        let decode = |answer: Answered<'_>| proto::multi_answer(answer?);
        let codes = wire.run(Ok(PreparedCall { path: "transaction", frame: encoder.finish(), decode })).await?;
        if codes.len() != steps.len() {
            return Err(WireError::Protocol(format!("{} answers to {} steps", codes.len(), steps.len())));
        }
        // Steps before the one that failed say 0, those after it that they were not tried.
        match codes.iter().zip(steps).find(|(code, _)| **code != 0) {
            Some((code, step)) => Err(WireError::of_code(*code, step.path())),
            None => Ok(()),
        }
    }

    /// The ephemeral nodes of this session, as the ensemble has decided. What is not below the chroot comes without the
    /// slash in front. Errors: `Unsupported` before 3.6.
    pub async fn ephemerals(&self) -> Result<Vec<String>> {
        let path = "ephemeral nodes of a session";
        let wire = self.wire()?;
        wire.run(wire.sync()).await?;
        if !wire.features.knows(op::EPHEMERALS) {
            return Err(WireError::Unsupported(path.into()));
        }
        // The server applies the chroot neither to the request nor to what it tells.
        let mut encoder = Encoder::request(op::EPHEMERALS);
        encoder.text("/");
        let decode = |answer: Answered<'_>| answer?.list(Decoder::text);
        let all = wire.run(Ok(PreparedCall { path, frame: encoder.finish(), decode })).await?;
        let below = |path: String| match path.strip_prefix(wire.chroot()) {
            Some(rest) if rest.starts_with('/') => rest.to_owned(),
            _ => path.trim_start_matches('/').to_owned(),
        };
        Ok(all.into_iter().map(below).collect())
    }
}
