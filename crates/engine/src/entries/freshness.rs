//! How far one side can be believed, part by part. Pure: time is given.

use crate::kit::freshness::Freshness;
use causeway_core::Part;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// One side's parts.
#[derive(Default)]
pub(crate) struct SideFreshness {
    /// Each with the reason why it cannot be read now.
    parts: BTreeMap<Part, (Freshness, Option<String>)>,
    /// Why the whole side cannot be read now.
    error: Option<String>,
}

impl SideFreshness {
    pub fn get(&self, part: &Part) -> Option<&Freshness> {
        self.parts.get(part).map(|(part, _)| part)
    }

    pub fn get_mut(&mut self, part: &Part) -> Option<&mut Freshness> {
        self.parts.get_mut(part).map(|(part, _)| part)
    }

    /// Whether a part is connected and complete.
    pub fn ready(&self, part: &Part) -> bool {
        self.get(part).is_some_and(Freshness::is_ready)
    }

    /// Whether any part is.
    pub fn any_ready(&self) -> bool {
        self.parts.values().any(|(part, _)| part.is_ready())
    }

    /// The part is complete.
    pub fn complete(&mut self, part: &Part, now: Instant) {
        self.error = None;
        let (part, error) = self.parts.entry(part.clone()).or_insert_with(|| (Freshness::new(now), None));
        part.complete(now);
        *error = None;
    }

    /// A part, or the whole side, cannot be read any more.
    pub fn lost(&mut self, part: Option<&Part>, reason: &str, now: Instant) {
        match part {
            None => {
                self.error = Some(reason.to_owned());
                self.parts.values_mut().for_each(|(part, _)| part.break_off());
            }
            Some(part) => {
                let (part, error) = self.parts.entry(part.clone()).or_insert_with(|| (Freshness::new(now), None));
                part.break_off();
                *error = Some(reason.to_owned());
            }
        }
    }

    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.keys()
    }

    /// What cannot be read, in words.
    pub fn errors(&self) -> Vec<String> {
        let parts = self.parts.iter().filter_map(|(part, (_, error))| Some(format!("{part}: {}", error.as_ref()?)));
        self.error.iter().cloned().chain(parts).collect()
    }
}
