//! What we write beside a record that we create.

use super::intern::Pool;
use super::{ClusterId, OwnerId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Owner and travel path of a copy. Equal ones stand in memory once.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "MarkFields", into = "MarkFields")]
pub struct Mark(Arc<MarkFields>);

/// What a [`Mark`] says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MarkFields {
    /// Who may update or delete the copy.
    pub owner: OwnerId,
    /// Every cluster the record has crossed, birthplace first. Decides where it may still go.
    ///
    /// Empty when a connector knows a copy for ours although the written mark is gone (an operator overwrote it).
    pub path: Vec<ClusterId>,
}

impl AsRef<MarkFields> for MarkFields {
    fn as_ref(&self) -> &MarkFields {
        self
    }
}

impl From<MarkFields> for Mark {
    fn from(said: MarkFields) -> Self {
        Self(MARKS.get(said))
    }
}

impl From<Mark> for MarkFields {
    fn from(mark: Mark) -> Self {
        (*mark.0).clone()
    }
}

impl Deref for Mark {
    type Target = MarkFields;

    fn deref(&self) -> &MarkFields {
        &self.0
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(super) static MARKS: Pool<MarkFields> = Pool::new();

/// Version of the written form; nodes write the lowest that all living nodes know.
const VERSION: &str = "1";

impl Mark {
    /// The mark of a copy that `owner` may update, and that came through the clusters of `path`.
    pub fn new(owner: OwnerId, path: Vec<ClusterId>) -> Self {
        MarkFields { owner, path }.into()
    }

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
        Some(Self::new(OwnerId::new(install, task), path.split(',').map(ClusterId::from_text).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back() {
        let path: Vec<_> = (0..8).map(|n| ClusterId::of(&n.to_string())).collect();
        let mark = Mark::new(OwnerId::new("3f9a2c1b", "5d2e8a01"), path);
        assert_eq!(Mark::decode(&mark.encode()), Some(mark.clone()));
        let short = Mark::new(mark.owner.clone(), mark.path[..3].to_vec());
        assert!(short.encode().len() <= 120, "{}", short.encode().len());
    }

    #[test]
    fn anything_else_is_no_mark() {
        for text in ["", "1", "1;a;b", "1;a/b;", "2;a/b;c", "1;a/b;c;d", "1;/b;c", "1;a/;c", "1;a/b/c;d", "x"] {
            assert_eq!(Mark::decode(text), None, "{text}");
        }
    }
}
