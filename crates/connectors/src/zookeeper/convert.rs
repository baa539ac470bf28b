//! Between the client's errors and ours.

use super::client::Error as WireError;
use causeway_core::Error;

/// What to do about an error of the client.
pub(super) fn error(error: WireError) -> Error {
    match error {
        WireError::Unavailable(text) => Error::unavailable(text),
        WireError::Denied(text) => Error::Denied(text),
        WireError::NotFound(path) => Error::Missing(format!("no znode {path}")),
        WireError::Exists(_) | WireError::NotEmpty(_) | WireError::BadVersion(_) => Error::Conflict,
        WireError::Rejected(text) => Error::Rejected(text),
        WireError::Blocked(text) => Error::Blocked(text),
        WireError::Unsupported(text) => Error::Rejected(format!("this server is too old for {text}")),
        WireError::Protocol(text) => Error::protocol(text),
    }
}
