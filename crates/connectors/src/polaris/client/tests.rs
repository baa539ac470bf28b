use super::super::fake::Fake;
use super::*;
use serde_json::{Value, json};

fn instance(port: u32) -> InstanceJson {
    InstanceJson { host: Some("10.0.0.1".into()), port: Some(port), ..InstanceJson::default() }
}

fn ports(body: &str) -> Vec<u64> {
    let list: Vec<Value> = serde_json::from_str(body).unwrap();
    list.iter().map(|one| one["port"].as_u64().unwrap()).collect()
}

/// As a server does it: what is not sound keeps all of its call from being done.
fn batch(body: &str, bad: &[u64]) -> Value {
    let ports = ports(body);
    if ports.len() > 100 {
        return json!({"code": 400_003, "info": "too many", "size": 0, "responses": []});
    }
    let one =
        |code: u64, port: &u64| json!({"code": code, "info": "said", "instance": {"host": "10.0.0.1", "port": port}});
    let wrong: Vec<_> = ports.iter().filter(|port| bad.contains(port)).map(|port| one(400_150, port)).collect();
    match wrong.is_empty() {
        true => {
            json!({"code": 200_000, "info": "ok", "responses": ports.iter().map(|port| one(200_000, port)).collect::<Vec<_>>()})
        }
        false => json!({"code": 400_150, "info": "invalid metadata", "size": wrong.len(), "responses": wrong}),
    }
}

#[tokio::test]
async fn a_thousand_instances_go_in_chunks_and_one_bad_record_spoils_no_other() {
    let fake = Fake::start(|_, body| batch(body, &[150, 151, 700])).await;
    let all: Vec<_> = (1..=1_000).map(instance).collect();
    let outcomes = fake.client(None).write(WriteKind::Put, &all).await;
    let failed: Vec<_> = outcomes.iter().enumerate().filter(|(_, one)| !matches!(one, WriteOutcome::Done)).collect();
    assert_eq!(failed.iter().map(|(n, _)| n + 1).collect::<Vec<_>>(), [150, 151, 700]);
    assert!(failed.iter().all(|(_, one)| matches!(one, WriteOutcome::Failed(Error::Rejected(_)))), "{failed:?}");
    let sent = fake.seen("POST /naming/v1/instances");
    assert_eq!((sent.len(), sent.iter().all(|(_, body)| ports(body).len() <= 100)), (12, true));
}

#[tokio::test]
async fn what_is_said_of_a_whole_call_is_each_ones() {
    for (code, calls) in [(401_001, 1), (400_001, 5), (429_001, 1), (400_301, 1)] {
        // A refusal may come as the outcome of nobody.
        let fake = Fake::start(move |_, _| json!({"code": code, "info": "no", "responses": [{"code": code}]})).await;
        let three = [instance(1), instance(2), instance(3)];
        let outcomes = fake.client(None).write(WriteKind::Put, &three).await;
        let told = |one: &WriteOutcome| {
            matches!(
                (code, one),
                (401_001, WriteOutcome::Failed(Error::Denied(_)))
                    | (400_001, WriteOutcome::Failed(Error::Rejected(_)))
                    | (429_001, WriteOutcome::Failed(Error::Throttled(_)))
                    | (400_301, WriteOutcome::NoService)
            )
        };
        assert!(outcomes.iter().all(told), "{code}: {outcomes:?}");
        assert_eq!(fake.seen("POST").len(), calls, "{code}");
    }
}

#[tokio::test]
async fn what_is_gone_is_removed_and_what_was_changed_meanwhile_is_looked_at_again() {
    let fake = Fake::start(|_, body| {
        let codes = ports(body).into_iter().map(|port| json!({"code": if port == 1 { 400_303 } else { 200_002 }}));
        json!({"code": 200_000, "responses": codes.collect::<Vec<_>>()})
    })
    .await;
    let client = fake.client(None);
    let two = [instance(1), instance(2)];
    let gone = client.write(WriteKind::Delete, &two).await;
    assert!(matches!(gone[..], [WriteOutcome::Done, WriteOutcome::Done]), "{gone:?}");
    let changed = client.write(WriteKind::Update, &two).await;
    assert!(matches!(changed[..], [WriteOutcome::Failed(Error::Conflict), WriteOutcome::Done]), "{changed:?}");
    assert_eq!(fake.seen("PUT /naming/v1/instances").len(), 1);
    assert_eq!(fake.seen("POST /naming/v1/instances/delete").len(), 1);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let fake = Fake::start(|line, _| {
        let offset: usize = line.split("offset=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let page = (offset..250.min(offset + 100)).map(|n| json!({"name": format!("n{n:03}"), "comment": null}));
        json!({"code": 200_000, "amount": 250, "namespaces": page.collect::<Vec<_>>()})
    })
    .await;
    let all = fake.client(None).namespaces().await.unwrap();
    assert_eq!((all.len(), fake.seen("GET /naming/v1/namespaces").len()), (250, 3));
}

#[tokio::test]
async fn errors_teach_and_hold_no_secret() {
    let fake = Fake::start(|_, _| json!({"code": 401_004, "info": "token not existed"})).await;
    let error = fake.client(Some("hunter2")).namespaces().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, Error::Denied(_)) && text.contains("`token`") && !text.contains("hunter2"), "{text}");
    let fake = Fake::start(|_, _| json!({"hello": "world"})).await;
    let error = fake.client(None).namespaces().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)) && error.to_string().contains("/naming/v1/namespaces"), "{error}");
    let fake = Fake::start(|_, _| json!({"code": 500_001, "info": "store layer exception"})).await;
    assert!(matches!(fake.client(None).namespaces().await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn what_is_there_already_was_made() {
    let fake = Fake::start(|line, _| match line {
        "POST /naming/v1/namespaces" => json!({"code": 400_201, "responses": [{"code": 400_201, "info": "existed"}]}),
        _ => json!({"code": 400_305, "responses": [{"code": 400_305, "info": "not found namespace"}]}),
    })
    .await;
    let client = fake.client(None);
    client.make_namespace("dev", Some("Development")).await.unwrap();
    assert!(matches!(client.make_service("dev", "orders", &[("causeway", "i")]).await, Err(Error::Missing(_))));
    let made = json!([{"name": "orders", "namespace": "dev", "metadata": {"causeway": "i"}}]);
    let sent: Value = serde_json::from_str(&fake.seen("POST /naming/v1/services")[0].1).unwrap();
    assert_eq!(sent, made);
}

#[tokio::test]
async fn without_grpc_each_question_is_a_call() {
    let fake = Fake::start(|_, body| {
        let asked: Value = serde_json::from_str(body).unwrap();
        json!({"code": 200_000, "service": {"revision": "r"}, "instances": [{"host": "h", "port": 1, "service": asked["service"]["name"]}]})
    })
    .await;
    let mut discovery = Discovery::new(fake.client(None));
    let queries: Vec<_> = ["a", "b"].iter().map(|name| Question::instances(&"n".into(), &(*name).into(), "")).collect();
    for _ in 0..2 {
        let found = discovery.ask(&queries).await.unwrap();
        let of = |found: &Result<Found, Error>| match found {
            Ok(Found::Instances(list, revision)) => (list[0].service.clone(), revision.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            found.iter().map(of).collect::<Vec<_>>(),
            [(Some("a".into()), "r".into()), (Some("b".into()), "r".into())]
        );
    }
}
