//! What holds for every znode and every record.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Whether a znode that is read is made again, also when its record was in another kind.
fn holds(roots: &Roots, path: &str, data: &[u8], ephemeral: bool) -> Result<Option<Instance>, TestCaseError> {
    let read = read(roots, path, data, ephemeral);
    let Ok(Some(ReadInstance { scope, instance: record, alias_of })) = read else { return Ok(None) };
    // Under another name of ours stands what has the plain one.
    let path = alias_of.unwrap_or_else(|| path.to_owned());
    let node = NewZnode { path, data: data.to_vec(), ephemeral };
    prop_assert!(text(&record).chars().all(|c| c.is_ascii_graphic() || !c.is_ascii() && c.is_alphanumeric()));
    prop_assert_eq!(write(roots, &scope, &record), Ok(node.clone()));
    prop_assert_eq!(write(roots, &scope, &home(record.clone())), Ok(node));
    Ok(Some(record))
}

/// The samples, each with the layout that it has.
fn samples() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(vec![PROVIDER, CONSUMER, APPLICATION, SPRING, ("/plain/a/10.0.0.1:80", r#"{"host":"h","port":1}"#)])
}

/// Text of what hurts most.
fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,3}",
        "[&=%+ ;?/:@!\\[\\]\"\\\\~*'()#.é漢😀\u{1}\n-]{0,4}",
        any::<String>(),
        select(vec!["true", "false", "100", "0", "-1", "UP", "OUT_OF_SERVICE", "null", "{}", "%26"])
            .prop_map(str::to_owned)
    ]
}

/// Keys that mean something, and others.
fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "protocol",
        "path",
        "category",
        "interface",
        "version",
        "group",
        "weight",
        "enabled",
        "timestamp",
        "secure",
        "instance_status",
        "@class",
        "metadata",
        "dubbo.metadata.revision",
        "id",
        "name",
    ];
    prop_oneof![select(known).prop_map(str::to_owned), odd()]
}

fn host() -> impl Strategy<Value = String> {
    select(vec!["h", "10.0.0.1", "my_host.example", "bücher.example", "fd00::1", "fd00:0:0:0:0:0:0:1", "fe80::1%en0"])
        .prop_map(str::to_owned)
}

fn record() -> impl Strategy<Value = Instance> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let weight = prop_oneof![Just(1.0), Just(0.0), 0.0..1e12];
    (host(), any::<u16>(), weight, flags, proptest::collection::btree_map(key(), odd(), 0..6), odd()).prop_map(
        |(host, port, weight, (enabled, healthy, ephemeral), metadata, slot)| {
            let mut record = Instance::new(&host, port);
            record.id.slot = slot.into();
            record.with(|one| {
                one.weight = weight;
                one.enabled = enabled;
                one.healthy = healthy;
                one.ephemeral = ephemeral;
                one.metadata = metadata.into();
            })
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "(providers|consumers|routers|configurators|other):[a-z.$]{1,5}:[0-9.]{0,3}:[a-z:]{0,3}",
        "[a-zA-Z0-9.é/-]{1,6}",
        odd()
    ]
}

fn new() -> impl Strategy<Value = Layout> {
    select(Layout::ALL.to_vec())
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        root in select(vec!["/dubbo/x/providers/", "/services/x/", "/plain/x/", "/more/", "/"]),
        name in "[^/]{0,20}",
        data in vec(any::<u8>(), 0..60),
        ephemeral: bool,
    ) {
        holds(&roots(), &format!("{root}{name}"), &data, ephemeral)?;
    }

    #[test]
    fn changed_znodes_are_read_or_refused(
        (path, data) in samples(),
        changes in vec((any::<bool>(), any::<Index>(), 0..3usize, odd()), 0..4),
        bytes in vec((any::<Index>(), any::<u8>()), 0..2),
    ) {
        let (mut path, mut data) = (path.to_owned(), data.to_owned());
        for (name, at, length, text) in changes {
            let into = if name { &mut path } else { &mut data };
            let all: Vec<char> = into.chars().collect();
            let from = at.index(all.len() + 1);
            let rest = &all[(from + length).min(all.len())..];
            *into = all[..from].iter().copied().chain(text.chars()).chain(rest.iter().copied()).collect();
        }
        let mut data = data.into_bytes();
        for (at, byte) in bytes {
            if !data.is_empty() {
                let at = at.index(data.len());
                data[at] = byte;
            }
        }
        holds(&roots(), &path, &data, true)?;
    }

    #[test]
    fn every_url_is_made_again_without_its_whole_name(
        host in host(),
        port in proptest::option::of(1..=u16::MAX),
        path in "[a-z./ é%+]{0,5}",
        params in vec((key(), odd()), 0..50),
        way in 0..escape::WAYS,
        data in odd(),
    ) {
        let address = if host.contains(':') { format!("[{host}]") } else { host };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = if path.is_empty() { path } else { format!("/{path}") };
        let mut url = format!("dubbo://{address}{port}{path}");
        for (at, (key, value)) in params.iter().enumerate() {
            url.push_str(&format!("{}{key}={value}", if at == 0 { '?' } else { '&' }));
        }
        let znode = format!("/dubbo/lab.Greeter/providers/{}", escape::escape(&url, way));
        let record = holds(&roots(), &znode, data.as_bytes(), true)?;
        let record = record.ok_or_else(|| TestCaseError::fail(url.clone()))?;
        let words = Words::decode(text(&record)).unwrap();
        prop_assert!(words.bytes(words::WHOLE).is_none(), "{} {}", url, text(&record));
    }

    #[test]
    fn parameters_of_any_text_come_home(
        params in proptest::collection::btree_map("[^&=]{1,6}", odd().prop_map(|text| text.replace('&', "+")), 0..8),
        host in host(),
        weight in 0..10_000u32,
    ) {
        let mut record = Instance::new(&host, 20880).with(|one| one.metadata = params.into());
        record.metadata.retain(|key, _| !["group", "version", "enabled"].contains(&key));
        record.metadata.extend(&metadata("protocol=dubbo&path=lab.Greeter&category=providers&interface=lab.Greeter"));
        record.metadata.insert("weight", weight.to_string());
        let (_, there) = copied("providers:lab.Greeter::", &record);
        prop_assert_eq!((&there.metadata, text(&there)), (&record.metadata, ""));
        prop_assert_eq!((there.weight, &there.id.endpoint), (f64::from(weight) / 100.0, &record.id.endpoint));
    }

    #[test]
    fn every_instance_of_curators_is_made_again_without_its_whole_data(
        class in select(vec![
            "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",
            "org.apache.dubbo.registry.zookeeper.ZookeeperInstance",
        ]),
        metadata in vec((key(), odd()), 0..45),
        ports in (proptest::option::of(any::<u16>()), proptest::option::of(any::<u16>())),
        ids in (name(), odd(), odd()),
        time in any::<i64>(),
        out in any::<Index>(),
        more in odd(),
    ) {
        let raw = |port: Option<u16>| port.map_or("null".to_owned(), |port| port.to_string());
        let metadata: json::JsonPairs = metadata.into_iter().map(|(key, value)| (key, json::quote(&value))).collect();
        let metadata = json::object(&metadata);
        let all = [
            ("name", json::quote(&ids.0)),
            ("id", json::quote(&ids.1)),
            ("address", r#""h""#.to_owned()),
            ("port", raw(ports.0.or(Some(1)))),
            ("sslPort", raw(ports.1)),
            ("payload", format!(r#"{{"@class":"{class}","id":{},"name":"x","metadata":{metadata}}}"#, json::quote(&ids.2))),
            ("registrationTimeUTC", time.to_string()),
            ("serviceType", r#""STATIC""#.to_owned()),
            ("uriSpec", "null".to_owned()),
        ];
        // One field may be missing, another stand at the end.
        let gone = out.index(18);
        let all = all.into_iter().enumerate().filter(|(at, _)| *at < 4 || *at != gone);
        let mut pairs: json::JsonPairs = all.map(|(_, (key, raw))| (key.to_owned(), raw)).collect();
        pairs.push(("more".to_owned(), json::quote(&more)));
        let record = holds(&roots(), "/services/x/y", json::object(&pairs).as_bytes(), true)?;
        let record = record.ok_or_else(|| TestCaseError::fail(json::object(&pairs)))?;
        let words = Words::decode(text(&record)).unwrap();
        prop_assert!(words.bytes(words::DATA).is_none(), "{} {}", json::object(&pairs), text(&record));
    }

    #[test]
    fn any_record_is_refused_or_becomes_the_same_znode_for_good(name in name(), record in record(), new in new()) {
        let roots = Roots { new, ..roots() };
        let scope = service(&name);
        let Ok(node) = write(&roots, &scope, &record) else { return Ok(()) };
        prop_assert_eq!(write(&roots, &scope, &record), Ok(node.clone()));
        let ReadInstance { scope: there, instance: copy, .. } =
            read(&roots, &node.path, &node.data, node.ephemeral).unwrap().unwrap();
        prop_assert_eq!((&there, &copy.id.endpoint, copy.ephemeral), (&scope, &record.id.endpoint, record.ephemeral));
        prop_assert_eq!(takes_calls(&copy), takes_calls(&record));
        prop_assert_eq!(write(&roots, &scope, &copy), Ok(node));
    }

    #[test]
    fn any_words_are_taken(
        name in name(),
        record in record(),
        code in "[dascpx]?",
        items in vec(("[rnUitod=efhux\\-kK~?]", odd()), 0..5),
    ) {
        let words = items.into_iter().map(|(item, value)| format!(";{item}{value}")).collect::<String>();
        let payload = Some(Payload { kind: KIND.into(), text: format!("{code}{words}").into() });
        let scope = service(&name);
        if let Ok(node) = write(&roots(), &scope, &record.clone().with(|one| one.payload = payload)) {
            let ReadInstance { scope: there, instance: copy, .. } =
                read(&roots(), &node.path, &node.data, node.ephemeral).unwrap().unwrap();
            prop_assert_eq!((there, &copy.id.endpoint), (scope, &record.id.endpoint));
        }
    }
}
