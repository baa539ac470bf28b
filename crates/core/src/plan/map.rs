//! Names and metadata on their way: filters, renames and metadata mapping of one task.

use super::{Choice, Grouping, Select};
use crate::model::{Fingerprint, Instance, Metadata, Part, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// How one direction of a task sees its source. Pure: the same answer to the same question, always.
pub trait Lens: Debug + Send + Sync {
    /// The destination's scope for a scope of the source; `None`: it takes no part. Where that is not decided it is there,
    /// and [`Lens::record`] says so of each record.
    fn scope(&self, source: &ServiceKey, spell: Spell<'_>) -> Option<ServiceKey>;
    /// The record as it is to stand in the destination, mark untouched, where it takes part.
    fn record(&self, source: &ServiceKey, record: &Instance, spell: Spell<'_>) -> Choice;
    /// The destination's part for a part of the source.
    fn part(&self, source: &Part) -> Part;
    /// Whether the destination's scopes may have other names than the source's.
    fn renames(&self) -> bool;
    /// What it does to the case of services' names.
    fn case(&self) -> CaseRule {
        CaseRule::Keep
    }
    /// With [`CaseRule::Spell`]: the destination's scope, whatever the filters say, and in no particular case; `None`: no
    /// spelling makes it take part.
    fn named(&self, source: &ServiceKey) -> Option<ServiceKey> {
        self.scope(source, &|given| given)
    }
    /// How what [`Lens::scope`] answers becomes several scopes, one for each group of the service's instances; `None`: it is
    /// one scope, with all of them.
    fn grouping(&self) -> Option<&Grouping> {
        None
    }
    /// Names the settings that it was made of: lenses with equal fingerprints answer alike.
    fn fingerprint(&self) -> Fingerprint;
}

/// Answers a service of the destination whose name is that of the given one but for its case: the one that the destination
/// knows already, else the given one. Asked by lenses with [`CaseRule::Spell`].
pub type Spell<'a> = &'a dyn Fn(ServiceKey) -> ServiceKey;

/// What a lens does to the case of services' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseRule {
    /// Nothing: names that differ in case are different.
    Keep,
    /// Names that differ in nothing but case become one.
    Fold,
    /// The same, and that one is spelled as the destination knows it.
    Spell,
}

/// The case that names are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameCase {
    /// As they are.
    #[default]
    Keep,
    /// In lower case.
    Lower,
    /// In upper case.
    Upper,
}

impl NameCase {
    /// The name in this case.
    pub fn of(self, name: &Arc<str>) -> Arc<str> {
        match self {
            Self::Keep => name.clone(),
            Self::Lower => name.to_lowercase().into(),
            Self::Upper => name.to_uppercase().into(),
        }
    }
}

/// A new name for a namespace, a group or a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Renaming {
    /// The same name.
    #[default]
    Keep,
    /// By table; a name that is not in it stays.
    Table(BTreeMap<String, String>),
    /// A text in which `{namespace}`, `{group}` and `{service}` stand for the source's names; `{{` and `}}` are the
    /// single characters.
    Template(String),
}

impl Renaming {
    fn apply(&self, own: &Arc<str>, scope: &ServiceKey) -> Arc<str> {
        match self {
            Self::Keep => own.clone(),
            Self::Table(table) => table.get(&**own).map_or_else(|| own.clone(), |name| name.as_str().into()),
            Self::Template(template) => fill(template, scope).into(),
        }
    }
}

/// Fills the names in, in one pass: a name that looks like a place is not filled again.
pub(super) fn fill(template: &str, scope: &ServiceKey) -> String {
    let places = [
        ("{{", "{"),
        ("}}", "}"),
        ("{namespace}", &*scope.namespace),
        ("{group}", &scope.group),
        ("{service}", &scope.name),
    ];
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        match places.iter().find(|(place, _)| rest.starts_with(place)) {
            Some((place, text)) => {
                out.push_str(text);
                rest = &rest[place.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// What happens to an instance's metadata, in this order: drop, rename, add.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataMap {
    /// From key to key.
    pub rename: BTreeMap<String, String>,
    /// Keys that stay behind.
    pub drop: BTreeSet<String>,
    /// Keys and values that every copy carries.
    pub add: BTreeMap<String, String>,
}

impl MetadataMap {
    /// Maps one instance's metadata.
    pub fn apply(&self, metadata: &mut Metadata) {
        if *self == Self::default() {
            return;
        }
        metadata.change(|pairs| {
            pairs.retain(|key, _| !self.drop.contains(key));
            // All at once: two keys may change places.
            let moved: Vec<_> =
                self.rename.iter().filter_map(|(from, to)| Some((to.clone(), pairs.remove(from)?))).collect();
            pairs.extend(moved);
            pairs.extend(self.add.clone());
        });
    }
}

/// The lens of services.
#[derive(Clone, Debug, Default)]
pub struct ServiceLens {
    /// Filters, on the source's names.
    pub select: Select,
    /// The namespace's id in the destination.
    pub namespace: Renaming,
    /// The group in the destination.
    pub group: Renaming,
    /// The service's name in the destination.
    pub service: Renaming,
    /// The case of that name, where `service` does not give a whole name by its table.
    pub case: NameCase,
    /// The copies' metadata.
    pub metadata: MetadataMap,
    /// The groups of instances, where the destination has a place for each.
    pub grouping: Option<Grouping>,
}

impl ServiceLens {
    /// The name of a service in the destination.
    pub fn name(&self, source: &ServiceKey) -> Arc<str> {
        if let Renaming::Table(table) = &self.service
            && let Some(name) = table.get(&*source.name)
        {
            return name.as_str().into();
        }
        let cased = ServiceKey { name: self.case.of(&source.name), ..source.clone() };
        self.service.apply(&cased.name, &cased)
    }
}

impl Lens for ServiceLens {
    fn scope(&self, source: &ServiceKey, _: Spell<'_>) -> Option<ServiceKey> {
        self.select.takes_scope(source).then(|| ServiceKey {
            namespace: self.namespace.apply(&source.namespace, source),
            group: self.group.apply(&source.group, source),
            name: self.name(source),
        })
    }

    fn record(&self, source: &ServiceKey, record: &Instance, _: Spell<'_>) -> Choice {
        let taken = self.select.takes(source, record);
        if taken == Ok(false) {
            return Choice::Leave;
        }
        let mut copy = record.clone();
        self.metadata.apply(&mut copy.metadata);
        match taken {
            Ok(_) => Choice::Take(copy),
            Err(undecided) => Choice::Undecided(copy, undecided),
        }
    }

    fn part(&self, source: &Part) -> Part {
        let scope = ServiceKey { namespace: source.0.clone(), ..ServiceKey::default() };
        Part(self.namespace.apply(&source.0, &scope))
    }

    fn renames(&self) -> bool {
        self.case != NameCase::Keep
            || self.grouping.is_some()
            || [&self.namespace, &self.group, &self.service].iter().any(|rename| **rename != Renaming::Keep)
    }

    fn grouping(&self) -> Option<&Grouping> {
        self.grouping.as_ref()
    }

    fn case(&self) -> CaseRule {
        if self.case == NameCase::Keep { CaseRule::Keep } else { CaseRule::Fold }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_template_and_table() {
        let lens = ServiceLens {
            namespace: Renaming::Table([("dev".to_owned(), "test".to_owned())].into()),
            service: Renaming::Template("{group}.{service}".into()),
            ..ServiceLens::default()
        };
        let scope = |namespace| lens.scope(&ServiceKey::new(namespace, "g", "s"), &|given| given);
        assert_eq!(scope("dev"), Some(ServiceKey::new("test", "g", "g.s")));
        assert_eq!(scope("prod"), Some(ServiceKey::new("prod", "g", "g.s")));
        assert_eq!(lens.part(&Part::new("dev")), Part::new("test"));
        assert!(lens.renames() && !ServiceLens::default().renames());
    }

    #[test]
    fn the_case_of_names_that_no_table_gives() {
        let table = Renaming::Table(
            [("ORDERS".to_owned(), "Shop".to_owned()), ("stock".to_owned(), "Store".to_owned())].into(),
        );
        let template = Renaming::Template("{group}.{service}".into());
        for (case, service, from, to) in [
            (NameCase::Lower, &table, "ORDERS", "Shop"),
            (NameCase::Lower, &table, "STOCK", "Store"),
            (NameCase::Lower, &table, "Pay", "pay"),
            (NameCase::Upper, &table, "Pay", "PAY"),
            (NameCase::Lower, &template, "ORDERS", "G.orders"),
            (NameCase::Keep, &template, "ORDERS", "G.ORDERS"),
        ] {
            let lens = ServiceLens { case, service: service.clone(), ..ServiceLens::default() };
            let scope = lens.scope(&ServiceKey::new("n", "G", from), &|given| given);
            assert_eq!(scope, Some(ServiceKey::new("n", "G", to)), "{case:?} {from}");
        }
    }

    #[test]
    fn a_template_is_filled_once() {
        let key = ServiceKey::new("{service}", "g", "s");
        assert_eq!(fill("é{{{namespace}}}-{group}{x}", &key), "é{{service}}-g{x}");
    }

    #[test]
    fn metadata_is_renamed_dropped_and_added() {
        let map = MetadataMap {
            rename: [("a".to_owned(), "b".to_owned())].into(),
            drop: ["secret".to_owned()].into(),
            add: [("region".to_owned(), "eu".to_owned())].into(),
        };
        let lens = ServiceLens { metadata: map, ..ServiceLens::default() };
        let mut instance = Instance::new("127.0.0.1", 1);
        instance.metadata = [("a", "1"), ("secret", "x"), ("c", "2")].into();
        let copy = lens.record(&ServiceKey::default(), &instance, &|given| given).possible().unwrap();
        let keys: Vec<_> = copy.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(keys, ["b=1", "c=2", "region=eu"]);
    }
}
