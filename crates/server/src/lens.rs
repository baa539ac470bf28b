//! How a task's settings become the lenses of its two directions.
//!
//! Filters speak of the task's *source* in both directions: the way back undoes the renaming first, and then asks the same
//! filters, so that the same services take part both ways. What cannot have come from the task's source by its renaming takes
//! no part in the way back: two services would fall into one. Renamed metadata keys are named back; `drop` and `add` work on the way
//! there only.
//!
//! A pattern that needs too many steps on a name decides nothing: the record is refused by name ([`Choice::Undecided`]), neither
//! copied nor taken for excluded.
//!
//! Where `nameCase`, or a kind whose names have one case only, changes the case of names, the way back finds a service's name
//! but for its case. The engine knows how the task's source spells it ([`Spell`]).
//!
//! Where one of the two kinds has no namespaces, only one namespace takes part ([`Namespaces::One`]): everything from there
//! goes to one of the other side, and only that one comes back.

use crate::patterns::GivenUp;
use causeway_core::plan::SelectRule;
use causeway_core::{
    CaseRule, Choice, Fingerprint, Instance, Lens, MetadataMap, NameCase, Part, Renaming, Select, ServiceKey,
    ServiceLens, Spell, folded,
};
use causeway_settings::{self as settings, Namespaces, Pattern, Task, TemplatePart, template_parts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The lenses of a task, and the names on which its patterns gave up.
#[derive(Clone)]
pub(crate) struct Lenses {
    pub there: Arc<dyn Lens>,
    /// Only of a task that goes both ways.
    pub back: Option<Arc<dyn Lens>>,
    /// Of a task that goes one way and takes over from another tool: from the destination's names back to those of the source,
    /// where they can be told.
    pub undone: Option<Arc<dyn Lens>>,
    /// What no pattern of the task is asked about again.
    pub given_up: Arc<GivenUp>,
}

impl Lenses {
    /// The lenses that the settings of a task ask for.
    pub fn of(task: &Task) -> Self {
        let given_up = Arc::<GivenUp>::default();
        let there = forward(task, &given_up);
        let back = || Arc::new(Back::new(there.clone(), task)) as Arc<dyn Lens>;
        let undone = (task.take_over.is_some() && !task.is_two_way() && can_be_undone(&there)).then(back);
        let back = task.is_two_way().then(back);
        Self { there: Arc::new(there), back, undone, given_up }
    }
}

fn forward(task: &Task, given_up: &Arc<GivenUp>) -> ServiceLens {
    let matcher = |pattern: &Pattern| given_up.matcher(pattern);
    let rule = |rule: &settings::Rule| SelectRule {
        namespace: rule.namespace.as_ref().map(matcher),
        group: rule.group.as_ref().map(matcher),
        service: rule.service.as_ref().map(matcher),
        metadata: rule.metadata.iter().map(|(key, pattern)| (key.clone(), matcher(pattern))).collect(),
    };
    let rules = |rules: &[settings::Rule]| {
        // Those of configuration say nothing of services.
        rules.iter().filter(|one| one.speaks_of_services()).map(rule).collect()
    };
    let pattern = &task.service_match_pattern;
    let metadata = &task.map.metadata;
    ServiceLens {
        select: Select {
            pattern: (!pattern.is_all()).then(|| matcher(pattern)),
            include: rules(&task.select.include),
            exclude: rules(&task.select.exclude),
        },
        namespace: match &task.namespaces {
            Namespaces::One { source, destination: Some(to) } if source != to => Renaming::Template(literal(to)),
            Namespaces::Defaults { source, destination } => defaults(source, destination, task.map.namespace.as_ref()),
            _ => rename(task.map.namespace.as_ref()),
        },
        group: rename(task.map.group.as_ref()),
        service: rename(task.map.service.as_ref()),
        case: name_case(task.cases.there),
        metadata: MetadataMap {
            rename: metadata.rename.clone(),
            drop: metadata.drop.iter().cloned().collect(),
            add: metadata.add.clone(),
        },
    }
}

/// Whether every template holds its own name, once, and no other. Of a two-way task the settings see to that.
fn can_be_undone(there: &ServiceLens) -> bool {
    let names = [("namespace", &there.namespace), ("group", &there.group), ("service", &there.service)];
    names.into_iter().all(|(own, renaming)| match renaming {
        Renaming::Keep | Renaming::Table(_) => true,
        Renaming::Template(template) => {
            let parts = template_parts(template).unwrap_or_default();
            let mut held = parts.iter().filter_map(|part| match part {
                TemplatePart::Name(name) => Some(name.as_str()),
                TemplatePart::Text(_) => None,
            });
            held.next() == Some(own) && held.next().is_none()
        }
    })
}

/// What `map.namespace` says, and that the default namespaces of two kinds are one where it says nothing of them.
fn defaults(source: &str, destination: &str, mapped: Option<&settings::Rename>) -> Renaming {
    let mut renaming = rename(mapped);
    if matches!(renaming, Renaming::Keep) {
        renaming = Renaming::Table(BTreeMap::new());
    }
    if let Renaming::Table(table) = &mut renaming
        && !table.values().any(|to| to == destination)
    {
        table.entry(source.to_owned()).or_insert_with(|| destination.to_owned());
    }
    renaming
}

fn name_case(case: settings::NameCase) -> NameCase {
    match case {
        settings::NameCase::Keep => NameCase::Keep,
        settings::NameCase::Lower => NameCase::Lower,
        settings::NameCase::Upper => NameCase::Upper,
    }
}

fn rename(rename: Option<&settings::Rename>) -> Renaming {
    match rename {
        None => Renaming::Keep,
        Some(settings::Rename::Template(template)) => Renaming::Template(template.clone()),
        Some(settings::Rename::Table(table)) => Renaming::Table(table.clone()),
    }
}

/// A template of nothing but this name. The namespace that takes part may be called by its display name in the settings:
/// no table has the id.
fn literal(name: &str) -> String {
    name.replace('{', "{{").replace('}', "}}")
}

/// From a name in the destination to the name in the source that it was made of.
#[derive(Debug)]
enum Unname {
    Keep,
    /// By name in the destination; `None`: that name is taken away from its own service.
    Table(BTreeMap<String, Option<String>>),
    /// What stands before and behind the name.
    Affixes(String, String),
    /// This one name, and no other.
    One(Arc<str>, Arc<str>),
}

impl Unname {
    fn of(rename: &Renaming) -> Self {
        match rename {
            Renaming::Keep => Self::Keep,
            Renaming::Table(table) => {
                let mut inverse: BTreeMap<_, _> = table.keys().map(|from| (from.clone(), None)).collect();
                inverse.extend(table.iter().map(|(from, to)| (to.clone(), Some(from.clone()))));
                Self::Table(inverse)
            }
            Renaming::Template(template) => {
                // The settings let a two-way task's template hold its own name, once, and nothing else.
                let (mut before, mut behind, mut met) = (String::new(), String::new(), false);
                for part in template_parts(template).unwrap_or_default() {
                    match part {
                        TemplatePart::Text(text) if met => behind.push_str(&text),
                        TemplatePart::Text(text) => before.push_str(&text),
                        TemplatePart::Name(_) => met = true,
                    }
                }
                Self::Affixes(before, behind)
            }
        }
    }

    /// Whether a table says something of this name.
    fn lists(&self, name: &str) -> bool {
        matches!(self, Self::Table(table) if table.contains_key(name))
    }

    /// The same, for names in lower case.
    fn folded(self) -> Self {
        match self {
            Self::Table(table) => {
                let mut alike: BTreeMap<String, Option<String>> = BTreeMap::new();
                for (to, from) in table {
                    let origin = alike.entry(folded(&to)).or_default();
                    // What is given to one service is not taken away by the former name of another.
                    *origin = origin.take().or(from);
                }
                Self::Table(alike)
            }
            Self::Affixes(before, behind) => Self::Affixes(folded(&before), folded(&behind)),
            other => other,
        }
    }

    fn apply(&self, name: &Arc<str>) -> Option<Arc<str>> {
        match self {
            Self::Keep => Some(name.clone()),
            Self::Table(table) => match table.get(&**name) {
                None => Some(name.clone()),
                Some(from) => from.as_deref().map(Into::into),
            },
            Self::Affixes(before, behind) => {
                let inner = name.strip_prefix(&**before)?.strip_suffix(&**behind)?;
                (!inner.is_empty()).then(|| inner.into())
            }
            Self::One(there, here) => (name == there).then(|| here.clone()),
        }
    }
}

/// The way back of a two-way task.
#[derive(Debug)]
struct Back {
    there: ServiceLens,
    namespace: Unname,
    group: Unname,
    service: Unname,
    /// What becomes of the case of a service's name that no table gives.
    case: NameCase,
    /// Whether names are known but for their case.
    spells: bool,
    metadata: MetadataMap,
    /// The one namespace of the task's source that takes part.
    only: Option<Arc<str>>,
}

impl Back {
    fn new(there: ServiceLens, task: &Task) -> Self {
        let (namespaces, cases) = (&task.namespaces, task.cases);
        let only = match namespaces {
            Namespaces::Each | Namespaces::Defaults { .. } => None,
            Namespaces::One { source, .. } => Some(source.as_str().into()),
        };
        let namespace = match namespaces {
            Namespaces::One { source, destination: Some(to) } => {
                Unname::One(to.as_str().into(), source.as_str().into())
            }
            _ => Unname::of(&there.namespace),
        };
        let rename = there.metadata.rename.iter().map(|(from, to)| (to.clone(), from.clone())).collect();
        Self {
            namespace,
            group: Unname::of(&there.group),
            service: match cases.spells {
                true => Unname::of(&there.service).folded(),
                false => Unname::of(&there.service),
            },
            case: name_case(cases.back),
            spells: cases.spells,
            metadata: MetadataMap { rename, ..MetadataMap::default() },
            only,
            there,
        }
    }

    fn origin(&self, scope: &ServiceKey, spell: Spell<'_>) -> Option<ServiceKey> {
        let namespace = self.namespace.apply(&scope.namespace)?;
        if self.only.as_ref().is_some_and(|only| *only != namespace) {
            return None;
        }
        let group = self.group.apply(&scope.group)?;
        if !self.spells {
            let name = self.case.of(&self.service.apply(&scope.name)?);
            return Some(ServiceKey { namespace, group, name }).filter(|origin| self.becomes(origin, scope));
        }
        let name = scope.folded().name;
        let origin = ServiceKey { namespace, group, name: self.service.apply(&name)? };
        if self.service.lists(&name) {
            return Some(origin);
        }
        let spelled = spell(ServiceKey { name: self.case.of(&origin.name), ..origin });
        self.becomes(&spelled, scope).then_some(spelled)
    }

    /// Whether the way there makes this of a name, but for the case.
    fn becomes(&self, origin: &ServiceKey, scope: &ServiceKey) -> bool {
        self.case == NameCase::Keep || folded(&self.there.name(origin)) == folded(&scope.name)
    }
}

impl Lens for Back {
    fn scope(&self, source: &ServiceKey, spell: Spell<'_>) -> Option<ServiceKey> {
        self.origin(source, spell).filter(|scope| self.there.select.takes_scope(scope))
    }

    fn record(&self, source: &ServiceKey, record: &Instance, spell: Spell<'_>) -> Choice {
        let Some(scope) = self.origin(source, spell) else { return Choice::Leave };
        let mut copy = record.clone();
        self.metadata.apply(&mut copy.metadata);
        match self.there.select.takes(&scope, &copy) {
            Ok(true) => Choice::Take(copy),
            Ok(false) => Choice::Leave,
            Err(undecided) => Choice::Undecided(copy, undecided),
        }
    }

    fn part(&self, source: &Part) -> Part {
        // A part that takes no part has no scope that does: its name here does not matter.
        self.namespace.apply(&source.0).map_or_else(|| source.clone(), Part)
    }

    fn renames(&self) -> bool {
        self.case != NameCase::Keep || self.there.renames()
    }

    fn case(&self) -> CaseRule {
        if self.spells { CaseRule::Spell } else { CaseRule::Keep }
    }

    fn named(&self, source: &ServiceKey) -> Option<ServiceKey> {
        self.origin(source, &|given| given)
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}

#[cfg(test)]
mod tests;
