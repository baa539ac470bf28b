//! All instances, as lists and deltas tell them. Pure.

use super::client::{Listing, Status, WireInstance};
use super::convert::{self, Row};
use super::settings::Settings;
use causeway_core::{Endpoint, Unreadable};
use std::collections::{BTreeMap, BTreeSet};

/// All there are.
const STATUSES: [Status; 5] = [Status::Down, Status::OutOfService, Status::Starting, Status::Unknown, Status::Up];

/// The instances of one application, by their ids.
pub(super) type Rows = BTreeMap<String, Row>;

/// What a whole list has changed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Replaced {
    /// The applications in which something is otherwise now.
    pub touched: BTreeSet<String>,
    /// Instances that were known and are not in the list, though no delta has told of their end.
    pub missing: usize,
    /// Instances that were known.
    pub known: usize,
}

/// Everything that was read.
#[derive(Default)]
pub(super) struct View {
    settings: Settings,
    apps: BTreeMap<String, Rows>,
    counts: BTreeMap<Status, usize>,
    unreadable: BTreeMap<String, String>,
    /// By application, what stands behind another instance at its address.
    behind: BTreeMap<String, Vec<Unreadable>>,
}

impl View {
    pub fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), ..Self::default() }
    }

    /// Of a whole list.
    pub fn of(listing: Listing, settings: &Settings) -> Self {
        let mut view = Self::new(settings);
        view.replace(listing);
        view
    }

    /// Takes in a whole list.
    pub fn replace(&mut self, listing: Listing) -> Replaced {
        let mut replaced = Replaced::default();
        let mut gone: BTreeSet<(String, String)> = BTreeSet::new();
        for (app, rows) in &self.apps {
            gone.extend(rows.keys().map(|id| (app.clone(), id.clone())));
        }
        replaced.known = gone.len();
        self.unreadable = listing.unreadable.into_iter().collect();
        for wire in listing.instances {
            let app = wire.app.clone();
            gone.remove(&(app.clone(), wire.id().to_owned()));
            if self.put(wire) {
                replaced.touched.insert(app);
            }
        }
        replaced.missing = gone.len();
        for (app, id) in gone {
            self.remove(&app, &id);
            replaced.touched.insert(app);
        }
        self.note_behind(&replaced.touched);
        replaced
    }

    /// Takes in a delta; returns the applications in which something is otherwise now.
    pub fn apply(&mut self, delta: Listing) -> BTreeSet<String> {
        let mut touched = BTreeSet::new();
        for record in delta.deleted {
            self.unreadable.remove(&record);
        }
        for wire in delta.instances {
            let app = wire.app.clone();
            let changed = match wire.is_deleted() {
                // An older list may tell of the end of what a newer one has again.
                true => !self.is_newer(&wire) && self.remove(&app, wire.id()),
                false => self.put(wire),
            };
            if changed {
                touched.insert(app);
            }
        }
        for (record, why) in delta.unreadable {
            self.unreadable.insert(record, why);
        }
        self.note_behind(&touched);
        touched
    }

    /// Whether what is known of an instance is newer than this.
    fn is_newer(&self, wire: &WireInstance) -> bool {
        let row = self.rows(&wire.app).and_then(|rows| rows.get(wire.id()));
        row.is_some_and(|row| row.dirty > wire.last_dirty_timestamp)
    }

    fn put(&mut self, wire: WireInstance) -> bool {
        let (app, id) = (wire.app.clone(), wire.id().to_owned());
        self.unreadable.remove(&format!("{app}/{id}"));
        let mut row = convert::read(wire, &self.settings);
        row.record = row.record.shared();
        let status = row.status;
        let before = self.apps.entry(app).or_default().insert(id, row.clone());
        *self.counts.entry(status).or_default() += 1;
        if let Some(before) = &before {
            self.uncount(before.status);
        }
        before.as_ref() != Some(&row)
    }

    fn remove(&mut self, app: &str, id: &str) -> bool {
        self.unreadable.remove(&format!("{app}/{id}"));
        let Some(rows) = self.apps.get_mut(app) else { return false };
        let Some(row) = rows.remove(id) else { return false };
        if rows.is_empty() {
            self.apps.remove(app);
        }
        self.uncount(row.status);
        true
    }

    fn uncount(&mut self, status: Status) {
        if let Some(count) = self.counts.get_mut(&status) {
            *count -= 1;
        }
    }

    /// Whether a registry with this hash holds as many of each status. Of what cannot be read the status is not known: it may
    /// be any.
    pub fn agrees(&self, hash: &str) -> bool {
        let (theirs, mut unknown) = (counted(hash), self.unreadable.len());
        STATUSES.into_iter().all(|status| {
            let own = self.counts.get(&status).copied().unwrap_or_default();
            let more = theirs.get(&status).copied().unwrap_or_default().checked_sub(own);
            let left = more.and_then(|more| unknown.checked_sub(more));
            left.inspect(|left| unknown = *left).is_some()
        })
    }

    /// The instances of an application.
    pub fn rows(&self, app: &str) -> Option<&Rows> {
        self.apps.get(app)
    }

    pub fn apps(&self) -> impl Iterator<Item = &str> {
        self.apps.keys().map(String::as_str)
    }

    pub fn len(&self) -> usize {
        self.apps.len()
    }

    /// What cannot be read, and what stands behind another at its address.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let broken =
            self.unreadable.iter().map(|(record, why)| Unreadable { record: record.clone(), why: why.clone() });
        broken.chain(self.behind.values().flatten().cloned()).collect()
    }

    fn note_behind(&mut self, apps: &BTreeSet<String>) {
        for app in apps {
            let mut behind = Vec::new();
            if let Some(rows) = self.apps.get(app) {
                let firsts = firsts(rows);
                for row in rows.values().filter(|row| row.record.mark.is_none()) {
                    if firsts.get(&row.record.id.endpoint).is_some_and(|first| first.id != row.id) {
                        let why = format!("another instance of {app} has the address {} and is taken", row.record.id);
                        behind.push(Unreadable { record: format!("{app}/{}", row.id), why });
                    }
                }
            }
            match behind.is_empty() {
                true => drop(self.behind.remove(app)),
                false => drop(self.behind.insert(app.clone(), behind)),
            }
        }
    }
}

/// How many of each status a registry's hash tells of, such as `OUT_OF_SERVICE_1_UP_12_`.
fn counted(hash: &str) -> BTreeMap<Status, usize> {
    let (mut counts, mut word) = (BTreeMap::new(), String::new());
    for part in hash.split('_') {
        match part.parse::<usize>() {
            Ok(count) => *counts.entry(Status::of(&std::mem::take(&mut word))).or_default() += count,
            Err(_) if word.is_empty() => part.clone_into(&mut word),
            Err(_) => word = format!("{word}_{part}"),
        }
    }
    counts
}

/// Which of the native instances at one address is taken: one that takes calls, then the one that changed last.
pub(super) fn firsts(rows: &Rows) -> BTreeMap<&Endpoint, &Row> {
    let mut firsts: BTreeMap<&Endpoint, &Row> = BTreeMap::new();
    let rank = |row: &Row| (row.status == Status::Up, row.dirty);
    for row in rows.values().filter(|row| row.record.mark.is_none()) {
        let first = firsts.entry(&row.record.id.endpoint).or_insert(row);
        if rank(row) > rank(first) {
            *first = row;
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::Instance;

    fn wire(app: &str, port: u16, status: Status, action: &str) -> WireInstance {
        let mut wire = convert::write(app, &Instance::new("127.0.0.1", port), &Settings::default());
        wire.status = status;
        wire.action_type = Some(action.to_owned());
        wire
    }

    fn listing(instances: Vec<WireInstance>) -> Listing {
        Listing { instances, ..Listing::default() }
    }

    #[test]
    fn deltas_are_taken_in_and_checked() {
        let all = vec![wire("A", 1, Status::Up, ""), wire("A", 2, Status::Down, ""), wire("B", 1, Status::Up, "")];
        let mut view = View::of(listing(all), &Settings::default());
        assert!(view.agrees("DOWN_1_UP_2_") && !view.agrees("UP_3_") && !view.agrees(""));
        let delta = vec![
            wire("B", 1, Status::Up, "DELETED"),
            wire("A", 2, Status::Up, "MODIFIED"),
            wire("C", 9, Status::Starting, "ADDED"),
            wire("A", 1, Status::Up, "ADDED"),
        ];
        assert_eq!(view.apply(listing(delta.clone())), ["A", "B", "C"].map(str::to_owned).into());
        assert!(view.agrees("STARTING_1_UP_2_"));
        assert!(view.apply(listing(delta)).is_empty(), "a delta is told for minutes");
        assert_eq!(view.apps().collect::<Vec<_>>(), ["A", "C"]);
    }

    #[test]
    fn what_was_registered_again_is_not_removed() {
        let at = |dirty, action: &str| {
            listing(vec![WireInstance { last_dirty_timestamp: dirty, ..wire("A", 1, Status::Up, action) }])
        };
        let mut view = View::of(at(7, ""), &Settings::default());
        assert!(view.apply(at(6, "DELETED")).is_empty() && view.agrees("UP_1_"));
        assert!(!view.apply(at(7, "DELETED")).is_empty() && view.agrees(""));
    }

    #[test]
    fn what_cannot_be_read_is_allowed_for() {
        let broken = |id: &str| (format!("A/{id}"), "no port".to_owned());
        let all = vec![wire("A", 1, Status::Up, ""), wire("A", 2, Status::OutOfService, "")];
        let unreadable = vec![broken("x"), broken("y")];
        let mut view = View::of(Listing { unreadable, ..listing(all) }, &Settings::default());
        for (hash, agrees) in [
            ("DOWN_1_OUT_OF_SERVICE_1_UP_2_", true),
            ("OUT_OF_SERVICE_3_UP_1_", true),
            ("OUT_OF_SERVICE_1_SOMETHING_2_UP_1_", true),
            ("DOWN_1_OUT_OF_SERVICE_1_UP_3_", false),
            ("DOWN_2_UP_1_", false),
            ("DOWN_3_OUT_OF_SERVICE_1_", false),
        ] {
            assert_eq!(view.agrees(hash), agrees, "{hash}");
        }
        let gone = Listing { deleted: vec!["A/x".to_owned()], ..Listing::default() };
        assert!(view.apply(gone).is_empty() && view.unreadable().len() == 1);
        assert!(!view.agrees("OUT_OF_SERVICE_1_UP_3_") && view.agrees("OUT_OF_SERVICE_1_UP_2_"));
        // Once it can be read, it is.
        let mut readable = wire("A", 9, Status::Up, "ADDED");
        readable.instance_id = Some("y".to_owned());
        view.apply(listing(vec![readable]));
        assert!(view.agrees("OUT_OF_SERVICE_1_UP_2_") && !view.agrees("OUT_OF_SERVICE_1_UP_3_"));
    }

    #[test]
    fn a_list_tells_what_no_delta_told() {
        let all = || vec![wire("A", 1, Status::Up, ""), wire("A", 2, Status::Up, ""), wire("B", 1, Status::Up, "")];
        let mut view = View::of(listing(all()), &Settings::default());
        assert_eq!(view.replace(listing(all())), Replaced { known: 3, ..Replaced::default() });
        let fewer = view.replace(listing(all().split_off(1)));
        assert_eq!((fewer.missing, fewer.touched), (1, ["A".to_owned()].into()));
        let more = view.replace(listing(all()));
        assert_eq!((more.missing, more.touched), (0, ["A".to_owned()].into()));
        assert_eq!(view.replace(Listing::default()).missing, 3);
        assert!(view.agrees("") && view.len() == 0);
    }

    #[test]
    fn of_two_at_one_address_the_living_one_is_taken() {
        let one = |id: &str, status, dirty| {
            let mut one = wire("A", 1, status, "");
            one.instance_id = Some(id.to_owned());
            one.last_dirty_timestamp = dirty;
            one
        };
        let view = |all| View::of(listing(all), &Settings::default());
        let first =
            |view: &View| firsts(view.rows("A").unwrap()).into_values().map(|row| row.id.clone()).collect::<Vec<_>>();
        let restarted = view(vec![one("old", Status::Up, 1), one("new", Status::Up, 2)]);
        assert_eq!(first(&restarted), ["new"]);
        assert_eq!(restarted.unreadable()[0].record, "A/old");
        assert_eq!(first(&view(vec![one("old", Status::Up, 1), one("new", Status::Down, 2)])), ["old"]);
    }
}
