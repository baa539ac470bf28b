//! The calls, on one connection and on the session.

use bytes::Bytes;

use super::address::{check_path, parent};
use super::error::{Error, Result};
use super::jute::Decoder;
use super::proto::{self, Requests, op};
use super::session::Session;
use super::types::{Acl, Create, MultiError, Op, Stat};
use super::wire::{Call, Wire};

type Stats = std::result::Result<Vec<Option<Stat>>, MultiError>;

/// The requests, one by one. All check their paths.
impl Wire {
    fn about<'a, T>(
        &self,
        path: &'a str,
        frame: impl FnOnce(Requests<'_>) -> Vec<u8>,
        decode: fn(Result<Bytes>) -> Result<T>,
    ) -> Result<Call<'a, T>> {
        check_path(path)?;
        Ok(Call { path, frame: frame(self.requests()), decode })
    }

    /// No data at all is another thing than empty data.
    pub(super) fn get_call<'a>(&self, path: &'a str) -> Result<Call<'a, (Option<Bytes>, Stat)>> {
        self.about(
            path,
            |to| to.read(op::GET, path, false),
            |body| {
                let body = body?;
                let mut decoder = Decoder::new(&body);
                // A copy, so that the data does not hold on to the whole of what was read from the socket.
                let data = decoder.buffer_if_any()?.map(Bytes::copy_from_slice);
                Ok((data, proto::stat(&mut decoder)?))
            },
        )
    }

    pub(super) fn children_call<'a>(&self, path: &'a str, watch: bool) -> Result<Call<'a, (Vec<String>, Stat)>> {
        self.about(
            path,
            |to| to.read(op::CHILDREN, path, watch),
            |body| {
                let body = body?;
                let mut decoder = Decoder::new(&body);
                Ok((decoder.list(Decoder::text)?, proto::stat(&mut decoder)?))
            },
        )
    }

    pub(super) fn stat_call<'a>(&self, path: &'a str, watch: bool) -> Result<Call<'a, Option<Stat>>> {
        self.about(
            path,
            |to| to.read(op::EXISTS, path, watch),
            |body| match body {
                Ok(body) => Ok(Some(proto::stat(&mut Decoder::new(&body))?)),
                Err(Error::NotFound(_)) => Ok(None),
                Err(error) => Err(error),
            },
        )
    }

    /// With the stat of the new node, where the server tells it.
    pub(super) fn create_call<'a>(
        &self,
        path: &'a str,
        data: Option<&[u8]>,
        how: Create<'_>,
    ) -> Result<Call<'a, Option<Stat>>> {
        let operation = if self.ability.knows(op::CREATE_STAT) { op::CREATE_STAT } else { op::CREATE };
        self.about(
            path,
            |to| to.create(operation, path, data, how.acl, how.ephemeral),
            |body| {
                let body = body.map_err(|error| match error {
                    // The next time it is asked in the old way.
                    Error::Unsupported(path) => Error::Unavailable(format!("{path}: the server is older than thought")),
                    other => other,
                })?;
                let mut decoder = Decoder::new(&body);
                decoder.buffer()?;
                if decoder.left() == 0 { Ok(None) } else { proto::stat(&mut decoder).map(Some) }
            },
        )
    }

    pub(super) fn set_call<'a>(
        &self,
        path: &'a str,
        data: Option<&[u8]>,
        version: Option<i32>,
    ) -> Result<Call<'a, Stat>> {
        self.about(path, |to| to.set(path, data, version), |body| proto::stat(&mut Decoder::new(&body?)))
    }

    pub(super) fn delete_call<'a>(&self, path: &'a str, version: Option<i32>) -> Result<Call<'a, ()>> {
        self.about(path, |to| to.delete(path, version), |body| body.map(drop))
    }

    pub(super) fn acl_call<'a>(&self, path: &'a str) -> Result<Call<'a, (Vec<Acl>, Stat)>> {
        self.about(
            path,
            |to| to.name(op::GET_ACL, path),
            |body| {
                let body = body?;
                let mut decoder = Decoder::new(&body);
                Ok((proto::acl(&mut decoder)?, proto::stat(&mut decoder)?))
            },
        )
    }

    fn set_acl_call<'a>(&self, path: &'a str, acl: &[Acl], version: Option<i32>) -> Result<Call<'a, Stat>> {
        self.about(path, |to| to.set_acl(path, acl, version), |body| proto::stat(&mut Decoder::new(&body?)))
    }

    /// All ephemeral nodes of this session. The server does not apply the chroot to what it tells.
    fn ephemerals_call(&self) -> Result<Call<'static, Vec<String>>> {
        if !self.ability.knows(op::EPHEMERALS) {
            return Err(Error::Unsupported("ephemeral nodes of a session".into()));
        }
        let decode = |body: Result<Bytes>| Decoder::new(&body?).list(Decoder::text);
        Ok(Call {
            path: "ephemeral nodes of a session",
            frame: Requests { chroot: "" }.name(op::EPHEMERALS, "/"),
            decode,
        })
    }

    pub(super) fn sync_call<'a>(&self, path: &'a str) -> Result<Call<'a, ()>> {
        self.about(path, |to| to.name(op::SYNC, path), |body| body.map(drop))
    }
}

impl Wire {
    pub(super) async fn get(&self, path: &str) -> Result<(Bytes, Stat)> {
        self.read(path).await.map(|(data, stat)| (data.unwrap_or_default(), stat))
    }

    /// [`Wire::get`] that tells a node without data from one with empty data.
    pub(super) async fn read(&self, path: &str) -> Result<(Option<Bytes>, Stat)> {
        self.run(self.get_call(path)).await
    }

    /// With `watch`, an event comes when a child comes or goes, or the node goes.
    pub(super) async fn children(&self, path: &str, watch: bool) -> Result<(Vec<String>, Stat)> {
        self.run(self.children_call(path, watch)).await
    }

    /// With `watch`, an event comes when the node comes, goes, or its data changes.
    pub(super) async fn stat(&self, path: &str, watch: bool) -> Result<Option<Stat>> {
        self.run(self.stat_call(path, watch)).await
    }

    pub(super) async fn create(&self, path: &str, data: Option<&[u8]>, how: Create<'_>) -> Result<Stat> {
        match self.run(self.create_call(path, data, how)).await? {
            Some(stat) => Ok(stat),
            // Before 3.5. Such servers tell every node's stat to everybody.
            None => self.stat(path, false).await?.ok_or_else(|| Error::NotFound(path.to_owned())),
        }
    }

    async fn multi(&self, steps: &[Op]) -> Stats {
        let whole = |error| MultiError { at: None, error };
        for (at, step) in steps.iter().enumerate() {
            check_path(step.path()).map_err(|error| MultiError { at: Some(at), error })?;
        }
        let call = Call {
            path: "transaction",
            frame: self.requests().multi(steps),
            decode: |body| body.and_then(|body| proto::multi_answer(&body)),
        };
        let results = self.run(Ok(call)).await.map_err(whole)?;
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
        self.run(self.about(path, |to| to.add_recursive_watch(path), |body| body.map(drop))).await
    }

    /// Ends [`Wire::watch_tree`], and every other watch on exactly this node.
    pub(super) fn unwatch(&self, path: &str) {
        self.tell(self.requests().remove_watches(path));
    }
}

/// Paths begin with a slash and are below the chroot. All calls fail with `Unavailable` at once while there is no
/// connection, and when no answer comes in time. A write that ends so may have been done.
impl Session {
    /// A node's data; none at all reads as empty.
    pub async fn get(&self, path: &str) -> Result<(Bytes, Stat)> {
        self.wire()?.get(path).await
    }

    /// [`Session::get`] that tells a node without any data, which is another thing than empty data, and rare.
    pub async fn read(&self, path: &str) -> Result<(Option<Bytes>, Stat)> {
        self.wire()?.read(path).await
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
        let wire = self.wire()?;
        wire.run(wire.acl_call(path)).await
    }

    /// Creates a node.
    pub async fn create(&self, path: &str, data: &[u8], how: Create<'_>) -> Result<Stat> {
        self.make(path, Some(data), how).await
    }

    /// [`Session::create`], also without any data.
    pub async fn make(&self, path: &str, data: Option<&[u8]>, how: Create<'_>) -> Result<Stat> {
        self.wire()?.create(path, data, how).await
    }

    /// Creates a node, and first those of its parents that are missing: persistent, with empty data, with the access
    /// list `parents` (empty: everybody everything).
    pub async fn create_all(&self, path: &str, data: &[u8], how: Create<'_>, parents: &[Acl]) -> Result<Stat> {
        self.make_all(path, Some(data), how, parents).await
    }

    /// [`Session::create_all`], also without any data.
    pub async fn make_all(&self, path: &str, data: Option<&[u8]>, how: Create<'_>, parents: &[Acl]) -> Result<Stat> {
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
            match wire.stat(folder_path, false).await {
                Ok(None) => missing.push(folder_path),
                Ok(Some(_)) | Err(Error::Denied(_)) => break,
                Err(error) => return Err(error),
            }
            above = parent(folder_path);
        }
        for folder_path in missing.into_iter().rev() {
            match wire.create(folder_path, Some(b""), folder).await {
                Ok(_) | Err(Error::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        wire.create(path, data, how).await
    }

    /// Writes a node's data; with a version, only onto that version.
    pub async fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat> {
        self.write(path, Some(data), version).await
    }

    /// [`Session::set`], also to no data at all.
    pub async fn write(&self, path: &str, data: Option<&[u8]>, version: Option<i32>) -> Result<Stat> {
        let wire = self.wire()?;
        wire.run(wire.set_call(path, data, version)).await
    }

    /// Writes a node's access list; with a version (`Stat::aversion`), only onto that version.
    pub async fn set_acl(&self, path: &str, acl: &[Acl], version: Option<i32>) -> Result<Stat> {
        let wire = self.wire()?;
        wire.run(wire.set_acl_call(path, acl, version)).await
    }

    /// Deletes a node without children; with a version, only that version.
    pub async fn delete(&self, path: &str, version: Option<i32>) -> Result<()> {
        let wire = self.wire()?;
        wire.run(wire.delete_call(path, version)).await
    }

    /// All or nothing. The new stat of every step that wrote data; `None` for the others.
    pub async fn multi(&self, steps: &[Op]) -> std::result::Result<Vec<Option<Stat>>, MultiError> {
        let wire = self.wire().map_err(|error| MultiError { at: None, error })?;
        wire.multi(steps).await
    }

    /// The ephemeral nodes of this session, as the ensemble has decided. What is not below the chroot comes without the
    /// slash in front. Errors: `Unsupported` before 3.6.
    pub async fn ephemerals(&self) -> Result<Vec<String>> {
        let wire = self.wire()?;
        wire.run(wire.sync_call("/")).await?;
        let all = wire.run(wire.ephemerals_call()).await?;
        let chroot = self.chroot();
        let below = |path: String| match path.strip_prefix(chroot) {
            Some(rest) if rest.starts_with('/') => rest.to_owned(),
            _ => path.trim_start_matches('/').to_owned(),
        };
        Ok(all.into_iter().map(below).collect())
    }

    /// Waits until the server that we are connected to has all that the ensemble had decided on before the call.
    pub async fn sync(&self, path: &str) -> Result<()> {
        let wire = self.wire()?;
        wire.run(wire.sync_call(path)).await
    }
}
