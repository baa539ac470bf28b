//! A document changes, and what it says is applied by difference.

use super::*;
use crate::common::{instances, sessions};
use causeway_core::Instance;
use causeway_server::api::{Cluster, State};

#[tokio::test(flavor = "multi_thread")]
async fn deleted_tasks_stay_deleted() {
    let [a, c] = providers(["dd-a", "dd-c"]);
    let (b, d) = (Memory::named("dd-b"), Memory::named("dd-d"));
    let install = Install::new();
    let both = [task("one", "dd-a", "dd-b"), task("two", "dd-c", "dd-d")];
    install.write(REGISTRY, &document(&both));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    in_step(&host, "two", 1).await;
    for edit in 0..3u16 {
        let mut rest = document(&both[..1]);
        rest["report"] = json!({ "interval": format!("{}m", edit + 1) });
        install.write(REGISTRY, &rest);
        documents(&host, "of one task", |all| all[0].tasks == ["one"]).await;
        register(&a, &key("public", "s"), 2000 + edit);
        register(&c, &key("public", "s"), 2000 + edit);
        in_step(&host, "one", 2 + usize::from(edit)).await;
        sleep(NOTICED).await;
        assert_eq!(names(&host).await, ["one"]);
        assert!(instances(&d) <= 1, "what was there may stay, and nothing new comes");
    }
    let clusters: Vec<Cluster> = host.get("/api/v1/clusters").await;
    assert_eq!(clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>(), ["dd-a", "dd-b"]);
    assert_eq!(instances(&b), 4);
    host.stop().await;
    // Nor after a restart.
    let host = install.start("data").await;
    in_step(&host, "one", 4).await;
    assert_eq!(names(&host).await, ["one"]);
    // One that is switched off ends as well.
    install.write(REGISTRY, &document(&[task("two", "dd-c", "dd-d")]).clone());
    in_step(&host, "two", 4).await;
    let mut off = task("two", "dd-c", "dd-d");
    off["enable"] = json!(false);
    install.write(REGISTRY, &document(&[off]));
    documents(&host, "empty", |all| all[0].tasks.is_empty()).await;
    assert!(names(&host).await.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_of_an_unchanged_task_makes_no_call() {
    let [a, _c] = providers(["un-a", "un-c"]);
    let b = Memory::named("un-b");
    let install = Install::new();
    install.write(REGISTRY, &document(&[task("one", "un-a", "un-b")]));
    let host = install.start("data").await;
    let before = in_step(&host, "one", 1).await;
    let calls = (sessions(&a), sessions(&b));
    install.write(REGISTRY, &document(&[task("two", "un-c", "un-d"), task("one", "un-a", "un-b")]));
    in_step(&host, "two", 1).await;
    install.write(REGISTRY, &document(&[task("one", "un-a", "un-b")]));
    documents(&host, "of one task", |all| all[0].tasks == ["one"]).await;
    // These looks are sessions themselves.
    assert_eq!((sessions(&a) - 1, sessions(&b) - 1), calls);
    assert_eq!(host.task("one").await.id, before.id);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_document_changes_nothing_and_says_why() {
    let [a] = providers(["in-a"]);
    let install = Install::new();
    let good = document(&[task("one", "in-a", "in-b")]);
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    let before = in_step(&host, "one", 1).await;
    let text = serde_json::to_string_pretty(&good).unwrap();
    for (broken, says) in [
        (String::new(), "the document is empty"),
        (text.replace("\"memory\"", "\"memry\""), "`memry` is not a word for this"),
        (
            text.replace("\"in-b\"\n", "\"in-b\", \"in-c\"\n").replace("\"name\": \"in-b\"", "\"nam\": \"in-b\""),
            "nam: this name is not known",
        ),
        (text.replace("\"watch\"", "\"unknown\""), "this method has no type"),
        (text.replace("]", ""), "does not fit"),
    ] {
        std::fs::write(install.path(REGISTRY), broken).unwrap();
        let found = documents(&host, says, |all| all[0].reason.contains(says)).await.remove(0);
        assert_eq!((found.state, found.tasks.as_slice()), (DocumentState::Invalid, ["one".to_owned()].as_slice()));
        assert!(found.problems[0].line > 0 && found.problems[0].file.ends_with(REGISTRY), "{found:?}");
        let task = host.task("one").await;
        assert_eq!((&task.id, task.state), (&before.id, State::InStep));
        assert!(
            task.warnings.iter().any(|warning| warning.contains("is not used as it stands") && warning.contains(says)),
            "{task:?}"
        );
    }
    std::fs::remove_file(install.path(REGISTRY)).unwrap();
    registry_is(&host, DocumentState::Missing).await;
    register(&a, &key("public", "s"), 1001);
    in_step(&host, "one", 2).await;
    install.write(REGISTRY, &good);
    let found = registry_is(&host, DocumentState::InUse).await;
    assert_eq!(found.reason, "");
    assert!(host.task("one").await.warnings.iter().all(|warning| !warning.contains("not used")));
    host.stop().await;
}

/// As with the other tool: what a task has written stays where the destination keeps it by itself.
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_task_that_ended_stay_where_they_are_kept() {
    let [a] = providers(["ke-a"]);
    let install = Install::new();
    let mut one = task("one", "ke-a", "ke-file");
    let path = install.path("kept.yaml");
    one["destination"] = json!({ "name": "ke-file", "type": "file", "addresses": [path] });
    install.write(REGISTRY, &document(std::slice::from_ref(&one)));
    let host = install.start("data").await;
    let id = in_step(&host, "one", 1).await.id;
    let kept = install.read("kept.yaml");
    assert!(kept.contains("127.0.0.1:1000"), "{kept}");
    install.write(REGISTRY, &document(&[]));
    host.wait_gone("one").await;
    register(&a, &key("public", "s"), 1001);
    sleep(NOTICED).await;
    assert_eq!(install.read("kept.yaml"), kept);
    // The task knows them when it comes back.
    install.write(REGISTRY, &document(&[one]));
    assert_eq!(in_step(&host, "one", 2).await.id, id);
    host.stop().await;
}

/// The other tool tells its copies by their source: it goes on with them whatever their task is called, and however its matches are
/// divided into tasks.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_under_another_name_goes_on_with_its_copies() {
    let [a] = providers(["rn-a"]);
    register(&a, &key("public", "t"), 3000);
    let install = Install::new();
    let path = install.path("kept.yaml");
    let named = |name: &str, services: &[&str]| {
        let mut task = task(name, "rn-a", "rn-file");
        task["destination"] = json!({ "name": "rn-file", "type": "file", "addresses": [path] });
        task["match"] = services.iter().map(|service| json!({"namespace": "empty_ns", "service": service})).collect();
        task
    };
    install.write(REGISTRY, &document(&[named("one", &["s"]), named("other", &["t"])]));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    in_step(&host, "other", 1).await;
    // Renamed, and the two as one.
    install.write(REGISTRY, &document(&[named("both", &["s", "t"])]));
    in_step(&host, "both", 2).await;
    assert_eq!(names(&host).await, ["both"]);
    for (service, port) in [("s", 1000), ("t", 3000)] {
        let id = Instance::new("127.0.0.1", port).id();
        a.deregister(&key("public", service), &format!("provider-{port}"), &id);
    }
    register(&a, &key("public", "s"), 1001);
    let began = Instant::now();
    let right = |text: &str| text.contains("127.0.0.1:1001") && !text.contains(":1000") && !text.contains(":3000");
    while !right(&install.read("kept.yaml")) {
        assert!(began.elapsed() < PATIENCE, "{}", install.read("kept.yaml"));
        sleep(Duration::from_millis(50)).await;
    }
    host.stop().await;
}

/// A file that is gone for a moment, as while an editor writes it, makes a wrong document no better.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_document_that_was_gone_for_a_moment_is_still_invalid() {
    let _providers = providers(["ag-a"]);
    let install = Install::new();
    let good = document(&[task("one", "ag-a", "ag-b")]);
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let wrong = good.to_string().replace("\"memory\"", "\"memry\"");
    std::fs::write(install.path(REGISTRY), &wrong).unwrap();
    registry_is(&host, DocumentState::Invalid).await;
    std::fs::remove_file(install.path(REGISTRY)).unwrap();
    registry_is(&host, DocumentState::Missing).await;
    std::fs::write(install.path(REGISTRY), &wrong).unwrap();
    let found = documents(&host, "there again", |all| all[0].state != DocumentState::Missing).await.remove(0);
    assert_eq!(found.state, DocumentState::Invalid);
    assert!(found.reason.contains("`memry` is not a word for this"), "{found:?}");
    host.stop().await;
}

/// The other tool cleared the new tasks instead of the old ones, or failed, where the number of methods changed.
#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_methods_beside_a_new_task_loses_neither() {
    let [a, _c] = providers(["nm-a", "nm-c"]);
    let install = Install::new();
    let one = task("one", "nm-a", "nm-b");
    install.write(REGISTRY, &document(std::slice::from_ref(&one)));
    let host = install.start("data").await;
    let id = in_step(&host, "one", 1).await.id;
    let mut more = document(&[one.clone(), task("two", "nm-c", "nm-d")]);
    let methods = more["methods"].as_array_mut().unwrap();
    methods.push(json!({ "type": "pull", "enable": true, "interval": "1m" }));
    install.write(REGISTRY, &more);
    in_step(&host, "two", 1).await;
    register(&a, &key("public", "s"), 1001);
    assert_eq!(in_step(&host, "one", 2).await.id, id);
    install.write(REGISTRY, &document(&[one]));
    documents(&host, "of one task", |all| all[0].tasks == ["one"]).await;
    register(&a, &key("public", "s"), 1002);
    in_step(&host, "one", 3).await;
    host.stop().await;
}

/// At the other tool each group was compared with everything at the destination, and deleted what the others had made.
#[tokio::test(flavor = "multi_thread")]
async fn groups_at_a_registry_do_not_delete_each_others_instances() {
    let [a] = providers(["gr-a"]);
    let b = Memory::named("gr-b");
    register(&a, &key("public", "s"), 1001);
    let install = Install::new();
    let mut one = task("one", "gr-a", "gr-b");
    one["match"][0]["groups"] = json!([
        { "name": "version-1", "metadata": { "version": "1.0.0" } },
        { "name": "version-2", "metadata": { "version": "2.0.0" } }
    ]);
    install.write(REGISTRY, &document(&[one]));
    let host = install.start("data").await;
    in_step(&host, "one", 2).await;
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        assert_eq!(instances(&b), 2);
        sleep(Duration::from_millis(5)).await;
    }
    host.stop().await;
}

/// A start with a document that is wrong is mended by one that is right, and reports are written then as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_start_is_mended_by_a_good_document() {
    let _providers = providers(["bs-a"]);
    let install = Install::new();
    std::fs::write(install.path(REGISTRY), "{\"tasks\": [").unwrap();
    let host = install.start("data").await;
    registry_is(&host, DocumentState::Invalid).await;
    assert!(!install.path(BACKUP).exists());
    let mut good = document(&[task("one", "bs-a", "bs-b")]);
    good["health_check"] = json!({ "enable": true, "interval": "200ms" });
    good["report"] = json!({ "interval": "500ms", "targets": [{ "type": "file", "enable": true }] });
    install.write(REGISTRY, &good);
    in_step(&host, "one", 1).await;
    let began = Instant::now();
    while !install.read("loggers/polaris-sync-stat.log").contains("bs-b") {
        assert!(began.elapsed() < PATIENCE, "reports are written");
        sleep(Duration::from_millis(50)).await;
    }
    host.stop().await;
}
