//! Files that are wrong: every one with the place, the field and the words of each of its errors.

mod common;

use common::{with_tasks, wrong};

/// Line, column, field, a part of the one-line form.
type Want = (usize, usize, &'static str, &'static str);

#[track_caller]
fn check(text: &str, wants: &[Want]) {
    let problems = wrong(text);
    let errors: Vec<_> = problems.errors().collect();
    assert_eq!(errors.len(), wants.len(), "\n{text}\n{problems}");
    for (error, (line, column, field, part)) in errors.iter().zip(wants) {
        assert_eq!((error.line, error.column, error.field.as_str()), (*line, *column, *field), "\n{text}\n{error}");
        assert!(error.to_string().contains(part), "\n{text}\n{error}\nlacks: {part}");
        assert!(error.message.is_empty() || error.help.is_some(), "no help: {error}");
    }
    assert!(!problems.render(true).is_empty());
}

macro_rules! wrong_files {
    ($($name:ident: $text:expr => $wants:expr;)*) => {
        $(#[test] fn $name() { check(&$text, &$wants); })*
    };
}

fn zookeeper(more: &str) -> String {
    format!("clusters:\n- clusterName: z\n  clusterType: ZK\n{more}")
}

/// A ZooKeeper `z`, two of memory, and what follows.
fn mixed(tasks: &str) -> String {
    format!(
        "{}  connectKeyList: [h]\n- {{clusterName: m, clusterType: memory}}\n- {{clusterName: n, clusterType: memory, namespace: 'a,b'}}\ntasks:\n{tasks}",
        zookeeper("")
    )
}

/// A Kong `k`, two of memory, and a task from `m` to this one with these groups.
fn grouped(destination: &str, groups: &str) -> String {
    format!(
        "clusters:\n- {{clusterName: k, clusterType: KONG, connectKeyList: [h]}}\n- {{clusterName: m, clusterType: memory}}\n- {{clusterName: n, clusterType: memory}}\ntasks:\n- source: m\n  destination: {destination}\n{groups}"
    )
}

fn cluster(more: &str) -> String {
    format!("clusters:\n- clusterName: a\n  clusterType: NACOS\n  connectKeyList: [h:1]\n{more}")
}

wrong_files! {
    groups_at_a_kind_without: grouped("n", "  groups: [{name: a}]\n") => [
        (8, 11, "tasks[0].groups", "memory has no place for groups of instances; expected a destination of a kind that has groups: KONG"),
    ];
    a_group_without_a_name: grouped("k", "  groups:\n  - {name: ''}\n  - {metadata: {a: b}}\n") => [
        (9, 12, "tasks[0].groups[0].name", "this is empty"),
        (10, 6, "tasks[0].groups[1].name", "`name` is missing"),
    ];
    two_groups_of_one_name: grouped("k", "  groups:\n  - {name: a, upstreamName: u}\n  - {name: a, upstreamName: u}\n") => [
        (10, 12, "tasks[0].groups[1].name", "two groups of the task have this `name`"),
        (10, 29, "tasks[0].groups[1].upstreamName", "two groups of the task have this `upstreamName`"),
    ];
    blanks_in_groups: grouped("k", "  groups:\n  - name: a\n    metadata:\n      ' ': x\n      b: ''\n      c:\n") => [
        (11, 7, "tasks[0].groups[0].metadata. ", "this key of the metadata is blank"),
        (12, 10, "tasks[0].groups[0].metadata.b", "this value of the metadata is blank"),
        (13, 7, "tasks[0].groups[0].metadata.c", "this value of the metadata is blank"),
    ];
    a_group_with_a_wrong_template: grouped("k", "  groups: [{name: a, upstreamName: '{x}'}]\n") => [
        (8, 36, "tasks[0].groups[0].upstreamName", "`{x}` is not a name that is known here"),
    ];
    an_unknown_key_of_a_group: grouped("k", "  groups: [{name: a, upstream: b}]\n") => [
        (8, 22, "tasks[0].groups[0].upstream", "did you mean `upstreamName`?"),
    ];
    groups_that_are_no_list: grouped("k", "  groups: {name: a}\n") => [
        (8, 11, "tasks[0].groups", "this is keys with values; expected a list of groups"),
    ];
    a_way_back_from_groups: grouped("k", "  mode: Bidirectional\n") => [
        (8, 9, "tasks[0].mode", "copying from memory to kong goes one way only"),
    ];
    empty: "" => [(1, 1, "", "the file is empty")];
    only_comments: "# nothing\n---\n" => [(1, 1, "", "the file is empty")];
    not_yaml: "clusters:\n- a: [1, 2\ntasks: x\n" => [(3, 6, "", "not valid YAML")];
    bad_indentation: "clusters:\n  - clusterName: a\n clusterType: b\n" => [(3, 2, "", "not valid YAML")];
    tabs: "clusters:\n\t- clusterName: a\n" => [(2, 2, "", "replace the tabs")];
    two_documents: "clusters: []\n---\ntasks: []\n" => [(3, 1, "", "second document")];
    a_list_at_the_top: "- clusters\n" => [(1, 1, "", "this is a list; expected keys with values")];
    a_text_at_the_top: "hello\n" => [(1, 1, "", "this is a single value")];
    an_unknown_top_key: "cluster: []\n" => [(1, 1, "cluster", "did you mean `clusters`?")];
    a_key_without_likeness: "colour: red\n" => [(1, 1, "colour", "known here are clusters, tasks")];
    clusters_not_a_list: "clusters:\n  clusterName: a\n" => [(2, 3, "clusters", "this is keys with values; expected a list of clusters")];
    a_cluster_that_is_a_text: "clusters:\n- src\n" => [(2, 3, "clusters[0]", "write keys such as `clusterName: …`")];
    a_cluster_with_nothing: "clusters:\n- namespace: x\n" => [
        (2, 3, "clusters[0].clusterName", "`clusterName` is missing"),
        (2, 3, "clusters[0].clusterType", "`clusterType` is missing; expected one of APOLLO, CONSUL, ETCD, EUREKA, FILE, KONG, MEMORY, NACOS, ZOOKEEPER"),
    ];
    no_addresses: "clusters:\n- clusterName: a\n  clusterType: NACOS\n" => [(2, 3, "clusters[0].connectKeyList", "is missing; expected at least one address")];
    an_empty_list_of_addresses: "clusters:\n- clusterName: a\n  clusterType: NACOS\n  connectKeyList: []\n" => [(4, 19, "clusters[0].connectKeyList", "this list is empty")];
    addresses_not_a_list: "clusters:\n- clusterName: a\n  clusterType: NACOS\n  connectKeyList: h:8848\n" => [(4, 19, "clusters[0].connectKeyList", "this is a single value; expected a list of addresses")];
    wrong_addresses: "clusters:\n- clusterName: a\n  clusterType: NACOS\n  connectKeyList:\n  - h:1,g:1\n  - ::1\n  - h:99999\n  -\n" => [
        (5, 5, "clusters[0].connectKeyList[0]", "its own line"),
        (6, 5, "clusters[0].connectKeyList[1]", "in brackets"),
        (7, 5, "clusters[0].connectKeyList[2]", "1 to 65535"),
        (8, 4, "clusters[0].connectKeyList[3]", "this address is empty"),
    ];
    a_twin_cluster: cluster("- clusterName: a\n  clusterType: memory\n") => [(5, 16, "clusters[1].clusterName", "two clusters have the name `a`; expected a name that no other cluster has; rename one of the two; the first is at line 2")];
    a_twin_id: cluster("  clusterId: x\n- {clusterName: b, clusterType: memory, clusterId: x}\n") => [(6, 52, "clusters[1].clusterId", "two clusters have this id")];
    a_key_twice: cluster("  namespace: a\n  namespace: b\n") => [(6, 3, "", "`namespace` stands here twice; keep one of the two; the first is at line 5")];
    a_misspelt_key: cluster("  nameSpaces: a\n  pasword: hunter1\n") => [
        (5, 3, "clusters[0].nameSpaces", "did you mean `namespace`?"),
        (6, 3, "clusters[0].pasword", "did you mean `password`?"),
    ];
    a_misspelt_kind: "clusters:\n- {clusterName: a, clusterType: NACSO}\n" => [(2, 33, "clusters[0].clusterType", "`NACSO` is not a kind of cluster that is known; expected one of APOLLO, CONSUL, ETCD, EUREKA, FILE, KONG, MEMORY, NACOS, ZOOKEEPER; did you mean `NACOS`?")];
    an_unknown_kind: "clusters:\n- {clusterName: a, clusterType: mainframe}\n" => [(2, 33, "clusters[0].clusterType", "the kinds of cluster that are known: APOLLO, CONSUL, ETCD, EUREKA, FILE, KONG, MEMORY, NACOS, ZOOKEEPER")];
    a_kind_of_the_future: "clusters:\n- {clusterName: a, clusterType: APISIX}\n- {clusterName: b, clusterType: k8s}\n" => [
        (2, 33, "clusters[0].clusterType", "`APISIX` is not supported yet"),
        (3, 33, "clusters[1].clusterType", "`k8s` is not supported yet"),
    ];
    a_name_that_cannot_be_used: "clusters:\n- {clusterName: ' a', clusterType: memory}\n" => [(2, 17, "clusters[0].clusterName", "this name cannot be used")];
    a_user_without_password: cluster("  userName: u\n  sk: x\n") => [
        (5, 13, "clusters[0].userName", "`userName` stands here without `password`"),
        (6, 7, "clusters[0].sk", "`sk` stands here without `ak`"),
    ];
    a_missing_variable: cluster("  userName: ${env:NOBODY}\n  password: ${file:/none}\n") => [
        (5, 13, "clusters[0].userName", "no variable `NOBODY`; set `NOBODY`"),
        (6, 13, "clusters[0].password", "the file `/none` cannot be read"),
    ];
    a_reference_of_no_kind: cluster("  namespace: ${enf:X}\n") => [(5, 14, "clusters[0].namespace", "write `${env:NAME}`")];
    a_secret_beside_a_reference: cluster("  userName: u\n  password: x${env:PW}\n") => [(6, 13, "clusters[0].password", "expected a value or one reference, not both")];
    a_password_that_is_a_list: cluster("  userName: u\n  password: [hunter1]\n") => [(6, 13, "clusters[0].password", "this is a list")];
    tls_that_is_a_word: cluster("  tls: true\n") => [(5, 8, "clusters[0].tls", "expected keys with values")];
    half_a_certificate: cluster("  tls: {cert: /c, serverNam: x}\n") => [
        (5, 15, "clusters[0].tls.cert", "`cert` stands here without `key`"),
        (5, 19, "clusters[0].tls.serverNam", "did you mean `serverName`?"),
    ];
    a_context_that_is_no_path: cluster("  contextPath: http://x/nacos\n") => [(5, 16, "clusters[0].contextPath", "this is not a path")];
    a_task_with_nothing: with_tasks("  - type: Service\n") => [
        (5, 5, "tasks[0].source", "`source` is missing"),
        (5, 5, "tasks[0].destination", "`destination` is missing"),
    ];
    no_such_clusters: "clusters:\n- {clusterName: east, clusterType: memory}\ntasks:\n- {source: esat, destination: other}\n" => [
        (4, 12, "tasks[0].source", "there is no cluster `esat`; expected the `clusterName` of a cluster; did you mean `east`?"),
        (4, 31, "tasks[0].destination", "there is no cluster `other`; expected the `clusterName` of a cluster; the clusters are east"),
    ];
    onto_itself: with_tasks("  - {source: a, destination: a}\n") => [(5, 30, "tasks[0].destination", "this is the source too")];
    twin_tasks_without_names: with_tasks("  - {source: a, destination: b}\n  - {source: a, destination: b, type: service}\n") => [(6, 14, "tasks[1].source", "two tasks have the name `a-b-service`; expected a name that no other task has; give one of the two a `name`, or merge them; the first is at line 5")];
    twin_tasks_with_names: with_tasks("  - {name: x, source: a, destination: b}\n  - {name: x, source: b, destination: a}\n") => [(6, 12, "tasks[1].name", "two tasks have the name `x`")];
    wrong_words: with_tasks("  - {source: a, destination: b, type: Servce, mode: both, policy: 7, overrides: [x]}\n") => [
        (5, 39, "tasks[0].type", "`Servce` is not a word for this; expected `Service`, `Config` or `All`; did you mean `Service`?"),
        (5, 53, "tasks[0].mode", "write `Unidirectional` or `Bidirectional`"),
        (5, 67, "tasks[0].policy", "expected `sync`, `upsert-only` or `create-only`"),
        (5, 81, "tasks[0].overrides", "this is a list"),
    ];
    wrong_values: with_tasks("  - source: a\n    destination: b\n    autoScanAndAddService: maybe\n    settle: 30\n    guard: {share: 30, floor: -1, window: 0s}\n") => [
        (7, 28, "tasks[0].autoScanAndAddService", "neither true nor false"),
        (8, 13, "tasks[0].settle", "write the unit too: `settle: 30s`"),
        (9, 20, "tasks[0].guard.share", "expected a number from 0 to 1"),
        (9, 31, "tasks[0].guard.floor", "expected a whole number from 0"),
        (9, 43, "tasks[0].guard.window", "the window is empty"),
    ];
    wrong_patterns: with_tasks("  - source: a\n    destination: b\n    serviceMatchPattern: 'ab\\y'\n    select: {include: [{service: '(a', group: b*}, {}], exclude: {}}\n") => [
        (7, 29, "tasks[0].serviceMatchPattern", "`\\y` is not supported here"),
        (8, 34, "tasks[0].select.include[0].service", "a `(` has no closing `)`"),
        (8, 52, "tasks[0].select.include[1]", "would match everything"),
        (8, 66, "tasks[0].select.exclude", "expected a list of rules"),
    ];
    a_look_behind_without_end: with_tasks("  - {source: a, destination: b, serviceMatchPattern: '(?<=a*)b'}\n") => [(5, 54, "tasks[0].serviceMatchPattern", "look-behind")];
    a_pattern_behind_a_reference: with_tasks("  - {source: a, destination: b, serviceMatchPattern: '${env:BAD}'}\n") => [(5, 54, "tasks[0].serviceMatchPattern", "the text of `${env:BAD}` is not a regular expression")];
    wrong_maps: with_tasks("  - source: a\n    destination: b\n    mode: Bidirectional\n    map:\n      namespace: {x: z, y: z}\n      group: fixed\n      service: '{svc}'\n      metadata: {rename: [a], drop: x}\n") => [
        (9, 18, "tasks[0].map.namespace", "two names become `z`"),
        (10, 14, "tasks[0].map.group", "cannot be told"),
        (11, 16, "tasks[0].map.service", "`{svc}` is not a name that is known here"),
        (12, 26, "tasks[0].map.metadata.rename", "this is a list"),
        (12, 37, "tasks[0].map.metadata.drop", "expected a list of metadata keys"),
    ];
    configs_where_there_are_none: with_tasks("  - {source: a, destination: b, type: Config}\n") => [(5, 39, "tasks[0].type", "configuration cannot be copied from memory to memory yet; expected `Service`; write `type: Service`")];
    two_ways_where_there_is_one: cluster("- {clusterName: c, clusterType: apollo, connectKeyList: [h]}\ntasks:\n- {source: c, destination: a, mode: Bidirectional}\n") => [(7, 37, "tasks[0].mode", "copying from apollo to nacos goes one way only; expected `Unidirectional`")];
    nothing_can_be_written_there: cluster("- {clusterName: c, clusterType: apollo, connectKeyList: [h]}\ntasks:\n- {source: a, destination: c, type: ALL}\n") => [(7, 37, "tasks[0].type", "services and configuration cannot be copied from nacos to apollo yet")];
    other_namespaces_on_the_way_back: with_tasks("  - {source: a, destination: b, mode: Bidirectional}\n").replace("b, clusterType: MEMORY", "b, clusterType: MEMORY, namespace: x") => [(5, 30, "tasks[0].destination", "the namespaces of `b` are `x`, and those of `a` are all namespaces; expected a destination without `namespace`")];
    no_address_of_a_zookeeper: zookeeper("") => [(2, 3, "clusters[0].connectKeyList", "is missing")];
    wrong_addresses_of_a_zookeeper: zookeeper("  connectKeyList:\n  - zookeeper://h:2181?backup=g:2181\n  - h:1,g:1\n  - h:1/a/\n  - h:1/../a\n  - http://h:1\n") => [
        (5, 5, "clusters[0].connectKeyList[0]", "write only `host:port`"),
        (6, 5, "clusters[0].connectKeyList[1]", "its own line"),
        (7, 5, "clusters[0].connectKeyList[2]", "with a chroot such as `/root` behind it or not; take the `/` at its end away"),
        (8, 5, "clusters[0].connectKeyList[3]", "write the whole path"),
        (9, 5, "clusters[0].connectKeyList[4]", "write only `host:port`"),
    ];
    a_list_in_one_text_only_for_zookeeper: "clusters:\n- {clusterName: a, clusterType: nacos, connectKeyList: ['a:1,b:1']}\n" => [(2, 57, "clusters[0].connectKeyList[0]", "its own line")];
    an_empty_list_in_one_text: zookeeper("  connectKeyList: [' , ']\n") => [(4, 20, "clusters[0].connectKeyList[0]", "write the host")];
    two_chroots: zookeeper("  connectKeyList: ['a/x', 'b/y']\n") => [(4, 20, "clusters[0].connectKeyList[0]", "two different chroots stand here; expected the same chroot at all addresses, or one behind the last address only; one cluster")];
    two_chroots_in_one_text: zookeeper("  connectKeyList: ['a/x,b/y']\n") => [(4, 20, "clusters[0].connectKeyList[0]", "two different chroots")];
    a_chroot_at_the_wrong_place: zookeeper("  connectKeyList: ['a/x', 'b']\n") => [(4, 27, "clusters[0].connectKeyList[1]", "only some of these addresses have a chroot")];
    a_chroot_at_some: zookeeper("  connectKeyList: ['a/x', b, 'c/x']\n") => [(4, 27, "clusters[0].connectKeyList[1]", "only some")];
    a_block_of_another_kind: cluster("  zookeeper: {acl: x}\n") => [(5, 14, "clusters[0].zookeeper", "this cluster is no ZooKeeper but of the kind nacos; expected this key only where `clusterType` is ZOOKEEPER; take it out, or write `clusterType: ZOOKEEPER`")];
    a_block_that_is_a_word: zookeeper("  connectKeyList: [h]\n  zookeeper: open\n") => [(5, 14, "clusters[0].zookeeper", "expected keys with values")];
    a_wrong_block: zookeeper("  connectKeyList: [h]\n  zookeeper:\n    dubboRoot: /x\n    serviceRoots: [services, /a/, '/a//b', /a/../b, /, /zookeeper/x]\n    layouts: [dubo, spring]\n    categories: providers\n    newServices: sprng\n    acl: [open]\n    sessionTimeout: 40\n") => [
        (6, 5, "clusters[0].zookeeper.dubboRoot", "did you mean `dubboRoots`?"),
        (7, 20, "clusters[0].zookeeper.serviceRoots[0]", "this path cannot be used; expected a path such as `/dubbo`; begin it with `/`"),
        (7, 30, "clusters[0].zookeeper.serviceRoots[1]", "take the `/` at its end away"),
        (7, 35, "clusters[0].zookeeper.serviceRoots[2]", "write one `/` between two names"),
        (7, 44, "clusters[0].zookeeper.serviceRoots[3]", "write the whole path"),
        (7, 53, "clusters[0].zookeeper.serviceRoots[4]", "name a node below `/`"),
        (7, 56, "clusters[0].zookeeper.serviceRoots[5]", "the servers' own"),
        (8, 15, "clusters[0].zookeeper.layouts[0]", "`dubo` is not a word for this; expected `dubbo`, `application`, `spring`, `curator` or `plain`; did you mean `dubbo`?"),
        (9, 17, "clusters[0].zookeeper.categories", "expected a list of words"),
        (10, 18, "clusters[0].zookeeper.newServices", "did you mean `spring`?"),
        (11, 10, "clusters[0].zookeeper.acl", "this is a list"),
        (12, 21, "clusters[0].zookeeper.sessionTimeout", "write the unit too: `sessionTimeout: 40s`"),
    ];
    empty_lists_of_words: zookeeper("  connectKeyList: [h]\n  zookeeper: {layouts: [], categories: []}\n") => [
        (5, 24, "clusters[0].zookeeper.layouts", "this list is empty; expected some of `dubbo`, `application`"),
        (5, 40, "clusters[0].zookeeper.categories", "take `categories` out for the default"),
    ];
    sessions_out_of_bounds: zookeeper("  connectKeyList: [h]\n  zookeeper: {sessionTimeout: 3999ms}\n- {clusterName: y, clusterType: ZK, connectKeyList: [g], zookeeper: {sessionTimeout: 601s}}\n") => [
        (5, 31, "clusters[0].zookeeper.sessionTimeout", "too short; expected from 4s to 10m"),
        (6, 86, "clusters[1].zookeeper.sessionTimeout", "too long"),
    ];
    roots_within_one_another: zookeeper("  connectKeyList: [h]\n  zookeeper: {dubboRoots: [/dubbo, /dubbo/x, /services], plainRoots: [/dubbos, /dubbo, /s, /s]}\n") => [
        (5, 36, "clusters[0].zookeeper.dubboRoots[1]", "this root and one of `dubboRoots` are the same, or one lies within the other; expected roots that are apart"),
        (5, 46, "clusters[0].zookeeper.dubboRoots[2]", "one of `serviceRoots` are the same"),
        (5, 80, "clusters[0].zookeeper.plainRoots[1]", "one of `dubboRoots` are the same, or one lies within the other; expected roots that are apart, so that every node belongs to one of them; take one of the two out; `dubboRoots: []` stands for none"),
        (5, 92, "clusters[0].zookeeper.plainRoots[3]", "one of `plainRoots`"),
    ];
    a_form_that_is_not_read: zookeeper("  connectKeyList: [h]\n  zookeeper: {layouts: [dubbo, spring], newServices: curator}\n") => [(5, 54, "clusters[0].zookeeper.newServices", "services of the form `curator` are not among the `layouts`; expected one of the `layouts`: what is written must be read too; add `curator` to `layouts`")];
    a_creator_without_a_name: zookeeper("  connectKeyList: [h]\n  tls: {}\n  zookeeper: {acl: creator}\n") => [(6, 20, "clusters[0].zookeeper.acl", "nobody signs in")];
    wrong_words_about_data: mixed("- {source: z, destination: m, conflict: left, marks: zab, data: {acl: no, alc: x}}\n") => [
        (8, 41, "tasks[0].conflict", "expected `source`, `destination`, `newest` or `manual`"),
        (8, 54, "tasks[0].marks", "write `session` or `inline`"),
        (8, 71, "tasks[0].data.acl", "write `copy` or `ignore`"),
        (8, 75, "tasks[0].data.alc", "known here are acl"),
    ];
    rules_about_the_other_thing: with_tasks("  - {source: a, destination: b, select: {include: [{path: /a}, {path: '(', group: g}], exclude: [{service: x, path: /b}]}}\n") => [
        (5, 59, "tasks[0].select.include[0].path", "this speaks of configuration, and the task copies services; expected rules of services with `service` and `metadata`, rules of configuration with `path`; take it out"),
        (5, 71, "tasks[0].select.include[1].path", "a `(` has no closing `)`"),
        (5, 71, "tasks[0].select.include[1].path", "speaks of configuration"),
        (5, 117, "tasks[0].select.exclude[0].path", "this rule matches nothing"),
    ];
    rules_of_a_task_whose_type_is_not_known: with_tasks("  - {source: a, destination: b, type: Confg, select: {include: [{path: /a}]}}\n") => [(5, 39, "tasks[0].type", "did you mean `Config`?")];
    rules_about_services_for_data: with_tasks("  - {source: a, destination: b, type: Config, select: {include: [{service: x}], exclude: [{metadata: {a: b}}]}}\n").replace("MEMORY", "etcd, connectKeyList: [h]") => [
        (5, 76, "tasks[0].select.include[0].service", "use `path`, or write `type: All`"),
        (5, 102, "tasks[0].select.exclude[0].metadata", "this speaks of services, and the task copies configuration"),
    ];
    data_between_kinds: mixed("- {source: z, destination: m, type: Config}\n") => [(8, 37, "tasks[0].type", "configuration cannot be copied from zookeeper to memory yet; expected `Service`")];
    several_namespaces_to_choose_from: mixed("- {source: z, destination: n}\n- {name: x, source: z, destination: n, mode: Bidirectional}\n- {name: y, source: z, destination: n, map: {namespace: {public: b}}}\n") => [
        (8, 28, "tasks[0].destination", "`z` has no namespaces, and `n` names several: `a,b`; expected a destination that names the one namespace that copies go to, or none for `public`; name one in the cluster `n`, or write `map: {namespace: {public: a}}` in the task"),
        (9, 37, "tasks[1].destination", "names several"),
    ];
    a_tag: "clusters: !list []\n" => [(1, 17, "", "YAML tags")];
    a_key_that_is_a_list: "? [a]\n: b\n" => [(1, 3, "", "a key must be a single word")];
    an_unknown_alias: "clusters: *none\n" => [(1, 11, "", "put the value in quotes")];
    many_at_once: "clusters:\n- {clusterName: a, clusterType: nacos, connectKeyLst: [x]}\n- {clusterName: a, clusterType: nop}\ntasks:\n- {source: b, destination: a, moed: x}\n- 7\n" => [
        (2, 4, "clusters[0].connectKeyList", "is missing"),
        (2, 40, "clusters[0].connectKeyLst", "did you mean `connectKeyList`?"),
        (3, 17, "clusters[1].clusterName", "two clusters"),
        (3, 33, "clusters[1].clusterType", "`nop` is not a kind"),
        (5, 12, "tasks[0].source", "there is no cluster `b`"),
        (5, 31, "tasks[0].moed", "did you mean `mode`?"),
        (6, 3, "tasks[1]", "this is a single value"),
    ];
}

#[test]
fn a_bomb_of_aliases_is_refused_at_once() {
    let mut text = "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let last = format!("*a{}", n - 1);
        text.push_str(&format!("x-{n}: &a{n} [{}]\n", vec![last; 10].join(", ")));
    }
    let problems = wrong(&text);
    assert!(problems.0[0].message.contains("stands for more than"), "{problems}");
}

#[test]
fn too_large_and_too_deep() {
    let large = format!("clusters: []\n#{}", "x".repeat(causeway_settings::MAX_FILE));
    assert!(wrong(&large).0[0].message.contains("larger than"));
    let deep = format!("x-a: {}{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(wrong(&deep).0.len(), 1);
    let garbage = format!("clusters:\n{}", "- {bad: 1}\n".repeat(5000));
    let problems = wrong(&garbage);
    assert_eq!(problems.0.len(), 100);
    assert!(problems.0[99].message.contains("14900 more problems"), "{}", problems.0[99]);
}

#[test]
fn secrets_stay_out_of_errors() {
    for text in [
        cluster("  userName: u\n  pasword: hunter1\n"),
        cluster("  userName: u\n  password: hunter1\n  password: hunter1\n"),
        cluster("  userName: u\n  password: [hunter1]\n"),
        cluster("  userName: u\n  password: {a: hunter1}\n"),
        cluster("  userName: u\n  password: hunter1 ${env:PW}\n"),
        cluster("  userName: u\n  password: \"hunter1\n"),
        cluster("  userName: u\n  password: 'hunter1' x\n"),
        cluster("  userName: u\n  password: |\n   hunter1\n  hunter1\n"),
        cluster("  userName: u\n  password: a: hunter1\n"),
        cluster("  {userName: u, password: hunter1\n"),
        cluster("").replace("h:1", "'http://u:hunter1@h:1'"),
        cluster("  sk: hunter1\n"),
        cluster("  namespace: x\n").replace("NACOS", "${env:PW}"),
        with_tasks(
            "  - {source: '${env:PW}', destination: b, mode: '${env:PW}', settle: '${env:PW}', relay: '${env:PW}'}\n",
        ),
        with_tasks("  - {source: a, destination: b, serviceMatchPattern: '${env:BAD}', guard: {share: '${env:PW}'}}\n"),
        mixed("- {source: z, destination: n, conflict: '${env:PW}', select: {include: [{path: '${env:BAD}'}]}}\n")
            .replace("a,b", "${env:TWO}"),
        mixed("- {source: z, destination: n, mode: Bidirectional}\n").replace("a,b", "${env:TWO}"),
        with_tasks("  - {source: a, destination: b, mode: Bidirectional}\n")
            .replace("b, clusterType: MEMORY", "b, clusterType: MEMORY, namespace: '${env:TWO}'"),
        zookeeper("  connectKeyList: ['h/${env:PW}', 'g/${env:BAD}/']\n"),
        zookeeper("  connectKeyList: ['h/${env:PW}', 'g/x']\n"),
        zookeeper("  connectKeyList: [h]\n  zookeeper: {dubboRoots: ['/${env:PW}', '/${env:PW}', '${env:PW}']}\n"),
    ] {
        let problems = wrong(&text);
        for shown in
            [problems.to_string(), problems.render(false), problems.to_json().to_string(), format!("{problems:?}")]
        {
            assert!(!shown.contains("hunter"), "\n{text}\n{shown}");
        }
    }
}

#[test]
fn the_three_forms() {
    let problems = wrong(&with_tasks("  - {source: a, destination: b, typ: Service}\n"));
    assert_eq!(
        problems.to_string(),
        "config.yaml:5:33: error: tasks[0].typ: the key `typ` is not known here; did you mean `type`?"
    );
    let drawn = problems.render(false);
    for part in [
        "error: tasks[0].typ",
        "--> config.yaml:5:33",
        "5 |   - {source: a, destination: b, typ: Service}",
        "^^^",
        "did you mean `type`?",
        "1 error\n",
    ] {
        assert!(drawn.contains(part), "{drawn}");
    }
    assert!(problems.render(true).contains("\u{1b}["));
    let json = problems.to_json();
    assert_eq!((json[0]["line"].as_u64(), json[0]["column"].as_u64()), (Some(5), Some(33)));
    assert_eq!((json[0]["severity"].as_str(), json[0]["help"].as_str()), (Some("error"), Some("did you mean `type`?")));
    let back: causeway_settings::Problems = serde_json::from_value(json).unwrap();
    assert_eq!(back, problems);
}
