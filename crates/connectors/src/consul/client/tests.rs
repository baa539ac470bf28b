use super::super::fake::{Fake, Said};
use super::*;
use crate::util::http::path_segment;

fn connect(addresses: &[&str]) -> Connect {
    Connect { addresses: addresses.iter().map(|text| (*text).to_owned()).collect(), ..Connect::default() }
}

fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())).collect();
    Reply { status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
}

#[test]
fn addresses_become_urls() {
    let url = |address: &str, secured: bool, path: &str| base(address, secured, path);
    assert_eq!(url("a", false, ""), Ok("http://a:8500".into()));
    assert_eq!(url("a:1", true, "/c"), Ok("https://a:1/c".into()));
    assert_eq!(url("a", true, ""), Ok("https://a:8501".into()));
    assert_eq!(url("[::1]", false, ""), Ok("http://[::1]:8500".into()));
    assert_eq!(url("https://[::1]:8/x/", false, ""), Ok("https://[::1]:8/x".into()));
    assert!(url("http://a:1", true, "").is_err());
    assert_eq!(path_segment("a b/c:%ü"), "a%20b%2Fc%3A%25%C3%BC");
}

#[test]
fn an_answer_is_believed_only_with_a_leader_and_rights() {
    let options = ConsulOptions::default();
    let client = Client::new(&connect(&["127.0.0.1:1"]), &options).unwrap();
    let ask = |headers: &[(&'static str, &'static str)]| client.answer::<Vec<u8>>(reply(200, headers, "[]"));
    let told = ask(&[("x-consul-index", "7"), ("x-consul-knownleader", "true")]).unwrap();
    assert_eq!((told.index, told.filtered), (7, false));
    assert!(matches!(ask(&[("x-consul-knownleader", "false")]), Err(Error::Unavailable(_))));
    let denies = [("x-consul-default-acl-policy", "deny")];
    assert!(matches!(ask(&denies), Err(Error::Denied(why)) if why.contains("`token`")));
    let with = Connect { token: Some("s3cret".to_owned().into()), ..connect(&["127.0.0.1:1"]) };
    let client = Client::new(&with, &options).unwrap();
    assert!(client.answer::<Vec<u8>>(reply(200, &denies, "[]")).is_ok());
    let filtered = [("x-consul-results-filtered-by-acls", "true")];
    assert!(client.answer::<Vec<u8>>(reply(200, &filtered, "[]")).unwrap().filtered);
    assert!(matches!(client.answer::<Vec<u8>>(reply(200, &[], "{}")), Err(Error::Protocol(_))));
}

#[test]
fn refusals_are_told_apart() {
    let options = ConsulOptions { datacenter: Some("dc9".into()), ..ConsulOptions::default() };
    let client = Client::new(&connect(&["127.0.0.1:1"]), &options).unwrap();
    let refused = |status: u16, body: &str| client.refused(&reply(status, &[("retry-after", "3")], body)).unwrap();
    assert!(matches!(refused(403, "ACL not found"), Error::Denied(_)));
    assert!(matches!(refused(500, "rpc error: Permission denied"), Error::Denied(_)));
    assert!(matches!(refused(403, "Endpoint is blocked by agent configuration"), Error::Missing(_)));
    assert!(matches!(refused(429, ""), Error::Throttled(wait) if wait == Duration::from_secs(3)));
    let leader = "rate limit exceeded for operation that can only be performed by the leader, try again later";
    assert!(matches!(refused(503, leader), Error::Throttled(_)));
    assert!(matches!(refused(503, "busy"), Error::Unavailable(_)));
    let long = client.refused(&reply(429, &[("retry-after", "86400")], "")).unwrap();
    assert!(matches!(long, Error::Throttled(LONGEST)));
    assert!(matches!(refused(500, "No path to datacenter"), Error::Missing(why) if why.contains("dc9")));
    assert!(matches!(refused(500, "No cluster leader"), Error::Unavailable(_)));
    assert!(matches!(refused(413, "large"), Error::Rejected(_)));
    assert!(matches!(refused(400, "Invalid service address"), Error::Rejected(_)));
    assert!(matches!(refused(301, ""), Error::Protocol(_)));
    let enterprise = refused(400, "Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature");
    assert!(matches!(enterprise, Error::Denied(why) if why.contains("community edition")));
    assert!(client.refused(&reply(200, &[], "")).is_none());
    assert!(refused(500, &"ü".repeat(1_000)).to_string().chars().count() < 400);
}

#[tokio::test]
async fn tokens_tell_nothing_of_a_data_centre() {
    let options = ConsulOptions { datacenter: Some("dc2".into()), ..ConsulOptions::default() };
    let no_path = "rpc error making call: No path to datacenter";
    for known in [true, false] {
        let fake = Fake::start(move |line| match line.starts_with("GET /v1/acl/") {
            false if known => Said::now(200, "null"),
            _ => Said::now(500, no_path),
        });
        let why = fake.await.client(&options, Some("s3cret")).check_token().await.unwrap_err();
        match known {
            true => assert!(matches!(&why, Error::Unavailable(_)), "{why}"),
            false => assert!(matches!(&why, Error::Missing(why) if why.contains("dc2")), "{why}"),
        }
    }
    let fake = Fake::start(|_| Said::now(404, "Supplied token does not exist")).await;
    let why = fake.client(&options, Some("s3cret")).check_token().await.unwrap_err();
    assert!(matches!(&why, Error::Denied(_)), "{why}");
}

#[test]
fn operations_say_where_they_belong() {
    let ops = [
        Op::Node(NodeOp::make("n", "192.0.2.1", Default::default())),
        Op::Service(ServiceOp { verb: Verb::Cas, node: "n".into(), service: Service::default() }),
        Op::Check(CheckOp { verb: Verb::Set, check: Check::default() }),
    ];
    let told = |options: &ConsulOptions| -> Vec<String> {
        let client = Client::new(&connect(&["127.0.0.1:1"]), options).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&client.body(&ops).unwrap()).unwrap();
        let bodies = ["/0/Node/Node", "/1/Service/Service", "/2/Check/Check"].map(|path| body.pointer(path).unwrap());
        let places = ["Datacenter", "Namespace", "Partition"];
        bodies.map(|body| places.map(|key| body[key].as_str().unwrap_or("-")).join(" ")).into()
    };
    assert_eq!(told(&ConsulOptions::default()), ["- - -"; 3]);
    let [datacenter, namespace, partition] = ["dc2", "ns", "p"].map(|name| Some(name.to_owned()));
    let options = ConsulOptions { datacenter, namespace, partition, ..ConsulOptions::default() };
    assert_eq!(told(&options), ["dc2 - p", "- ns p", "- ns p"]);
}
