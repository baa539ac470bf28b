//! What the errors of MySQL-compatible servers mean.

use sqlx::mysql::MySqlDatabaseError;

/// What is to be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Two transactions were in each other's way: the same again, at once.
    Conflict,
    /// The connection is gone, or its server does not write any more: the same again, on another connection.
    Gone,
    /// Anything else.
    Other,
}

pub(crate) fn of(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Fault::Gone,
        _ => number(error).map_or(Fault::Other, of_number),
    }
}

/// The server's number of an error, as in MySQL's list; TiDB, Galera and ProxySQL have their own besides.
pub(crate) fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

fn of_number(number: u16) -> Fault {
    match number {
        // Lock wait, deadlock (also of Galera's certification), changed since the snapshot; TiDB: conflicts and a schema that changed.
        1205 | 1213 | 1020 | 8002 | 8022 | 8028 | 9007 => Fault::Conflict,
        // Too many connections, killed, a broken network, shutting down, idle for too long.
        1040 | 1203 | 1053 | 1129 | 1152 | 1158..=1161 | 1317 | 1927 | 2006 | 2013 | 4031 => Fault::Gone,
        // Read-only, a replica by now; Galera: not part of the cluster now; TiDB: its storage is away; ProxySQL: nobody behind it.
        READ_ONLY | 1836 | 1792 | 1047 | 9001 | 9002 | 9005 => Fault::Gone,
        _ => Fault::Other,
    }
}

/// `--read-only`, or another option that forbids the statement.
const READ_ONLY: u16 = 1290;
pub(crate) const NO_TABLE: u16 = 1146;
/// Unknown, and denied to an account that may not even know whether it is there.
pub(crate) const NO_DATABASE: [u16; 2] = [1049, 1044];

/// The account may not do it: on the database, as this user, on a table, with this password, without a right of administrators.
pub(crate) fn is_denied(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1044 | 1045 | 1142 | 1143 | 1227 | 1698 | 8121))
}

pub(crate) fn is_no_database(error: &sqlx::Error) -> bool {
    number(error).is_some_and(|number| NO_DATABASE.contains(&number))
}

/// Whether another try could help, without that anybody changes anything.
pub(crate) fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) => false,
        error if is_tls(error) => false,
        _ => of(error) != Fault::Other,
    }
}

/// A server without TLS, or a certificate that is refused. A handshake that was cut short is another error.
pub(crate) fn is_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// In a few words; the error follows.
pub(crate) fn words(error: &sqlx::Error) -> &'static str {
    match number(error) {
        Some(1044 | 1142 | 1143) => "the database account has too few rights",
        Some(1045 | 1698) => "the database refuses MYSQL_USER_NAME or MYSQL_PASSWORD",
        Some(READ_ONLY | 1836) => "the database server is read-only",
        Some(1153 | 1301) => "the database takes no packet of this size (max_allowed_packet)",
        Some(1114 | 1021 | 28) => "the database's disk is full",
        Some(NO_TABLE) => "a table was removed from the database",
        Some(1040 | 1203) => "the database has too many connections",
        Some(_) if of(error) == Fault::Conflict => "other transactions were in the way, again and again",
        Some(_) => "database",
        None if of(error) == Fault::Gone => "the connection to the database broke",
        None => "database",
    }
}
