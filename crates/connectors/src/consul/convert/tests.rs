use super::super::client::Node;
use super::*;
use causeway_core::ClusterId;
use proptest::prelude::*;

fn owner() -> OwnerId {
    OwnerId::new("cf3a9e01", "5d2e8a01")
}

fn copy() -> Instance {
    let mark = Mark::new(owner(), vec![ClusterId::of("a"), ClusterId::of("b")]);
    Instance::new("10.0.0.1", 80).with(|one| {
        one.metadata = [("zone", "a"), ("a.b", "c")].into();
        one.mark = Some(mark);
    })
}

/// What stands after a copy was written.
fn stands(record: &Instance) -> Entry {
    let service = write(&scope("orders"), record, &owner()).unwrap();
    let checks = checks("n", &service, record);
    Entry { node: Node { node: "n".into(), address: "192.0.2.1".into() }, service, checks }
}

fn entry(json: serde_json::Value) -> Entry {
    serde_json::from_value(json).unwrap()
}

fn there() -> Entry {
    entry(serde_json::json!({
        "Node": {"Node": "web-1", "Address": "10.1.1.1", "Meta": null},
        "Service": {
            "ID": "web", "Service": "web", "Tags": ["v=2", "canary"], "Address": "", "Port": 8080,
            "Meta": {"zone": "a"}, "Weights": {"Passing": 10, "Warning": 2}, "EnableTagOverride": true,
            "TaggedAddresses": {"lan": {"Address": "", "Port": 8080}, "wan": {"Address": "1.2.3.4", "Port": 80}},
            "Proxy": {"Mode": ""}, "Connect": {}, "PeerName": "", "CreateIndex": 10, "ModifyIndex": 12
        },
        "Checks": [{"Node": "web-1", "CheckID": "serfHealth", "Status": "passing", "ServiceID": "", "Output": "ok"}]
    }))
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        weight in prop::sample::select(vec![0.0, 0.001, 0.5, 1.0, 7.0, 10_000.0, 65_535.0, 1e9]),
        flags: [bool; 4],
        slot in "|DEFAULT|web:1|[A-Z]{2}",
        pairs in proptest::collection::btree_map("[a-z.]{1,4}", ".{0,20}", 0..6),
    ) {
        let [enabled, healthy, ephemeral, lasting] = flags;
        let wanted = copy().with(|one| {
            (one.weight, one.enabled, one.healthy, one.ephemeral, one.lasting) = (weight, enabled, healthy, ephemeral, lasting);
            (one.id.slot, one.metadata) = (slot.into(), pairs.into());
        });
        let wanted = normalize(&scope("orders"), wanted).unwrap();
        prop_assert_eq!(read(&stands(&wanted), AddressOf::Service), wanted.clone());
        prop_assert_eq!(read(&stands(&wanted), AddressOf::Node), wanted, "ours has its own address always");
    }
}

#[test]
fn a_native_is_read_whole() {
    let read = read(&there(), AddressOf::Service);
    assert_eq!(read.id.to_string(), "10.1.1.1:8080@web");
    assert_eq!((read.weight, read.healthy, read.enabled, read.mark()), (10.0, true, true, None));
    assert_eq!(read.metadata, Metadata::from([("zone", "a"), ("consul.tags", r#"["v=2","canary"]"#)]));
    let payload = read.payload.clone().unwrap();
    let text = r#"{"id":"web","warning":2,"override":true,"addresses":{"wan":{"Address":"1.2.3.4","Port":80}}}"#;
    assert_eq!((&*payload.kind, &*payload.text), ("consul", text));
}

#[test]
fn whose_address() {
    let mut entry = there();
    entry.service.address = "10.2.2.2".into();
    assert_eq!(&*read(&entry, AddressOf::Service).id.endpoint.host, "10.2.2.2");
    assert_eq!(&*read(&entry, AddressOf::Node).id.endpoint.host, "10.1.1.1");
}

#[test]
fn a_native_is_made_again_in_another_consul() {
    let native = read(&there(), AddressOf::Service);
    let copy = native.forwarded(&ClusterId::of("a"), &owner());
    // Through a kind that has another word for the slot.
    let through = copy.clone().with(|one| one.id.slot = "DEFAULT".into());
    for wanted in [copy.clone(), through] {
        let wanted = normalize(&scope("web"), wanted).unwrap();
        let written = write(&scope("web"), &wanted, &owner()).unwrap();
        let from = there().service;
        assert_eq!(
            (written.tags.clone(), written.weights, written.enable_tag_override),
            (from.tags, from.weights, true)
        );
        assert_eq!(written.tagged_addresses.keys().collect::<Vec<_>>(), ["wan"]);
        assert_eq!((written.meta["zone"].as_str(), &*wanted.id.slot), ("a", "web"));
        assert!(written.meta.contains_key(MARK) && written.id.starts_with("causeway:cf3a9e01:5d2e8a01:web:"));
        assert_eq!(read(&Entry { service: written, ..Entry::default() }, AddressOf::Service), copy);
    }
}

#[test]
fn checks_tell_health_and_maintenance() {
    let with = |checks: &[(&str, &str)]| {
        let mut entry = there();
        let check =
            |(id, status): &(&str, &str)| Check { id: (*id).into(), status: (*status).into(), ..Check::default() };
        entry.checks = checks.iter().map(check).collect();
        let read = read(&entry, AddressOf::Service);
        (read.healthy, read.enabled)
    };
    assert_eq!(with(&[]), (true, true));
    assert_eq!(with(&[("serfHealth", "passing"), ("web", "passing")]), (true, true));
    assert_eq!(with(&[("serfHealth", "passing"), ("web", "warning")]), (false, true));
    assert_eq!(with(&[("serfHealth", "critical")]), (false, true));
    assert_eq!(with(&[("_service_maintenance:web", "critical")]), (true, false));
    assert_eq!(with(&[("_node_maintenance", "critical"), ("web", "critical")]), (false, false));
}

#[test]
fn a_copy_is_known_without_its_mark() {
    let mut edited = stands(&copy());
    edited.service.meta.insert(MARK.into(), "written over".into());
    edited.service.weights.passing = 4;
    let read = read(&edited, AddressOf::Service);
    assert_eq!(read.mark(), Some(&Mark::new(owner(), Vec::new())));
    assert_eq!((read.weight, &read.metadata[MARK]), (4.0, "written over"));
    assert_eq!(owner_of("web"), None);
    assert_eq!(owner_of("causeway:a"), None);
    assert_eq!(owner_of("causeway:a:b:c:d"), Some(OwnerId::new("a", "b")));
}

#[test]
fn ids_that_differ_only_in_case_are_told_apart() {
    let id = |name: &str, slot: &str| {
        let record = copy().with(|one| one.id.slot = slot.into());
        id_of(&owner(), &scope(name), &record.id).to_lowercase()
    };
    assert_eq!(id("orders", ""), "causeway:cf3a9e01:5d2e8a01:orders:10.0.0.1:80");
    assert_ne!(id("orders", ""), id("Orders", ""));
    assert_ne!(id("orders", "a"), id("orders", "A"));
}

#[test]
fn a_copy_of_nacos_sync_is_no_native() {
    let mut entry = there();
    entry.service.tags = vec!["sourceClusterId=1".into(), "syncSource=NACOS".into()];
    let mark = read(&entry, AddressOf::Service).mark().cloned().unwrap();
    assert_eq!(&*mark.owner.install, "nacos-sync");
    // The id that it stands under is the tool's.
    assert_eq!(standing_id(&scope("web"), &read(&entry, AddressOf::Service)).as_deref(), Some("web"));
    entry.service.tags.clear();
    entry.service.meta.insert("__sync__".into(), "a".into());
    let mark = read(&entry, AddressOf::Service).mark().cloned().unwrap();
    assert_eq!(mark.owner, OwnerId::new("polaris-sync", "a"));
}

#[test]
fn what_has_no_place_is_said() {
    let why = |scope: ServiceKey, record: Instance| normalize(&scope, record).unwrap_err();
    assert!(why(ServiceKey::new("test", GROUP, "a"), copy()).contains("namespace test"));
    assert!(why(ServiceKey::new(PUBLIC, "G", "a"), copy()).contains("\"G\""));
    assert!(why(scope("Consul"), copy()).contains("own servers"));
    for name in ["", "a//b", "../a", "a/.", "a\nb"] {
        assert!(why(scope(name), copy()).contains("cannot be asked"), "{name:?}");
    }
    assert!(why(scope("a"), copy().with(|one| one.weight = f64::NAN)).contains("weight"));
    assert!(why(scope("a"), copy().with(|one| one.id.endpoint.host = "".into())).contains("address"));
    let long = copy().with(|one| one.metadata.insert("a", "x".repeat(40_000)));
    let text = why(scope("a"), long);
    assert!(text.contains("40") && text.contains("31744"), "{text}");
    // What only its birthplace understands goes first.
    let payload = Payload { kind: "nacos".into(), text: "y".repeat(40_000).as_str().into() };
    let heavy = copy().with(|one| one.payload = Some(payload));
    assert_eq!(normalize(&scope("a"), heavy).unwrap(), copy());
}

#[test]
fn what_consul_adds_is_no_difference() {
    let wanted = write(&scope("orders"), &copy(), &owner()).unwrap();
    let mut shown = Service { modify_index: 7, ..wanted.clone() };
    let address = |address: &str| TaggedAddress { address: address.into(), port: 80 };
    shown.tagged_addresses =
        [("lan".into(), address("10.0.0.1")), ("consul-virtual".into(), address("240.0.0.1"))].into();
    assert!(same(&shown, &wanted));
    shown.tagged_addresses.insert("wan".into(), address("1.2.3.4"));
    assert!(!same(&shown, &wanted));
}
