//! How a task's settings become the lenses of its two directions.
//!
//! Filters speak of the task's *source* in both directions: the way back undoes the renaming first, and then asks the same
//! filters, so that the same services take part both ways. What cannot have come from the task's source by its renaming takes
//! no part in the way back: two services would fall into one. Renamed metadata keys are named back; `drop` and `add` work on the way
//! there only.

use causeway_core::plan::{Matcher, Rule};
use causeway_core::{Instance, Lens, MetadataMap, Part, Rename, Select, ServiceKey, ServiceLens};
use causeway_settings::{self as settings, Pattern, Task, TemplatePart, template_parts};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The lenses of a task, and what its patterns could not decide.
#[derive(Clone)]
pub(crate) struct Lenses {
    pub there: Arc<dyn Lens<Instance>>,
    /// Only of a task that goes both ways.
    pub back: Option<Arc<dyn Lens<Instance>>>,
    /// Why a pattern was given up, once one was.
    pub given_up: Arc<OnceLock<String>>,
}

impl Lenses {
    /// The lenses that the settings of a task ask for.
    pub fn of(task: &Task) -> Self {
        let given_up = Arc::default();
        let there = forward(task, &given_up);
        let back = task.is_two_way().then(|| Arc::new(Back::new(there.clone())) as Arc<dyn Lens<Instance>>);
        Self { there: Arc::new(there), back, given_up }
    }
}

fn forward(task: &Task, given_up: &Arc<OnceLock<String>>) -> ServiceLens {
    let matcher = |pattern: &Pattern| matcher(pattern.clone(), given_up.clone());
    let rule = |rule: &settings::Rule| Rule {
        namespace: rule.namespace.as_ref().map(matcher),
        group: rule.group.as_ref().map(matcher),
        service: rule.service.as_ref().map(matcher),
        metadata: rule.metadata.iter().map(|(key, pattern)| (key.clone(), matcher(pattern))).collect(),
    };
    let pattern = &task.service_match_pattern;
    let metadata = &task.map.metadata;
    ServiceLens {
        select: Select {
            pattern: (!pattern.is_all()).then(|| matcher(pattern)),
            include: task.select.include.iter().map(rule).collect(),
            exclude: task.select.exclude.iter().map(rule).collect(),
        },
        namespace: rename(task.map.namespace.as_ref()),
        group: rename(task.map.group.as_ref()),
        service: rename(task.map.service.as_ref()),
        metadata: MetadataMap {
            rename: metadata.rename.clone(),
            drop: metadata.drop.iter().cloned().collect(),
            add: metadata.add.clone(),
        },
    }
}

/// A pattern that was given up matches nothing, and the task says so.
fn matcher(pattern: Pattern, given_up: Arc<OnceLock<String>>) -> Matcher {
    Matcher::new(move |text| {
        pattern.matches(text).unwrap_or_else(|error| {
            given_up.get_or_init(|| format!("the pattern {pattern} was given up on {text}: {error}"));
            false
        })
    })
}

fn rename(rename: Option<&settings::Rename>) -> Rename {
    match rename {
        None => Rename::Keep,
        Some(settings::Rename::Template(template)) => Rename::Template(template.clone()),
        Some(settings::Rename::Table(table)) => Rename::Table(table.clone()),
    }
}

/// From a name in the destination to the name in the source that it was made of.
#[derive(Debug)]
enum Unname {
    Keep,
    /// By name in the destination; `None`: that name is taken away from its own service.
    Table(BTreeMap<String, Option<String>>),
    /// What stands before and behind the name.
    Affixes(String, String),
}

impl Unname {
    fn of(rename: &Rename) -> Self {
        match rename {
            Rename::Keep => Self::Keep,
            Rename::Table(table) => {
                let mut inverse: BTreeMap<_, _> = table.keys().map(|from| (from.clone(), None)).collect();
                inverse.extend(table.iter().map(|(from, to)| (to.clone(), Some(from.clone()))));
                Self::Table(inverse)
            }
            Rename::Template(template) => {
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
    metadata: MetadataMap,
}

impl Back {
    fn new(there: ServiceLens) -> Self {
        let rename = there.metadata.rename.iter().map(|(from, to)| (to.clone(), from.clone())).collect();
        Self {
            namespace: Unname::of(&there.namespace),
            group: Unname::of(&there.group),
            service: Unname::of(&there.service),
            metadata: MetadataMap { rename, ..MetadataMap::default() },
            there,
        }
    }

    fn origin(&self, scope: &ServiceKey) -> Option<ServiceKey> {
        Some(ServiceKey {
            namespace: self.namespace.apply(&scope.namespace)?,
            group: self.group.apply(&scope.group)?,
            name: self.service.apply(&scope.name)?,
        })
    }
}

impl Lens<Instance> for Back {
    fn scope(&self, source: &ServiceKey) -> Option<ServiceKey> {
        self.origin(source).filter(|scope| self.there.select.takes_scope(scope))
    }

    fn record(&self, source: &ServiceKey, record: &Instance) -> Option<Instance> {
        let scope = self.origin(source)?;
        let mut copy = record.clone();
        self.metadata.apply(&mut copy.metadata);
        self.there.select.takes(&scope, &copy).then_some(copy)
    }

    fn part(&self, source: &Part) -> Part {
        // A part that takes no part has no scope that does: its name here does not matter.
        self.namespace.apply(&source.0).map_or_else(|| source.clone(), Part)
    }

    fn renames(&self) -> bool {
        self.there.renames()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lenses(task: &str) -> Lenses {
        let text = format!(
            "clusters: [{{clusterName: a, clusterType: MEMORY, connectKeyList: [a]}}, \
             {{clusterName: b, clusterType: MEMORY, connectKeyList: [b]}}]\n\
             tasks: [{{source: a, destination: b, mode: Bidirectional, {task}}}]"
        );
        let read = settings::parse("t", &text, &settings::FixedEnv::default(), &crate::kinds());
        Lenses::of(&read.unwrap_or_else(|problems| panic!("{problems}")).tasks[0])
    }

    #[test]
    fn the_way_back_undoes_the_way_there() {
        let table = lenses("map: {namespace: {dev: test}, service: 'x-{service}'}, serviceMatchPattern: 'o.*'");
        let back = table.back.unwrap();
        let here = ServiceKey::new("dev", "g", "orders");
        let there = table.there.scope(&here).unwrap();
        assert_eq!(there, ServiceKey::new("test", "g", "x-orders"));
        assert_eq!(back.scope(&there), Some(here));
        assert_eq!(back.part(&Part::new("test")), Part::new("dev"));
        for (other, why) in [
            (ServiceKey::new("test", "g", "orders"), "has no prefix"),
            (ServiceKey::new("dev", "g", "x-orders"), "its namespace is renamed away"),
            (ServiceKey::new("test", "g", "x-pay"), "does not match"),
        ] {
            assert_eq!(back.scope(&other), None, "{why}");
        }
    }

    #[test]
    fn metadata_keys_are_named_back() {
        let lenses = lenses("map: {metadata: {rename: {ver: version}, add: {from: a}, drop: [debug]}}");
        let mut instance = Instance::new("127.0.0.1", 1);
        instance.metadata = [("version", "1"), ("debug", "x")].map(|(k, v)| (k.into(), v.into())).into();
        let copy = lenses.back.unwrap().record(&ServiceKey::new("public", "g", "s"), &instance).unwrap();
        let pairs: Vec<_> = copy.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["debug=x", "ver=1"]);
    }

    #[test]
    fn a_pattern_that_is_given_up_is_told_of() {
        let lenses = lenses("serviceMatchPattern: '(a+)+\\1b'");
        assert_eq!(lenses.there.scope(&ServiceKey::new("public", "g", &"a".repeat(60))), None);
        assert!(lenses.given_up.get().is_some_and(|why| why.contains("too many steps")), "{:?}", lenses.given_up);
    }
}
