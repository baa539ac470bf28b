//! What is read of a text, and what is written of contents.

use super::*;

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
            prop_assert!(disk::is_closed(&text));
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
