//! Reading other YAML and JSON files with the same care as the settings: every problem at once, each with its place.

use crate::START;
use crate::env::FixedEnv;
use crate::kinds::Kinds;
use crate::problem::Problems;
use crate::read::{Draft, Reader, document};
use crate::tree::Node;

/// What an empty file is told.
pub struct Empty {
    /// What is expected in it.
    pub expected: &'static str,
    /// How to say that there is nothing.
    pub help: &'static str,
}

/// Reads one document with `read`, which reports what is wrong in it. `file` is what problems name. References such as
/// `${env:NAME}` are plain text here. The error holds all problems in the order of the file.
///
/// The tree has at most one value for each byte of the text, so that aliases cannot make it much larger.
pub fn read<T>(
    file: &str,
    text: &str,
    empty: &Empty,
    read: impl FnOnce(&mut Reader<'_>, &Node) -> T,
) -> Result<T, Problems> {
    let (env, kinds) = (FixedEnv::default(), Kinds::default());
    let found = document(file, text, &env, &kinds, text.len().max(1000), |reader, root| {
        if root.is_none() {
            let draft = Draft::error(START, "", "the file is empty");
            reader.report(draft.expected(empty.expected).help(empty.help));
        }
        root.map(|root| read(reader, &root))
    });
    found.map(|(found, _)| found)
}
