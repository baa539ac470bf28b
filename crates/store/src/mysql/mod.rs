//! A MySQL-compatible database that several nodes share.

mod connections;
mod environment;
pub(crate) mod fault;
mod pieces;
mod rows;
mod schema;
mod tls;
mod url;

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::Connection;

use crate::backend::{Backend, Change, SealedCluster};
use crate::folder::NodeLock;
use crate::secret::random;
use crate::{Error, Event, EventFilter, Keep, LedgerRow, Recorded, StoredTask};

pub(crate) use environment::PASSWORD_BEFORE;
pub use environment::{Database, Environment, MYSQL_VARIABLES};
pub use url::MySqlSettings;

use connections::{Borrowed, Connections};
use fault::Fault;
use schema::Account;

/// How long a start waits for a database that is away.
const START: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);
/// How long a statement that reads may take.
const READ: Duration = Duration::from_secs(30);
/// How long everything of the ledger may take, and how long making the tables.
const LOAD: Duration = Duration::from_secs(300);
const MAKE: Duration = Duration::from_secs(60);
/// How often a transaction is repeated that met another one, or lost its connection.
const TRIES: u32 = 8;

pub(crate) struct MySqlDatabase {
    connections: Connections,
    account: Account,
    _lock: NodeLock,
}

impl MySqlDatabase {
    /// Connects, and makes the tables where they are missing.
    pub(crate) async fn open(settings: &MySqlSettings, lock: NodeLock) -> Result<Self, Error> {
        let account = Account { database: settings.database.clone(), user: settings.user.clone() };
        let database = Self { connections: Connections::new(settings)?, account, _lock: lock };
        database.wait_for_it(settings).await?;
        let made = tokio::time::timeout(MAKE, schema::prepare(&database)).await;
        made.unwrap_or(Err(Error::Slow(MAKE.as_secs())))?;
        if settings.tls.is_asked_for && !database.connections.is_encrypted().await? {
            tracing::warn!(
                "MYSQL_URL has useSSL=true, and the database server offers no TLS: the connection is not encrypted; sslMode=REQUIRED \
                 would refuse that"
            );
        }
        Ok(database)
    }

    async fn wait_for_it(&self, settings: &MySqlSettings) -> Result<(), Error> {
        let until = Instant::now() + START;
        let (mut told, mut makes) = (false, settings.create_database);
        loop {
            match self.connections.take().await {
                Ok(db) => {
                    db.give_back();
                    return Ok(());
                }
                // The error's number stands before its class.
                Err(Error::Refused(why))
                    if fault::NO_DATABASE.iter().any(|number| why.contains(&format!("{number} ("))) =>
                {
                    match std::mem::take(&mut makes) {
                        true => self.connections.create_database(&settings.database).await?,
                        false => return Err(schema::no_database(&why, &self.account)),
                    }
                }
                Err(error) if error.is_temporary() && Instant::now() < until => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!("waiting for the database: {error}");
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Before a further try: longer every time, and not the same for all nodes.
    async fn pause(&self, tries: u32) {
        let share = random::<1>().map_or(128, |[byte]| u64::from(byte));
        tokio::time::sleep(Duration::from_millis((10 << tries.min(6)) * (128 + share) / 256)).await;
    }

    /// After an error: whether the same again may help, on another connection where this one is gone. `tries`: how many there were.
    async fn goes_again(&self, error: &Error, tries: u32) -> bool {
        let Error::Database(error) = error else { return false };
        let fault = fault::of(error);
        if fault == Fault::Gone {
            self.connections.forget();
        }
        if fault == Fault::Other || tries >= TRIES {
            return false;
        }
        self.pause(tries).await;
        true
    }

    /// Runs work on a connection, repeated while [`MySqlDatabase::goes_again`].
    async fn run<'a, T, F>(&'a self, work: impl Fn(Borrowed<'a>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<(T, Borrowed<'a>), Error>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            match work(self.connections.take().await?).await {
                Ok((done, db)) => {
                    db.give_back();
                    return Ok(done);
                }
                Err(error) if self.goes_again(&error, tries).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The same for work of a few rows.
    async fn read<'a, T, F>(&'a self, work: impl Fn(Borrowed<'a>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<(T, Borrowed<'a>), Error>>,
    {
        self.run_within(READ, work).await
    }

    /// In time, or the server counts as gone.
    async fn run_within<'a, T, F>(&'a self, limit: Duration, work: impl Fn(Borrowed<'a>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<(T, Borrowed<'a>), Error>>,
    {
        match tokio::time::timeout(limit, self.run(work)).await {
            Ok(done) => done,
            Err(_) => {
                self.connections.forget();
                Err(Error::Slow(limit.as_secs()))
            }
        }
    }
}

impl Backend for MySqlDatabase {
    fn edit<'a>(&'a self, changes: &'a [Change], made_from: Option<i64>) -> BoxFuture<'a, Result<i64, Error>> {
        async move {
            // Names this edit: a commit whose answer was lost is found again by it.
            let edit = random::<16>()?;
            self.run(|mut db: Borrowed<'a>| async move {
                let mut transaction = db.begin().await?;
                let revision = match rows::raise_revision(&mut transaction, &edit, made_from).await? {
                    rows::Raised::Before(revision) => revision,
                    rows::Raised::Now(revision) => {
                        for change in changes {
                            rows::change(&mut transaction, change).await?;
                        }
                        revision
                    }
                };
                transaction.commit().await?;
                Ok((revision, db))
            })
            .await
        }
        .boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<i64, Error>> {
        self.read(move |mut db: Borrowed<'_>| async move { Ok((rows::revision(&mut db).await?, db)) }).boxed()
    }

    fn clusters(&self) -> BoxFuture<'_, Result<Vec<SealedCluster>, Error>> {
        self.read(move |mut db: Borrowed<'_>| async move { Ok((rows::clusters(&mut db).await?, db)) }).boxed()
    }

    fn tasks(&self) -> BoxFuture<'_, Result<Vec<StoredTask>, Error>> {
        self.read(move |mut db: Borrowed<'_>| async move { Ok((rows::tasks(&mut db).await?, db)) }).boxed()
    }

    fn value<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        self.read(move |mut db: Borrowed<'_>| async move { Ok((rows::value(&mut db, name).await?, db)) }).boxed()
    }

    fn put_value<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.run(move |mut db: Borrowed<'_>| async move {
            let mut transaction = db.begin().await?;
            rows::put_value(&mut transaction, name, value).await?;
            transaction.commit().await?;
            Ok(((), db))
        })
        .boxed()
    }

    fn put_first<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<String, Error>> {
        self.read(move |mut db: Borrowed<'_>| async move { Ok((rows::put_first(&mut db, name, value).await?, db)) })
            .boxed()
    }

    fn ledger(&self) -> BoxFuture<'_, Result<Vec<LedgerRow>, Error>> {
        self.run_within(LOAD, move |mut db: Borrowed<'_>| async move { Ok((rows::ledger(&mut db).await?, db)) }).boxed()
    }

    fn events<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<Vec<Recorded>, Error>> {
        self.read(move |mut db: Borrowed<'_>| async move { Ok((rows::events(&mut db, filter).await?, db)) }).boxed()
    }

    fn prune(&self, keep: Keep, now_ms: i64) -> BoxFuture<'_, Result<u64, Error>> {
        self.read(move |mut db: Borrowed<'_>| async move { Ok((rows::prune(&mut db, keep, now_ms).await?, db)) })
            .boxed()
    }

    fn write<'a>(&'a self, rows: &'a [LedgerRow], events: &'a [Event]) -> BoxFuture<'a, Result<(), Error>> {
        self.run(move |mut db: Borrowed<'_>| async move {
            let mut transaction = db.begin().await?;
            rows::write_ledger(&mut transaction, rows).await?;
            rows::write_events(&mut transaction, events).await?;
            transaction.commit().await?;
            Ok(((), db))
        })
        .boxed()
    }

    fn look(&self) -> BoxFuture<'_, Result<(), Error>> {
        std::future::ready(Ok(())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.connections.close().boxed()
    }
}
