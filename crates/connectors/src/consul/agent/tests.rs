use super::super::client::{Check, Node};
use super::super::fake::{Fake, Said};
use super::*;
use causeway_core::{ClusterId, Mark};

fn copy(weight: f64) -> Instance {
    let mark = Mark::new(OwnerId::new("i", "t"), vec![ClusterId::of("a")]);
    Instance::new("10.0.0.1", 80).with(|one| (one.weight, one.mark) = (weight, Some(mark)))
}

fn scope() -> ServiceKey {
    convert::scope("orders")
}

fn id() -> String {
    convert::id_of(&OwnerId::new("i", "t"), &scope(), &copy(1.0).id)
}

fn agent(fake: &Fake) -> Arc<Inner> {
    Agent::new(fake.reading(), "i".into(), Duration::from_secs(30)).inner
}

/// An agent that has lost its data, before servers that take a while to list anything.
async fn forgetful() -> Fake {
    let answer = |line: &str| match line {
        _ if line.starts_with("PUT /v1/agent/check/pass/") => Said::now(404, "Unknown check ID"),
        _ if line.starts_with("GET ") => Said { after: Duration::from_millis(300), ..Said::now(200, "[]") },
        _ => Said::now(200, ""),
    };
    Fake::start(answer).await
}

/// What was asked to be written, without signs of life.
fn writes(fake: &Fake) -> Vec<String> {
    let is_write = |line: &String| line.starts_with("PUT ") && !line.contains("/check/pass/");
    fake.seen().into_iter().filter(is_write).collect()
}

#[tokio::test]
async fn what_is_registered_again_stays_disabled() {
    let fake = forgetful().await;
    let inner = agent(&fake);
    for (enabled, was_enabled, expected) in [
        (true, true, None),
        (true, false, Some("enable=false")),
        (false, true, Some("enable=true")),
        // The catalog shows what the agent has lost.
        (false, false, Some("enable=true")),
    ] {
        let record = copy(1.0).with(|one| one.enabled = enabled);
        let service = convert::write(&scope(), &record, &OwnerId::new("i", "t")).unwrap();
        let check = Check {
            id: format!("_service_maintenance:{}", id()),
            status: "critical".into(),
            service_id: id(),
            ..Check::default()
        };
        let checks = if was_enabled { Vec::new() } else { vec![check] };
        let there = Entry { node: Node::default(), service: service.clone(), checks };
        let before = writes(&fake).len();
        inner.register(&service, &record, Some(&there)).await.unwrap();
        let asked = writes(&fake).split_off(before);
        let [registered, rest @ ..] = asked.as_slice() else { panic!("{asked:?}") };
        assert!(registered.starts_with("PUT /v1/agent/service/register"), "{registered}");
        let told = rest.iter().find(|line| line.starts_with("PUT /v1/agent/service/maintenance/"));
        assert_eq!(told.map(|line| line.contains(expected.unwrap_or("nothing"))), expected.map(|_| true), "{asked:?}");
    }
}

#[tokio::test]
async fn the_upkeep_registers_what_is_wanted_now() {
    let fake = forgetful().await;
    let inner = agent(&fake);
    let (scope, id) = (scope(), id());
    inner.put(&scope, &copy(1.0), &Standing::new()).await.unwrap();
    assert!(writes(&fake).last().unwrap().contains(r#""Passing":1,"#));
    // While the upkeep looks, another version is written.
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        inner.put(&scope, &copy(7.0), &Standing::new()).await
    };
    let (signed, written) = tokio::join!(inner.sign(&id), later);
    signed.and(written).unwrap();
    assert!(writes(&fake).last().unwrap().contains(r#""Passing":7,"#), "{:?}", writes(&fake));
    // While it looks, the copy is taken away.
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        inner.take(&id).await
    };
    let (signed, taken) = tokio::join!(inner.sign(&id), later);
    signed.and(taken).unwrap();
    assert!(writes(&fake).last().unwrap().starts_with("PUT /v1/agent/service/deregister/"), "{:?}", writes(&fake));
    let count = writes(&fake).len();
    inner.sign(&id).await.unwrap();
    assert_eq!(writes(&fake).len(), count);
}

/// Another tool's copy is replaced where its agent is ours, and named where it is not.
#[tokio::test]
async fn what_another_agent_holds_stays() {
    let entry = Entry {
        service: Service {
            id: "10.0.0.1#80".into(),
            service: "orders".into(),
            address: "10.0.0.1".into(),
            port: 80,
            tags: vec!["sourceClusterId=c".into(), "syncSource=NACOS".into()],
            ..Service::default()
        },
        ..Entry::default()
    };
    let from = convert::read(&entry, Default::default());
    for known in [true, false] {
        let fake = Fake::start(move |line: &str| match line {
            _ if line.starts_with("GET /v1/agent/service/") && !known => Said::now(404, "unknown service ID"),
            _ if line.starts_with("GET /v1/agent/service/") => Said::now(200, "{}"),
            _ => Said::now(200, ""),
        })
        .await;
        let there = Standing::from([(entry.service.id.clone(), entry.clone())]);
        let update = Change::Update { from: from.clone(), to: copy(1.0) };
        let done = agent(&fake).change(&scope(), &update, &there).await;
        let written = writes(&fake);
        match known {
            true => {
                done.unwrap();
                assert!(written[0].starts_with("PUT /v1/agent/service/register"), "{written:?}");
                assert!(written[1].starts_with("PUT /v1/agent/service/deregister/10.0.0.1%2380"), "{written:?}");
            }
            false => {
                assert!(done.unwrap_err().to_string().contains("another agent"));
                assert!(written.is_empty(), "{written:?}");
            }
        }
    }
}
