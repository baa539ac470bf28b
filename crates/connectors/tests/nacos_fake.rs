//! The wire client against a server that misbehaves as told.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod nacos_fake_server;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use causeway_connectors::nacos::client::{
    AccessKeys, Error, Login, NacosClient, Phase, Publisher, ServiceKey, WireInstance,
};
use nacos_fake_server::{Fake, always, bad, good, logins, options};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const BATCH: &str = "BatchInstanceRequest";

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("ns", "g", name)
}

fn set(port: u16) -> Vec<WireInstance> {
    vec![WireInstance::new("127.0.0.1", port)]
}

async fn generation(publisher: &Publisher, wanted: u64) {
    let mut status = publisher.status();
    let reached = status.wait_for(|s| s.phase == Phase::Ready && s.generation == wanted);
    timeout(Duration::from_secs(10), reached).await.unwrap().unwrap();
}

#[tokio::test]
async fn sets_itself_up_and_answers_the_server() {
    let server = Fake::start().await;
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("s"), set(1)).await.unwrap();
    let setup = &server.seen("ConnectionSetupRequest")[0];
    assert_eq!(setup.body["labels"], json!({"source": "sdk", "module": "naming", "AppName": "causeway"}));
    assert!(setup.body["clientVersion"].as_str().unwrap().starts_with("Nacos-Rust-Client:v2"));
    assert!(setup.body["abilityTable"].is_object());
    let batch = &server.seen(BATCH)[0];
    assert_eq!((&batch.body["namespace"], &batch.body["groupName"]), (&json!("ns"), &json!("g")));
    server.push("ClientDetectionRequest", json!({"requestId": "42"})).await;
    let answer = &server.wait("ClientDetectionResponse", 1).await[0];
    assert_eq!((&answer.body["requestId"], &answer.body["resultCode"]), (&json!("42"), &json!(200)));
    server.push("NewFangledRequest", json!({"requestId": "43"})).await;
    let answer = &server.wait("ErrorResponse", 1).await[0];
    assert_eq!((&answer.body["requestId"], &answer.body["resultCode"]), (&json!("43"), &json!(500)));
    publisher.close().await;
    server.wait("end of stream", 1).await;
}

#[tokio::test]
async fn an_empty_set_deregisters_and_is_forgotten() {
    let server = Fake::start().await;
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("s"), set(7)).await.unwrap();
    publisher.publish(&key("s"), Vec::new()).await.unwrap();
    let gone = &server.seen("InstanceRequest")[0];
    assert_eq!(gone.body["type"], "deregisterInstance");
    assert_eq!(gone.body["instance"]["port"], 7);
    assert!(publisher.desired(&key("s")).is_none());
    assert_eq!(server.seen("InstanceRequest").len(), 1);
}

#[tokio::test]
async fn sent_away_it_publishes_elsewhere_before_it_leaves() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let client = NacosClient::new(options(&[&one, &two])).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("s"), set(1)).await.unwrap();
    let (from, to) = if one.seen(BATCH).is_empty() { (&two, &one) } else { (&one, &two) };
    let there = to.at.port().to_string();
    from.push("ConnectResetRequest", json!({"requestId": "9", "serverIp": "127.0.0.1", "serverPort": there})).await;
    let batch = Instant::now();
    to.wait(BATCH, 1).await;
    assert!(from.seen("end of stream").is_empty(), "left before it had arrived");
    from.wait("end of stream", 1).await;
    assert!(batch.elapsed() >= Duration::from_millis(100), "left without overlap");
    from.wait("ConnectResetResponse", 1).await;
    generation(&publisher, 2).await;
}

#[tokio::test]
async fn a_hung_server_is_left_for_another() {
    let (one, two) = (Fake::start().await, Fake::start().await);
    let client = NacosClient::new(options(&[&one, &two])).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("s"), set(1)).await.unwrap();
    let (hung, other) = if one.seen(BATCH).is_empty() { (&two, &one) } else { (&one, &two) };
    hung.script(always(|_| None));
    let started = Instant::now();
    other.wait(BATCH, 1).await;
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    generation(&publisher, 2).await;
    hung.wait("end of stream", 1).await;
}

#[tokio::test]
async fn a_forgotten_connection_is_made_anew() {
    let server = Fake::start().await;
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("a"), set(1)).await.unwrap();
    let first = server.seen(BATCH)[0].from;
    server.script(always(move |seen| match seen.kind.as_str() {
        "ServerCheckRequest" => good(seen),
        _ if seen.from == first => bad(301),
        _ => good(seen),
    }));
    let met = publisher.publish(&key("b"), set(2)).await;
    assert!(matches!(met, Ok(()) | Err(Error::Unavailable(_))), "{met:?}");
    generation(&publisher, 2).await;
    let mut again: Vec<_> = server
        .seen(BATCH)
        .into_iter()
        .filter(|s| s.from != first)
        .map(|s| s.body["serviceName"].as_str().unwrap().to_owned())
        .collect();
    again.sort();
    again.dedup();
    assert_eq!(again, ["a", "b"]);
}

#[tokio::test]
async fn a_server_that_acknowledges_nothing_is_asked() {
    let server = Fake::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    server.script(always(move |seen| match seen.kind.as_str() {
        "ServerCheckRequest" => Some(("ServerCheckResponse", json!({"resultCode": 200, "connectionId": "old"}))),
        "HealthCheckRequest" if count.fetch_add(1, Ordering::Relaxed) < 2 => bad(301),
        _ => good(seen),
    }));
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("s"), set(1)).await.unwrap();
    assert_eq!(publisher.connection_id().as_deref(), Some("old"));
}

#[tokio::test]
async fn every_connection_that_published_is_remembered() {
    let server = Fake::start().await;
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("s"), set(1)).await.unwrap();
    let first = publisher.connection_id().unwrap();
    server.push("ConnectResetRequest", json!({"requestId": "1"})).await;
    generation(&publisher, 2).await;
    let second = publisher.connection_id().unwrap();
    assert_eq!(client.published_as(), [first, second]);
}

#[tokio::test]
async fn a_call_that_was_given_up_leaves_all_its_wishes() {
    let server = Fake::start().await;
    server.script(always(|seen| if seen.kind == BATCH { None } else { good(seen) }));
    let mut options = options(&[&server]);
    options.in_flight = 2;
    let client = NacosClient::new(options).unwrap();
    let publisher = client.spread_publisher("test", None);
    let sets: Vec<_> = (1..=20).map(|port| (key(&format!("s{port}")), set(port))).collect();
    let waited = timeout(Duration::from_millis(200), publisher.publish_all(sets)).await;
    assert!(waited.is_err());
    assert_eq!(publisher.carried().iter().map(|one| one.load.services).sum::<usize>(), 20);
    server.script(always(good));
    let there = || server.seen(BATCH).iter().map(|s| s.body["serviceName"].to_string()).collect::<BTreeSet<_>>();
    let all = async {
        while there().len() < 20 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), all).await.unwrap();
}

#[tokio::test]
async fn waiting_callers_of_one_service_share_a_request() {
    let server = Fake::start().await;
    server.script(Box::new(|seen| {
        let answer = good(seen);
        let slow = seen.kind == BATCH;
        Box::pin(async move {
            if slow {
                sleep(Duration::from_millis(100)).await;
            }
            answer
        })
    }));
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.publisher("test", None);
    let service = key("s");
    let calls = (1..=20).map(|port| publisher.publish(&service, set(port)));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    let batches = server.seen(BATCH);
    assert!(batches.len() <= 3, "{} requests", batches.len());
    assert_eq!(batches.last().unwrap().body["instances"][0]["port"], 20);
}

#[tokio::test]
async fn errors_say_what_to_do_and_keep_the_wish() {
    let server = Fake::start().await;
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.publisher("test", None);
    type IsRight = fn(&Error) -> bool;
    let table: [(i32, IsRight); 5] = [
        (403, |e| matches!(e, Error::Denied(_))),
        (503, |e| matches!(e, Error::Throttled(_))),
        (400, |e| matches!(e, Error::Rejected(_))),
        (500, |e| matches!(e, Error::Unavailable(_))),
        (302, |e| matches!(e, Error::Protocol(_))),
    ];
    for (code, is_right) in table {
        server.script(always(move |seen| if seen.kind == BATCH { bad(code) } else { good(seen) }));
        let error = publisher.publish(&key("s"), set(1)).await.unwrap_err();
        assert!(is_right(&error), "{code}: {error:?}");
        assert_eq!(publisher.desired(&key("s")).unwrap().len(), 1);
    }
    server.script(always(|seen| if seen.kind == BATCH { None } else { good(seen) }));
    let error = publisher.publish(&key("s"), set(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn what_failed_is_sent_again_while_the_connection_lives() {
    let server = Fake::start().await;
    let client = NacosClient::new(options(&[&server])).unwrap();
    let publisher = client.spread_publisher("test", None);
    publisher.publish(&key("other"), set(8)).await.unwrap();
    server.script(always(|seen| if seen.kind == BATCH { bad(500) } else { good(seen) }));
    publisher.publish(&key("s"), set(7)).await.unwrap_err();
    server.script(always(|seen| if seen.kind == "InstanceRequest" { bad(500) } else { good(seen) }));
    let batches = server.seen(BATCH).len();
    server.wait(BATCH, batches + 1).await;
    // A withdrawal that the server has not taken is no success when it is asked for again.
    for _ in 0..2 {
        publisher.publish(&key("s"), Vec::new()).await.unwrap_err();
    }
    server.script(always(good));
    let tried = server.seen("InstanceRequest").len();
    server.wait("InstanceRequest", tried + 1).await;
    sleep(Duration::from_millis(100)).await;
    let tried = server.seen("InstanceRequest").len();
    publisher.publish(&key("s"), Vec::new()).await.unwrap();
    assert_eq!(server.seen("InstanceRequest").len(), tried, "the server has taken it");
}

#[tokio::test]
async fn a_refused_token_is_renewed_unless_it_is_young() {
    let mut tasks = JoinSet::new();
    let http = logins(&mut tasks).await;
    let server = Fake::start_above(http.port()).await;
    server.script(always(|seen| match seen.headers.get("accessToken").map(String::as_str) {
        Some("t1") if seen.kind == BATCH => bad(403),
        _ => good(seen),
    }));
    let mut options = options(&[&server]);
    options.addresses[0].port = http.port();
    options.grpc_port_offset = server.at.port() - http.port();
    options.health_every = Duration::from_secs(60);
    options.login = Some(Login { user: "u".into(), password: "p".to_owned().into() });
    let client = NacosClient::new(options).unwrap();
    let publisher = client.publisher("test", None);
    // A young token is not renewed: its user lacks a right.
    let denied = publisher.publish(&key("s"), set(1)).await;
    assert!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    publisher.publish(&key("s"), set(1)).await.unwrap();
    let tokens: Vec<_> = server.seen(BATCH).into_iter().map(|s| s.headers["accessToken"].clone()).collect();
    assert_eq!(tokens, ["t1", "t1", "t2"]);
}

#[tokio::test]
async fn requests_are_signed_about_their_service() {
    let server = Fake::start().await;
    let mut options = options(&[&server]);
    options.keys = Some(AccessKeys { access: "the-ak".into(), secret: "the-sk".to_owned().into() });
    let client = NacosClient::new(options).unwrap();
    let publisher = client.publisher("test", None);
    publisher.publish(&key("s"), set(1)).await.unwrap();
    let headers = &server.seen(BATCH)[0].headers;
    assert_eq!(headers["ak"], "the-ak");
    assert!(headers["data"].ends_with("@@g@@s"), "{}", headers["data"]);
    assert_eq!(headers["signature"].len(), 28);
    assert!(headers.values().all(|v| !v.contains("the-sk")));
}

#[tokio::test]
async fn subscriptions_come_back_and_say_so() {
    let server = Fake::start().await;
    let client = NacosClient::new(options(&[&server])).unwrap();
    let reader = client.reader();
    reader.subscribe(&key("s")).await.unwrap();
    assert_eq!(reader.next().await, key("s"));
    let push = |name: &str| json!({"requestId": "1", "serviceInfo": {"name": name, "groupName": "g", "hosts": []}});
    server.push("NotifySubscriberRequest", push("s")).await;
    assert_eq!(reader.next().await, key("s"));
    server.wait("NotifySubscriberResponse", 1).await;
    // Unreadable content still says where to look.
    let odd = json!({"requestId": "2", "serviceInfo": {"name": "g@@s", "hosts": [{"ip": 5}]}});
    server.push("NotifySubscriberRequest", odd).await;
    assert_eq!(timeout(Duration::from_secs(2), reader.next()).await.unwrap(), key("s"));
    server.push("ConnectResetRequest", json!({"requestId": "3"})).await;
    assert_eq!(timeout(Duration::from_secs(2), reader.next()).await.unwrap(), key("s"));
    assert_eq!(server.seen("SubscribeServiceRequest").len(), 2);
    reader.close().await;
}

#[tokio::test]
async fn nobody_there_is_said_at_once_and_close_does_not_wait() {
    let server = Fake::start().await;
    let options = options(&[&server]);
    drop(server);
    sleep(Duration::from_millis(50)).await;
    let client = NacosClient::new(options).unwrap();
    let publisher = client.publisher("test", None);
    assert!(publisher.publish(&key("s"), set(1)).await.is_err());
    let started = Instant::now();
    for _ in 0..10 {
        assert!(matches!(publisher.publish(&key("s"), set(1)).await, Err(Error::Unavailable(_))));
    }
    publisher.close().await;
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(publisher.status().borrow().phase, Phase::Closed);
}
