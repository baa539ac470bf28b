//! What a watch of files tells.

use super::*;

#[tokio::test]
async fn a_folder_is_hot_reloaded_and_never_wrongly_empty() {
    let (_guard, path) = folder();
    let services = path.join("services");
    fs::create_dir(&services).unwrap();
    let mut items = source(&services).watch(&everything());
    // Empty folder: an outage, not an empty list.
    assert!(told(&mut items).await.starts_with("lost None not reachable: there is no `*.yaml`"));
    fs::write(services.join("a.yaml"), format!("services:\n{}", service("orders", &["h:1"]))).unwrap();
    fs::write(services.join(".b.yaml"), "nonsense: [").unwrap();
    fs::write(services.join("c.txt"), "nonsense: [").unwrap();
    assert_eq!(told(&mut items).await, "reset public 1");
    fs::write(services.join("b.yml"), format!("services:\n{}", service("carts", &["h:2"]))).unwrap();
    assert_eq!(told(&mut items).await, "changed carts 1");
    fs::write(services.join("b.yml"), format!("services:\n{}", service("carts", &["h:2", "h:3"]))).unwrap();
    assert_eq!(told(&mut items).await, "changed carts 2");
    // Half-written, wrong, in two files: nothing changes, and the place is told.
    fs::write(services.join("b.yml"), "services:\n  - name: carts\n    instances:\n      - addr").unwrap();
    let said = told(&mut items).await;
    assert!(said.starts_with("lost None ") && said.contains("b.yml:4:9: error: "), "{said}");
    fs::write(services.join("b.yml"), format!("services:\n{}", service("orders", &["h:2"]))).unwrap();
    let said = told(&mut items).await;
    assert!(
        said.contains("b.yml:2: the service public/DEFAULT_GROUP/orders also stands in") && said.contains("a.yaml:2"),
        "{said}"
    );
    let said = format!("services:\n{}", service("carts", &["h:2"]));
    fs::write(services.join("b.yml"), said).unwrap();
    assert_eq!(told(&mut items).await, "reset public 2");
    // One file of two goes: its services are gone. The last one, and the folder: an outage.
    fs::remove_file(services.join("b.yml")).unwrap();
    assert_eq!(told(&mut items).await, "removed carts");
    fs::remove_file(services.join("a.yaml")).unwrap();
    assert!(told(&mut items).await.starts_with("lost None not reachable"));
    fs::remove_dir_all(&services).unwrap();
    assert!(told(&mut items).await.contains("is not there"));
    silent(&mut items).await;
}

#[tokio::test]
async fn a_swapped_config_map_is_one_change() {
    let (_guard, path) = folder();
    let write = |version: &str, address: &str| {
        let folder = path.join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("s.yaml"), format!("services:\n{}", service("orders", &[address]))).unwrap();
    };
    write("..v1", "h:1");
    symlink("..v1", path.join("..data")).unwrap();
    symlink("..data/s.yaml", path.join("s.yaml")).unwrap();
    let source = source(&path);
    let mut items = source.watch(&everything());
    assert_eq!(told(&mut items).await, "reset public 1");
    write("..v2", "h:2");
    symlink("..v2", path.join("..tmp")).unwrap();
    fs::rename(path.join("..tmp"), path.join("..data")).unwrap();
    fs::remove_dir_all(path.join("..v1")).unwrap();
    assert_eq!(told(&mut items).await, "changed orders 1");
    assert_eq!(sets(&*source).await[0].records.keys().next().unwrap().endpoint.port, 2);
    silent(&mut items).await;
}

#[tokio::test]
async fn a_file_that_is_written_slowly_is_not_taken_by_halves() {
    let (_guard, path) = folder();
    let file = path.join("s.yaml");
    let services: Vec<_> = (0..8).map(|n| service(&format!("s{n}"), &["h:1"])).collect();
    fs::write(&file, format!("services:\n{}", services.concat())).unwrap();
    let mut items = source(&file).watch(&everything());
    assert_eq!(told(&mut items).await, "reset public 8");
    // Every prefix is valid.
    let mut text = "services:\n".to_owned();
    for service in &services {
        text += service;
        fs::write(&file, &text).unwrap();
        assert_eq!(next(&mut items, Duration::from_millis(500)).await, None);
    }
    silent(&mut items).await;
    // `services:` with nothing below it, which is how a write may begin.
    fs::write(&file, "services:\n").unwrap();
    assert!(told(&mut items).await.starts_with("lost None"));
    fs::write(&file, "services: []\n").unwrap();
    assert_eq!(told(&mut items).await, "reset public 0");
}

#[tokio::test]
async fn a_namespace_that_is_not_listed_any_more_is_away_and_an_unused_one_is_empty() {
    let (_guard, path) = folder();
    let file = path.join("s.yaml");
    let dev = service("orders", &["h:1"]).replace("    instances", "    namespace: dev\n    instances");
    fs::write(&file, format!("services:\n{dev}{}", service("carts", &["h:1"]))).unwrap();
    let mut items = source(&file).watch(&everything());
    assert_eq!([told(&mut items).await, told(&mut items).await], ["reset dev 1", "reset public 1"]);
    fs::write(&file, format!("services:\n{}", service("carts", &["h:1"]))).unwrap();
    assert_eq!(told(&mut items).await, "removed orders");
    fs::write(&file, format!("namespaces: [{{id: dev}}]\nservices:\n{dev}")).unwrap();
    assert_eq!([told(&mut items).await, told(&mut items).await], ["removed carts", "changed orders 1"]);
    fs::write(&file, "services: []\n").unwrap();
    assert!(told(&mut items).await.starts_with("lost Some(\"dev\") the namespace dev is not in the file"));
    silent(&mut items).await;
}
