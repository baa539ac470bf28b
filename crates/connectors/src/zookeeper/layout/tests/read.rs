//! What is read, and made again letter by letter.

use super::*;

/// The host of a URL in this file's tables.
struct Url;
impl Url {
    fn host(url: &str) -> String {
        let (_, rest) = url.split_once("://").unwrap();
        let address = rest.split(['/', '?']).next().unwrap().rsplit('@').next().unwrap();
        let v6 = address.trim_start_matches('[').split(']').next().unwrap().trim_end_matches(":20880");
        if v6.contains("::") || v6.starts_with("fd") { v6 } else { address.split(':').next().unwrap() }.to_owned()
    }
}

#[test]
fn real_znodes_are_made_again_from_short_words() {
    let revision = "a;tsk";
    for ((path, data), name, address, weight, words) in [
        (PROVIDER, "providers:lab.Greeter:1.0.0:g1", "10.77.0.1:20880", 1.5, "d;d127.0.0.1"),
        (CONSUMER, "consumers:lab.Greeter:1.0.0:g1", "10.77.0.9:0", 1.0, "d;d127.0.0.1"),
        (APPLICATION, "lab-provider", "10.77.0.1:20880", 1.0, revision),
        (SPRING, "Sczk-Provider", "10.77.0.3:18091", 1.0, "s;UqckjK7WqQ2mC9Re0w3ymEw;tmwr4ivpr;o210"),
    ] {
        let (scope, record) = exact(&roots(), path, data.as_bytes());
        let endpoint = &record.id.endpoint;
        assert_eq!((scope.as_str(), host::join(&endpoint.host, endpoint.port).as_str()), (name, address));
        assert_eq!((record.weight, record.enabled, record.healthy, record.ephemeral), (weight, true, true, true));
        assert_eq!((text(&record), record.id.slot.len()), (words, 8));
        assert_eq!(write(&roots(), &service(name), &home(record)).unwrap().path, path);
    }
}

#[test]
fn a_canonical_provider_needs_no_words() {
    let (name, record) = exact(&roots(), PROVIDER.0, b"10.77.0.1");
    assert_eq!((text(&record), &*record.id.slot), ("", "8d691af1"));
    let home = write(&roots(), &service(&name), &home(record)).unwrap();
    assert_eq!((home.path.as_str(), home.data.as_slice()), (PROVIDER.0, b"10.77.0.1".as_slice()));
}

/// A provider with this URL, not escaped, and what its words are.
fn provider(url: &str, data: &str) -> (String, Instance) {
    exact(&roots(), &format!("/dubbo/lab.Greeter/providers/{}", escape::escape(url, 0)), data.as_bytes())
}

#[test]
fn odd_urls_keep_their_letters() {
    for (url, address, words) in [
        ("dubbo://h:1/lab.Greeter?interface=lab.Greeter", "h:1", ""),
        ("dubbo://h:1/lab.Greeter", "h:1", "d;-interface"),
        ("dubbo://h:1", "h:1", "d;-interface"),
        ("dubbo://h/lab.Greeter?interface=lab.Greeter", "h:0", ""),
        ("dubbo://h:0/x?interface=lab.Greeter", "h:0", "d;=dubbo%3A%2F%2Fh%3A0%2Fx%3Finterface%3Dlab.Greeter"),
        ("dubbo://[fd00::1]:1/x?interface=lab.Greeter", "[fd00::1]:1", ""),
        ("dubbo://fd00:0:0:0:0:0:0:1:20880/x?interface=lab.Greeter", "[fd00:0:0:0:0:0:0:1]:20880", "d;h"),
        ("dubbo://fd00:0:0:0:0:0:0:1/x?interface=lab.Greeter", "[fd00:0:0:0:0:0:0:1]:0", "d;h"),
        ("dubbo://fe80::1%en0/x?interface=lab.Greeter", "[fe80::1%en0]:0", "d;h"),
        ("dubbo://me:s;cr:t@h:1/x?interface=lab.Greeter", "h:1", "d;ume:s!3Bcr:t"),
        ("dubbo://h:1/a/b?interface=lab.Greeter&b=&a=1", "h:1", "d;o210"),
        ("dubbo://h:1/x?interface=lab.Greeter&z=1&z=1", "h:1", "d;xz=1"),
        ("dubbo://h:1/x?interface=lab.Greeter&z=1&z=2", "h:1", "d;xz=1;o021"),
        ("dubbo://h:1/x?flag&interface=lab.Greeter", "h:1", "d;-flag;xflag"),
        ("dubbo://h:1/x?&interface=lab.Greeter&=5", "h:1", "d;x;x=5;o021"),
        ("dubbo://h:1/x?interface=other", "h:1", "d;-interface;xinterface=other"),
        ("dubbo://h:1/x?category=providers&interface=lab.Greeter", "h:1", "d;xcategory=providers"),
        ("dubbo://h:1/x?interface=lab.Greeter&path=y&protocol=p", "h:1", "d;xpath=y;xprotocol=p"),
        ("dubbo://h:1/x?a=100%&b=%26&c= +é&d=x=y;z&interface=lab.Greeter", "h:1", ""),
        ("dubbo://h:1/x?group=&interface=lab.Greeter&version=", "h:1", ""),
        ("dubbo://h:1/x?group=a:b&interface=lab.Greeter&version=:", "h:1", ""),
    ] {
        let host = Url::host(url);
        let (_, record) = provider(url, &host);
        assert_eq!(text(&record), words, "{url}");
        assert_eq!(host::join(&record.id.endpoint.host, record.id.endpoint.port), address);
    }
    let (name, record) = provider("dubbo://h:1/x?group=a:b&interface=lab.Greeter&version=:", "h");
    assert_eq!((name.as_str(), &record.metadata["group"]), ("providers:lab.Greeter:::a:b", "a:b"));
}

#[test]
fn other_languages_escapes_and_other_roots_are_kept() {
    let url = "dubbo://h:1/x y?a=~*'(!)&interface=lab.Greeter";
    for way in 0..escape::WAYS {
        let path = format!("/dubbo/lab.Greeter/providers/{}", escape::escape(url, way));
        let words = if way == 0 { String::new() } else { format!("d;e{way}") };
        assert_eq!(text(&exact(&roots(), &path, b"h").1), words);
    }
    let (_, mixed) = exact(&roots(), "/dubbo/lab.Greeter/providers/dubbo%3a%2F%2Fh%3A1%2Fx", b"\xff");
    assert_eq!(text(&mixed), "d;d!FF;=dubbo%3a%2F%2Fh%3A1%2Fx");
    let (name, inner) =
        exact(&roots(), "/dubbo/lab.A$B/providers/dubbo%3A%2F%2Fh%3A1%2Fx%3Finterface%3Dlab.A%24B", b"h");
    assert_eq!((name.as_str(), text(&inner)), ("providers:lab.A$B::", "d;flab.A$B"));
    let two = Roots { dubbo: vec!["/dubbo".into(), "/b/dubbo/".into()], ..roots() };
    let (name, second) = exact(&two, "/b/dubbo/lab.Greeter/providers/dubbo%3A%2F%2Fh%3A1", b"h");
    assert_eq!((name.as_str(), text(&second)), ("providers:lab.Greeter::", "d;-interface;r/b/dubbo"));
    assert_ne!(second.id, exact(&two, "/dubbo/lab.Greeter/providers/dubbo%3A%2F%2Fh%3A1", b"h").1.id);
    let reason = write(&roots(), &service(&name), &second).unwrap_err();
    assert!(reason.contains("no such root"), "{reason}");
}

#[test]
fn odd_json_keeps_its_letters() {
    let class = r#""@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","#;
    let uri = &SPRING.1[SPRING.1.find(r#","uriSpec":"#).unwrap()..SPRING.1.len() - 1];
    let payload = &SPRING.1[SPRING.1.find(r#"{"@class"#).unwrap()..SPRING.1.find(r#","registrationTime"#).unwrap()];
    let named = "UqckjK7WqQ2mC9Re0w3ymEw";
    for (data, port, words) in [
        (spring(r#""sslPort":null"#, r#""sslPort":9444"#), 9444, format!("s;{named};tmwr4ivpr;o210;kport=18091")),
        (spring(r#""port":18091"#, r#""port":"18091""#), 18091, format!("s;{named};tmwr4ivpr;o210;kport=\"18091\"")),
        (spring(uri, ""), 18091, format!("s;{named};tmwr4ivpr;o210;-uriSpec")),
        (spring(&uri[11..], "null"), 18091, format!("s;{named};tmwr4ivpr;o210;kuriSpec=null")),
        (spring(uri, &format!(r#"{uri},"enabled":true"#)), 18091, format!("s;{named};tmwr4ivpr;o210;kenabled=true")),
        (
            spring(r#""id":"Sczk-Provider""#, r#""id":"application-1""#),
            18091,
            format!("s;{named};tmwr4ivpr;o210;Kid=\"application-1\""),
        ),
        (
            spring(r#""id":"a9c9232b-b5aa-4369-82f5-17b4c37ca613""#, r#""id":"x""#),
            18091,
            format!("s;{named};ix;tmwr4ivpr;o210"),
        ),
        (
            spring("zone", r"z\u006fne"),
            18091,
            format!(
                "s;{named};tmwr4ivpr;o210;Kmetadata={{\"z\\u006fne\":\"z1\",\"version\":\"1.0\",\"instance_status\":\"UP\"}}"
            ),
        ),
        (
            spring(class, ""),
            18091,
            format!("c;{named};tmwr4ivpr;kpayload={};kuriSpec={}", payload.replace(class, ""), &uri[11..]),
        ),
        (spring(payload, "null"), 18091, format!("c;{named};tmwr4ivpr;kuriSpec={}", &uri[11..])),
        (spring(payload, r#""text""#), 18091, format!("c;{named};tmwr4ivpr;kpayload=\"text\";kuriSpec={}", &uri[11..])),
        (spring(payload, r#"{"b":"1","a":"2"}"#), 18091, format!("c;{named};tmwr4ivpr;o10;kuriSpec={}", &uri[11..])),
    ] {
        let (_, record) = exact(&roots(), SPRING.0, data.as_bytes());
        assert_eq!((text(&record), record.id.endpoint.port), (words.as_str(), port));
        assert!(!record.metadata.contains_key("b") || record.metadata == metadata("a=2&b=1"));
    }
    let pretty = SPRING.1.replace(',', ",\n ");
    let (_, record) = exact(&roots(), SPRING.0, pretty.as_bytes());
    assert!(text(&record).starts_with(&format!("s;{named};d{{\"name\":\"Sczk-Provider\",!0A!20\"id\"")));
    assert_eq!(exact(&roots(), "/services/deep/name/x", SPRING.1.as_bytes()).0, "deep/name");
}

#[test]
fn plain_trees_say_an_address_somewhere() {
    for (path, data, name, address, words) in [
        ("/plain/a/b/h:1", "", "a/b", "h:1", "p"),
        ("/plain/h:1", "up", "/", "h:1", "p;dup"),
        ("/plain/a/[fd00::1]:1", "", "a", "[fd00::1]:1", "p"),
        ("/plain/a/n-0000000001", " 10.0.0.1:80\n", "a", "10.0.0.1:80", "p;nn-0000000001;d!2010.0.0.1:80!0A"),
        ("/plain/a/x", r#"{"ip":"h","port":"1","w":2}"#, "a", "h:1", r#"p;nx;d{"ip":"h","port":"1","w":2}"#),
        ("/more/a/h:1", "", "a", "h:1", "p;r/more"),
    ] {
        let (scope, record) = exact(&roots(), path, data.as_bytes());
        assert_eq!((scope.as_str(), text(&record)), (name, words));
        assert_eq!(host::join(&record.id.endpoint.host, record.id.endpoint.port), address);
    }
    assert_eq!(read(&roots(), "/plain/a", b"h:1", false), Ok(None), "an inner node");
}

#[test]
fn what_is_no_instance_says_why() {
    for (path, data, reason) in [
        ("/dubbo/x/providers/h:1", "", "no protocol"),
        ("/dubbo/x/providers/dubbo%3A%2F%2Fh%3A70000", "", "\"70000\" is no port"),
        ("/dubbo/x/providers/dubbo%3A%2F%2F%3A1", "", "\"\" is no host"),
        ("/dubbo/x/providers/dubbo%3A%2F%2F[h", "", "bracket"),
        ("/dubbo/x/providers/%zz", "", "not escaped"),
        ("/dubbo/%zz/providers/dubbo%3A%2F%2Fh", "", "not escaped"),
        ("/services/x/y", "oops", "no JSON object"),
        ("/services/x/y", "", "no JSON object"),
        ("/services/x/y", "{\"name\":\"\u{1}\"}", "no JSON object"),
        ("/services/x/y", r#"{"name":"x"}"#, "no id"),
        ("/services/x/y", r#"{"name":"x","id":"y"}"#, "no address"),
        ("/plain/x/y", r#"{"ip":"h"}"#, "neither its name nor its data"),
    ] {
        let error = read(&roots(), path, data.as_bytes(), true).unwrap_err();
        assert!(error.contains(reason), "{path} {data}: {error}");
    }
    for (from, to, reason) in [
        (r#""port":18091"#, r#""port":null"#, "no port"),
        (r#""port":18091"#, r#""port":1e4"#, "no port"),
        (r#""zone":"z1""#, r#""zone":[]"#, "metadata"),
        (r#""address":"10.77.0.3""#, r#""address":"a b""#, "no host"),
        ("DYNAMIC", "OTHER", "serviceType"),
        ("1795308830991", "\"now\"", "registrationTimeUTC"),
        (r#""variable":true"#, r#""variable":"maybe""#, "uriSpec"),
        (r#""id":"Sczk-Provider""#, r#""id":{}"#, "of its payload"),
    ] {
        let error = read(&roots(), SPRING.0, spring(from, to).as_bytes(), true).unwrap_err();
        assert!(error.contains(reason), "{from} {to}: {error}");
    }
    for (path, data) in [("/services/a/b", "127.0.0.1"), ("/services/a", "x"), ("/dubbo/x", ""), ("/other/x/y", "")] {
        assert_eq!(read(&roots(), path, data.as_bytes(), false), Ok(None), "{path}");
    }
    let only = Roots { layouts: vec![Layout::Spring], ..roots() };
    assert_eq!(read(&only, APPLICATION.0, APPLICATION.1.as_bytes(), true), Ok(None), "not selected");
}

#[test]
fn classes_do_not_mix() {
    let class = |path: &str, data: &str| super::class(&roots(), path, data.as_bytes());
    let names = [SPRING, APPLICATION].map(|(path, data)| class(path, data).unwrap());
    assert!(names[0].contains("springframework") && names[1].contains("dubbo"));
    assert_eq!(class(SPRING.0, r#"{"payload":{}}"#).as_deref(), Some(""));
    assert_eq!(class(SPRING.0, r#"{"payload":null}"#), None);
    assert_eq!(class(PROVIDER.0, PROVIDER.1), None);
}

/// Both names are one instance.
#[test]
fn another_name_is_the_same_instance() {
    let dubbo = "/dubbo/lab.Greeter/providers/dubbo%3A%2F%2F127.0.0.1%3A20880%2Flab.Greeter%3Ftimestamp%3D17";
    let application = r#"{"name":"orders","id":"127.0.0.1:20880","address":"127.0.0.1","port":20880,"sslPort":null,
        "payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"127.0.0.1:20880",
        "name":"orders","metadata":{}},"registrationTimeUTC":1,"serviceType":"DYNAMIC","uriSpec":null}"#;
    for (path, data, end) in [
        (dubbo, "127.0.0.1", "%3Ftimestamp%3D0000017"),
        ("/services/orders/127.0.0.1:20880", application, "/127.0.0.1:20880~"),
        ("/dubbo/lab.Greeter/providers/dubbo%3A%2F%2Fh%2Fx%3Fa%3D%2F", "h", "%3Fa%3D%2F%26timestamp%3D00000"),
        ("/dubbo/lab.Greeter/providers/dubbo%3A%2F%2Fh%2Fx", "h", "%2Fx%3Ftimestamp%3D00000"),
        (
            "/dubbo/lab.Greeter/providers/dubbo%3A%2F%2Fh%2Fx%3Fmy.timestamp%3D1",
            "h",
            "%3Fmy.timestamp%3D1%26timestamp%3D00000",
        ),
    ] {
        let other = alias(&roots(), path, data.as_bytes()).unwrap();
        assert!(other.ends_with(end), "{other}");
        let plain = read(&roots(), path, data.as_bytes(), true).unwrap().unwrap();
        let there = read(&roots(), &other, data.as_bytes(), true).unwrap().unwrap();
        assert_eq!((plain.alias_of, there.alias_of.as_deref()), (None, Some(path)));
        assert_eq!((plain.scope, plain.instance), (there.scope, there.instance));
    }
    for (path, data) in
        [SPRING, ("/dubbo/lab.Greeter/consumers/consumer%3A%2F%2Fh%2Flab.Greeter", ""), ("/plain/a/h:1", "")]
    {
        assert_eq!(alias(&roots(), path, data.as_bytes()), None, "{path}");
    }
}
