//! Reading other YAML and JSON files with the same care as the settings: every problem at once, each with its place.

use crate::START;
use crate::env::FixedEnv;
use crate::kinds::Kinds;
use crate::problem::Problems;
use crate::read::{Draft, Reader};
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tree = crate::tree::read_within(text, text.len().max(1000));
    let masked = crate::mask::mask(text, tree.as_ref().ok().and_then(|(root, _)| root.as_ref()));
    let (env, kinds) = (FixedEnv::default(), Kinds::default());
    let mut reader = Reader::new(file, text, &masked, &env, &kinds);
    let found = match tree {
        Err(fault) => {
            reader.report(fault.into());
            None
        }
        Ok((root, faults)) => {
            faults.into_iter().for_each(|fault| reader.report(fault.into()));
            match &root {
                Some(root) => Some(read(&mut reader, root)),
                None => {
                    let draft = Draft::error(START, "", "the file is empty");
                    reader.report(draft.expected(empty.expected).help(empty.help));
                    None
                }
            }
        }
    };
    let problems = reader.finish();
    match found {
        Some(found) if problems.errors().next().is_none() => Ok(found),
        _ => Err(problems),
    }
}
