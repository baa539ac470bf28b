//! Documents, their backups and the settings file beside each other.

use super::*;
use crate::common::{error, instances};
use causeway_server::api::State;

fn with_token(mut document: Value, token: &str) -> Value {
    document["tasks"][0]["source"]["token"] = json!(token);
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_is_never_an_invalid_document() {
    let _providers = providers(["bu-a"]);
    let install = Install::new();
    let good = with_token(document(&[task("one", "bu-a", "bu-b")]), "s3cret");
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let began = Instant::now();
    while install.read(BACKUP).is_empty() {
        assert!(began.elapsed() < PATIENCE, "it is written at the start too");
        sleep(Duration::from_millis(30)).await;
    }
    let kept = install.read(BACKUP);
    assert!(kept.contains("\"one\"") && kept.contains("${sealed:") && !kept.contains("s3cret"), "{kept}");
    std::fs::write(install.path(REGISTRY), "{\"tasks\": [{}").unwrap();
    registry_is(&host, DocumentState::Invalid).await;
    sleep(NOTICED).await;
    assert_eq!(install.read(BACKUP), kept);
    host.stop().await;

    // Another node with the same key finds it while its own document is gone.
    std::fs::create_dir(install.path("other")).unwrap();
    std::fs::copy(install.path("data/key"), install.path("other/key")).unwrap();
    std::fs::remove_file(install.path(REGISTRY)).unwrap();
    let host = Host::start(&install.path("other")).await;
    host.node.follow(
        &installation(
            &|name| (name == "POLARIS_SYNC_REGISTRY_FILE_WATCH").then(|| REGISTRY.into()),
            install.folder.path(),
        )
        .unwrap(),
    );
    let found = registry_is(&host, DocumentState::Backup).await;
    assert!(found.reason.contains("there is no file"), "{found:?}");
    // What stands there already is the other node's.
    assert_eq!(host.task("one").await.state, State::InStep);
    // The document is back, and counts.
    install.write(REGISTRY, &document(&[task("two", "bu-a", "bu-c")]));
    registry_is(&host, DocumentState::InUse).await;
    assert_eq!(names(&host).await, ["two"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_comes_back_knows_its_copies() {
    let [_a] = providers(["cb-a"]);
    let b = Memory::named("cb-b");
    let install = Install::new();
    let good = document(&[task("one", "cb-a", "cb-b")]);
    install.write(REGISTRY, &good);
    let host = install.start("data").await;
    let id = in_step(&host, "one", 1).await.id;
    install.write(REGISTRY, &document(&[]));
    documents(&host, "empty", |all| all[0].tasks.is_empty()).await;
    install.write(REGISTRY, &good);
    let task = in_step(&host, "one", 1).await;
    assert_eq!((task.id, instances(&b)), (id, 1));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_paths_work_at_once() {
    let _providers = providers(["bp-a", "bp-c"]);
    let install = Install::new();
    install.write(REGISTRY, &document(&[task("one", "bp-a", "bp-b")]));
    install.write(CONFIG, &document(&[task("two", "bp-c", "bp-d")]));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    in_step(&host, "two", 1).await;
    // The tasks of one document are not the other's to remove, nor while the other cannot be read.
    std::fs::remove_file(install.path(CONFIG)).unwrap();
    install.write(REGISTRY, &document(&[]));
    documents(&host, "without one", |all| all[0].tasks.is_empty() && all[1].state == DocumentState::Missing).await;
    assert_eq!(names(&host).await, ["two"]);
    host.stop().await;
    let host = install.start("data").await;
    registry_is(&host, DocumentState::InUse).await;
    in_step(&host, "two", 1).await;
    // Two tasks of one name that say different things: neither document replaces what runs.
    install.write(CONFIG, &document(&[task("two", "bp-c", "bp-d")]));
    documents(&host, "in use", |all| all[1].state == DocumentState::InUse).await;
    install.write(REGISTRY, &document(&[task("two", "bp-a", "bp-b")]));
    let found = registry_is(&host, DocumentState::Invalid).await;
    assert!(found.reason.contains("two tasks have the name `two`"), "{found:?}");
    // It fits as soon as the other one does.
    install.write(CONFIG, &document(&[]));
    registry_is(&host, DocumentState::InUse).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_a_settings_file_keep_to_their_own() {
    let _providers = providers(["sf-a", "sf-c"]);
    let install = Install::new();
    install.write(REGISTRY, &document(&[task("one", "sf-a", "sf-b")]));
    let host = install.start("data").await;
    in_step(&host, "one", 1).await;
    let file = "clusters:\n- {clusterName: sf-a, clusterType: MEMORY, connectKeyList: [sf-a]}\n\
                - {clusterName: sf-d, clusterType: MEMORY, connectKeyList: [sf-d]}\n\
                tasks:\n- {name: two, source: sf-a, destination: sf-d}\n";
    host.apply(file).await;
    in_step(&host, "two", 1).await;
    for (text, says) in [
        (file.replace("name: two", "name: one"), "the task one stands in config.yaml and in"),
        (file.replace("[sf-a]", "[sf-x]"), "the cluster sf-a stands in config.yaml and in"),
    ] {
        let (status, answer) = host.try_apply(&text, false, false).await;
        let message = error(&answer).error.message;
        assert!(status == 422 && message.contains(says) && message.contains("sync-registry.json:"), "{message}");
    }
    let (status, answer) = host.delete("/api/v1/tasks/one?keep=true").await;
    assert!(status == 409 && error(&answer).error.message.contains("sync-registry.json:"), "{answer}");
    // Neither removes what the other one made.
    let (status, answer) = host.try_apply("clusters: []\ntasks: []\n", true, true).await;
    assert_eq!(status, 200, "{answer}");
    host.wait_gone("two").await;
    in_step(&host, "one", 1).await;
    host.apply(file).await;
    in_step(&host, "two", 1).await;
    install.write(REGISTRY, &document(&[]));
    documents(&host, "empty", |all| all[0].tasks.is_empty() && all[0].state == DocumentState::InUse).await;
    in_step(&host, "two", 1).await;
    // A document that contradicts the settings file names both places, and fits once that is changed.
    let mut other = task("three", "sf-a", "sf-e");
    other["source"]["addresses"] = json!(["sf-c"]);
    install.write(REGISTRY, &document(&[other]));
    let found = registry_is(&host, DocumentState::Refused).await;
    assert!(found.reason.contains("sync-registry.json:") && found.reason.contains("in config.yaml"), "{found:?}");
    host.apply(&file.replace("[sf-a]", "[sf-c]")).await;
    registry_is(&host, DocumentState::InUse).await;
    in_step(&host, "three", 1).await;
    host.stop().await;
}
