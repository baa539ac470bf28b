//! What went wrong, sorted by what to do about it.

/// An error of the ZooKeeper client. Texts never hold passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No server answered, or one that cannot serve right now. Try again. A write that ends so may have been done.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The node's ACL does not let us. ZooKeeper takes a wrong password without a word, so that this is also what a
    /// wrong login looks like. Tell the operator.
    #[error("denied: {0}")]
    Denied(String),
    /// The node, or the parent of a node to create, does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// The node to create exists.
    #[error("exists: {0}")]
    Exists(String),
    /// The node to delete has children.
    #[error("not empty: {0}")]
    NotEmpty(String),
    /// The node has another version than expected.
    #[error("changed in between: {0}")]
    BadVersion(String),
    /// What was asked for is refused, and would be refused again.
    #[error("rejected: {0}")]
    Rejected(String),
    /// It is refused because of something else in the tree, which may go.
    #[error("refused for now: {0}")]
    Blocked(String),
    /// The server is too old for this call.
    #[error("not known to this server: {0}")]
    Unsupported(String),
    /// An answer that this client does not understand.
    #[error("protocol: {0}")]
    Protocol(String),
}

/// Result of the ZooKeeper client.
pub type Result<T> = std::result::Result<T, WireError>;

/// Codes that the connection itself looks at.
pub(super) const UNIMPLEMENTED: i32 = -6;
pub(super) const SESSION_EXPIRED: i32 = -112;
pub(super) const AUTH_FAILED: i32 = -115;
pub(super) const SESSION_MOVED: i32 = -118;
pub(super) const SASL_REQUIRED: i32 = -124;

impl WireError {
    /// True when the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, WireError::Unavailable(_))
    }

    /// What a server's error code means for a call about `path`.
    pub(super) fn of_code(code: i32, path: &str) -> WireError {
        let at = |why: &str| format!("{path}: {why}");
        match code {
            UNIMPLEMENTED => WireError::Unsupported(path.to_owned()),
            -8 => WireError::Rejected(at("bad arguments")),
            -101 => WireError::NotFound(path.to_owned()),
            -102 => WireError::Denied(path.to_owned()),
            -103 => WireError::BadVersion(path.to_owned()),
            -108 => WireError::Blocked(at("its parent is ephemeral, and such nodes have no children")),
            -110 => WireError::Exists(path.to_owned()),
            -111 => WireError::NotEmpty(path.to_owned()),
            -114 => WireError::Rejected(at("invalid ACL")),
            AUTH_FAILED => WireError::Denied(at("authentication failed")),
            SASL_REQUIRED => WireError::Denied(at("the server asks for another way to sign in")),
            -120 => WireError::Blocked(at("this server's local sessions hold no ephemeral nodes")),
            -121 => WireError::NotFound(at("no such watch")),
            -123 => WireError::Rejected(at("reconfiguration is switched off")),
            -125 => WireError::Blocked(at("quota exceeded")),
            -2 => WireError::Unavailable(at("not tried, since a neighbour in the same transaction failed")),
            SESSION_EXPIRED => WireError::Unavailable(at("the session has expired")),
            SESSION_MOVED => WireError::Unavailable(at("the session is held through another server")),
            -119 => WireError::Unavailable(at("the server is read-only now")),
            -127 => WireError::Unavailable(at("the server throttles")),
            -1 | -4 | -7 | -9 | -13 | -14 | -116 | -122 => WireError::Unavailable(at(&format!("server error {code}"))),
            _ => WireError::Protocol(at(&format!("server error {code}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_what_to_do() {
        assert_eq!(WireError::of_code(-101, "/a"), WireError::NotFound("/a".into()));
        assert_eq!(WireError::of_code(-102, "/a"), WireError::Denied("/a".into()));
        assert_eq!(WireError::of_code(-6, "/a"), WireError::Unsupported("/a".into()));
        assert!(WireError::of_code(-127, "/a").is_transient());
        assert!(WireError::of_code(-119, "/a").is_transient());
        assert!(matches!(WireError::of_code(-125, "/a"), WireError::Blocked(_)));
        assert!(matches!(WireError::of_code(-4711, "/a"), WireError::Protocol(_)));
    }
}
