//! Files that are right, and what they mean.

mod common;

use std::time::Duration;

use causeway_settings::{
    Overrides, Policy, Problem, Rename, Secrets, Severity, TakeOver, TaskMode, TaskType, parse_beside,
};
use common::{env, good, kinds, read, with_tasks, wrong};

/// MSE Sync's own example, word for word.
const MSE: &str = "clusters:
  - clusterName: src
    connectKeyList:
      - mse-xxxxx-nacos-ans.mse.aliyuncs.com:8848
    clusterType: NACOS
    namespace: public,test
  - clusterName: dst
    connectKeyList:
      - mse-xxxxxx-nacos-ans.mse.aliyuncs.com:8848
    clusterType: NACOS
tasks:
  - source: src
    destination: dst
    type: Service
    mode: Bidirectional
    serviceMatchPattern: \".*\"
    autoScanAndAddService: true
";

#[test]
fn the_example_of_mse_sync() {
    let settings = good(MSE);
    assert_eq!(settings.warnings, []);
    let [src, dst] = settings.clusters.as_slice() else { panic!() };
    assert_eq!((src.name.as_str(), src.kind.as_str()), ("src", "nacos"));
    assert_eq!(src.addresses, ["mse-xxxxx-nacos-ans.mse.aliyuncs.com:8848"]);
    assert_eq!(src.namespaces, ["public", "test"]);
    assert!(dst.namespaces.is_empty());
    let [task] = settings.tasks.as_slice() else { panic!() };
    assert_eq!(task.name(), "src-dst-service");
    assert_eq!((task.kind, task.mode, task.auto_scan), (TaskType::Service, TaskMode::Bidirectional, true));
    assert!(task.service_match_pattern.is_all());
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = format!("\u{feff}{}", MSE.replace('\n', "\r\n"));
    assert_eq!(good(&text), good(MSE));
    let problems = wrong(&text.replace("destination: dst", "destination: dts"));
    assert_eq!((problems.0[0].line, problems.0[0].column), (13, 18));
    assert!(!problems.0[0].text.contains('\r'));
}

#[test]
fn json_is_read_too() {
    let text = r#"{"clusters": [{"clusterName": "a", "clusterType": "memory", "namespace": null}], "tasks": []}"#;
    assert_eq!(good(text).clusters[0].name, "a");
}

#[test]
fn defaults_and_any_case() {
    let settings = good(
        &with_tasks(
            "  - {source: a, destination: b}\n  - {source: b, destination: a, type: CONFIG, mode: bidirectional}\n",
        )
        .replace("MEMORY", "EtCd\n    , connectKeyList: [h]"),
    );
    let [task, other] = settings.tasks.as_slice() else { panic!() };
    assert_eq!((task.kind, task.mode, task.auto_scan), (TaskType::Service, TaskMode::Unidirectional, true));
    assert_eq!((task.policy, task.overrides, task.relay), (Policy::Sync, Overrides::Keep, false));
    assert_eq!((task.guard.share, task.guard.floor, task.guard.window), (0.3, 50, Duration::from_secs(60)));
    assert_eq!(task.settle, Duration::from_secs(30));
    assert_eq!((other.kind, other.mode), (TaskType::Config, TaskMode::Bidirectional));
    assert_eq!(other.name(), "b-a-config");
}

#[test]
fn every_key_of_ours() {
    let settings = good(
        r#"
x-tls: &tls
  ca: /etc/ca.pem
  serverName: nacos.example.org
clusters:
  - clusterName: a
    clusterType: nacos
    connectKeyList: ["https://${env:HOST}:8848", '[::1]:8848']
    namespace: " public , test,, "
    userName: nacos
    password: ${env:PW}
    ak: LTAI
    sk: ${file:/run/sk}
    clusterId: one
    contextPath: nacos/
    tls:
      <<: *tls
      cert: /c.pem
      key: /k.pem
  - clusterName: b
    clusterType: memory
tasks:
  - name: orders
    source: a
    destination: b
    mode: Unidirectional
    type: ${env:TYPE}
    autoScanAndAddService: False
    policy: upsert-only
    overrides: travel
    relay: yes
    takeOver: nacos-sync
    nameCase: lower
    settle: 1m30s
    guard: {share: 0.5, floor: 10, window: 5m}
    select:
      include:
        - {namespace: prod, service: 'order-.*'}
        - {metadata: {env: 'prod|staging'}}
      exclude:
        - group: TEST_.*
    map:
      namespace: {"": main, prod: production}
      group: "{namespace}-{group}"
      service: east-{service}
      metadata: {add: {origin: east, empty: ''}, drop: [debug], rename: {ver: version}}
"#,
    );
    assert_eq!(settings.warnings, []);
    let cluster = &settings.clusters[0];
    assert_eq!(cluster.addresses, ["https://10.1.1.1:8848", "[::1]:8848"]);
    assert_eq!(cluster.written["/connectKeyList/0"], "https://${env:HOST}:8848");
    assert_eq!(cluster.namespaces, ["public", "test"]);
    assert_eq!(cluster.context_path.as_deref(), Some("/nacos"));
    let (password, sk) = (cluster.password.as_ref().unwrap(), cluster.sk.as_ref().unwrap());
    assert_eq!((password.expose(), password.reference()), ("hunter2", Some("${env:PW}")));
    assert_eq!((sk.expose(), sk.reference()), ("s3cret", Some("${file:/run/sk}")));
    let tls = cluster.tls.as_ref().unwrap();
    assert_eq!((tls.ca.as_deref(), tls.cert.as_deref()), (Some("/etc/ca.pem"), Some("/c.pem")));
    let task = &settings.tasks[0];
    assert_eq!((task.name().as_str(), task.auto_scan, task.relay), ("orders", false, true));
    assert_eq!(
        (task.policy, task.overrides, task.take_over),
        (Policy::UpsertOnly, Overrides::Travel, Some(TakeOver::NacosSync))
    );
    assert_eq!(task.settle, Duration::from_secs(90));
    assert_eq!(task.guard.window, Duration::from_secs(300));
    assert_eq!(task.select.include[1].metadata["env"].matches("staging"), Ok(true));
    assert_eq!(task.map.service, Some(Rename::Template("east-{service}".into())));
    let Some(Rename::Table(table)) = &task.map.namespace else { panic!() };
    assert_eq!(table["public"], "main");
    assert_eq!(task.map.metadata.add["empty"], "");
    assert_eq!(task.written["/type"], "${env:TYPE}");
}

#[test]
fn other_words_for_kinds() {
    for word in ["ZK", "ZOOKEEPER", "zookeeper"] {
        let text = with_tasks("  []\n").replacen("MEMORY", &format!("{word}, connectKeyList: [h]"), 1);
        assert_eq!(good(&text).clusters[0].kind, "zookeeper");
    }
    let planned = wrong(&with_tasks("  []\n").replacen("MEMORY", "Kubernetes", 1));
    assert_eq!(planned.0[0].message, "`Kubernetes` is not supported yet");
}

fn warnings(text: &str) -> Vec<Problem> {
    let warnings = good(text).warnings;
    assert!(warnings.iter().all(|w| w.severity == Severity::Warning));
    warnings
}

#[test]
fn what_is_only_worth_a_warning() {
    for (text, line, field, message) in [
        ("clusters: []\ntasks: []\n".to_owned(), 1, "", "no cluster and no task"),
        (
            with_tasks("  - {source: a, destination: b, type: All}\n"),
            5,
            "tasks[0].type",
            "only services travel from memory to memory",
        ),
        (
            with_tasks("  - {source: a, destination: b}\n")
                .replace("b, clusterType: MEMORY", "b, clusterType: MEMORY, namespace: x"),
            5,
            "tasks[0].destination",
            "the `namespace` of `b` has no effect",
        ),
        (
            "clusters: [{clusterName: c, clusterType: apollo, connectKeyList: [h], namespace: x}]".to_owned(),
            1,
            "clusters[0].namespace",
            "no namespaces",
        ),
        (
            "clusters:\n- {clusterName: c, clusterType: memory, tls: {insecureSkipVerify: true}}".to_owned(),
            2,
            "clusters[0].tls.insecureSkipVerify",
            "is not checked",
        ),
    ] {
        let warnings = warnings(&text);
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert_eq!((warnings[0].line, warnings[0].field.as_str()), (line, field), "{text}");
        assert!(warnings[0].message.contains(message), "{}", warnings[0]);
    }
}

#[test]
fn the_same_namespaces_at_both_ends_of_a_two_way_task() {
    let text = with_tasks("  - {source: a, destination: b, mode: Bidirectional}\n")
        .replace("a, clusterType: MEMORY", "a, clusterType: MEMORY, namespace: 'public, x'")
        .replace("b, clusterType: MEMORY", "b, clusterType: MEMORY, namespace: 'x,public'");
    assert_eq!(good(&text).warnings, []);
}

#[test]
fn tasks_may_refer_to_clusters_that_are_known_already() {
    let known = good(MSE).clusters;
    let text = "tasks:\n- {source: src, destination: dst}\n";
    assert!(read(text).is_err());
    let settings = parse_beside("f", text, &env(), &kinds(), &known).unwrap();
    assert_eq!((settings.clusters.len(), settings.tasks.len()), (0, 1));
}

#[test]
fn a_fingerprint_is_of_the_content() {
    let one = good(MSE);
    let two = good(&format!("# a comment\n{}", MSE.replace("type: Service", "type: SERVICE")));
    assert_eq!(one.fingerprint(b"key"), two.fingerprint(b"key"));
    assert_ne!(one.fingerprint(b"key"), one.fingerprint(b"other key"));
    let three = good(&MSE.replace("public,test", "public"));
    assert_ne!(one.fingerprint(b"key"), three.fingerprint(b"key"));
    let password = |p: &str| {
        good(&MSE.replace("NACOS\n    namespace", &format!("NACOS\n    userName: u\n    password: {p}\n    namespace")))
    };
    assert_ne!(password("x").fingerprint(b"key"), password("y").fingerprint(b"key"));
}

#[test]
fn secrets_stay_out_of_what_is_shown() {
    let text = MSE.replace("clusterType: NACOS", "clusterType: NACOS\n    userName: u\n    password: hunter1");
    let settings = good(&text);
    for shown in [
        format!("{settings:?}"),
        settings.to_yaml(Secrets::Omitted),
        serde_json::to_string(&settings).unwrap(),
        serde_json::to_string(&settings.clusters).unwrap(),
    ] {
        assert!(!shown.contains("hunter1"), "{shown}");
        assert!(!shown.contains("password: null") && !shown.contains("\"password\""), "{shown}");
    }
    assert!(settings.to_yaml(Secrets::Kept).contains("hunter1"));
    let referred = good(&text.replace("hunter1", "${env:PW}"));
    for shown in [format!("{referred:?}"), referred.to_yaml(Secrets::Kept), serde_json::to_string(&referred).unwrap()] {
        assert!(shown.contains("${env:PW}") && !shown.contains("hunter2"), "{shown}");
    }
}
