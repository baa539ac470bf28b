//! What went wrong, sorted by what to do about it.

use std::time::Duration;

/// An error of the Nacos client. Texts never hold passwords, tokens or keys.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No server answered, or one that cannot serve right now. Retry with back-off.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The server is busy. Retry after the given time.
    #[error("throttled, wait {} ms", .0.as_millis())]
    Throttled(Duration),
    /// Wrong credentials or no right, after a fresh login. Tell the operator.
    #[error("denied: {0}")]
    Denied(String),
    /// The server refuses what was sent; the same again would be refused again.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The server itself says that the named thing does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// An answer that this client does not understand, or an interface that is not there.
    #[error("protocol: {0}")]
    Protocol(String),
}

impl Error {
    /// True when the same request may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::Throttled(_))
    }
}

/// Result of the Nacos client.
pub type Result<T> = std::result::Result<T, Error>;

/// What was found; the default where the server says that there is no such thing.
pub fn or_default<T: Default>(found: Result<T>) -> Result<T> {
    match found {
        Err(Error::NotFound(_)) => Ok(T::default()),
        found => found,
    }
}

/// Longest server text that is kept in an error.
const TEXT_LIMIT: usize = 300;

/// One line of a server's text, cut to [`TEXT_LIMIT`] characters.
pub(crate) fn brief(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
