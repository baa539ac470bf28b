//! Which config entries a task takes, as its settings say.

use crate::patterns::GivenUp;
use causeway_connectors::bridge::dubbo::Companions;
use causeway_core::plan::{all, any, not};
use causeway_core::{DataSelector, EntryInterest, EntryKey, Fingerprint, Part, Undecided};
use causeway_settings::{Pattern, Rule, Task};
use std::sync::Arc;

/// What a task takes of the entries of its clusters.
struct EntrySelection {
    /// The whole of `type: Config` or `All`; `None`: nothing but companions.
    entries: Option<EntryRules>,
    companions: Companions,
    fingerprint: Fingerprint,
}

struct EntryRules {
    pattern: Pattern,
    include: Vec<Rule>,
    exclude: Vec<Rule>,
    given_up: Arc<GivenUp>,
}

/// What `task` takes as data. `companions`: what goes with its services.
pub(super) fn entries(task: &Task, companions: Companions, given_up: &Arc<GivenUp>) -> DataSelector {
    let rules = |rules: &[Rule]| rules.iter().filter(|rule| rule.speaks_of_configs()).cloned().collect();
    let entries = task.kind.wants_configs().then(|| EntryRules {
        pattern: task.path_pattern(),
        include: rules(&task.select.include),
        exclude: rules(&task.select.exclude),
        given_up: given_up.clone(),
    });
    let companions = if task.kind.wants_services() { companions } else { Companions::None };
    let rules = entries.as_ref().map(|entries| (&entries.pattern, &entries.include, &entries.exclude));
    let fingerprint = Fingerprint::of(&(rules, &companions));
    Arc::new(EntrySelection { entries, companions, fingerprint })
}

impl EntryRules {
    fn matches(&self, pattern: &Pattern, word: &str, text: &str) -> Result<bool, Undecided> {
        self.given_up.decide(pattern, text, || format!("the {word} {text}"))
    }

    fn rule(&self, rule: &Rule, key: &EntryKey) -> Result<bool, Undecided> {
        let places = [
            ("name", &rule.path, &key.name),
            ("namespace", &rule.namespace, &key.namespace),
            ("group", &rule.group, &key.group),
        ];
        all(places.into_iter().filter_map(|(word, pattern, text)| Some(self.matches(pattern.as_ref()?, word, text))))
    }

    fn takes(&self, key: &EntryKey) -> Result<bool, Undecided> {
        let included = match self.include.is_empty() {
            true => Ok(true),
            false => any(self.include.iter().map(|rule| self.rule(rule, key))),
        };
        let out = any(self.exclude.iter().map(|rule| self.rule(rule, key)));
        all([self.matches(&self.pattern, "name", &key.name), included, not(out)])
    }

    /// Whether anything in a namespace may take part.
    fn part(&self, namespace: &str) -> bool {
        let matches = |rule: &Rule| {
            rule.namespace.as_ref().map_or(Ok(true), |pattern| self.matches(pattern, "namespace", namespace))
        };
        let whole = |rule: &Rule| rule.namespace.is_some() && rule.path.is_none() && rule.group.is_none();
        let included = self.include.is_empty() || self.include.iter().any(|rule| matches(rule) != Ok(false));
        included && !self.exclude.iter().any(|rule| whole(rule) && matches(rule) == Ok(true))
    }

    /// Whether a rule keeps out whatever may lie below a node.
    fn keeps_out(&self, path: &str) -> bool {
        let below = |rest: &str| EntryKey::path(&format!("{}/{rest}", path.trim_end_matches('/')));
        let all =
            |rule: &Rule| ["\u{1}", "\u{1}/\u{2}/\u{3}"].iter().all(|rest| self.rule(rule, &below(rest)) == Ok(true));
        self.exclude.iter().any(|rule| rule.path.is_some() && all(rule))
    }

    fn may_hold(&self, path: &str) -> bool {
        if self.keeps_out(path) {
            return false;
        }
        let reaches = |pattern: &Pattern| may_begin(path, &pattern.literal_prefix());
        let included = |rule: &Rule| rule.path.as_ref().is_none_or(reaches);
        reaches(&self.pattern) && (self.include.is_empty() || self.include.iter().any(included))
    }
}

/// Whether something that begins with `prefix` can lie below the node at `path`.
fn may_begin(path: &str, prefix: &str) -> bool {
    path == "/" || path.starts_with(prefix) || prefix.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

impl EntryInterest for EntrySelection {
    fn takes(&self, key: &EntryKey) -> bool {
        self.companions.takes(key) || self.entries.as_ref().is_some_and(|entries| entries.takes(key).unwrap_or(true))
    }

    fn undecided(&self, key: &EntryKey) -> Option<Undecided> {
        let entries = self.entries.as_ref().filter(|_| !self.companions.takes(key))?;
        entries.takes(key).err()
    }

    fn part(&self, part: &Part) -> bool {
        self.companions.part(part) || self.entries.as_ref().is_some_and(|entries| entries.part(&part.0))
    }

    fn may_hold(&self, key: &EntryKey) -> bool {
        self.companions.may_hold(key) || self.entries.as_ref().is_some_and(|entries| entries.may_hold(&key.name))
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_settings as settings;

    fn select(task: &str) -> DataSelector {
        between("ZK", "ZK", task)
    }

    /// Between clusters of these kinds, which may be followed by more keys.
    fn between(source: &str, destination: &str, task: &str) -> DataSelector {
        let text = format!(
            "clusters: [{{clusterName: a, connectKeyList: ['a:1'], clusterType: {source}}}, \
             {{clusterName: b, connectKeyList: ['b:1'], clusterType: {destination}}}]\n\
             tasks: [{{source: a, destination: b, {task}}}]"
        );
        let read = settings::parse("t", &text, &settings::FixedEnv::default(), &causeway_connectors::kinds());
        let mut read = read.unwrap_or_else(|problems| panic!("{problems}"));
        let companions = Companions::between([&read.clusters[0], &read.clusters[1]]);
        entries(&read.tasks.remove(0), companions, &Arc::default())
    }

    #[test]
    fn a_nacos_takes_what_the_application_level_needs() {
        let metadata = "/land/metadata/app/006642574a71850b4572cee65509cc48";
        for (source, destination) in [("ZK, zookeeper: {dubboRoots: [/land, /other]}", "NACOS"), ("NACOS", "ZK")] {
            let select = between(source, destination, "type: Service");
            let root = if destination == "ZK" { "/dubbo" } else { "/land" };
            for path in ["/land/mapping/lab.Greeter", metadata] {
                let path = path.replace("/land", root);
                assert!(select.takes(&EntryKey::path(&path)), "{path}");
            }
            for path in ["/land/metadata/lab.Greeter/1.0.0/g1/provider/app", "/land/mapping", "/land/config/a"] {
                let path = path.replace("/land", root);
                assert!(!select.takes(&EntryKey::path(&path)), "{path}");
            }
            assert!(!select.takes(&EntryKey::path("/other/mapping/lab.Greeter")), "one root has its place there");
        }
        let none = between("ZK, zookeeper: {layouts: [spring]}", "NACOS", "type: Service");
        assert!(!none.takes(&EntryKey::path("/dubbo/mapping/lab.Greeter")));
    }

    #[test]
    fn patterns_rules_and_what_services_need() {
        let both = |select: &DataSelector, path: &str| {
            (select.takes(&EntryKey::path(path)), select.may_hold(&EntryKey::path(path)))
        };
        let config = select("type: Config, serviceMatchPattern: '/config/.*'");
        assert_eq!(both(&config, "/config/a/b"), (true, true));
        assert_eq!(both(&config, "/config"), (false, true));
        assert_eq!(both(&config, "/"), (false, true));
        assert_eq!(both(&config, "/other"), (false, false));
        assert_eq!(both(&config, "/dubbo/mapping/x"), (false, false), "a Config task takes what it says");
        let rules = "type: Config, select: {include: [{path: '/a/.*'}, {path: '/b/.*'}], exclude: [{path: '.*/tmp'}]}";
        let rules = select(rules);
        assert_eq!(both(&rules, "/b/x"), (true, true));
        assert!(!both(&rules, "/b/tmp").0);
        assert_eq!(both(&rules, "/c"), (false, false));
        let services = select("type: Service");
        assert_eq!(both(&services, "/dubbo/mapping/lab.Greeter"), (true, true));
        assert_eq!(both(&services, "/dubbo"), (false, true));
        assert_eq!(both(&services, "/config"), (false, false));
        let out = select("type: Config, select: {exclude: [{path: '/secret/.*'}, {path: '/a/[^/]*'}]}");
        let seen = ["/secret", "/a", "/b"].map(|path| both(&out, path));
        assert_eq!(seen, [(true, false), (true, true), (true, true)]);
        let all = select("type: All");
        assert_eq!(both(&all, "/anything"), (true, true));
    }

    #[test]
    fn namespaces_of_flat_entries() {
        let table: [(&str, &[&str]); 4] = [
            ("type: Config, serviceMatchPattern: 'orders.*'", &["dev", "prod"]),
            ("type: Config, select: {include: [{path: 'a.yaml', namespace: dev}]}", &["dev"]),
            ("type: Config, select: {exclude: [{namespace: dev}, {path: '.*', group: g, namespace: prod}]}", &["prod"]),
            ("type: Config, select: {exclude: [{path: 'a.yaml', namespace: dev}]}", &["dev", "prod"]),
        ];
        for (task, wanted) in table {
            let select = select(task);
            let taken: Vec<_> = ["dev", "prod"].into_iter().filter(|name| select.part(&Part::new(name))).collect();
            assert_eq!(taken, wanted, "{task}");
        }
    }

    #[test]
    fn an_entry_on_which_a_pattern_gives_up_is_neither_in_nor_out() {
        let long = format!("/config/{}", "a".repeat(60));
        let key = EntryKey::path(&long);
        for filter in ["serviceMatchPattern: '/config/(a+)+\\1b'", "select: {exclude: [{path: '/config/(a+)+\\1b'}]}"] {
            let select = select(&format!("type: Config, {filter}"));
            assert!(select.takes(&key) && select.may_hold(&EntryKey::path("/config")), "{filter}");
            let why = select.undecided(&key).unwrap().to_string();
            assert!(why.contains(&long) && why.contains("(a+)+"), "{why}");
            assert_eq!(select.undecided(&EntryKey::path("/config/b")), None);
        }
    }
}
