//! One document: what its provider tells, what of it is in use, and what is wrong.

use super::errors;
use causeway_connectors::kinds;
use causeway_peers::environment::SlotOptions;
use causeway_peers::polaris_sync::Loaded;
use causeway_peers::providers::{Provider, Sighting, provider};
use causeway_settings::{Problem, Problems, Severity};
use std::path::PathBuf;
use std::sync::Arc;

/// A place that holds a document.
pub(super) struct Slot {
    pub name: &'static str,
    pub place: String,
    pub provider: Arc<dyn Provider>,
    pub backup: PathBuf,
    /// Whether somebody named the place.
    is_named: bool,
    /// Whether the provider has told anything.
    pub seen: bool,
    /// The text that the provider told last.
    text: Option<Arc<str>>,
    used: Option<Loaded>,
    /// The document in use is a backup.
    pub from_backup: bool,
    /// Valid by itself, and not applied yet.
    waiting: Option<Loaded>,
    /// The document that waits is a backup.
    backup_waits: bool,
    pub trouble: Option<Trouble>,
}

/// Why what a provider tells is not in use.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trouble {
    pub kind: TroubleKind,
    pub reason: String,
    pub problems: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// It has errors.
    Invalid,
    /// It has none, and does not fit what is there.
    Refused,
    /// There is no document.
    Missing,
    /// The provider cannot be reached.
    Away,
}

impl Trouble {
    pub fn invalid(problems: &Problems) -> Self {
        let reason = errors(problems).first().cloned().unwrap_or_default();
        Self { kind: TroubleKind::Invalid, reason, problems: problems.0.clone() }
    }

    pub fn refused(reason: String) -> Self {
        Self { kind: TroubleKind::Refused, reason, problems: Vec::new() }
    }

    /// Whether it is about the place, and not about what stands there.
    fn is_absence(&self) -> bool {
        matches!(self.kind, TroubleKind::Missing | TroubleKind::Away)
    }
}

impl Slot {
    pub fn new(options: &SlotOptions) -> Self {
        let provider = provider(&options.provider);
        Self {
            name: options.name,
            place: provider.place(),
            provider,
            backup: options.backup.clone(),
            is_named: options.is_named,
            seen: false,
            text: None,
            used: None,
            from_backup: false,
            waiting: None,
            backup_waits: false,
            trouble: None,
        }
    }

    /// Whether a valid document is to be applied.
    pub fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// The document in use.
    pub fn used(&self) -> Option<&Loaded> {
        self.used.as_ref()
    }

    /// The document that waits, or else the one in use.
    pub fn next(&self) -> Option<&Loaded> {
        self.waiting.as_ref().or(self.used.as_ref())
    }

    /// Notes what the provider tells.
    pub fn sighted(&mut self, sighting: Sighting) {
        let kept = if self.used.is_some() { "; what ran goes on" } else { "" };
        match sighting {
            Sighting::Text(text) => {
                if self.text.as_ref() == Some(&text) {
                    if !self.trouble.as_ref().is_some_and(Trouble::is_absence) {
                        return;
                    }
                    // As it was before the provider was away, for better or worse.
                    tracing::info!("{} can be read again, and is as it was", self.place);
                }
                self.read(&text);
                self.text = Some(text);
            }
            Sighting::Missing(reason) => {
                // A place that nobody named may be empty.
                if self.is_named || self.text.is_some() {
                    tracing::warn!("{reason}{kept}");
                } else {
                    tracing::info!("{reason}; it is used as soon as there is one");
                }
                // What was taken away is not applied later. A backup is there for just that.
                if !self.backup_waits {
                    self.waiting = None;
                }
                self.trouble = Some(Trouble { kind: TroubleKind::Missing, reason, problems: Vec::new() });
            }
            Sighting::Away(reason) => {
                tracing::warn!("{}: {reason}{kept}", self.place);
                self.trouble = Some(Trouble { kind: TroubleKind::Away, reason, problems: Vec::new() });
            }
        }
    }

    fn read(&mut self, text: &Arc<str>) {
        match Loaded::read(&self.place, text, &kinds()) {
            Ok(loaded) => {
                self.waiting = Some(loaded);
                self.backup_waits = false;
                self.trouble = None;
            }
            Err(problems) => {
                self.waiting = None;
                self.refused(Trouble::invalid(&problems));
            }
        }
    }

    /// Takes a kept document in place of the provider's.
    pub fn take_backup(&mut self, loaded: Loaded) {
        self.waiting = Some(loaded);
        self.backup_waits = true;
    }

    /// The waiting document is in use now. Returns what is to be kept as a backup, and where.
    pub fn accept(&mut self) -> Option<(&'static str, PathBuf, Arc<str>)> {
        self.used = Some(self.waiting.take()?);
        self.from_backup = self.backup_waits;
        if self.from_backup {
            return None;
        }
        self.trouble.take_if(|trouble| !trouble.is_absence());
        Some((self.name, self.backup.clone(), self.text.clone()?))
    }

    /// The document cannot be used as it stands.
    pub fn refused(&mut self, trouble: Trouble) {
        if self.trouble.as_ref() != Some(&trouble) {
            let goes_on = if self.used.is_some() { "what ran goes on" } else { "nothing of it runs" };
            tracing::error!("{} is not used as it stands; {goes_on}: {}", self.place, trouble.reason);
            let more = trouble.problems.iter().filter(|problem| problem.to_string() != trouble.reason);
            more.for_each(|problem| match problem.severity {
                Severity::Error => tracing::error!("{problem}"),
                Severity::Warning => tracing::warn!("{problem}"),
            });
        }
        self.trouble = Some(trouble);
    }
}
