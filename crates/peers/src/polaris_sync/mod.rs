//! polaris-sync's documents: which tasks copy which services, when, and what is reported.
//!
//! [`Loaded::read`] reads and checks one document; what it is about is seen in its content, not in its name. [`to_settings`] makes
//! clusters and tasks of several documents at once. [`from_settings`] goes the other way, as far as the form can say it. [`sealed`] and
//! [`unsealed`] are for copies that are kept.

mod back;
mod check;
mod clusters;
mod members;
mod model;
mod names;
mod read;
mod report;
mod seals;
mod to_settings;
mod values;

pub use back::{Backward, from_settings};
pub use model::{DocumentSubject, ProbeRules, ReportTarget, Reporting, TargetKind};
pub use report::{ReportRow, report_block};
pub use seals::{sealed, unsealed};
pub use to_settings::{Converted, UnsupportedTask, to_settings};

use crate::problem_list::ProblemList;
use causeway_settings::{Kinds, MAX_FILE, Place, Problem, Problems};
use model::SyncDocument;

/// A document that was read and checked by itself.
#[derive(Clone, Debug)]
pub struct Loaded {
    file: String,
    document: SyncDocument,
    problems: ProblemList,
}

impl Loaded {
    /// Reads and checks a document. `file`: what problems name. The error holds everything that is wrong, warnings too, in the order of
    /// the text.
    pub fn read(file: &str, text: &str, kinds: &Kinds) -> Result<Self, Problems> {
        if text.len() > MAX_FILE {
            let mut problems = ProblemList::new(file, "", None);
            let start = Place { line: 1, column: 1, start: 0, end: 0 };
            let message = format!("the document is larger than {MAX_FILE} bytes");
            problems.error(start, "", message, "split it into several");
            return Err(Problems(problems.into_problems()));
        }
        let (document, mut problems) = read::document(file, text, kinds);
        match document {
            // What cannot be read is not checked: it would only be said twice.
            Some(document) if !problems.has_errors() => {
                check::document(&document, kinds, &mut problems);
                if problems.has_errors() {
                    return Err(Problems(problems.into_problems()));
                }
                Ok(Self { file: file.to_owned(), document, problems })
            }
            _ => Err(Problems(problems.into_problems())),
        }
    }

    /// What problems name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What it is about. A document without tasks is of either.
    pub fn subject(&self) -> DocumentSubject {
        self.document.subject
    }

    /// What has no effect in it, or is read otherwise than it is written.
    pub fn warnings(&self) -> Vec<Problem> {
        self.problems.clone().into_problems()
    }
}

/// Whether a text looks like a document of this form, and not like a settings file: an object in braces without `clusters`.
pub fn is_document(text: &str) -> bool {
    match crate::json::read(text) {
        Ok((root, _)) => root.describe() == "an object" && root.get("clusters").is_none(),
        // Broken, and then what is wrong is better told in its own form.
        Err(_) => text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '/']),
    }
}

#[cfg(test)]
mod tests;
