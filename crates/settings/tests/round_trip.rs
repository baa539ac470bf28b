//! What is written reads as the same.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_connectors::zookeeper::{AclChoice, Category, Layout, NewServices, Settings as ZooKeeper};
use causeway_settings::*;
use common::{env, kinds};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

/// Texts that YAML could take for something else, and others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9.-]{0,12}",
        "\\PC{1,20}",
        prop::sample::select(vec![
            "null",
            "~",
            "true",
            "no",
            "1e3",
            "0x1f",
            "- a",
            "a: b",
            "a #b",
            "#",
            "*a",
            "&a",
            "!a",
            "| a",
            "> ",
            "%a",
            "@a",
            "`a",
            "'",
            "\"",
            "{",
            "[x]",
            "<<",
            "${env:PW}",
            "$${",
            "${1}",
            "2020-01-01",
            "a\nb",
            "a\n\n  b\n",
            "\ta\t",
            "…",
            "é",
            "=",
            "?",
            ".inf",
            "---",
            "😀"
        ])
        .prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = String> {
    text()
        .prop_map(|t| t.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned())
        .prop_filter("a name", |t| !t.is_empty())
}

fn word() -> impl Strategy<Value = String> {
    text().prop_filter("not empty", |t| !t.is_empty())
}

fn secret() -> impl Strategy<Value = Secret> {
    prop_oneof![word().prop_map(Secret::literal), Just(Secret::referred("${env:PW}", "hunter2"))]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop::sample::select(vec![".*", r"(?!test)\w+", r"(a)\1", "x|y", r"\Qa.b\E", "a{2}", "null", "'"])
        .prop_map(|p| Pattern::new(p).expect("a pattern"))
}

fn tls() -> impl Strategy<Value = Tls> {
    (of(word()), of((word(), word())), of(word()), any::<bool>()).prop_map(
        |(ca, pair, server_name, insecure_skip_verify)| {
            let (cert, key) = pair.unzip();
            Tls { ca, cert, key, server_name, insecure_skip_verify }
        },
    )
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let namespaces = btree_set("[a-z]{1,5}|公开|null|~|true", 0..3);
    let addresses = vec(prop::sample::select(vec!["h:1", "[::1]:8848", "https://x.y"]).prop_map(str::to_owned), 0..3);
    let sign = (of((word(), secret())), of((word(), secret())), of(secret()));
    (addresses, namespaces, sign, of("/[a-z]{1,4}"), of(tls())).prop_map(
        |(addresses, namespaces, (user, ak, token), context_path, tls)| {
            let (user, password) = user.unzip();
            let (ak, sk) = ak.unzip();
            Cluster {
                kind: "memory".into(),
                addresses,
                namespaces: namespaces.into_iter().collect(),
                user,
                password,
                ak,
                sk,
                token,
                context_path,
                tls,
                ..Cluster::default()
            }
        },
    )
}

fn zookeeper() -> impl Strategy<Value = ZooKeeper> {
    let roots = |names: Vec<&'static str>| {
        let most = names.len();
        prop::sample::subsequence(names, 0..=most).prop_map(|names| names.into_iter().map(str::to_owned).collect())
    };
    let layouts = [Layout::Dubbo, Layout::Application, Layout::Spring, Layout::Curator, Layout::Plain];
    let categories = [Category::Providers, Category::Consumers, Category::Routers, Category::Configurators];
    (
        (roots(vec!["/dubbo", "/d/a b"]), roots(vec!["/services", "/${env:X}"]), roots(vec!["/公开", "/null"])),
        prop::sample::subsequence(layouts.to_vec(), 1..=5),
        prop::sample::subsequence(categories.to_vec(), 1..=4),
        prop::sample::select(vec![NewServices::Spring, NewServices::Application, NewServices::Curator]),
        prop::sample::select(vec![AclChoice::Open, AclChoice::Copy]),
        4000..600_000u64,
    )
        .prop_map(
            |((dubbo_roots, service_roots, plain_roots), layouts, categories, new_services, acl, timeout)| {
                let layouts: std::collections::BTreeSet<_> = layouts.into_iter().collect();
                ZooKeeper {
                    dubbo_roots,
                    service_roots,
                    plain_roots,
                    new_services: if layouts.contains(&new_services.layout()) {
                        new_services
                    } else {
                        NewServices::Spring
                    },
                    layouts,
                    categories: categories.into_iter().collect(),
                    acl,
                    session_timeout: Duration::from_millis(timeout),
                }
            },
        )
}

fn rule(kind: TaskType) -> impl Strategy<Value = Rule> {
    (of(pattern()), of(pattern()), of(pattern()), of(pattern()), btree_map(text(), pattern(), 0..2), any::<bool>())
        .prop_map(move |(namespace, group, service, path, metadata, configs)| match kind {
            TaskType::Config => Rule { namespace, group, path, ..Rule::default() },
            TaskType::All if configs => Rule { namespace, group, path, ..Rule::default() },
            _ => Rule { namespace, group, service, metadata, path: None },
        })
        .prop_filter("a rule", |rule| !rule.is_empty())
}

fn rename(key: &'static str) -> impl Strategy<Value = Rename> {
    let template = "[a-z ]{0,3}".prop_map(move |t| Rename::Template(format!("{t}{{{key}}}")));
    let table = btree_map("[a-z]{1,5}", "[a-z]{1,8}", 0..3).prop_map(Rename::Table);
    prop_oneof![template, table]
}

fn renames() -> impl Strategy<Value = Renames> {
    let table = || btree_map(word(), text(), 0..2);
    let metadata =
        (table(), vec(word(), 0..2), table()).prop_map(|(add, drop, rename)| MetadataRenames { add, drop, rename });
    (of(rename("namespace")), of(rename("group")), of(rename("service")), metadata)
        .prop_map(|(namespace, group, service, metadata)| Renames { namespace, group, service, metadata })
}

fn groups() -> impl Strategy<Value = Vec<MetadataGroup>> {
    let filled = || text().prop_filter("not blank", |t| !t.trim().is_empty());
    let upstream =
        "[a-z]{1,4}".prop_flat_map(|name| prop_oneof![Just(name.clone()), Just(format!("{name}-{{service}}"))]);
    btree_map(name(), (btree_map(filled(), filled(), 0..3), of(upstream)), 0..4).prop_map(|groups| {
        let mut upstreams = std::collections::BTreeSet::new();
        let group = |(name, (metadata, upstream)): (_, (_, Option<String>))| {
            let upstream = upstream.filter(|upstream| upstreams.insert(upstream.clone()));
            MetadataGroup { name, metadata, upstream }
        };
        groups.into_iter().map(group).collect()
    })
}

fn task(kind: TaskType) -> impl Strategy<Value = Task> {
    let selection =
        (vec(rule(kind), 0..2), vec(rule(kind), 0..2)).prop_map(|(include, exclude)| Selection { include, exclude });
    let guard = (0.0..=1.0f64, any::<u32>(), 1..10_000_000u64).prop_map(|(share, floor, ms)| Guard {
        share,
        floor,
        window: Duration::from_millis(ms),
    });
    let words = (
        prop::sample::select(vec![Policy::Sync, Policy::UpsertOnly, Policy::CreateOnly]),
        prop::sample::select(vec![Overrides::Keep, Overrides::Replace, Overrides::Travel]),
        prop::sample::select(vec![None, Some(TakeOver::NacosSync), Some(TakeOver::PolarisSync)]),
        prop::sample::select(vec![
            ConflictRule::Source,
            ConflictRule::Destination,
            ConflictRule::Newest,
            ConflictRule::Manual,
        ]),
        prop::sample::select(vec![Marks::Session, Marks::Inline]),
        prop::sample::select(vec![DataAcl::Copy, DataAcl::Ignore]),
    );
    (name(), pattern(), any::<(bool, bool)>(), words, selection, renames(), guard, 0..10_000_000u64).prop_map(
        move |(name, pattern, (auto_scan, relay), words, select, map, guard, settle)| {
            let (policy, overrides, take_over, conflict, marks, acl) = words;
            Task {
                given_name: Some(name),
                kind,
                conflict,
                marks,
                data: Data { acl },
                service_match_pattern: pattern,
                auto_scan,
                relay,
                policy,
                overrides,
                take_over,
                select,
                map,
                guard,
                settle: Duration::from_millis(settle),
                pull_interval: (kind == TaskType::Service && settle.is_multiple_of(2)).then(|| Duration::from_millis(settle + 100)),
                ..Task::default()
            }
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let types = vec![TaskType::Service, TaskType::Config, TaskType::All];
    let kinds = prop_oneof![
        Just(("memory", TaskType::Service)),
        Just(("kong", TaskType::Service)),
        prop::sample::select(types).prop_map(|t| ("zookeeper", t))
    ];
    kinds.prop_flat_map(|(kind, of_tasks)| {
        let clusters = btree_map(name(), (cluster(), of(zookeeper()), of(name())), 2..4);
        (clusters, btree_map(name(), (task(of_tasks), groups()), 0..3)).prop_map(move |(clusters, tasks)| {
            if kind != "kong" {
                return made(kind, clusters, tasks.into_iter().map(|(name, (task, _))| (name, task)).collect());
            }
            let grouped = Some(Grouped { public: PUBLIC.into() });
            let divided = |(name, (task, groups))| (name, Task { groups, grouped: grouped.clone(), ..task });
            let mut settings = made("memory", clusters, tasks.into_iter().map(divided).collect());
            let gateway = &mut settings.clusters[1];
            (gateway.kind, gateway.addresses, gateway.namespaces) = (kind.into(), vec!["h:1".into()], Vec::new());
            settings
        })
    })
}

type Drawn = BTreeMap<String, (Cluster, Option<ZooKeeper>, Option<String>)>;

/// Settings whose clusters are all of one kind; the first two are the ends of all tasks.
fn made(kind: &str, clusters: Drawn, tasks: BTreeMap<String, Task>) -> Settings {
    let names: Vec<String> = clusters.keys().cloned().collect();
    let mut ids = BTreeMap::new();
    let zookeeper = kind == "zookeeper";
    let clusters = clusters.into_iter().map(|(name, (cluster, block, id))| {
        let cluster_id = id.filter(|id| ids.insert(id.clone(), ()).is_none());
        let cluster = Cluster { name, kind: kind.to_owned(), cluster_id, ..cluster };
        match zookeeper {
            false => cluster,
            true => Cluster {
                addresses: vec!["h:1/root".into(), "[::1]/root".into()],
                namespaces: Vec::new(),
                own: block.map(|block| block.block()),
                ..cluster
            },
        }
    });
    let one = |task: &Task| Namespaces::One {
        source: PUBLIC.into(),
        destination: task.map.namespace.is_none().then(|| PUBLIC.into()),
    };
    let (source, destination) = (names[0].clone(), names[1].clone());
    let tasks = tasks.into_iter().map(|(name, task)| Task {
        given_name: Some(name),
        source: source.clone(),
        destination: destination.clone(),
        namespaces: if zookeeper { one(&task) } else { Namespaces::Each },
        ..task
    });
    Settings { clusters: clusters.collect(), tasks: tasks.collect(), warnings: Vec::new() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_as_the_same(settings in settings()) {
        let yaml = settings.to_yaml(Secrets::Kept);
        let read = parse("f", &yaml, &env(), &kinds()).map_err(|p| TestCaseError::fail(format!("{}\n{yaml}", p.render(false))))?;
        prop_assert_eq!(Settings { warnings: Vec::new(), ..read }, settings.clone());
        let json = settings.to_value(Secrets::Kept).to_string();
        let read = parse("f", &json, &env(), &kinds()).map_err(|p| TestCaseError::fail(format!("{}\n{json}", p.render(false))))?;
        prop_assert_eq!(&Settings { warnings: Vec::new(), ..read }, &settings);
        prop_assert_eq!(settings.fingerprint(b""), settings.clone().fingerprint(b""));
    }

    #[test]
    fn no_text_makes_the_reader_fall(text in "(?s).{0,200}") {
        let _either = parse("f", &text, &env(), &kinds());
    }

    #[test]
    fn no_damage_to_a_file_makes_the_reader_fall(settings in settings(), at in any::<prop::sample::Index>(), with in "[\\PC\n\t:{}\\[\\]'\"#&*|>-]{0,3}") {
        let yaml = settings.to_yaml(Secrets::Kept);
        let at = yaml.char_indices().nth(at.index(yaml.chars().count())).unwrap().0;
        let damaged = format!("{}{with}{}", &yaml[..at], &yaml[at..]);
        if let Err(problems) = parse("f", &damaged, &env(), &kinds()) {
            prop_assert!(!problems.render(true).is_empty());
        }
    }
}

#[test]
fn references_are_written_as_references() {
    let text = "clusters:
- clusterName: a
  clusterType: memory
  connectKeyList: ['${env:HOST}:1', 'h:2']
  namespace: ${env:TYPE}
  userName: u
  password: ${env:PW}
- {clusterName: b, clusterType: memory}
tasks:
- {source: a, destination: b, type: '${env:TYPE}', relay: '${env:NO}', map: {metadata: {add: {x/y: 'on ${env:HOST}'}}}}
";
    let mut env = env();
    env.vars.insert("NO".into(), "no".into());
    let read = |text: &str| parse("f", text, &env, &kinds()).unwrap_or_else(|p| panic!("{}", p.render(false)));
    let settings = read(text);
    let yaml = settings.to_yaml(Secrets::Omitted);
    for reference in ["${env:HOST}:1", "${env:TYPE}", "${env:PW}", "${env:NO}", "on ${env:HOST}"] {
        assert!(yaml.contains(reference), "{yaml}");
    }
    assert!(!yaml.contains("hunter2") && !yaml.contains("10.1.1.1"), "{yaml}");
    assert_eq!(read(&yaml), settings);
}
