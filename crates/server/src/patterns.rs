//! What a task's patterns gave up on: each is asked about a name once.

use causeway_core::Undecided;
use causeway_core::plan::Matcher;
use causeway_settings::Pattern;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many texts are remembered; beyond it all are forgotten, and asked about once more.
const REMEMBERED: usize = 4_096;

/// The texts on which the patterns of one task needed too many steps, some milliseconds each. A pattern gives up on a text
/// always or never.
#[derive(Default)]
pub(crate) struct GivenUp {
    /// Whether there are any: nearly no task has one.
    any: AtomicBool,
    /// By pattern.
    texts: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl GivenUp {
    /// Whether the pattern matches the whole text; `None`: it gives up on it.
    pub fn ask(&self, pattern: &Pattern, text: &str) -> Option<bool> {
        if self.any.load(Ordering::Relaxed) && self.knows(pattern, text) {
            return None;
        }
        let answer = pattern.matches(text).ok();
        if answer.is_none() {
            self.note(pattern, text);
        }
        answer
    }

    /// As [`GivenUp::ask`]; the error names the pattern and, by `subject`, the text.
    pub fn decide(&self, pattern: &Pattern, text: &str, subject: impl FnOnce() -> String) -> Result<bool, Undecided> {
        let undecided = || Undecided { pattern: pattern.as_str().into(), subject: subject() };
        self.ask(pattern, text).ok_or_else(undecided)
    }

    /// A pattern for a filter of services.
    pub fn matcher(self: &Arc<Self>, pattern: &Pattern) -> Matcher {
        let (given_up, asked) = (self.clone(), pattern.clone());
        Matcher::new(pattern.as_str(), move |text| given_up.ask(&asked, text))
    }

    fn knows(&self, pattern: &Pattern, text: &str) -> bool {
        self.texts.lock().get(pattern.as_str()).is_some_and(|texts| texts.contains(text))
    }

    fn note(&self, pattern: &Pattern, text: &str) {
        let mut all = self.texts.lock();
        if all.values().map(BTreeSet::len).sum::<usize>() >= REMEMBERED {
            all.clear();
        }
        all.entry(pattern.as_str().to_owned()).or_default().insert(text.to_owned());
        self.any.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_pattern_is_asked_once_about_a_name_that_it_gives_up_on() {
        let (given_up, pattern) = (GivenUp::default(), Pattern::new("(a+)+\\1b").unwrap());
        let name = "a".repeat(60);
        let began = Instant::now();
        assert_eq!(given_up.ask(&pattern, &name), None);
        let once = began.elapsed();
        let began = Instant::now();
        assert!((0..500).all(|_| given_up.ask(&pattern, &name).is_none()));
        assert!(began.elapsed() < once * 100, "500 times in {:?}, once in {once:?}", began.elapsed());
        assert_eq!(given_up.ask(&pattern, "b"), Some(false));
        assert_eq!(given_up.ask(&pattern, "aaaab"), Some(true));
    }
}
