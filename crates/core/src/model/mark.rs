//! What we write beside a record that we create.

use super::{ClusterId, OwnerId};
use serde::{Deserialize, Serialize};

/// Owner and travel path of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Who may update or delete the copy.
    pub owner: OwnerId,
    /// Every cluster the record has crossed, birthplace first. Decides where it may still go.
    ///
    /// Empty when a connector knows a copy for ours although the written mark is gone (an operator overwrote it).
    pub path: Vec<ClusterId>,
}

/// Version of the written form; nodes write the lowest that all living nodes know.
const VERSION: &str = "1";

impl Mark {
    /// The written form: `1;<install>/<task>;<cluster>,<cluster>`. 45 characters for a path of three with eight-digit
    /// ids.
    pub fn encode(&self) -> String {
        let path: Vec<&str> = self.path.iter().map(ClusterId::as_str).collect();
        format!("{VERSION};{};{}", self.owner, path.join(","))
    }

    /// Reads what [`Mark::encode`] wrote; `None` for anything else.
    pub fn decode(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        let (version, owner, path) = (fields.next()?, fields.next()?, fields.next()?);
        if version != VERSION || fields.next().is_some() {
            return None;
        }
        let (install, task) = owner.split_once('/')?;
        let plain = |word: &str| !word.is_empty() && !word.contains(['/', ',']);
        if !plain(install) || !plain(task) || path.split(',').any(str::is_empty) {
            return None;
        }
        Some(Self { owner: OwnerId::new(install, task), path: path.split(',').map(ClusterId::from_text).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back() {
        let path: Vec<_> = (0..8).map(|n| ClusterId::of(&n.to_string())).collect();
        let mark = Mark { owner: OwnerId::new("3f9a2c1b", "5d2e8a01"), path };
        assert_eq!(Mark::decode(&mark.encode()), Some(mark.clone()));
        let short = Mark { path: mark.path[..3].to_vec(), ..mark };
        assert!(short.encode().len() <= 120, "{}", short.encode().len());
    }

    #[test]
    fn anything_else_is_no_mark() {
        for text in ["", "1", "1;a;b", "1;a/b;", "2;a/b;c", "1;a/b;c;d", "1;/b;c", "1;a/;c", "1;a/b/c;d", "x"] {
            assert_eq!(Mark::decode(text), None, "{text}");
        }
    }
}
