//! What stands in a file, whatever its form.

use super::FileFormat;
use super::{plain, prometheus};
use causeway_core::{Attributes, Change, Error, Instance, InstanceId, Mark, OwnerId, Part, Parts, ServiceKey, Set};
use causeway_settings::Problems;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that one file, or all files of a folder, hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// Whether Causeway made the file, and may write it anew.
    pub ours: bool,
    /// Namespaces that the file lists by themselves, with their display names. Others are there as long as a service is.
    pub namespaces: Parts,
    pub sets: BTreeMap<ServiceKey, Arc<Set>>,
}

/// What was read of one file, and the line of each service.
#[derive(Debug, Default)]
pub(super) struct ReadFile {
    pub contents: Contents,
    pub lines: BTreeMap<ServiceKey, usize>,
}

/// For whom this session wrote each of its records.
pub(super) type WrittenFor = BTreeMap<ServiceKey, BTreeMap<InstanceId, OwnerId>>;
/// A record that was written for an owner, or (`None`) taken away.
pub(super) type Wrote = (ServiceKey, InstanceId, Option<OwnerId>);

impl Contents {
    /// What an earlier process wrote, and nothing else.
    pub fn written(owned: &[(ServiceKey, causeway_core::Written)]) -> Self {
        let set = |(scope, written): &(ServiceKey, causeway_core::Written)| {
            let mut set = Set::of(scope.clone(), written.records.values().map(|one| one.record.clone()));
            let attributes = written.attributes.as_ref().map(|(attributes, _)| attributes.clone());
            set.attributes = Some(attributes.unwrap_or_default());
            (scope.clone(), Arc::new(set))
        };
        Self { ours: true, namespaces: Parts::new(), sets: owned.iter().map(set).collect() }
    }

    /// All namespaces. `public` is always there.
    pub fn parts(&self) -> Parts {
        let mut parts = self.namespaces.clone();
        parts.entry(Part::new(causeway_settings::PUBLIC)).or_default();
        for scope in self.sets.keys() {
            parts.entry(scope.part()).or_default();
        }
        parts
    }

    /// The sets of a namespace.
    pub fn of<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = &'a Arc<Set>> {
        self.sets.values().filter(move |set| set.scope.namespace == part.0)
    }

    /// Adds what another file of the folder holds; the error is a service that both hold.
    pub fn add(&mut self, other: &Self) -> Result<(), ServiceKey> {
        self.namespaces.extend(other.namespaces.clone());
        for (scope, set) in &other.sets {
            if self.sets.insert(scope.clone(), set.clone()).is_some() {
                return Err(scope.clone());
            }
        }
        Ok(())
    }

    /// Gives records back to us whose mark somebody has overwritten: this session wrote a copy there, and what stands there
    /// now is a single record without a mark.
    pub fn reclaim(&mut self, written: &WrittenFor) {
        for (scope, set) in &mut self.sets {
            for (id, owner) in written.get(scope).into_iter().flatten() {
                let held = set.records.get(id).filter(|held| held.copies.is_empty());
                let Some(native) = held.and_then(|held| held.native.clone()) else { continue };
                let set = Arc::make_mut(set);
                set.records.remove(id);
                set.put(native.with_mark(Some(Mark::new(owner.clone(), Vec::new()))));
            }
        }
    }

    /// Makes one change, as `form` can hold it, and notes what it wrote.
    pub fn change(
        &mut self,
        form: FileFormat,
        scope: &ServiceKey,
        change: &Change,
        wrote: &mut Vec<Wrote>,
    ) -> Result<(), Error> {
        let record = match change {
            Change::Create(record) | Change::Adopt(record) | Change::Update { to: record, .. }
                if record.mark.is_none() =>
            {
                return Err(Error::protocol(format!("a copy of {} without a mark", record.id)));
            }
            Change::Create(record) | Change::Adopt(record) => Some(record),
            Change::Update { to, .. } | Change::Edit { to, .. } => Some(to),
            Change::Shadow(..) => return Err(Error::Rejected("a file shows every record by itself".into())),
            Change::Delete { .. } | Change::Scope { .. } => None,
        };
        let record =
            record.map(|record| normalize(form, scope, record.clone())).transpose().map_err(Error::Rejected)?;
        // Copied at most once a write: what was read or written before still holds the set.
        let mut shared = self.sets.remove(scope).unwrap_or_else(|| Arc::new(Set::empty(scope.clone())));
        let set = Arc::make_mut(&mut shared);
        match (change, record) {
            (Change::Edit { .. }, Some(native)) => set.put(native.with_mark(None)),
            (_, Some(record)) => {
                if let Change::Update { from, .. } = change
                    && let Some(before) = from.mark()
                {
                    set.remove_copy(&from.id, &before.owner);
                }
                wrote.push((scope.clone(), record.id(), record.mark().map(|mark| mark.owner.clone())));
                set.put(record);
            }
            (Change::Delete { record, owner, .. }, None) => {
                set.remove_copy(&record.id, owner);
                wrote.push((scope.clone(), record.id(), None));
                if set.records.is_empty() {
                    set.attributes = Some(Attributes::default());
                }
            }
            (Change::Scope { to, .. }, None) if form != FileFormat::Prometheus => set.attributes = Some(to.clone()),
            _ => {}
        }
        if !set.records.is_empty() || set.attributes.as_ref().is_some_and(|own| !own.0.is_empty()) {
            self.sets.insert(scope.clone(), shared);
        }
        Ok(())
    }
}

/// Reads a text in a form. `file` is what problems name.
pub(super) fn read(form: FileFormat, file: &str, text: &str) -> Result<ReadFile, Problems> {
    match form {
        FileFormat::Prometheus => prometheus::read(file, text),
        FileFormat::Services | FileFormat::Json | FileFormat::Yaml => plain::read(file, text),
    }
}

/// Writes a text in a form. The same contents always make the same text.
pub(super) fn write(form: FileFormat, contents: &Contents) -> String {
    match form {
        FileFormat::Prometheus => prometheus::write(contents),
        FileFormat::Json => plain::write(contents, true),
        FileFormat::Services | FileFormat::Yaml => plain::write(contents, false),
    }
}

/// A record as a file of this form holds it, or why it cannot.
pub(super) fn normalize(form: FileFormat, scope: &ServiceKey, record: Instance) -> Result<Instance, String> {
    if scope.name.is_empty() || scope.namespace.is_empty() {
        return Err("a service without a name, or without a namespace".into());
    }
    let host = &record.id.endpoint.host;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "[]/\"'".contains(c);
    if host.is_empty() || host.contains(odd) {
        return Err(format!("address {host:?}: blanks, brackets, quotes and slashes are not held"));
    }
    if !record.weight.is_finite() || record.weight < 0.0 {
        return Err(format!("weight {} is not a number from 0 up", record.weight));
    }
    Ok(if form == FileFormat::Prometheus { prometheus::shape(record) } else { plain::shape(record) })
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn address(id: &InstanceId) -> String {
    let (host, port) = (&id.endpoint.host, id.endpoint.port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Reads what [`address`] wrote.
pub(super) fn parse_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match inner {
        Some(inner) if inner.contains(':') => inner,
        None if !host.contains([':', '[', ']']) => host,
        _ => return None,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "[]/\"'".contains(c);
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    Some((host, port.parse().ok()?)).filter(|_| digits && !host.is_empty() && !host.contains(odd))
}

/// JSON that a reader of YAML takes for the same text: what YAML does not let stand in a file is escaped.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    let odd =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    if !text.contains(odd) {
        return text;
    }
    text.chars().map(|c| if odd(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}
