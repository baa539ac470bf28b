//! The file connector on real files in a folder of its own.

use super::contents::{self, Contents};
use super::{FileConnector, FileFormat, FileOptions};
use crate::{Connect, Connector};
use causeway_core::{
    Change, ClusterId, Error, Everything, Evidence, Instance, Mark, OwnerId, Part, Port, Removal, Selector, ServiceKey,
    Set, Sink, Source, Update, Written,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

const FORMS: [(FileFormat, &str); 3] = [
    (FileFormat::Prometheus, "targets.json"),
    (FileFormat::Json, "services.json"),
    (FileFormat::Yaml, "services.yaml"),
];

fn port(path: &Path, format: Option<FileFormat>) -> Result<Port, Error> {
    let addresses = vec![path.display().to_string()];
    let connect = Connect { addresses, block: Some(serde_json::json!(FileOptions { format })), ..Connect::default() };
    Ok(FileConnector.open(ClusterId::of("t"), connect)?.services.unwrap())
}

fn source(path: &Path) -> Arc<dyn Source> {
    port(path, Some(FileFormat::Services)).unwrap().source()
}

fn sink(path: &Path, format: FileFormat) -> Arc<dyn Sink> {
    port(path, Some(format)).unwrap().sink().unwrap()
}

fn everything() -> Selector {
    Arc::new(Everything)
}

type Items = BoxStream<'static, Result<Update, causeway_core::Lost>>;

/// The next item, in short; `None` where nothing comes for a while.
async fn next(items: &mut Items, limit: Duration) -> Option<String> {
    let item = timeout(limit, items.next()).await.ok()??;
    Some(match item {
        Ok(Update::Reset { part, sets, .. }) => format!("reset {part} {}", sets.len()),
        Ok(Update::Changed(set)) => format!("changed {} {}", set.scope.name, set.records.len()),
        Ok(Update::Attributes(scope, _)) => format!("attributes {}", scope.name),
        Ok(Update::Removed(scope)) => format!("removed {}", scope.name),
        Err(lost) => format!("lost {:?} {}", lost.part.map(|part| part.to_string()), lost.error),
    })
}

/// What must be told within the 2 s that the port promises.
async fn told(items: &mut Items) -> String {
    next(items, Duration::from_secs(2)).await.expect("nothing within 2 s")
}

async fn silent(items: &mut Items) {
    let said = next(items, Duration::from_millis(2500)).await;
    assert_eq!(said, None);
}

fn service(name: &str, addresses: &[&str]) -> String {
    let rows = addresses.iter().map(|address| format!("\n      - address: {address}"));
    format!("  - name: {name}\n    instances:{}\n", rows.collect::<String>())
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", name)
}

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

fn copy(port: u16) -> Instance {
    Instance::new("127.0.0.1", port).with(|one| one.mark = Some(Mark::new(owner(), vec![ClusterId::of("a")])))
}

fn delete(record: &Instance) -> Change {
    Change::Delete { record: record.clone(), owner: owner(), why: Removal::Gone { evidence: Evidence::Witnessed } }
}

async fn sets(port: &dyn Source) -> Vec<Set> {
    port.read(&Part::new("public"), &everything()).await.unwrap()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

fn read(text: &str) -> Result<Contents, String> {
    contents::read(FileFormat::Services, "s.yaml", text).map(|read| read.contents).map_err(|wrong| wrong.to_string())
}

#[test]
fn defaults_and_every_field() {
    let read = read(
        "services:\n  - name: orders\n    instances: [{address: '127.0.0.1:8080'}]\n  - name: carts\n    namespace: dev\n    \
         group: G\n    metadata: {owner: shop}\n    attributes: {protectThreshold: 0.7}\n    instances:\n      - {address: \
         '[::1]:80', slot: a, weight: 0.5, healthy: false, enabled: no, ephemeral: false, metadata: {zone: a}}\n",
    )
    .unwrap();
    let [carts, orders] = [("dev", "G", "carts"), ("public", "DEFAULT_GROUP", "orders")]
        .map(|(namespace, group, name)| read.sets[&ServiceKey::new(namespace, group, name)].clone());
    assert_eq!(orders.records.values().next().unwrap().native, Some(Instance::new("127.0.0.1", 8080)));
    let mut wanted = Instance::new("::1", 80);
    (wanted.id.slot, wanted.weight, wanted.healthy) = ("a".into(), 0.5, false);
    (wanted.enabled, wanted.ephemeral, wanted.metadata) = (false, false, [("zone", "a")].into());
    assert_eq!(carts.records.values().next().unwrap().native, Some(wanted));
    let attributes = [("metadata.owner", "shop"), ("protectThreshold", "0.7")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(carts.attributes.as_ref().unwrap().0, attributes.into());
    assert!(!read.ours);
}

#[test]
fn errors_name_the_place_what_is_expected_and_the_way_out() {
    let one = |rest: &str| format!("services:\n  - name: a\n    instances:\n{rest}");
    let cases: [(String, &str, &str); 15] = [
        (String::new(), "s.yaml:1:1: error: the file is empty", "write `services: []`"),
        ("# nothing\n".into(), "s.yaml:1:1: error: the file is empty", "write `services: []`"),
        ("services:\n".into(), "s.yaml:1:1: error: services: `services` is missing", "write `services: []`"),
        ("x: 1\nservices: []".into(), "s.yaml:1:1: error: x: the key `x` is not known", "take it out"),
        (
            "service: []\n".into(),
            "s.yaml:1:1: error: service: the key `service` is not known",
            "did you mean `services`?",
        ),
        ("services: 5\n".into(), "s.yaml:1:11: error: services: this is a single value", "a list of services"),
        ("services:\n  - name: a\n".into(), "s.yaml:2:5: error: services[0].instances", "write `instances: []`"),
        (
            "services:\n  - instances: []\n".into(),
            "s.yaml:2:5: error: services[0].name: `name` is missing",
            "write `name: orders`",
        ),
        (one("      - adress: a:1\n"), "s.yaml:4:9: error: services[0].instances[0].adress", "did you mean `address`?"),
        (
            one("      - address: orders\n"),
            "s.yaml:4:18: error: services[0].instances[0].address: this is not an address",
            "`host:port`",
        ),
        (one("      - address: h:99999\n"), "s.yaml:4:18", "`host:port`"),
        (
            one("      - {address: 'h:1', weight: -1}\n"),
            "s.yaml:4:34: error: services[0].instances[0].weight",
            "a number from 0 up",
        ),
        (one("      - {address: 'h:1', healthy: maybe}\n"), "s.yaml:4:35", "`true` or `false`"),
        (
            one("      - address: h:1\n      - address: h:1\n"),
            "s.yaml:5:9: error: services[0].instances[1]: h:1 stands in this service twice",
            "the first is at line 4",
        ),
        (
            one("      - address: h:1\n  - name: a\n    instances: []\n"),
            "s.yaml:5:5: error: services[1]: the service public/DEFAULT_GROUP/a stands in this file twice",
            "the first is at line 2",
        ),
    ];
    for (text, place, help) in cases {
        let error = read(&text).expect_err(&text);
        assert!(error.contains(place) && error.contains(help), "{text}\n{error}");
    }
    assert!(read("services: []\n").unwrap().sets.is_empty());
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,12}", "[\u{0}-\u{20}\u{7f}-\u{a0}\u{2028}\u{2029}\u{feff}:#\\-\\[\\]{}\"'&*!|>%@`~]{0,8}"]
}

fn any_record() -> impl Strategy<Value = Instance> {
    let metadata = proptest::collection::btree_map(any_text(), any_text(), 0..4);
    let host = prop_oneof![Just("127.0.0.1"), Just("fd00::1"), Just("a.b"), Just("主机"), Just("null"), Just("1")];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let mark = prop_oneof![
        Just(None),
        Just(copy(1).mark.clone()),
        Just(Some(Mark::new(OwnerId::new("j", "u"), vec![ClusterId::of("b")])))
    ];
    (host, any::<u16>(), any_text(), prop_oneof![Just(1.0), 0.0..1e9], flags, metadata, mark).prop_map(
        |(host, port, slot, weight, (enabled, healthy, ephemeral), metadata, mark)| {
            let mut record = Instance::new(host, port).with(|one| {
                one.weight = weight;
                one.enabled = enabled;
                one.healthy = healthy;
                one.ephemeral = ephemeral;
                one.mark = mark;
            });
            record.id.slot = slot.as_str().into();
            record.metadata = metadata.into();
            record
        },
    )
}

proptest! {
    #[test]
    fn every_form_reads_back_what_it_wrote(
        name in any_text().prop_filter("a name", |name| !name.is_empty()),
        group in any_text(),
        namespace in prop_oneof![Just("public"), Just("dev"), Just("true")],
        records in proptest::collection::vec(any_record(), 1..5),
        title in proptest::option::of(any_text().prop_filter("a title", |title| !title.is_empty())),
    ) {
        let scope = ServiceKey::new(namespace, &group, &name);
        for (form, _) in FORMS {
            let held = records.iter().map(|one| contents::normalize(form, &scope, one.clone()).unwrap());
            let set = Set::of(scope.clone(), held);
            for record in set.records.values().flat_map(|held| held.native.iter().chain(&held.copies)) {
                prop_assert_eq!(&contents::normalize(form, &scope, record.clone()).unwrap(), record);
            }
            let namespaces = BTreeMap::from([(Part::new("dev"), title.as_deref().map(Into::into))]);
            let wanted = Contents { ours: true, namespaces, sets: [(scope.clone(), Arc::new(set))].into() };
            let text = contents::write(form, &wanted);
            let read = contents::read(form, "f", &text);
            let read = read.map_err(|wrong| TestCaseError::fail(format!("{wrong}\n{text}")))?;
            prop_assert_eq!(&read.contents, &wanted, "{}", text);
            prop_assert!(super::disk::is_closed(&text));
            prop_assert_eq!(contents::write(form, &read.contents), text);
        }
    }
}

#[test]
fn only_whole_paths_and_one_of_them() {
    let open = |paths: &[&str], format| {
        let addresses = paths.iter().map(|path| (*path).to_owned()).collect();
        let connect =
            Connect { addresses, block: Some(serde_json::json!(FileOptions { format })), ..Connect::default() };
        FileConnector.open(ClusterId::of("t"), connect).map(drop)
    };
    let refused = |found: Result<(), Error>| found.unwrap_err().to_string();
    assert!(refused(open(&["services.yaml"], None)).contains("relative path"));
    assert!(refused(open(&[], None)).contains("one path"));
    assert!(refused(open(&["/a", "/b"], None)).contains("one path"));
    assert!(refused(open(&["/a/targets"], Some(FileFormat::Prometheus))).contains("end in .json"));
    let defaults = ["/a/services", "/a/s.json", "/a/s.yaml", "/a/s.YML"];
    let forms = [FileFormat::Services, FileFormat::Json, FileFormat::Yaml, FileFormat::Yaml];
    assert_eq!(defaults.map(|path| FileOptions::default().format_of(Path::new(path))), forms);
}

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

#[tokio::test]
async fn a_destination_is_made_written_and_read_back_by_the_next_process() {
    for (form, name) in FORMS {
        let (_guard, path) = folder();
        let file = path.join(name);
        let port = sink(&file, form);
        let mut items = port.watch(&everything());
        assert!(told(&mut items).await.starts_with("lost Some(\"public\")"), "a missing file is missing");
        let refused = port.apply(&key("orders"), &[Change::Create(copy(1))]).await;
        assert!(matches!(&refused[..], [Err(Error::Missing(_))]) && !file.exists(), "{refused:?}");
        port.prepare(&Part::new("public"), None).await.unwrap();
        assert_eq!(told(&mut items).await, "reset public 0");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();

        let mut heavy = copy(2);
        (heavy.weight, heavy.healthy, heavy.metadata) = (0.5, false, [("zone", "a")].into());
        let outcomes = port.apply(&key("orders"), &[Change::Create(copy(1)), Change::Create(heavy.clone())]).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(told(&mut items).await, "changed orders 2");
        let about = fs::metadata(&file).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o640, "the mode stays");
        // The same again: the same bytes, and no write.
        let text = fs::read_to_string(&file).unwrap();
        port.apply(&key("orders"), &[Change::Adopt(heavy.clone())]).await;
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), about.modified().unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), text);

        // The next process knows them by what stands in the file alone.
        let next_one = sink(&file, form);
        let began = Instant::now();
        let sets = sets(&*next_one).await;
        assert!(began.elapsed() < Duration::from_millis(300), "a whole file needs no second look");
        let copies: Vec<_> = sets[0].records.values().flat_map(|held| held.copies.clone()).collect();
        assert_eq!(copies, [copy(1), heavy.clone()]);
        // Somebody takes the file away: its readers still have the list, and it is put back whole, by this process and by one
        // that knows it from the ledger alone.
        let mut ledger = Written::default();
        ledger.note(&Change::Create(copy(1)), &[]);
        ledger.note(&Change::Create(heavy.clone()), &[]);
        let from_ledger = sink(&file, form);
        for port in [next_one.clone(), from_ledger] {
            fs::remove_file(&file).unwrap();
            port.adopt(&[(key("orders"), ledger.clone())]).await.unwrap();
            port.prepare(&Part::new("public"), None).await.unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text, "{form:?}");
        }
        assert!(next_one.apply(&key("orders"), &[delete(&copy(1)), delete(&heavy)]).await.iter().all(Result::is_ok));
        assert_eq!(told(&mut items).await, "removed orders");

        // Gone altogether: an outage, and nothing is removed.
        fs::remove_file(&file).unwrap();
        assert!(told(&mut items).await.starts_with("lost Some(\"public\")"));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing is left beside it");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_never_written_over() {
    let (_guard, path) = folder();
    let static_yaml = format!("services:\n{}", service("orders", &["h:1"]));
    let foreign = r#"[{"targets": ["h:1"], "labels": {"job": "mine"}}]"#;
    let ours = contents::write(FileFormat::Prometheus, &Contents { ours: true, ..Contents::default() });
    let mixed = ours.replace("\n]", &format!(",\n{}", foreign.trim_start_matches('[')));
    let cases = [
        (FileFormat::Services, "a.yaml", static_yaml.as_str(), "is only read"),
        (FileFormat::Yaml, "s.yaml", static_yaml.as_str(), "was not made by Causeway"),
        (FileFormat::Json, "s.json", r#"{"services": []}"#, "was not made by Causeway"),
        (FileFormat::Json, "t.json", "", "the file is empty"),
        (FileFormat::Json, "u.json", "{\"a\": 1}", "the key `a` is not known"),
        (FileFormat::Prometheus, "p.json", "[]", "was not made by Causeway"),
        (FileFormat::Prometheus, "q.json", foreign, "the label `job` is not one of Causeway's"),
        (FileFormat::Prometheus, "r.json", &mixed, "the label `job` is not one of Causeway's"),
    ];
    for (form, name, text, why) in cases {
        let file = path.join(name);
        fs::write(&file, text).unwrap();
        let port = sink(&file, form);
        let applied = port.apply(&key("orders"), &[Change::Create(copy(1))]).await.pop().unwrap();
        for error in [applied.unwrap_err(), port.prepare(&Part::new("dev"), None).await.unwrap_err()] {
            let said = error.to_string();
            assert!(said.contains(why) && said.contains(name), "{name}: {said}");
            let ways =
                ["name a file", "move it away", "move the file away", "file of its own", "take it out", "expected"];
            assert!(ways.iter().any(|way| said.contains(way)), "{said}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    // Nor is a folder, or what a link points to.
    let port = sink(&path, FileFormat::Json);
    assert!(matches!(port.prepare(&Part::new("public"), None).await, Err(Error::Denied(_))));
    let port = sink(&path.join("none/s.json"), FileFormat::Json);
    assert!(matches!(port.prepare(&Part::new("public"), None).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn an_edit_by_somebody_else_is_seen_and_kept() {
    let (_guard, path) = folder();
    let file = path.join("s.yaml");
    let port = sink(&file, FileFormat::Yaml);
    port.prepare(&Part::new("public"), None).await.unwrap();
    let mut items = port.watch(&everything());
    assert_eq!(told(&mut items).await, "reset public 0");
    port.apply(&key("orders"), &[Change::Create(copy(1))]).await.pop().unwrap().unwrap();
    assert_eq!(told(&mut items).await, "changed orders 1");
    // The mark is taken out, and another service put in, at the very moment of a write of ours.
    let text = fs::read_to_string(&file).unwrap();
    let mark = copy(1).mark().unwrap().encode();
    assert!(text.contains(&mark));
    let edited = text
        .replace(&format!(",\"metadata\":{{\"causeway\":\"{mark}\"}}"), "")
        .replace("\n...", &format!("\n{}...", service("carts", &["h:9"])));
    assert_ne!(edited, text);
    fs::write(&file, edited).unwrap();
    port.apply(&key("orders"), &[Change::Create(copy(2))]).await.pop().unwrap().unwrap();
    assert_eq!(told(&mut items).await, "changed carts 1");
    assert_eq!(told(&mut items).await, "changed orders 2");
    let sets = sets(&*port).await;
    assert_eq!(sets.len(), 2);
    let lost = sets[1].records.values().next().unwrap().copies[0].mark.clone().unwrap();
    assert!(lost.owner == owner() && lost.path.is_empty(), "known as ours without its mark");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_see_half_a_file_while_a_thousand_changes_are_made() {
    let (_guard, path) = folder();
    let file = path.join("targets.json");
    let port = sink(&file, FileFormat::Prometheus);
    port.prepare(&Part::new("public"), None).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (file, stop) = (file.clone(), stop.clone());
        std::thread::spawn(move || {
            let (mut looks, mut most, mut files) = (0, 0, std::collections::BTreeSet::new());
            while !stop.load(Ordering::SeqCst) {
                let text = fs::read_to_string(&file).unwrap();
                let groups: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
                (looks, most) = (looks + 1, most.max(groups.len()));
                files.insert(fs::metadata(&file).unwrap().modified().unwrap());
            }
            (looks, most, files.len())
        })
    };
    let writes = (0..100).map(async |n| {
        let scope = key(&format!("s{n}"));
        for m in 0..10 {
            port.apply(&scope, &[Change::Create(copy(m + 1))]).await.pop().unwrap().unwrap();
        }
    });
    futures_util::future::join_all(writes).await;
    stop.store(true, Ordering::SeqCst);
    let (looks, most, files) = reader.join().unwrap();
    assert!(looks > 5, "{looks} looks");
    assert!(files <= 200, "a thousand changes are gathered into far fewer writes, not {files}");
    assert!(most <= 1001);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap().len(), 1001);
}
