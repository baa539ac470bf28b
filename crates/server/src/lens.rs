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
    /// What no pattern of the task is asked about again.
    pub given_up: Arc<GivenUp>,
}

impl Lenses {
    /// The lenses that the settings of a task ask for.
    pub fn of(task: &Task) -> Self {
        let given_up = Arc::<GivenUp>::default();
        let there = forward(task, &given_up);
        let back = || Arc::new(Back::new(there.clone(), task)) as Arc<dyn Lens>;
        let back = task.is_two_way().then(back);
        Self { there: Arc::new(there), back, given_up }
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
            Namespaces::Each => None,
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
mod tests {
    use super::*;

    const AS_GIVEN: Spell<'static> = &|given| given;

    fn lenses(task: &str) -> Lenses {
        between("MEMORY", "MEMORY", task)
    }

    /// Those of a two-way task between clusters of these kinds, which may be followed by more keys.
    fn between(source: &str, destination: &str, task: &str) -> Lenses {
        let text = format!(
            "clusters: [{{clusterName: a, connectKeyList: [a], clusterType: {source}}}, \
             {{clusterName: b, connectKeyList: [b], clusterType: {destination}}}]\n\
             tasks: [{{source: a, destination: b, mode: Bidirectional, {task}}}]"
        );
        let kinds = causeway_connectors::kinds();
        let read = settings::parse("t", &text, &settings::FixedEnv::default(), &kinds);
        Lenses::of(&read.unwrap_or_else(|problems| panic!("{problems}")).tasks[0])
    }

    #[test]
    fn rules_of_configuration_say_nothing_of_services() {
        let select = "select: {include: [{path: /a}, {namespace: b}], exclude: [{path: '.*', namespace: b}]}";
        let there = between("ZK", "ZK", &format!("type: All, {select}")).there;
        assert_eq!(there.scope(&ServiceKey::new("b", "g", "s"), AS_GIVEN), Some(ServiceKey::new("b", "g", "s")));
        assert_eq!(there.scope(&ServiceKey::new("c", "g", "s"), AS_GIVEN), None);
        let all = between("ZK", "ZK", "type: All, select: {include: [{path: /a}]}").there;
        assert!(all.scope(&ServiceKey::new("public", "g", "s"), AS_GIVEN).is_some());
    }

    #[test]
    fn namespaces_between_kinds() {
        type Way = &'static [(&'static str, Option<&'static str>)];
        let table: [(&str, &str, &str, Way, Way); 10] = [
            ("ZK", "ZK", "", &[("public", Some("public"))], &[("public", Some("public"))]),
            ("ZK", "MEMORY", "", &[("public", Some("public"))], &[("public", Some("public")), ("dev", None)]),
            (
                "ZK",
                "MEMORY, namespace: dev",
                "",
                &[("public", Some("dev"))],
                &[("dev", Some("public")), ("public", None), ("prod", None)],
            ),
            (
                "ZK",
                "MEMORY, namespace: 'dev,prod'",
                "map: {namespace: {public: prod}}",
                &[("public", Some("prod"))],
                &[("prod", Some("public")), ("public", None), ("dev", None)],
            ),
            (
                "ZK",
                "MEMORY",
                "map: {namespace: 'zk-{namespace}'}",
                &[("public", Some("zk-public"))],
                &[("zk-public", Some("public")), ("zk-dev", None), ("public", None)],
            ),
            ("ZK", "MEMORY, namespace: '{x}'", "", &[("public", Some("{x}"))], &[("{x}", Some("public")), ("x", None)]),
            ("MEMORY, namespace: dev", "ZK", "", &[("dev", Some("public"))], &[("public", Some("dev"))]),
            ("MEMORY", "ZK", "", &[("public", Some("public")), ("dev", Some("dev"))], &[("public", Some("public"))]),
            (
                "MEMORY, namespace: 'dev,public'",
                "ZK",
                "",
                &[("public", Some("public")), ("dev", Some("dev"))],
                &[("public", Some("public"))],
            ),
            (
                "MEMORY, namespace: 'dev,public'",
                "ZK",
                "map: {namespace: {dev: public, public: other}}",
                &[("dev", Some("public")), ("public", Some("other"))],
                &[("public", Some("dev")), ("other", Some("public"))],
            ),
        ];
        for (source, destination, task, there, back) in table {
            let lenses = between(source, destination, task);
            let ways = [(lenses.there, there), (lenses.back.unwrap(), back)];
            for (n, (lens, way)) in ways.into_iter().enumerate() {
                for (from, to) in way {
                    let scope = lens.scope(&ServiceKey::new(from, "g", "s"), AS_GIVEN);
                    let want = to.map(|to| ServiceKey::new(to, "g", "s"));
                    assert_eq!(scope, want, "{source} to {destination}, {task}: {n} {from}");
                    let instance = Instance::new("127.0.0.1", 1);
                    let record = lens.record(&ServiceKey::new(from, "g", "s"), &instance, AS_GIVEN).possible();
                    assert_eq!(record.is_some(), to.is_some(), "{source} to {destination}, {task}: {n} {from}");
                    if let Some(to) = to {
                        assert_eq!(lens.part(&Part::new(from)), Part::new(to));
                    }
                }
            }
        }
    }

    #[test]
    fn a_namespace_that_is_named_by_its_display_name_becomes_public() {
        // The settings say `dev`; the namespace's id is what comes.
        let lenses = between("MEMORY, namespace: dev", "ZK", "");
        let id = "7d2a1c0e";
        assert_eq!(lenses.there.part(&Part::new(id)), Part::new("public"));
        assert!(lenses.there.renames() && lenses.back.unwrap().renames());
        // Nothing is renamed where both sides have `public` only.
        assert!(!between("ZK", "MEMORY", "").there.renames());
    }

    #[test]
    fn the_way_back_undoes_the_way_there() {
        let table = lenses("map: {namespace: {dev: test}, service: 'x-{service}'}, serviceMatchPattern: 'o.*'");
        let back = table.back.unwrap();
        let here = ServiceKey::new("dev", "g", "orders");
        let there = table.there.scope(&here, AS_GIVEN).unwrap();
        assert_eq!(there, ServiceKey::new("test", "g", "x-orders"));
        assert_eq!(back.scope(&there, AS_GIVEN), Some(here));
        assert_eq!(back.part(&Part::new("test")), Part::new("dev"));
        for (other, why) in [
            (ServiceKey::new("test", "g", "orders"), "has no prefix"),
            (ServiceKey::new("dev", "g", "x-orders"), "its namespace is renamed away"),
            (ServiceKey::new("test", "g", "x-pay"), "does not match"),
        ] {
            assert_eq!(back.scope(&other, AS_GIVEN), None, "{why}");
        }
    }

    #[test]
    fn metadata_keys_are_named_back() {
        let lenses = lenses("map: {metadata: {rename: {ver: version}, add: {from: a}, drop: [debug]}}");
        let mut instance = Instance::new("127.0.0.1", 1);
        instance.metadata = [("version", "1"), ("debug", "x")].into();
        let copy =
            lenses.back.unwrap().record(&ServiceKey::new("public", "g", "s"), &instance, AS_GIVEN).possible().unwrap();
        let pairs: Vec<_> = copy.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["debug=x", "ver=1"]);
    }

    #[test]
    fn a_service_on_which_a_pattern_gives_up_is_refused_both_ways() {
        let name = "a".repeat(60);
        for filter in [
            "serviceMatchPattern: '(a+)+\\1b'",
            "select: {include: [{service: '(a+)+\\1b'}]}",
            "select: {exclude: [{service: '(a+)+\\1b'}]}",
        ] {
            let lenses = lenses(filter);
            let key = ServiceKey::new("public", "g", &name);
            for lens in [lenses.there, lenses.back.unwrap()] {
                assert_eq!(lens.scope(&key, AS_GIVEN), Some(key.clone()), "{filter}: it has to be seen to be refused");
                let choice = lens.record(&key, &Instance::new("127.0.0.1", 1), AS_GIVEN);
                let Choice::Undecided(_, why) = choice else { panic!("{filter}: {choice:?}") };
                assert!(why.to_string().contains(&name) && why.to_string().contains("(a+)+"), "{why}");
            }
        }
    }

    #[test]
    fn the_case_of_names_between_kinds() {
        let spell = |given: ServiceKey| {
            let known = if &*given.name == "orders" { "Orders" } else { &given.name };
            ServiceKey::new("public", "g", known)
        };
        type Way = &'static [(&'static str, Option<&'static str>)];
        let table: [(&str, &str, &str, Way, Way); 9] = [
            (
                "EUREKA",
                "MEMORY",
                "serviceMatchPattern: 'O.*'",
                &[("ORDERS", Some("orders")), ("PAY", None)],
                &[("orders", Some("ORDERS")), ("Orders", Some("ORDERS")), ("pay", None)],
            ),
            ("EUREKA", "MEMORY", "nameCase: keep", &[("ORDERS", Some("ORDERS"))], &[("orders", Some("ORDERS"))]),
            (
                "EUREKA",
                "MEMORY",
                "map: {service: {orders: Shop}}",
                &[("ORDERS", Some("Shop")), ("SHOP", Some("shop"))],
                &[("Shop", Some("ORDERS")), ("orders", None)],
            ),
            ("EUREKA", "EUREKA", "", &[("ORDERS", Some("ORDERS"))], &[("ORDERS", Some("ORDERS"))]),
            (
                "MEMORY",
                "EUREKA",
                "serviceMatchPattern: '[Op].*'",
                &[("Orders", Some("Orders"))],
                &[("ORDERS", Some("Orders")), ("PAY", Some("pay")), ("STOCK", None)],
            ),
            ("MEMORY", "EUREKA", "nameCase: upper", &[("pay", Some("pay"))], &[("PAY", Some("PAY"))]),
            (
                "MEMORY",
                "EUREKA",
                "map: {service: 'X-{service}'}",
                &[("Orders", Some("X-Orders"))],
                &[("X-ORDERS", Some("Orders")), ("X-PAY", Some("pay")), ("PAY", None)],
            ),
            (
                "MEMORY",
                "EUREKA",
                "map: {service: {orders: ORDERS, Stock: shop}}",
                &[("orders", Some("ORDERS")), ("Stock", Some("shop"))],
                &[("ORDERS", Some("orders")), ("SHOP", Some("Stock")), ("STOCK", None)],
            ),
            (
                "MEMORY",
                "MEMORY",
                "nameCase: lower",
                &[("Orders", Some("orders"))],
                &[("orders", Some("Orders")), ("PAY", Some("pay"))],
            ),
        ];
        for (source, destination, task, there, back) in table {
            let lenses = between(source, destination, task);
            for (lens, way) in [(lenses.there, there), (lenses.back.unwrap(), back)] {
                for (from, to) in way {
                    let scope = lens.scope(&ServiceKey::new("public", "g", from), &spell);
                    let want = to.map(|to| ServiceKey::new("public", "g", to));
                    assert_eq!(scope, want, "{source} to {destination}, {task}: {from}");
                }
            }
        }
    }
}
