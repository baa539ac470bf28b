use super::super::fake::Fake;
use super::super::settings::{HealthChecks, PolarisOptions};
use super::*;
use causeway_core::{ClusterId, Mark, Removal};
use serde_json::{Value, json};

fn scope() -> ServiceKey {
    ServiceKey::new("default", "DEFAULT_GROUP", "orders")
}

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

fn copy(port: u16) -> Instance {
    let mark = Mark::new(owner(), vec![ClusterId::of("a")]);
    Instance::new("10.0.0.1", port).with(|one| {
        one.metadata = [("a", "b")].into();
        one.mark = Some(mark);
    })
}

fn delete(port: u16) -> Change {
    Change::Delete { record: copy(port), owner: owner(), why: Removal::Drained }
}

/// As it stands after it was written, with an id.
fn standing(record: &Instance) -> Value {
    let wire = convert::write(&scope(), record, &PolarisOptions::default()).unwrap();
    let mut json = serde_json::to_value(InstanceJson::from(wire)).unwrap();
    json["id"] = format!("id-{}", record.id.endpoint.port).into();
    json
}

fn native(port: u16) -> Value {
    json!({"id": format!("id-{port}"), "host": "10.0.0.1", "port": port, "weight": 100, "healthy": true, "metadata": {"a": "b"}})
}

/// A server that holds these, and takes what it is given.
async fn server(stands: Vec<Value>) -> Fake {
    Fake::start(move |line, body| {
        if line.starts_with("GET") {
            return json!({"code": 200_000, "amount": stands.len(), "instances": stands});
        }
        if line == "POST /naming/v1/services" && !stands.is_empty() {
            return json!({"code": 400_201, "responses": [{"code": 400_201}]});
        }
        batch(body)
    })
    .await
}

fn batch(body: &str) -> Value {
    let count = serde_json::from_str::<Value>(body).unwrap().as_array().map_or(0, Vec::len);
    json!({"code": 200_000, "responses": vec![json!({"code": 200_000}); count]})
}

fn writer(fake: &Fake) -> Writer {
    Writer::new(fake.reading(PolarisOptions::default()), "i".into())
}

fn bodies(fake: &Fake, begin: &str) -> Vec<Value> {
    let all = fake.seen(begin).into_iter().filter(|(line, _)| line == begin);
    all.flat_map(|(_, body)| serde_json::from_str::<Vec<Value>>(&body).unwrap()).collect()
}

#[tokio::test]
async fn a_copy_is_made_with_its_service_and_changed_in_its_place() {
    let fake = server(vec![standing(&copy(2))]).await;
    let writer = writer(&fake);
    let heavy = copy(2).with(|one| one.weight = 2.0);
    let changes = [Change::Create(copy(1)), Change::Update { from: copy(2), to: heavy }];
    assert!(writer.apply(&scope(), &changes).await.iter().all(Result::is_ok));
    let made = bodies(&fake, "POST /naming/v1/instances");
    assert_eq!((made.len(), &made[0]["weight"], &made[0]["enableHealthCheck"]), (1, &json!(100), &json!(false)));
    assert!(made[0].get("id").is_none() && made[0]["metadata"]["causeway"].is_string());
    let changed = bodies(&fake, "PUT /naming/v1/instances");
    assert_eq!((changed.len(), &changed[0]["id"], &changed[0]["weight"]), (1, &json!("id-2"), &json!(200)));
    assert_eq!(changed[0]["metadata"], made[0]["metadata"], "what is left out would be removed");
    let services = bodies(&fake, "POST /naming/v1/services");
    assert_eq!(services, [json!({"name": "orders", "namespace": "default", "metadata": {"causeway": "i"}})]);
    // The service is known from now on, and what stands as it is wanted is not written.
    let again = [Change::Create(copy(3)), Change::Adopt(copy(2))];
    assert!(writer.apply(&scope(), &again).await.iter().all(Result::is_ok));
    assert_eq!(bodies(&fake, "POST /naming/v1/services").len(), 1);
    assert_eq!(bodies(&fake, "PUT /naming/v1/instances").len(), 1);
    let looks = fake.seen("GET /naming/v1/instances");
    assert!(looks.iter().all(|(line, _)| line.contains("host=10.0.0.1") && line.contains("service=orders")));
}

#[tokio::test]
async fn what_is_a_providers_is_neither_written_over_nor_removed() {
    let fake = server(vec![native(1), native(2), native(3)]).await;
    let changes = [Change::Create(copy(1)), Change::Update { from: copy(2), to: copy(2) }, delete(3), delete(4)];
    let outcomes = writer(&fake).apply(&scope(), &changes).await;
    assert!(matches!(outcomes[..], [Err(Error::Conflict), Err(Error::Conflict), Ok(()), Ok(())]), "{outcomes:?}");
    assert_eq!(fake.seen("POST /naming/v1/instances").len() + fake.seen("PUT").len(), 0);
}

#[tokio::test]
async fn a_copy_of_another_tool_is_taken_over_in_its_place() {
    let theirs = |port: u16| json!({"id": format!("id-{port}"), "host": "10.0.0.1", "port": port, "metadata": {"__sync__": "n"}});
    let fake = server(vec![theirs(1), theirs(2)]).await;
    let from = copy(1).with(|one| one.mark = Some(Mark::new(OwnerId::new("polaris-sync", "n"), Vec::new())));
    let changes = [Change::Update { from: from.clone(), to: copy(1) }, Change::Create(copy(2))];
    let outcomes = writer(&fake).apply(&scope(), &changes).await;
    assert!(matches!(outcomes[..], [Ok(()), Err(Error::Conflict)]), "{outcomes:?}");
    let changed = bodies(&fake, "PUT /naming/v1/instances");
    assert_eq!((&changed[0]["id"], changed[0]["metadata"].get("__sync__")), (&json!("id-1"), None));
    // One that nobody wants any more goes by its own owner's name, and by no other.
    let remove = |owner: OwnerId| Change::Delete { record: from.clone(), owner, why: Removal::Drained };
    assert!(writer(&fake).apply(&scope(), &[remove(owner())]).await[0].is_ok());
    assert_eq!(bodies(&fake, "POST /naming/v1/instances/delete").len(), 0);
    assert!(writer(&fake).apply(&scope(), &[remove(OwnerId::new("polaris-sync", "n"))]).await[0].is_ok());
    assert_eq!(bodies(&fake, "POST /naming/v1/instances/delete")[0]["id"], "id-1");
}

#[tokio::test]
async fn a_service_that_was_removed_is_made_again() {
    let fake = Fake::start(|line, _| match line {
        line if line.starts_with("GET") => json!({"code": 200_000, "amount": 0, "instances": []}),
        "POST /naming/v1/services" => json!({"code": 400_201, "responses": [{"code": 400_201}]}),
        _ => json!({"code": 400_301, "responses": [{"code": 400_301}]}),
    })
    .await;
    let outcomes = writer(&fake).apply(&scope(), &[Change::Create(copy(1))]).await;
    assert!(matches!(outcomes[..], [Err(Error::Unavailable(_))]), "{outcomes:?}");
    assert_eq!((fake.seen("POST /naming/v1/services").len(), fake.seen("POST /naming/v1/instances").len()), (2, 2));
}

#[tokio::test]
async fn a_copy_whose_removal_fails_stands_as_it_was() {
    let stands = standing(&copy(1));
    let (held, refused) = (stands.clone(), json!({"code": 500_001, "info": "store layer exception"}));
    let fake = Fake::start(move |line, body| match line {
        line if line.starts_with("GET") => json!({"code": 200_000, "amount": 1, "instances": [held]}),
        "POST /naming/v1/instances/delete" => refused.clone(),
        _ => batch(body),
    })
    .await;
    let outcomes = writer(&fake).apply(&scope(), &[delete(1)]).await;
    assert!(matches!(outcomes[..], [Err(Error::Unavailable(_))]), "{outcomes:?}");
    let mut after = stands;
    for changed in bodies(&fake, "PUT /naming/v1/instances") {
        after.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    }
    assert_eq!(after["priority"], 1, "it is changed in any case");
    let after: InstanceJson = serde_json::from_value(after).unwrap();
    assert_eq!(convert::read(&after.into(), &PolarisOptions::default()), Some(copy(1)));
}

#[tokio::test]
async fn an_edit_takes_no_metadata_away() {
    let fake = server(vec![native(1)]).await;
    let from = copy(1).with(|one| one.mark = None);
    let to = from.clone().with(|one| (one.weight, one.enabled) = (0.5, false));
    let outcomes = writer(&fake).apply(&scope(), &[Change::Edit { from, to, owner: owner() }]).await;
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    let changed = &bodies(&fake, "PUT /naming/v1/instances")[0];
    assert_eq!((&changed["weight"], &changed["isolate"]), (&json!(50), &json!(true)));
    // Its provider may have changed them since we have read them.
    assert!(["metadata", "healthy", "enableHealthCheck"].iter().all(|key| changed.get(key).is_none()), "{changed}");
}

#[tokio::test]
async fn heartbeats_go_on_for_what_an_earlier_process_wrote() {
    let fake = server(Vec::new()).await;
    let options = PolarisOptions { health_checks: HealthChecks::Heartbeat, ..PolarisOptions::default() };
    let writer = Writer::new(fake.reading(options), "i".into());
    let born = causeway_core::Payload { kind: "polaris".into(), text: r#"{"ttl":1}"#.into() };
    let beating = copy(1).with(|one| one.payload = Some(born));
    let mut written = Written::default();
    for record in
        [beating.clone(), copy(2), beating.clone().with(|one| (one.id.endpoint.port, one.healthy) = (3, false))]
    {
        written.note(&Change::Create(record), &[]);
    }
    writer.adopt(&[(scope(), written)]);
    let begun = std::time::Instant::now();
    while fake.seen("POST /v1/Heartbeat").len() < 3 {
        assert!(begun.elapsed().as_secs() < 10, "{:?}", fake.seen(""));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let beats = fake.seen("POST /v1/Heartbeat");
    let of = |body: &str| serde_json::from_str::<Value>(body).unwrap();
    let expected = json!({"service": "orders", "namespace": "default", "host": "10.0.0.1", "port": 1});
    assert!(beats.iter().all(|(_, body)| of(body) == expected), "{beats:?}");
    writer.close();
}
