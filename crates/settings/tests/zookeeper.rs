//! What ZooKeeper adds to the file: its addresses, its own keys, data, and namespaces where a kind has none.

mod common;

use std::time::Duration;

use causeway_connectors::zookeeper::{AclChoice, Category, Layout, NewServices, Settings as ZooKeeper};
use causeway_settings::{
    Cluster, ConflictRule, Data, DataAcl, Marks, Namespaces, Pattern, Secrets, Severity, Task, TaskType, parse,
};
use common::{env, good, kinds};

fn cluster(keys: &str) -> Cluster {
    let settings = good(&format!("clusters: [{{clusterName: z, clusterType: ZK, {keys}}}]"));
    assert_eq!(settings.warnings, []);
    settings.clusters[0].clone()
}

#[test]
fn addresses_and_chroots() {
    for (list, addresses) in [
        ("['h']", vec!["h"]),
        ("['h:2181/root']", vec!["h:2181/root"]),
        ("['h:2181/']", vec!["h:2181"]),
        ("['a:1', 'b:2']", vec!["a:1", "b:2"]),
        ("['a:1/r', '[::1]:2/r']", vec!["a:1/r", "[::1]:2/r"]),
        ("['a:1', 'b:2/r/s']", vec!["a:1/r/s", "b:2/r/s"]),
        ("['a:1,b:2']", vec!["a:1", "b:2"]),
        ("[' a:1, b:2/r ']", vec!["a:1/r", "b:2/r"]),
        ("['a:1/r,b:2/r']", vec!["a:1/r", "b:2/r"]),
        ("['a:1,,b:2,']", vec!["a:1", "b:2"]),
    ] {
        let read = cluster(&format!("connectKeyList: {list}"));
        assert_eq!(read.addresses, addresses, "{list}");
    }
}

#[test]
fn addresses_behind_references_are_written_as_such() {
    let mut env = env();
    env.vars.insert("ZK".into(), "a:1,b:2/r".into());
    env.vars.insert("ONE".into(), "c:3".into());
    let read = |text: &str| parse("f", text, &env, &kinds()).unwrap_or_else(|p| panic!("{}", p.render(false)));
    for (list, addresses, written) in [
        ("['${env:ZK}']", vec!["a:1/r", "b:2/r"], vec!["${env:ZK}"]),
        ("['${env:ONE}', 'd:4/r']", vec!["c:3/r", "d:4/r"], vec!["${env:ONE}", "d:4/r"]),
        ("['e:5', '${env:ONE}/r']", vec!["e:5/r", "c:3/r"], vec!["e:5/r", "${env:ONE}/r"]),
    ] {
        let settings = read(&format!("clusters: [{{clusterName: z, clusterType: ZK, connectKeyList: {list}}}]"));
        assert_eq!(settings.clusters[0].addresses, addresses, "{list}");
        let value = settings.clusters[0].to_value(Secrets::Kept);
        assert_eq!(value["connectKeyList"], serde_json::json!(written), "{list}");
        assert_eq!(read(&settings.to_yaml(Secrets::Kept)), settings, "{list}");
    }
}

#[test]
fn the_block() {
    assert_eq!(cluster("connectKeyList: [h]").own, None);
    let default = ZooKeeper::default();
    assert_eq!(ZooKeeper::from_block(Some(&cluster("connectKeyList: [h], zookeeper: {}").own.unwrap())), default);
    assert_eq!((default.dubbo_roots, default.service_roots), (vec!["/dubbo".to_owned()], vec!["/services".to_owned()]));
    assert_eq!((default.plain_roots.len(), default.layouts.len()), (0, 5));
    assert_eq!(default.categories, [Category::Providers].into());
    assert_eq!((default.new_services, default.acl), (NewServices::Spring, AclChoice::Open));
    assert_eq!(default.session_timeout, Duration::from_secs(40));
    let block = "{dubboRoots: [], serviceRoots: [/a, /ab/c], plainRoots: [/w], layouts: [Curator, plain, plain], \
                 categories: [routers, providers], newServices: CURATOR, acl: creator, sessionTimeout: 1m}";
    let keys = format!("connectKeyList: [h], userName: u, password: p, zookeeper: {block}");
    let text = format!("clusters: [{{clusterName: z, clusterType: ZK, {keys}}}]");
    // Dubbo's categories mean nothing without its layout.
    let settings = good(&text);
    assert_eq!(settings.warnings.len(), 1);
    let read = ZooKeeper::of(&settings.clusters[0]);
    assert_eq!((read.dubbo_roots.len(), read.service_roots), (0, vec!["/a".to_owned(), "/ab/c".to_owned()]));
    assert_eq!(read.plain_roots, ["/w"]);
    assert_eq!(read.layouts, [Layout::Curator, Layout::Plain].into());
    assert_eq!(read.categories, [Category::Providers, Category::Routers].into());
    assert_eq!((read.new_services, read.acl), (NewServices::Curator, AclChoice::Creator));
    assert_eq!(read.session_timeout, Duration::from_secs(60));
    cluster("connectKeyList: [h], tls: {cert: /c, key: /k}, zookeeper: {acl: creator}");
}

/// Two of ZooKeeper, two of etcd (services, data and namespaces), and one task.
fn task(keys: &str) -> (Task, Vec<String>) {
    pair("from", "to", keys)
}

fn pair(source: &str, destination: &str, keys: &str) -> (Task, Vec<String>) {
    let cluster =
        |name: &str, keys: &str| format!("  - {{clusterName: {name}, connectKeyList: [h], clusterType: {keys}}}\n");
    let text = [
        "clusters:\n".to_owned(),
        cluster("from", "ZK"),
        cluster("to", "ZK"),
        cluster("plain", "etcd"),
        cluster("dev", "etcd, namespace: dev"),
        cluster("two", "etcd, namespace: 'dev,public'"),
        cluster("memory", "nacos"),
        format!("tasks:\n  - {{source: {source}, destination: {destination}, {keys}}}\n"),
    ];
    let mut settings = good(&text.concat());
    assert!(settings.warnings.iter().all(|w| w.severity == Severity::Warning && w.help.is_some()));
    let warnings = settings.warnings.iter().map(|w| format!("{}: {}", w.field, w.message)).collect();
    (settings.tasks.remove(0), warnings)
}

#[test]
fn tasks_that_copy_data() {
    let (task, warnings) = task(
        "type: All, mode: Bidirectional, conflict: NEWEST, marks: inline, data: {acl: ignore}, \
         select: {include: [{path: '/config/.*'}, {service: 'a.*'}], exclude: [{namespace: public, group: g}]}",
    );
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!((task.conflict, task.marks), (ConflictRule::Newest, Marks::Inline));
    assert_eq!(task.data, Data { acl: DataAcl::Ignore });
    let speaks = |rule: &causeway_settings::Rule| (rule.speaks_of_services(), rule.speaks_of_configs());
    let include: Vec<_> = task.select.include.iter().map(speaks).collect();
    assert_eq!(include, [(false, true), (true, false)]);
    assert_eq!(speaks(&task.select.exclude[0]), (true, true));
    assert_eq!(task.select.include[0].path.as_ref().map(Pattern::literal_prefix).as_deref(), Some("/config/"));
    let defaults = pair("from", "to", "type: Config, mode: Bidirectional").0;
    assert_eq!(
        (defaults.conflict, defaults.marks, defaults.data),
        (ConflictRule::Manual, Marks::Session, Data::default())
    );
}

#[test]
fn whose_names_the_pattern_speaks_of() {
    for (kind, all) in [(TaskType::Service, true), (TaskType::Config, false), (TaskType::All, true)] {
        let (task, _) = task(&format!("type: {}, serviceMatchPattern: '/a/.*'", kind.word()));
        assert_eq!(task.path_pattern().is_all(), all, "{kind:?}");
    }
}

#[test]
fn keys_without_effect() {
    let none = "this has no effect: the task copies no configuration";
    for (source, destination, keys, want) in [
        ("from", "to", "conflict: source", vec![format!("tasks[0].conflict: {none}")]),
        (
            "from",
            "to",
            "conflict: manual, data: {}",
            vec![format!("tasks[0].conflict: {none}"), format!("tasks[0].data: {none}")],
        ),
        (
            "from",
            "to",
            "type: Config, conflict: source",
            vec!["tasks[0].conflict: this has no effect: the task goes one way".to_owned()],
        ),
        (
            "from",
            "to",
            "type: Config, marks: inline",
            vec!["tasks[0].marks: this has no effect: the task copies no services".to_owned()],
        ),
        (
            "plain",
            "dev",
            "map: {namespace: {x: y}}, marks: session",
            vec![
                "tasks[0].marks: this has no effect: neither of the two clusters keeps marks apart from the data"
                    .to_owned(),
            ],
        ),
        (
            "from",
            "memory",
            "type: All, data: {acl: copy}",
            vec![
                "tasks[0].type: only services travel from zookeeper to nacos; configuration cannot yet".to_owned(),
                format!("tasks[0].data: {none}"),
            ],
        ),
        ("from", "memory", "marks: inline", vec![]),
    ] {
        let (_, warnings) = pair(source, destination, keys);
        let warnings: Vec<_> = warnings.into_iter().filter(|w| !w.starts_with("tasks[0].destination")).collect();
        assert_eq!(warnings, want, "{source} to {destination}: {keys}");
    }
    for (keys, field, message) in [
        ("ak: a, sk: b", "ak", "no effect on a ZooKeeper"),
        ("contextPath: /x", "contextPath", "no effect on a ZooKeeper"),
        ("namespace: x", "namespace", "no namespaces"),
        ("zookeeper: {layouts: [dubbo], plainRoots: [/x]}", "zookeeper.plainRoots", "no effect with these `layouts`"),
        ("zookeeper: {layouts: [plain], categories: [routers]}", "zookeeper.categories", "without the layout `dubbo`"),
    ] {
        let settings = good(&format!("clusters: [{{clusterName: z, clusterType: ZK, connectKeyList: [h], {keys}}}]"));
        let warning = &settings.warnings[0];
        assert_eq!(warning.field, format!("clusters[0].{field}"));
        assert!(warning.message.contains(message), "{warning}");
        assert!(settings.clusters[0].namespaces.is_empty());
    }
    // Roots that are not used stand in nobody's way.
    cluster("connectKeyList: [h], zookeeper: {layouts: [spring], serviceRoots: [/dubbo/x]}");
}

#[test]
fn which_namespaces_meet() {
    let one = |source: &str, destination: Option<&str>| Namespaces::One {
        source: source.to_owned(),
        destination: destination.map(str::to_owned),
    };
    let fits = "tasks[0].destination: `to` has no namespaces: of those of `two`, `dev,public`, only `public` fits it";
    let map = "map: {namespace: {public: x}}";
    for (source, destination, keys, want, words, warning) in [
        ("from", "to", "", one("public", Some("public")), vec!["public"], None),
        ("from", "to", map, one("public", None), vec!["public"], None),
        ("from", "plain", "", one("public", Some("public")), vec!["public"], None),
        ("from", "dev", "", one("public", Some("dev")), vec!["public"], None),
        ("from", "two", map, one("public", None), vec!["public"], None),
        ("dev", "to", "", one("dev", Some("public")), vec!["dev"], None),
        ("dev", "to", map, Namespaces::Each, vec!["dev"], None),
        ("plain", "to", "", Namespaces::Each, vec![], None),
        ("two", "to", "", Namespaces::Each, vec!["dev", "public"], Some(fits)),
        ("two", "to", "map: {namespace: {dev: public}}", Namespaces::Each, vec!["dev", "public"], None),
        ("plain", "memory", "", Namespaces::Each, vec![], None),
    ] {
        for mode in ["Unidirectional", "Bidirectional"] {
            let keys = if keys.is_empty() { format!("mode: {mode}") } else { format!("mode: {mode}, {keys}") };
            let (task, warnings) = pair(source, destination, &keys);
            assert_eq!(task.namespaces, want, "{source} to {destination}: {keys}");
            let named = match source {
                "dev" => vec!["dev".to_owned()],
                "two" => vec!["dev".to_owned(), "public".to_owned()],
                _ => Vec::new(),
            };
            let cluster = Cluster { namespaces: named, ..Cluster::default() };
            assert_eq!(task.namespaces_of(&cluster), words, "{source} to {destination}: {keys}");
            assert_eq!(warnings.first().map(String::as_str), warning, "{source} to {destination}: {keys}");
        }
    }
}
