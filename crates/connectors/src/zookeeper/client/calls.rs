//! The calls, on one connection and on the session.

use bytes::Bytes;

use super::address::{check_path, parent};
use super::error::{Error, Result};
use super::jute::Decoder;
use super::proto::{self, op};
use super::session::Session;
use super::types::{Acl, Create, MultiError, Op, Stat};
use super::wire::Wire;

impl Wire {
    async fn ask(&self, path: &str, frame: impl FnOnce() -> Vec<u8>) -> Result<Bytes> {
        check_path(path)?;
        self.call(frame()).await?.body(path)
    }

    pub(super) async fn get(&self, path: &str) -> Result<(Bytes, Stat)> {
        let body = self.ask(path, || self.requests().read(op::GET, path, false)).await?;
        let mut decoder = Decoder::new(&body);
        // A copy, so that the data does not hold on to the whole of what was read from the socket.
        let data = Bytes::copy_from_slice(decoder.buffer()?);
        Ok((data, proto::stat(&mut decoder)?))
    }

    /// With `watch`, an event comes when a child comes or goes, or the node goes.
    pub(super) async fn children(&self, path: &str, watch: bool) -> Result<(Vec<String>, Stat)> {
        let body = self.ask(path, || self.requests().read(op::CHILDREN, path, watch)).await?;
        let mut decoder = Decoder::new(&body);
        Ok((decoder.list(Decoder::text)?, proto::stat(&mut decoder)?))
    }

    /// With `watch`, an event comes when the node comes, goes, or its data changes.
    pub(super) async fn stat(&self, path: &str, watch: bool) -> Result<Option<Stat>> {
        match self.ask(path, || self.requests().read(op::EXISTS, path, watch)).await {
            Ok(body) => Ok(Some(proto::stat(&mut Decoder::new(&body))?)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat)> {
        let body = self.ask(path, || self.requests().name(op::GET_ACL, path)).await?;
        let mut decoder = Decoder::new(&body);
        Ok((proto::acl(&mut decoder)?, proto::stat(&mut decoder)?))
    }

    async fn create(&self, path: &str, data: &[u8], how: Create<'_>) -> Result<Stat> {
        let request = |operation| self.requests().create(operation, path, data, how.acl, how.ephemeral);
        match self.ask(path, || request(op::CREATE_STAT)).await {
            Err(Error::Unsupported(_)) => {}
            other => {
                let body = other?;
                let mut decoder = Decoder::new(&body);
                decoder.buffer()?;
                return proto::stat(&mut decoder);
            }
        }
        // Before 3.5. Such servers tell every node's stat to everybody.
        self.ask(path, || request(op::CREATE)).await?;
        self.stat(path, false).await?.ok_or_else(|| Error::NotFound(path.to_owned()))
    }

    async fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat> {
        let body = self.ask(path, || self.requests().set(path, data, version)).await?;
        proto::stat(&mut Decoder::new(&body))
    }

    async fn set_acl(&self, path: &str, acl: &[Acl], version: Option<i32>) -> Result<Stat> {
        let body = self.ask(path, || self.requests().set_acl(path, acl, version)).await?;
        proto::stat(&mut Decoder::new(&body))
    }

    async fn delete(&self, path: &str, version: Option<i32>) -> Result<()> {
        self.ask(path, || self.requests().delete(path, version)).await.map(drop)
    }

    async fn sync(&self, path: &str) -> Result<()> {
        self.ask(path, || self.requests().name(op::SYNC, path)).await.map(drop)
    }

    async fn multi(&self, steps: &[Op]) -> std::result::Result<Vec<Option<Stat>>, MultiError> {
        let whole = |error| MultiError { at: None, error };
        for (at, step) in steps.iter().enumerate() {
            check_path(step.path()).map_err(|error| MultiError { at: Some(at), error })?;
        }
        let reply = self.call(self.requests().multi(steps)).await.map_err(whole)?;
        let body = reply.body("transaction").map_err(whole)?;
        let results = proto::multi_answer(&body).map_err(whole)?;
        if results.len() != steps.len() {
            return Err(whole(Error::Protocol(format!("{} answers to {} steps", results.len(), steps.len()))));
        }
        // Steps before the one that failed say 0, those after it that they were not tried.
        let failed = results.iter().zip(steps).enumerate().find_map(|(at, (result, step))| match result {
            Err(code) if *code != 0 => Some(MultiError { at: Some(at), error: Error::of_code(*code, step.path()) }),
            _ => None,
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(results.into_iter().map(|result| result.unwrap_or_default()).collect()),
        }
    }

    /// From now on an event comes for everything that happens to the node or below it. The node need not exist.
    pub(super) async fn watch_tree(&self, path: &str) -> Result<()> {
        self.ask(path, || self.requests().add_recursive_watch(path)).await.map(drop)
    }

    /// Ends [`Wire::watch_tree`], and every other watch on exactly this node.
    pub(super) fn unwatch(&self, path: &str) {
        self.tell(self.requests().remove_watches(path));
    }
}

/// Paths begin with a slash and are below the chroot. All calls fail with `Unavailable` at once while there is no
/// connection, and when no answer comes in time. A write that ends so may have been done.
impl Session {
    /// A node's data.
    pub async fn get(&self, path: &str) -> Result<(Bytes, Stat)> {
        self.wire()?.get(path).await
    }

    /// The names of a node's children, in no order, and its own stat.
    pub async fn children(&self, path: &str) -> Result<(Vec<String>, Stat)> {
        self.wire()?.children(path, false).await
    }

    /// A node's stat; `None` without the node. Servers since 3.9 tell it only to who may read the node.
    pub async fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.wire()?.stat(path, false).await
    }

    /// A node's access list. Who may not administer the node gets digests with an `x` for their hash.
    pub async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat)> {
        self.wire()?.acl(path).await
    }

    /// Creates a node.
    pub async fn create(&self, path: &str, data: &[u8], how: Create<'_>) -> Result<Stat> {
        self.wire()?.create(path, data, how).await
    }

    /// Creates a node, and first those of its parents that are missing: persistent, without data, with the access list
    /// `parents` (empty: everybody everything).
    pub async fn create_all(&self, path: &str, data: &[u8], how: Create<'_>, parents: &[Acl]) -> Result<Stat> {
        let wire = self.wire()?;
        match wire.create(path, data, how).await {
            Err(Error::NotFound(_)) => {}
            other => return other,
        }
        let folder = Create { ephemeral: false, acl: parents };
        let mut missing = Vec::new();
        let mut above = parent(path);
        // From below upwards, until there is one.
        while let Some(folder_path) = above.filter(|above| *above != "/") {
            if wire.stat(folder_path, false).await?.is_some() {
                break;
            }
            missing.push(folder_path);
            above = parent(folder_path);
        }
        for folder_path in missing.into_iter().rev() {
            match wire.create(folder_path, b"", folder).await {
                Ok(_) | Err(Error::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        wire.create(path, data, how).await
    }

    /// Writes a node's data; with a version, only onto that version.
    pub async fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat> {
        self.wire()?.set(path, data, version).await
    }

    /// Writes a node's access list; with a version (`Stat::aversion`), only onto that version.
    pub async fn set_acl(&self, path: &str, acl: &[Acl], version: Option<i32>) -> Result<Stat> {
        self.wire()?.set_acl(path, acl, version).await
    }

    /// Deletes a node without children; with a version, only that version.
    pub async fn delete(&self, path: &str, version: Option<i32>) -> Result<()> {
        self.wire()?.delete(path, version).await
    }

    /// All or nothing. The new stat of every step that wrote data; `None` for the others.
    pub async fn multi(&self, steps: &[Op]) -> std::result::Result<Vec<Option<Stat>>, MultiError> {
        let wire = self.wire().map_err(|error| MultiError { at: None, error })?;
        wire.multi(steps).await
    }

    /// Waits until the server that we are connected to has all that the ensemble had decided on before the call.
    pub async fn sync(&self, path: &str) -> Result<()> {
        self.wire()?.sync(path).await
    }
}
