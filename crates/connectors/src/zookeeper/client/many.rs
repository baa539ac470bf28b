//! Many calls at once on the one connection: the same calls, without waiting for each answer before the next request.

use std::future::Future;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

use super::error::Result;
use super::session::Session;
use super::types::{Create, Stat};

/// Requests without an answer yet. A server stops reading above 1,000 of all its clients together.
pub(super) const IN_FLIGHT: usize = 256;

/// `call` for each item, at most [`IN_FLIGHT`] at a time; the results in the items' order.
async fn each<I, F>(items: impl IntoIterator<Item = I>, mut call: impl FnMut(I) -> F) -> Vec<F::Output>
where
    F: Future,
{
    let items = items.into_iter();
    let mut results = Vec::with_capacity(items.size_hint().0);
    let mut flying = FuturesOrdered::new();
    for item in items {
        if flying.len() >= IN_FLIGHT {
            results.extend(flying.next().await);
        }
        flying.push_back(call(item));
    }
    while let Some(result) = flying.next().await {
        results.push(result);
    }
    results
}

/// One result for each item, in order; one that fails does not keep the others from being tried.
impl Session {
    /// [`Session::get`] for each.
    pub async fn get_many<P: AsRef<str>>(&self, paths: &[P]) -> Vec<Result<(Bytes, Stat)>> {
        each(paths, |path| self.get(path.as_ref())).await
    }

    /// [`Session::children`] for each.
    pub async fn children_many<P: AsRef<str>>(&self, paths: &[P]) -> Vec<Result<(Vec<String>, Stat)>> {
        each(paths, |path| self.children(path.as_ref())).await
    }

    /// [`Session::stat`] for each.
    pub async fn stat_many<P: AsRef<str>>(&self, paths: &[P]) -> Vec<Result<Option<Stat>>> {
        each(paths, |path| self.stat(path.as_ref())).await
    }

    /// [`Session::create`] for each, in order: a parent may stand before its children.
    pub async fn create_many<P: AsRef<str>, D: AsRef<[u8]>>(&self, nodes: &[(P, D, Create<'_>)]) -> Vec<Result<Stat>> {
        each(nodes, |(path, data, how)| self.create(path.as_ref(), data.as_ref(), *how)).await
    }

    /// [`Session::set`] for each, with the version that it must have.
    pub async fn set_many<P: AsRef<str>, D: AsRef<[u8]>>(&self, nodes: &[(P, D, Option<i32>)]) -> Vec<Result<Stat>> {
        each(nodes, |(path, data, version)| self.set(path.as_ref(), data.as_ref(), *version)).await
    }

    /// [`Session::delete`] for each, with the version that it must have; children may stand before their parent.
    pub async fn delete_many<P: AsRef<str>>(&self, nodes: &[(P, Option<i32>)]) -> Vec<Result<()>> {
        each(nodes, |(path, version)| self.delete(path.as_ref(), *version)).await
    }
}
