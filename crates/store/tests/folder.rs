//! A data folder: its files, its key, and who may use it.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use causeway_store::{Edit, Error, Store, StoredCluster};
use secrecy::{ExposeSecret, SecretString};

async fn open(dir: &Path) -> Store {
    Store::open_with(dir, None).await.unwrap()
}

fn cluster(name: &str, secret: &str) -> StoredCluster {
    StoredCluster {
        name: name.to_owned(),
        document: format!(r#"{{"clusterName":"{name}"}}"#),
        secrets: BTreeMap::from([("password".to_owned(), SecretString::from(secret))]),
    }
}

#[tokio::test]
async fn secrets_are_in_no_file_and_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let secret = "correct-horse-battery-staple";
    store.edit(vec![Edit::PutCluster(cluster("a", secret))]).await.unwrap();
    assert!(!format!("{:?}", store.clusters().await.unwrap()).contains(secret));
    let mut looked = 0;
    for file in fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{path:?}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
        looked += 1;
    }
    assert!(looked >= 4, "the database, its log, its index, the key, the lock");
}

#[tokio::test]
async fn only_the_first_key_opens_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().join("made");
    let given = |text: &str| Some(SecretString::from(text));
    let store = Store::open_with(&fresh, given("a key in the environment")).await.unwrap();
    store.edit(vec![Edit::PutCluster(cluster("a", "word"))]).await.unwrap();
    drop(store);
    assert_eq!(fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!fresh.join("key").exists());
    let error = Store::open_with(&fresh, given("another key of some length")).await.err().unwrap();
    let text = error.to_string();
    assert!(text.contains("CAUSEWAY_KEY") && !text.contains("another"), "{text}");
    let error = Store::open_with(&fresh, None).await.err().unwrap().to_string();
    assert!(error.contains("/key"), "{error}");
    let store = Store::open_with(&fresh, given("a key in the environment")).await.unwrap();
    assert_eq!(store.clusters().await.unwrap()[0].secrets["password"].expose_secret(), "word");
}

#[tokio::test]
async fn a_second_node_is_told_who_has_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let error = Store::open_with(dir.path(), None).await.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, Error::Taken { .. }));
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(store);
    open(dir.path()).await;
}
