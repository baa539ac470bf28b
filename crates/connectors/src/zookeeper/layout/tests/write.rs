//! What records of other kinds become.

use super::*;

#[test]
fn a_provider_of_dubbos_in_nacos_becomes_the_znode_that_dubbo_writes() {
    let record = Instance::new("10.77.0.1", 20880).with(|one| one.metadata = metadata(IN_NACOS));
    let (node, there) = copied("providers:lab.Greeter:1.0.0:g1", &record);
    assert_eq!(node.path, PROVIDER.0.replace("dubbo.tag%3Dgray%26", ""));
    assert_eq!((node.data.as_slice(), text(&there)), (b"10.77.0.1".as_slice(), ""));
    assert_eq!((&there.metadata, there.weight), (&record.metadata, 1.5));
    let mut bare = record;
    bare.metadata = metadata("protocol=tri&category=providers&interface=lab.Greeter&path=lab.Greeter");
    let (node, there) = copied("providers:lab.Greeter::", &bare);
    assert!(node.path.ends_with("/tri%3A%2F%2F10.77.0.1%3A20880%2Flab.Greeter%3Finterface%3Dlab.Greeter"));
    assert_eq!(there.metadata, bare.metadata);
    let named = copied("providers:lab.Greeter:2.0:", &bare).1;
    assert_eq!((&named.metadata["version"], named.metadata.get("group")), ("2.0", None));
}

#[test]
fn an_application_of_dubbos_in_nacos_becomes_the_znode_that_dubbo_writes() {
    let (_, native) = exact(&roots(), APPLICATION.0, APPLICATION.1.as_bytes());
    let record = home(native.clone()).with(|one| one.payload = None);
    let (node, there) = copied("lab-provider", &record);
    let data = APPLICATION.1.replace("1795308603036", "1795308602008");
    assert_eq!((node.path.as_str(), String::from_utf8(node.data).unwrap()), (APPLICATION.0, data));
    assert_eq!((text(&there), &there.metadata), ("a", &native.metadata));
}

#[test]
fn another_kinds_record_becomes_spring_clouds() {
    let mut record = Instance::new("fd00::1", 8443).with(|one| one.metadata = metadata("zone=z1&secure=true&é= \"\n"));
    let (node, there) = copied("a/Orders", &record);
    let (path, uuid) = node.path.rsplit_once('/').unwrap();
    assert_eq!((path, uuid), ("/services/a/Orders", "83909902-8952-88de-855d-84d00d285a8a"));
    let json = format!(
        r#"{{"name":"a/Orders","id":"{uuid}","address":"fd00::1","port":8443,"sslPort":8443,"payload":{{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"a/Orders","name":"a/Orders","metadata":{{"zone":"z1","é":" \"\n"}}}},"registrationTimeUTC":0,"serviceType":"DYNAMIC","uriSpec":{{"parts":[{{"value":"scheme","variable":true}},{{"value":"://","variable":false}},{{"value":"address","variable":true}},{{"value":":","variable":false}},{{"value":"port","variable":true}}]}}}}"#
    );
    assert_eq!(String::from_utf8(node.data).unwrap(), json);
    assert_eq!((&there.metadata, &there.id.endpoint), (&record.metadata, &record.id.endpoint));
    record.id.slot = "other".into();
    assert_ne!(copied("a/Orders", &record).0.path, node.path, "two slots at one address are two znodes");
    for (enabled, healthy, status) in [(false, true, "OUT_OF_SERVICE"), (true, false, "DOWN")] {
        let (_, there) = copied(
            "Orders",
            &record.clone().with(|one| {
                one.enabled = enabled;
                one.healthy = healthy;
            }),
        );
        assert_eq!((there.enabled, there.healthy, &there.metadata["instance_status"]), (enabled, healthy, status));
    }
    let (_, there) = copied("Orders", &record.clone().with(|one| one.weight = 0.0));
    assert_eq!((there.enabled, &there.metadata["instance_status"]), (false, "OUT_OF_SERVICE"));
    let (node, there) = copied("Orders", &record.with(|one| one.ephemeral = false));
    assert!(!node.ephemeral && !there.ephemeral && String::from_utf8(node.data).unwrap().contains(r#":"STATIC","#));
}

#[test]
fn what_zookeeper_cannot_hold_says_why() {
    let dubbo = Instance::new("h", 1).with(|one| one.metadata = metadata("protocol=dubbo&path=x"));
    let plain = Instance::new("h", 1);
    let app = plain.clone().with(|one| one.metadata = metadata("dubbo.metadata.revision=0"));
    let payload = |text: &str| Some(Payload { kind: KIND.into(), text: text.into() });
    for (scope, record, reason) in [
        (ServiceKey::new("test", GROUP, "x"), plain.clone(), "would merge test/DEFAULT_GROUP and public/DEFAULT_GROUP"),
        (ServiceKey::new(PUBLIC, "g", "x"), plain.clone(), "would merge"),
        (service("providers:x::"), plain.clone(), "no `protocol`"),
        (service("x"), dubbo.clone().with(|one| one.payload = payload("")), "no service of Dubbo's"),
        (service("providers:config::"), dubbo.clone(), "would not be read"),
        (service("x"), app.clone().with(|one| one.enabled = false), "takes no calls"),
        (
            service("x"),
            plain.clone().with(|one| {
                one.healthy = false;
                one.payload = payload("p");
            }),
            "takes no calls",
        ),
        (service("x"), app.clone().with(|one| one.weight = 0.0), "takes no calls"),
        (
            service("x"),
            plain.clone().with(|one| {
                one.ephemeral = false;
                one.payload = payload("p");
            }),
            "ephemeral",
        ),
        (service("a//b"), plain.clone(), "no path"),
        (service("a/../b"), plain.clone(), "no path"),
        (service("a\u{7}"), plain.clone(), "no path"),
        (service("x"), Instance::new("a b", 1), "no host"),
        (service("x"), plain.clone().with(|one| one.weight = f64::NAN), "no weight"),
    ] {
        let error = write(&roots(), &scope, &record).unwrap_err();
        assert!(error.contains(reason), "{scope}: {error}");
    }
    let only = Roots { layouts: vec![Layout::Spring], ..roots() };
    assert!(write(&only, &service("providers:x::"), &dubbo).unwrap_err().contains("not selected"));
    let providers = Roots::default();
    assert!(write(&providers, &service("consumers:x::"), &dubbo).unwrap_err().contains("would not be read"));
}
