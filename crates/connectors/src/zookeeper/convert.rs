//! What an error of the client means for the engine.

use super::client::WireError;
use causeway_core::Error;

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Unavailable(text) => Self::unavailable(text),
            WireError::Denied(text) => Self::Denied(text),
            WireError::NotFound(path) => Self::Missing(format!("no znode {path}")),
            WireError::Exists(_) | WireError::NotEmpty(_) | WireError::BadVersion(_) => Self::Conflict,
            WireError::Rejected(text) => Self::Rejected(text),
            WireError::Blocked(text) => Self::Blocked(text),
            WireError::Unsupported(text) => Self::Rejected(format!("this server is too old for {text}")),
            WireError::Protocol(text) => Self::protocol(text),
        }
    }
}
