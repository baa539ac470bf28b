//! What a server understands.
//!
//! A server says that it does not know an operation, and then closes the connection. So its version is asked first;
//! where it does not tell, what it did not know is remembered.

use super::proto::op;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Major, minor, patch.
pub(super) type ServerVersion = (u32, u32, u32);

/// Operations that some server without a number did not know.
pub(super) type UnknownOperations = Arc<Mutex<BTreeSet<i32>>>;

/// What the server at the other end of a connection understands.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    pub(super) number: Option<ServerVersion>,
    pub(super) unknown: UnknownOperations,
}

impl Features {
    /// Whether it knows an operation. Where nothing is known it is taken for new enough.
    pub(super) fn knows(&self, operation: i32) -> bool {
        let since = match operation {
            op::CREATE_STAT => (3, 5, 0),
            op::ADD_WATCH | op::EPHEMERALS => (3, 6, 0),
            _ => return true,
        };
        self.number.map_or_else(|| !self.unknown.lock().contains(&operation), |number| number >= since)
    }

    /// It did not.
    pub(super) fn note_unknown(&self, operation: i32) {
        self.unknown.lock().insert(operation);
    }
}

/// The number in the answer to `srvr`: `Zookeeper version: 3.9.3-c26634f…, built on …`.
pub(super) fn number_in(answer: &str) -> Option<ServerVersion> {
    let (_, rest) = answer.split_once("ersion: ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let mut parts = rest[..end].split('.').map(str::parse::<u32>);
    let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
    Some((major, minor, parts.next().and_then(Result::ok).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        let commit = "c26634f34490bb0ea7a09cc51e05ede3b4e320ee";
        assert_eq!(number_in(&format!("Zookeeper version: 3.9.3-{commit}, built")), Some((3, 9, 3)));
        assert_eq!(number_in("Zookeeper version: 3.4.14-4c25d480, built on 03/06/2019"), Some((3, 4, 14)));
        assert_eq!(number_in("Zookeeper version: 3.10-SNAPSHOT"), Some((3, 10, 0)));
        assert_eq!(number_in("srvr is not executed because it is not in the whitelist."), None);
    }

    #[test]
    fn remembers_where_no_number_is_told() {
        let of = |number| Features { number, unknown: UnknownOperations::default() };
        assert!(of(Some((3, 6, 0))).knows(op::ADD_WATCH) && !of(Some((3, 5, 10))).knows(op::ADD_WATCH));
        assert!(of(Some((3, 5, 10))).knows(op::CREATE_STAT) && !of(Some((3, 4, 14))).knows(op::CREATE_STAT));
        let silent = of(None);
        assert!(silent.knows(op::ADD_WATCH));
        silent.note_unknown(op::ADD_WATCH);
        assert!(!silent.clone().knows(op::ADD_WATCH) && silent.knows(op::CREATE_STAT) && silent.knows(op::GET));
    }
}
