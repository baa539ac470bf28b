//! Many calls at once on the one connection: the same calls, without waiting for each answer before the next request.

use super::error::{Result, WireError};
use super::session::Session;
use super::types::{Acl, Create, Stat};
use super::wire::{InFlight, PreparedCall, Wire};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

/// Requests without an answer yet. A server stops reading above 1,000 of all its clients together.
pub(super) const IN_FLIGHT: usize = 256;

/// One result for each item, in order; one that fails does not keep the others from being tried. The server does them
/// in this order.
impl Session {
    /// Begins the items' calls one after the other, at most [`IN_FLIGHT`] ahead of their answers.
    async fn each<'a, I, T>(
        &self,
        items: impl IntoIterator<Item = I>,
        call: impl Fn(&Wire, I) -> Result<PreparedCall<'a, T>>,
    ) -> Vec<Result<T>> {
        let items = items.into_iter();
        let mut results = Vec::with_capacity(items.size_hint().0);
        let mut flying = FuturesOrdered::new();
        for item in items {
            if flying.len() >= IN_FLIGHT {
                results.extend(flying.next().await);
            }
            let begun = self.begin(|wire| call(wire, item)).await;
            flying.push_back(async { begun?.finish().await });
        }
        while let Some(result) = flying.next().await {
            results.push(result);
        }
        results
    }

    pub(super) async fn begin<'a, T>(
        &self,
        call: impl FnOnce(&Wire) -> Result<PreparedCall<'a, T>>,
    ) -> Result<InFlight<'a, T>> {
        let wire = self.wire()?;
        wire.begin(call(&wire)?).await
    }

    /// [`Session::get`] for each.
    pub async fn get_many<P: AsRef<str>>(&self, paths: &[P]) -> Vec<Result<(Bytes, Stat)>> {
        let got = self.each(paths, |wire, path| wire.read(path.as_ref())).await;
        got.into_iter().map(|result| result.map(|(data, stat)| (data.unwrap_or_default(), stat))).collect()
    }

    /// [`Session::children`] for each.
    pub async fn children_many<P: AsRef<str>>(&self, paths: &[P]) -> Vec<Result<(Vec<String>, Stat)>> {
        self.each(paths, |wire, path| wire.children(path.as_ref(), false)).await
    }

    /// [`Session::stat`] for each.
    pub async fn stat_many<P: AsRef<str>>(&self, paths: &[P]) -> Vec<Result<Option<Stat>>> {
        self.each(paths, |wire, path| wire.stat(path.as_ref(), false)).await
    }

    /// [`Session::acl`] for each.
    pub async fn acl_many<P: AsRef<str>>(&self, paths: &[P]) -> Vec<Result<(Vec<Acl>, Stat)>> {
        self.each(paths, |wire, path| wire.acl(path.as_ref())).await
    }

    /// [`Session::create`] for each: a parent may stand before its children.
    pub async fn create_many<P, D>(&self, nodes: &[(P, D, Create<'_>)]) -> Vec<Result<Stat>>
    where
        P: AsRef<str>,
        D: AsRef<[u8]>,
    {
        let nodes: Vec<_> = nodes.iter().map(|(path, data, how)| (path.as_ref(), Some(data.as_ref()), *how)).collect();
        self.make_many(&nodes).await
    }

    /// [`Session::create_many`], also without any data.
    pub async fn make_many(&self, nodes: &[(&str, Option<&[u8]>, Create<'_>)]) -> Vec<Result<Stat>> {
        let made = self.each(nodes, |wire, (path, data, how)| wire.create(path, *data, *how)).await;
        // Servers before 3.5 do not tell it.
        let untold = made.iter().zip(nodes).filter(|(result, _)| matches!(result, Ok(None)));
        let untold: Vec<&str> = untold.map(|(_, (path, ..))| *path).collect();
        let mut stats = self.stat_many(&untold).await.into_iter();
        let told = |(made, (path, ..)): (Result<Option<Stat>>, &(&str, _, _))| {
            let stat = match made? {
                None => stats.next().unwrap_or(Ok(None))?,
                told => told,
            };
            stat.ok_or_else(|| WireError::NotFound((*path).to_owned()))
        };
        made.into_iter().zip(nodes).map(told).collect()
    }

    /// [`Session::delete`] for each, with the version that it must have: children may stand before their parent.
    pub async fn delete_many<P: AsRef<str>>(&self, nodes: &[(P, Option<i32>)]) -> Vec<Result<()>> {
        self.each(nodes, |wire, (path, version)| wire.delete(path.as_ref(), *version)).await
    }
}
