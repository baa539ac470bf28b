//! Which config entries a task takes, as its settings say.

use causeway_core::{DataSelector, EntryInterest, EntryKey};
use causeway_settings::{Cluster, Layout, Pattern, Rule, Task};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// Where Dubbo keeps what its consumers need beside the providers: which application offers an interface, and what.
const COMPANIONS: [&str; 2] = [MAPPING, "metadata"];
const MAPPING: &str = "mapping";

/// What a task takes of the entries of its clusters.
struct Selection {
    /// The whole of `type: Config` or `All`; `None`: nothing but companions.
    entries: Option<Entries>,
    /// Subtrees that services need, whatever else is taken.
    subtrees: Vec<String>,
}

struct Entries {
    pattern: Pattern,
    include: Vec<Rule>,
    exclude: Vec<Rule>,
    given_up: Arc<OnceLock<String>>,
}

/// The selections of tasks. Unchanged settings keep the same one: the engine compares them by place.
#[derive(Default)]
pub(crate) struct Selections(Mutex<BTreeMap<Arc<str>, Known>>);

struct Known {
    task: Task,
    companions: Vec<String>,
    select: DataSelector,
}

impl Selections {
    /// What a task takes as data. `companions`: the subtrees that go with its services.
    pub fn of(
        &self,
        id: &Arc<str>,
        task: &Task,
        companions: Vec<String>,
        given_up: &Arc<OnceLock<String>>,
    ) -> DataSelector {
        let mut all = self.0.lock();
        if let Some(known) = all.get(id).filter(|known| known.task == *task && known.companions == companions) {
            return known.select.clone();
        }
        let select = entries(task, companions.clone(), given_up);
        all.insert(id.clone(), Known { task: task.clone(), companions, select: select.clone() });
        select
    }
}

/// What `task` takes as data.
fn entries(task: &Task, companions: Vec<String>, given_up: &Arc<OnceLock<String>>) -> DataSelector {
    let rules = |rules: &[Rule]| rules.iter().filter(|rule| rule.speaks_of_configs()).cloned().collect();
    let entries = task.kind.wants_configs().then(|| Entries {
        pattern: task.path_pattern(),
        include: rules(&task.select.include),
        exclude: rules(&task.select.exclude),
        given_up: given_up.clone(),
    });
    let subtrees = if task.kind.wants_services() { companions } else { Vec::new() };
    Arc::new(Selection { entries, subtrees })
}

/// Where Dubbo keeps, by interface, the applications that offer it: lists to which each application adds itself.
pub(crate) fn lists(cluster: &Cluster) -> Vec<String> {
    let roots = cluster.zookeeper.clone().unwrap_or_default().dubbo_roots;
    let known = cluster.kind == "zookeeper";
    roots.into_iter().filter(|_| known).map(|root| format!("{root}/{MAPPING}/")).collect()
}

/// The subtrees beside services that Dubbo's consumers need: where both clusters are ZooKeepers, with these settings.
pub(crate) fn companions<'a>(clusters: impl Iterator<Item = &'a Cluster>) -> Vec<String> {
    let mut roots: Option<BTreeSet<String>> = None;
    for cluster in clusters {
        let settings = cluster.zookeeper.clone().unwrap_or_default();
        let dubbo = settings.layouts.contains(&Layout::Dubbo) || settings.layouts.contains(&Layout::Application);
        let own: BTreeSet<String> = match cluster.kind == "zookeeper" && dubbo {
            true => settings.dubbo_roots.into_iter().collect(),
            false => BTreeSet::new(),
        };
        roots = Some(roots.map_or(own.clone(), |roots| roots.intersection(&own).cloned().collect()));
    }
    roots.iter().flatten().flat_map(|root| COMPANIONS.map(|name| format!("{root}/{name}"))).collect()
}

impl Entries {
    /// A pattern that is given up matches nothing, and the task says so.
    fn matches(&self, pattern: &Pattern, text: &str) -> bool {
        pattern.matches(text).unwrap_or_else(|error| {
            self.given_up.get_or_init(|| format!("the pattern {pattern} was given up on {text}: {error}"));
            false
        })
    }

    fn rule(&self, rule: &Rule, key: &EntryKey) -> bool {
        let fits = |pattern: &Option<Pattern>, text: &str| pattern.as_ref().is_none_or(|p| self.matches(p, text));
        fits(&rule.path, &key.name) && fits(&rule.namespace, &key.namespace) && fits(&rule.group, &key.group)
    }

    fn takes(&self, key: &EntryKey) -> bool {
        self.matches(&self.pattern, &key.name)
            && (self.include.is_empty() || self.include.iter().any(|rule| self.rule(rule, key)))
            && !self.exclude.iter().any(|rule| self.rule(rule, key))
    }

    fn may_hold(&self, path: &str) -> bool {
        let reaches = |pattern: &Pattern| may_begin(path, &pattern.literal_prefix());
        let included = |rule: &Rule| rule.path.as_ref().is_none_or(reaches);
        reaches(&self.pattern) && (self.include.is_empty() || self.include.iter().any(included))
    }
}

/// Whether something that begins with `prefix` can lie below the node at `path`.
fn may_begin(path: &str, prefix: &str) -> bool {
    path == "/" || path.starts_with(prefix) || prefix.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl EntryInterest for Selection {
    fn takes(&self, key: &EntryKey) -> bool {
        self.subtrees.iter().any(|root| is_within(&key.name, root))
            || self.entries.as_ref().is_some_and(|entries| entries.takes(key))
    }

    fn may_hold(&self, key: &EntryKey) -> bool {
        let path = &*key.name;
        let towards = |root: &String| is_within(path, root) || path == "/" || is_within(root, path);
        self.subtrees.iter().any(towards) || self.entries.as_ref().is_some_and(|entries| entries.may_hold(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_settings as settings;

    fn select(task: &str) -> DataSelector {
        let text = format!(
            "clusters: [{{clusterName: a, clusterType: ZK, connectKeyList: ['a:1']}}, \
             {{clusterName: b, clusterType: ZK, connectKeyList: ['b:1']}}]\n\
             tasks: [{{source: a, destination: b, {task}}}]"
        );
        let read = settings::parse("t", &text, &settings::FixedEnv::default(), &crate::kinds());
        let mut read = read.unwrap_or_else(|problems| panic!("{problems}"));
        entries(&read.tasks.remove(0), companions(read.clusters.iter()), &Arc::default())
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
        assert_eq!(both(&rules, "/b/tmp").0, false);
        assert_eq!(both(&rules, "/c"), (false, false));
        let services = select("type: Service");
        assert_eq!(both(&services, "/dubbo/mapping/lab.Greeter"), (true, true));
        assert_eq!(both(&services, "/dubbo"), (false, true));
        assert_eq!(both(&services, "/config"), (false, false));
        let all = select("type: All");
        assert_eq!(both(&all, "/anything"), (true, true));
    }
}
