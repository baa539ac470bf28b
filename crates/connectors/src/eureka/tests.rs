//! What becomes of records on the way there and back.

use super::client::{Lease, Status, WireInstance};
use super::convert::{app_name, check, interval, normalize, read, scope, write};
use super::settings::{Called, Settings};
use causeway_core::{ClusterId, Instance, Mark, OwnerId, Payload, ServiceKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

/// As Spring Cloud's client registers.
fn spring() -> Value {
    json!({
        "instanceId": "host1:orders:8080", "hostName": "host1", "app": "ORDERS", "ipAddr": "10.0.0.1", "status": "UP",
        "overriddenStatus": "UNKNOWN", "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"}, "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90, "registrationTimestamp": 1},
        "metadata": {"management.port": "8080", "zone": "z1"}, "homePageUrl": "http://host1:8080/",
        "statusPageUrl": "http://host1:8080/actuator/info", "healthCheckUrl": "http://host1:8080/actuator/health",
        "vipAddress": "orders", "secureVipAddress": "orders", "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": "1", "lastDirtyTimestamp": "1", "actionType": "ADDED",
    })
}

fn wire(change: impl FnOnce(&mut Value)) -> WireInstance {
    let mut json = spring();
    change(&mut json);
    serde_json::from_value(json).unwrap()
}

fn mark() -> Option<Mark> {
    Some(Mark::new(OwnerId::new("i", "t"), vec![ClusterId::of("a")]))
}

fn read_default(wire: &WireInstance) -> Instance {
    read(wire.clone(), &Settings::default()).record
}

/// A copy of a record, as another Eureka lists it.
fn copied(record: &Instance, settings: &Settings) -> (WireInstance, Instance) {
    let copy = normalize(&scope("ORDERS"), record.clone().with_mark(mark()), settings).unwrap();
    let wire = write("ORDERS", &copy, settings);
    let again = read(wire.clone(), settings).record;
    assert_eq!(again, copy, "reads back");
    assert_eq!(normalize(&scope("ORDERS"), copy.clone(), settings).unwrap(), copy, "once is enough");
    (wire, copy)
}

#[test]
fn a_provider_of_spring_clouds() {
    let native = read_default(&wire(|_| {}));
    assert_eq!(native.id.to_string(), "10.0.0.1:8080");
    assert!(native.enabled && native.healthy && native.ephemeral && native.mark.is_none());
    assert_eq!(native.metadata, [("management.port", "8080"), ("zone", "z1")].into());
    let payload = native.payload.as_ref().unwrap();
    let words =
        r#"{"id":"host1:orders:8080","host":"host1","home":"/","page":"/actuator/info","check":"/actuator/health"}"#;
    assert_eq!((&*payload.kind, &*payload.text), ("eureka", words));
}

#[test]
fn every_field_is_copied() {
    let all: [fn(&mut Value); 12] = [
        |_| {},
        |one| one["securePort"] = json!({"$": 8443, "@enabled": "true"}),
        |one| {
            one["port"]["@enabled"] = json!("false");
            one["securePort"] = json!({"$": 8443, "@enabled": "true"});
        },
        |one| one["vipAddress"] = json!("Orders,orders.v2"),
        |one| {
            one.as_object_mut().unwrap().remove("vipAddress");
            one["secureHealthCheckUrl"] = json!("https://host1:8443/health");
        },
        |one| one["homePageUrl"] = json!("http://elsewhere/"),
        |one| one["leaseInfo"] = json!({"renewalIntervalInSecs": 40, "durationInSecs": 120}),
        |one| {
            one["dataCenterInfo"] =
                json!({"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon", "metadata": {}})
        },
        |one| one["appGroupName"] = json!("SHOP"),
        |one| one["status"] = json!("STARTING"),
        |one| one["hostName"] = json!("10.0.0.1"),
        |one| {
            one["countryId"] = json!(7);
            one["asgName"] = json!("asg");
        },
    ];
    for (n, change) in all.into_iter().enumerate() {
        let native = wire(change);
        let record = read_default(&native);
        let (mut copy, _) = copied(&record, &Settings::default());
        copy.metadata.remove("causeway").unwrap();
        let bare = WireInstance { last_dirty_timestamp: 1, action_type: native.action_type.clone(), ..copy };
        assert_eq!(bare, native, "number {n}");
        // And over a kind that only carries the words along.
        let carried = record.clone().with(|one| one.id.slot = "DEFAULT".into());
        let (mut over, _) = copied(&carried, &Settings::default());
        over.metadata.remove("causeway").unwrap();
        assert_eq!(WireInstance { last_dirty_timestamp: 1, action_type: native.action_type.clone(), ..over }, native);
    }
}

#[test]
fn statuses_are_flags() {
    for (word, enabled, healthy) in [
        ("UP", true, true),
        ("DOWN", true, false),
        ("STARTING", true, false),
        ("UNKNOWN", true, false),
        ("OUT_OF_SERVICE", false, true),
        ("SOMETHING", true, false),
    ] {
        let record = read_default(&wire(|one| one["status"] = json!(word)));
        assert_eq!((record.enabled, record.healthy), (enabled, healthy), "{word}");
        let well = record.with(|one| (one.enabled, one.healthy) = (true, true));
        assert_eq!(copied(&well, &Settings::default()).0.status, Status::Up, "what was edited wins over {word}");
    }
    let heavy = |weight, enabled, healthy| {
        let record =
            Instance::new("h", 1).with(|one| (one.weight, one.enabled, one.healthy) = (weight, enabled, healthy));
        copied(&record, &Settings::default()).0.status
    };
    assert_eq!(heavy(0.0, true, true), Status::OutOfService);
    assert_eq!((heavy(3.0, true, false), heavy(1.0, false, false)), (Status::Down, Status::OutOfService));
}

#[test]
fn a_record_of_another_kind_keeps_its_words() {
    let payload = Payload { kind: "another".into(), text: "some:words".into() };
    let record = Instance::new("fd00::1", 80).with(|one| {
        one.id.slot = "zone-1".into();
        one.payload = Some(payload.clone());
        one.ephemeral = false;
    });
    let (wire, copy) = copied(&record, &Settings::default());
    assert_eq!(
        (wire.id(), wire.host_name.as_str(), wire.ip_addr.as_str()),
        ("fd00::1:80:ORDERS", "fd00::1", "fd00::1")
    );
    assert_eq!((&*copy.id.slot, copy.payload.as_ref()), ("", Some(&payload)));
    assert!(copy.ephemeral && copy.lasting && !copy.into_born().ephemeral);
    let none = copied(&Instance::new("h", 1), &Settings::default()).1;
    assert_eq!(none.payload, None);
}

#[test]
fn leases_of_copies_are_long_enough() {
    let short = Settings { lease: Duration::from_secs(60), ..Settings::default() };
    let native = |interval, duration| {
        let lease = json!({"renewalIntervalInSecs": interval, "durationInSecs": duration});
        read_default(&wire(|one| one["leaseInfo"] = lease))
    };
    let lease = |record| copied(&record, &short).0.lease_info;
    assert_eq!(lease(native(30, 120)), Lease { interval: 30, duration: 120 });
    assert_eq!(lease(native(5, 15)), Lease { interval: 20, duration: 60 });
    assert_eq!(lease(Instance::new("h", 1)), Lease { interval: 20, duration: 60 });
    let every = |duration| {
        let mut one = wire(|_| {});
        one.lease_info.duration = duration;
        interval(&one)
    };
    assert_eq!([1, 9, 90, 600].map(every), [1, 3, 30, 30]);
}

#[test]
fn the_address_that_is_called_is_chosen() {
    let host = Settings { address: Called::Host, ..Settings::default() };
    let native = wire(|_| {});
    let record = read(native.clone(), &host).record;
    assert_eq!(&*record.id.endpoint.host, "host1");
    let mut copy = copied(&record, &host).0;
    copy.metadata.remove("causeway").unwrap();
    assert_eq!((&copy.host_name, &copy.ip_addr, copy.id()), (&native.host_name, &native.ip_addr, native.id()));
    assert_eq!(&*read_default(&wire(|one| one["ipAddr"] = json!(""))).id.endpoint.host, "host1");
}

#[test]
fn names_are_in_upper_case() {
    assert_eq!(app_name("Orders-v1_a.b"), Ok("ORDERS-V1_A.B".into()));
    assert_eq!(app_name("bücher ß"), Ok("BÜCHER SS".into()));
    for name in ["", " ", ".", "..", "a/b", "a%b", "a;b", "a\\b", "a\nb"] {
        assert!(app_name(name).is_err(), "{name}");
    }
    let one = Instance::new("h", 1);
    for wrong in [
        ServiceKey::new("prod", "DEFAULT_GROUP", "A"),
        ServiceKey::new("public", "G", "A"),
        ServiceKey::new("public", "DEFAULT_GROUP", "a"),
    ] {
        assert!(check(&wrong, &one).is_err(), "{wrong}");
    }
}

#[test]
fn what_would_break_every_list_is_not_written() {
    let with = |key: &str, value: &str| Instance::new("h", 1).with(|one| drop(one.metadata.insert(key, value)));
    assert!(check(&scope("A"), &with("a", "b\u{1}")).is_err() && check(&scope("A"), &with("a\u{0}", "")).is_err());
    assert!(check(&scope("A"), &with("a=b,c", "\"x\"\r\n\té 😀")).is_ok());
    assert!(copied(&with("", "nameless"), &Settings::default()).1.metadata.is_empty());
    let carries = |kind: &str, text: &str| {
        Instance::new("h", 1).with(|one| one.payload = Some(Payload { kind: kind.into(), text: text.into() }))
    };
    for words in [r#"{"vip":"a\u0001"}"#, r#"{"dc":{"metadata":{"a\ufffe":"b"}}}"#, r#"{"id":"x","group":"\u0000"}"#] {
        assert!(check(&scope("A"), &carries("eureka", words)).is_err(), "{words}");
    }
    assert!(check(&scope("A"), &carries("eureka", r#"{"vip":"a\tb","home":"/é"}"#)).is_ok());
    // What another kind understands is only carried along.
    assert_eq!(copied(&carries("other", "a\u{1}"), &Settings::default()).1.payload, None);
}

#[test]
fn marks_are_told_from_metadata() {
    let with = |pairs: Value| read(wire(|one| one["metadata"] = pairs), &Settings::default());
    let broken = with(json!({"causeway": "mine"}));
    assert!(broken.ours && broken.record.mark.is_none() && broken.is_of("i"));
    let others = with(json!({"causeway": "1;other/t;c0ffee00"}));
    assert!(others.ours && !others.is_of("i") && others.is_of("other"));
    let sync = with(json!({"sourceClusterId": "c", "syncSource": "NACOS"}));
    assert_eq!(&*sync.record.mark.as_ref().unwrap().owner.install, "nacos-sync");
    assert!(!sync.ours && !sync.is_of("i"));
    assert!(!with(json!({"sourceClusterId": "c"})).is_of("i"));
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        host in "[a-z0-9.:%/é-]{1,20}", port: u16, flags in (any::<bool>(), any::<bool>(), any::<bool>()),
        metadata in proptest::collection::btree_map("[ -~é\n]{0,6}", "[ -~é\n]{0,9}", 0..4),
        payload in proptest::option::of((prop_oneof!["eureka", "other"], "[ -~]{0,30}")), slot in "[a-z0-9]{0,3}",
    ) {
        let record = Instance::new(&host, port).with(|one| {
            (one.enabled, one.healthy, one.ephemeral) = flags;
            one.metadata = metadata.into();
            one.id.slot = slot.as_str().into();
            one.payload = payload.map(|(kind, text)| Payload { kind: kind.as_str().into(), text: text.as_str().into() });
        });
        let (_, copy) = copied(&record, &Settings::default());
        prop_assert_eq!(copy.enabled, record.enabled);
        prop_assert_eq!(&copy.id.endpoint, &record.id.endpoint);
    }
}
