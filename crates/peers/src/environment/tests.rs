use super::*;

fn read(folder: &Path, variables: &[(&str, &str)]) -> Option<Installation> {
    let find = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
    installation(&find, folder)
}

fn file(installation: &Installation, slot: usize) -> String {
    match &installation.slots[slot].provider {
        ProviderOptions::File(path) => path.display().to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_of_it_is_active_where_nothing_of_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path(), &[]), None);
    assert_eq!(read(folder.path(), &[("POLARIS_SYNC_CONFIG_FILE_WATCH", "")]), None);
    // A file of another Spring application.
    std::fs::write(folder.path().join("application.yml"), "server: {port: 1}").unwrap();
    assert_eq!(read(folder.path(), &[]), None);
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    std::fs::write(folder.path().join("conf/sync-config.json"), "{}").unwrap();
    assert!(read(folder.path(), &[]).is_some());
}

#[test]
fn defaults() {
    let found = read(Path::new("/x"), &[("POLARIS_SYNC_LOGGER_PATH", "logs")]).unwrap();
    assert_eq!(
        (file(&found, 0).as_str(), file(&found, 1).as_str()),
        ("/x/conf/sync-registry.json", "/x/conf/sync-config.json")
    );
    assert_eq!(found.slots[0].backup, Path::new("/x/conf/sync-config-backup.json"));
    assert_eq!(found.slots[1].backup, Path::new("/x/conf/config/sync-config-backup.json"));
    assert_eq!((found.port, found.log_folder.as_path()), (8690, Path::new("/x/logs")));
    assert!(found.slots.iter().all(|slot| !slot.is_named) && found.warnings.is_empty());
    // Where its own program has kept backups, they go on.
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("conf/registry")).unwrap();
    let found = read(folder.path(), &[("POLARIS_SYNC_CONFIG_K8S_TOKEN", "t")]).unwrap();
    assert_eq!(found.slots[0].backup, folder.path().join("conf/registry/sync-config-backup.json"));
}

/// The manual knows one document, `conf/sync-config.json`, and one backup.
#[test]
fn the_backup_of_the_manual_is_that_of_its_document() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    std::fs::write(folder.path().join("conf/sync-config.json"), "{}").unwrap();
    let backups = |variables: &[(&str, &str)]| {
        read(folder.path(), variables).unwrap().slots.into_iter().map(|slot| slot.backup).collect::<Vec<_>>()
    };
    let at = |name: &str| folder.path().join(name);
    let [manual, program] = [at("conf/sync-config-backup.json"), at("conf/config/sync-config-backup.json")];
    assert_eq!(backups(&[]), [program.clone(), manual.clone()]);
    let named = [("POLARIS_SYNC_REGISTRY_CONFIG_BACKUP_PATH", "/b"), ("POLARIS_SYNC_CONFIG_FILE_WATCH", "/etc/t.json")];
    assert_eq!(backups(&named)[1], Path::new("/b"));
    // Each document has its own where both are there, or where it is named.
    assert_eq!(backups(&[("POLARIS_SYNC_CONFIG_BACKUP_PATH", "/c")]), [manual.clone(), "/c".into()]);
    std::fs::write(at("conf/sync-registry.json"), "{}").unwrap();
    assert_eq!(backups(&[]), [manual, program]);
}

#[test]
fn variables_of_its_manual_and_of_its_program() {
    for (name, value) in
        [("POLARIS_SYNC_REGISTRY_CONFIG_BACKUP_PATH", "/b.json"), ("POLARIS_SYNC_REGISTRY_BACKUP_PATH", "/b.json")]
    {
        assert_eq!(read(Path::new("/x"), &[(name, value)]).unwrap().slots[0].backup, Path::new("/b.json"), "{name}");
    }
    let found = read(
        Path::new("/x"),
        &[
            ("POLARIS_SYNC_CONFIG_FILE_WATCH", "/etc/tasks.json"),
            ("POLARIS_SYNC_REGISTRY_FILE_WATCH", "r.json"),
            ("POLARIS_SYNC_CONFIG_BACKUP_PATH", "b"),
        ],
    );
    let found = found.unwrap();
    assert_eq!((file(&found, 0).as_str(), file(&found, 1).as_str()), ("/x/r.json", "/etc/tasks.json"));
    assert_eq!(found.slots[1].backup, Path::new("/x/b"));
    assert!(found.slots.iter().all(|slot| slot.is_named));
    // Two slots with one place are one.
    let same = [("POLARIS_SYNC_CONFIG_FILE_WATCH", "/a"), ("POLARIS_SYNC_REGISTRY_FILE_WATCH", "/a")];
    assert_eq!(read(Path::new("/x"), &same).unwrap().slots.len(), 1);
}

#[test]
fn a_config_map() {
    let found = read(
        Path::new("/x"),
        &[
            ("POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER", "kubernetes"),
            ("POLARIS_SYNC_CONFIG_K8S_ADDRESS", "10.0.0.1:6443"),
            ("POLARIS_SYNC_CONFIG_K8S_TOKEN", "t0ken"),
            ("POLARIS_SYNC_CONFIG_K8S_CA_FILE", "/ca.pem"),
        ],
    );
    let found = found.unwrap();
    let ProviderOptions::Kubernetes(options) = &found.slots[0].provider else { panic!("{found:?}") };
    assert_eq!(options.address.as_deref(), Some("10.0.0.1:6443"));
    assert_eq!((options.configmap.as_str(), options.namespace.as_deref()), ("polaris-sync-config", None));
    assert_eq!(options.keys, ["registry_watch.json", "sync-registry.json"]);
    assert_eq!(options.others["caFile"], "/ca.pem");
    assert!(!format!("{found:?}").contains("t0ken"));
    // One variable speaks for both slots.
    let both = [
        ("POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER", "kubernetes"),
        ("POLARIS_SYNC_CONFIGCENTER_CONFIG_PROVIDER", "kubernetes"),
        ("POLARIS_SYNC_CONFIG_K8S_CONFIGMAP_DATA_ID", "k.json"),
    ];
    let found = read(Path::new("/x"), &both).unwrap();
    assert_eq!(found.slots.len(), 1);
    let unknown = read(Path::new("/x"), &[("POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER", "zookeeper")]).unwrap();
    assert!(matches!(&unknown.slots[0].provider, ProviderOptions::Unusable(_, why) if why.contains("`zookeeper`")));
}

const SHIPPED: &str = "\
server:
  port: ${PORT:9000}
polaris:
  sync:
    registry:
      configProvider: ${POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER:file}
      configBackupPath: ${POLARIS_SYNC_REGISTRY_BACKUP_PATH:conf/registry/${NAME:sync}-backup.json}
      options:
        watchFile: ${POLARIS_SYNC_REGISTRY_FILE_WATCH:conf/registry.json}
        token: ${POLARIS_SYNC_CONFIG_K8S_TOKEN:}
        dataId: ${POLARIS_SYNC_CONFIG_K8S_CONFIGMAP_DATA_ID:registry_watch.json}
        caFile: /ca.pem
    config:
      configProvider: etcd
      options:
        endpoints: 10.0.0.1:2379, 10.0.0.2:2379
        user: root
        password: s3cret
        trustCertCollectionFile: ca.pem
        dataId: /sync/config
";

#[test]
fn the_applications_file_with_its_placeholders() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(folder.path().join("bin/application.yml"), SHIPPED).unwrap();
    let found = read(folder.path(), &[]).unwrap();
    assert_eq!(file(&found, 0), folder.path().join("conf/registry.json").display().to_string());
    assert_eq!((found.port, &found.slots[0].backup), (9000, &folder.path().join("conf/registry/sync-backup.json")));
    let ProviderOptions::Etcd(etcd) = &found.slots[1].provider else { panic!("{found:?}") };
    assert_eq!((etcd.endpoints.len(), etcd.data_id.as_str(), etcd.user.as_deref()), (2, "/sync/config", Some("root")));
    assert_eq!(etcd.trust_cert_collection_file, Some(folder.path().join("ca.pem")));
    assert!(!format!("{found:?}").contains("s3cret"));
    let variables = [("POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER", "kubernetes"), ("SERVER_PORT", "7000")];
    let found = read(folder.path(), &variables).unwrap();
    let ProviderOptions::Kubernetes(options) = &found.slots[0].provider else { panic!("{found:?}") };
    assert_eq!((options.token.as_ref(), options.keys.len(), found.port), (None, 2, 7000));
    assert_eq!(options.others["caFile"], "/ca.pem");
    std::fs::write(folder.path().join("bin/application.yaml"), "a: [").unwrap();
    let found = read(folder.path(), &variables).unwrap();
    assert!(found.warnings[0].contains("bin/application.yaml"), "{found:?}");
}
