//! What a database must be able to do. [`crate::Store`] and [`crate::Writer`] are the same on all of them.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use crate::{Edit, Error, Event, EventFilter, Keep, LedgerRow, Recorded, StoredTask};

/// Where everything is kept. No method waits for a database that is away for longer than some seconds, but for
/// [`Backend::write`], whose caller sets the limit. A call whose future is dropped may have been carried out or not.
pub(crate) trait Backend: Send + Sync {
    /// All changes or none, in order; raises the revision by one and returns it. With `made_from`: [`Error::Outdated`], and no
    /// change, when that is not the revision any more.
    fn edit<'a>(&'a self, changes: &'a [Change], made_from: Option<i64>) -> BoxFuture<'a, Result<i64, Error>>;

    /// See [`crate::Store::revision`].
    fn revision(&self) -> BoxFuture<'_, Result<i64, Error>>;

    /// All of one moment, by name.
    fn clusters(&self) -> BoxFuture<'_, Result<Vec<SealedCluster>, Error>>;

    /// All, by name and id.
    fn tasks(&self) -> BoxFuture<'_, Result<Vec<StoredTask>, Error>>;

    /// A single value.
    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>>;

    /// Sets a single value. The revision stays.
    fn put_value<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Sets a single value unless there is one; returns the one that is kept.
    fn put_first<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<String, Error>>;

    /// Everything, by route and scope; every `document` is there.
    fn ledger(&self) -> BoxFuture<'_, Result<Vec<LedgerRow>, Error>>;

    /// Newest first.
    fn events<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<Vec<Recorded>, Error>>;

    /// Removes what `keep` does not cover; returns how many events that were.
    fn prune(&self, keep: Keep, now_ms: i64) -> BoxFuture<'_, Result<u64, Error>>;

    /// Writes both in one transaction.
    fn write<'a>(&'a self, rows: &'a [LedgerRow], events: &'a [Event]) -> BoxFuture<'a, Result<(), Error>>;

    /// Called about every second while there is nothing to write: repairs what happened to the database meanwhile.
    fn look(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Before the process ends.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// An edit, and the secrets of its cluster as they are kept.
pub(crate) struct Change {
    pub(crate) edit: Edit,
    /// By field; empty for any other edit than [`Edit::PutCluster`].
    pub(crate) sealed: BTreeMap<String, Vec<u8>>,
}

/// A cluster as it is kept.
pub(crate) struct SealedCluster {
    pub(crate) name: String,
    pub(crate) document: String,
    /// By field.
    pub(crate) sealed: BTreeMap<String, Vec<u8>>,
}
