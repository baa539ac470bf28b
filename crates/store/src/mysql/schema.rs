//! The tables, and how they come to the version that this program knows.
//!
//! The library's own migrations are not used: they rely on `GET_LOCK(name, -1)`, which MariaDB takes for an error without a lock, which Galera
//! grants on every server by itself, and which proxies lose. Every statement here may be run again, by several nodes at once, so that no
//! lock is needed. A version is noted when all its statements are done; what a node that was killed has left half done, the next one
//! completes. With the tables in place nothing but reading, inserting, updating and deleting rows is needed.

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};

use super::MySqlDatabase;
use super::fault::{self, Fault};
use crate::Error;

/// All versions of the tables, oldest first. A published one is never changed: the next one is added. It adds only what an earlier program
/// does not stumble over, or raises [`OLDEST`].
const VERSIONS: [&str; 1] = [include_str!("../../migrations/mysql/0001_first.sql")];
/// The oldest version whose programs can work with the tables as they are now.
const OLDEST: i64 = 1;
const NOTES: &str = "CREATE TABLE IF NOT EXISTS causeway_schema (
    id      TINYINT NOT NULL PRIMARY KEY,
    version INT NOT NULL,
    oldest  INT NOT NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin";
/// How often all of it is tried while other nodes are in the way.
const TRIES: u32 = 20;

/// Brings the tables to the version of this program.
pub(super) async fn prepare(database: &MySqlDatabase) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut db = database.connections.take().await?;
        match bring(&mut db).await {
            Ok(()) => {
                db.give_back();
                return Ok(());
            }
            Err(Trouble::Told(error)) => return Err(error),
            Err(Trouble::Database(error)) if tries < TRIES && is_race(&error) => {
                drop(db);
                if fault::of(&error) == Fault::Gone {
                    database.connections.forget();
                }
                database.pause(tries).await;
            }
            Err(Trouble::Database(error)) if fault::is_denied(&error) => return Err(denied(&error, &database.account)),
            Err(Trouble::Database(error)) => return Err(error.into()),
        }
    }
}

enum Trouble {
    Database(sqlx::Error),
    Told(Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

async fn bring(db: &mut MySqlConnection) -> Result<(), Trouble> {
    let current = VERSIONS.len() as i64;
    let (version, oldest) = match noted(db).await {
        Err(error) if fault::number(&error) == Some(fault::NO_TABLE) => (0, 0),
        noted => noted?.unwrap_or_default(),
    };
    if oldest > current {
        let text =
            format!("its tables are of version {version}, and this program knows version {current}: use a newer one");
        return Err(Trouble::Told(Error::Migration(text)));
    }
    if version >= current {
        return Ok(());
    }
    let from = usize::try_from(version).unwrap_or_default();
    for statement in statements(from) {
        if let Err(error) = db.execute(AssertSqlSafe(statement)).await {
            // Another node was faster: there is what the statement makes.
            if !matches!(fault::number(&error), Some(1050 | 1060 | 1061)) {
                return Err(error.into());
            }
        }
    }
    tracing::info!(version = current, "the tables of the database are in place");
    Ok(())
}

async fn noted(db: &mut MySqlConnection) -> Result<Option<(i64, i64)>, sqlx::Error> {
    let mut transaction = db.begin().await?;
    let row: Option<(i32, i32)> = sqlx::query_as("SELECT version, oldest FROM causeway_schema WHERE id = 1")
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(row.map(|(version, oldest)| (version.into(), oldest.into())))
}

/// Everything that leads from a version to this program's, the note of it last.
fn statements(from: usize) -> Vec<String> {
    let (version, oldest) = (VERSIONS.len(), OLDEST);
    let note = format!(
        "INSERT INTO causeway_schema (id, version, oldest) VALUES (1, {version}, {oldest}) ON DUPLICATE KEY UPDATE version = \
         GREATEST(version, {version}), oldest = GREATEST(oldest, {oldest})"
    );
    let versions = VERSIONS.iter().skip(from).flat_map(|text| parts(text));
    std::iter::once(NOTES.to_owned()).chain(versions).chain(std::iter::once(note)).collect()
}

/// The statements of a file, without comments.
fn parts(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--") && !line.trim().is_empty()).collect();
    let whole = lines.join("\n");
    whole.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Two nodes at it at the same time, or a server that went away.
fn is_race(error: &sqlx::Error) -> bool {
    // TiDB: the schema has changed under a statement. MySQL: the table is just being made.
    fault::of(error) != Fault::Other || matches!(fault::number(error), Some(1684 | 1412 | 8027))
}

pub(super) fn create_database(name: &str) -> String {
    format!("CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", quoted(name))
}

pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The database that an account works in.
pub(super) struct Account {
    pub(super) database: String,
    pub(super) user: String,
}

impl Account {
    fn grant(&self) -> String {
        let (database, user) = (quoted(&self.database), self.user.replace('\'', "''"));
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO '{user}'@'%';")
    }
}

/// An account that may not make the tables, or not even read: what somebody else has to run.
fn denied(error: &sqlx::Error, account: &Account) -> Error {
    let script: String = statements(0).iter().map(|statement| format!("{statement};\n")).collect();
    Error::Migration(format!(
        "the account {} has too few rights in the database {} ({error}). Either let it create tables, or run this as an \
         administrator and start again:\n\nUSE {};\n{script}COMMIT;\n{}\n",
        account.user,
        account.database,
        quoted(&account.database),
        account.grant()
    ))
}

/// There is no such database, or it is not for this account.
pub(super) fn no_database(why: &str, account: &Account) -> Error {
    Error::Refused(format!(
        "{why}. If there is no database {}, run this as an administrator, or add createDatabaseIfNotExist=true to MYSQL_URL:\n\n{};\n{}\n",
        account.database,
        create_database(&account.database),
        account
            .grant()
            .replace("SELECT, INSERT, UPDATE, DELETE", "CREATE, ALTER, INDEX, SELECT, INSERT, UPDATE, DELETE")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_may_be_run_again() {
        for statement in statements(0) {
            let again =
                ["CREATE TABLE IF NOT EXISTS causeway_", "INSERT IGNORE INTO causeway_", "INSERT INTO causeway_schema"];
            assert!(again.iter().any(|start| statement.starts_with(start)), "{statement}");
        }
    }
}
