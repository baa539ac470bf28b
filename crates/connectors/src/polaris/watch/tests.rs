use super::super::fake::Fake;
use super::super::settings::PolarisOptions;
use super::*;
use causeway_core::{Everything, Instance, Interest, Set};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::timeout;

/// What a server holds: by service, the ports and the revision; `None`: it is listed, and discovery does not know it.
#[derive(Default)]
struct Store {
    namespaces: Vec<&'static str>,
    services: BTreeMap<&'static str, Option<(Vec<u16>, u32)>>,
    /// What every call is answered with instead.
    refused: Option<u32>,
    /// The same for the questions for one service.
    refused_of: BTreeMap<&'static str, u32>,
}

type Shared = Arc<Mutex<Store>>;

fn answer(store: &Store, line: &str, body: &str) -> Value {
    if let Some(code) = store.refused {
        return json!({"code": code, "info": "refused"});
    }
    if line.starts_with("GET /naming/v1/namespaces") {
        let all: Vec<_> = store.namespaces.iter().map(|name| json!({"name": name, "comment": ""})).collect();
        return json!({"code": 200_000, "amount": all.len(), "namespaces": all});
    }
    if line.starts_with("GET") {
        return json!({"code": 200_000, "amount": 0, "instances": []});
    }
    let asked: Value = serde_json::from_str(body).unwrap();
    let (namespace, known) = (asked["service"]["namespace"].as_str().unwrap(), &asked["service"]["revision"]);
    let (name, has) = (asked["service"]["name"].as_str().unwrap_or_default(), store.namespaces.contains(&namespace));
    if asked["type"] == "SERVICES" {
        let all: Vec<_> =
            store.services.keys().filter(|_| has).map(|name| json!({"name": name, "namespace": namespace})).collect();
        // Who has no services sends the question back.
        let revision = if all.is_empty() { known.clone() } else { json!(format!("{:?}", store.services.keys())) };
        return match *known == revision && !all.is_empty() {
            true => json!({"code": 200_001}),
            false => json!({"code": 200_000, "service": {"revision": revision}, "services": all}),
        };
    }
    if let Some(code) = store.refused_of.get(name) {
        return json!({"code": code, "info": "refused"});
    }
    match store.services.get(name).filter(|_| has) {
        Some(Some((_, revision))) if *known == json!(revision.to_string()) => json!({"code": 200_001}),
        Some(Some((ports, revision))) => {
            let one = |port: &u16| json!({"id": port.to_string(), "host": "10.0.0.1", "port": port, "service": name});
            let all: Vec<_> = ports.iter().map(one).collect();
            json!({"code": 200_000, "service": {"revision": revision.to_string()}, "instances": all})
        }
        _ => json!({"code": 400_202, "info": "not found resource"}),
    }
}

async fn serve(store: Store) -> (Fake, Shared) {
    let store = Arc::new(Mutex::new(store));
    let held = store.clone();
    (Fake::start(move |line, body| answer(&held.lock(), line, body)).await, store)
}

struct Follow(BoxStream<'static, Result<Update, Lost>>);

impl Follow {
    fn of(fake: &Fake, select: impl Interest + 'static) -> Self {
        let select: Selector = Arc::new(select);
        Self(watch(&fake.reading(PolarisOptions::default()), &select))
    }

    async fn next(&mut self) -> Result<Update, Lost> {
        timeout(Duration::from_secs(20), self.0.next()).await.unwrap().unwrap()
    }

    async fn reset(&mut self) -> Vec<Set> {
        match self.next().await {
            Ok(Update::Reset { part, sets, .. }) if *part.0 == *"dev" => sets,
            other => panic!("{other:?}"),
        }
    }

    async fn changed(&mut self) -> (String, Vec<u16>) {
        match self.next().await {
            Ok(Update::Changed(set)) => (set.scope.name.to_string(), ports(&set)),
            other => panic!("{other:?}"),
        }
    }

    async fn nothing(&mut self) {
        let told = timeout(Duration::from_millis(2_500), self.0.next()).await;
        assert!(told.is_err(), "{told:?}");
    }
}

fn ports(set: &Set) -> Vec<u16> {
    set.records.keys().map(|id| id.endpoint.port).collect()
}

fn store(services: &[(&'static str, &[u16])]) -> Store {
    let services = services.iter().map(|(name, ports)| (*name, Some((ports.to_vec(), 1)))).collect();
    Store { namespaces: vec!["dev", "Polaris"], services, ..Store::default() }
}

#[tokio::test]
async fn what_has_changed_is_told_and_what_has_not_is_kept() {
    let (fake, store) = serve(store(&[("a", &[1, 2]), ("b", &[3]), ("empty", &[])])).await;
    let mut follow = Follow::of(&fake, Everything);
    let sets = follow.reset().await;
    assert_eq!(sets.iter().map(ports).collect::<Vec<_>>(), [vec![1, 2], vec![3]]);
    store.lock().services.insert("a", Some((vec![2], 2)));
    assert_eq!(follow.changed().await, ("a".into(), vec![2]));
    store.lock().services.insert("c", Some((vec![4], 1)));
    assert_eq!(follow.changed().await, ("c".into(), vec![4]));
    store.lock().services.insert("b", Some((vec![], 2)));
    assert_eq!(follow.changed().await, ("b".into(), vec![]));
    follow.nothing().await;
}

#[tokio::test]
async fn not_found_is_not_empty_as_long_as_it_is_listed() {
    let (fake, store) = serve(store(&[("a", &[1])])).await;
    let mut follow = Follow::of(&fake, Everything);
    follow.reset().await;
    // The cache of one server lags behind.
    store.lock().services.insert("a", None);
    follow.nothing().await;
    store.lock().services.insert("a", Some((vec![1], 1)));
    follow.nothing().await;
    // Gone from both.
    store.lock().services.remove("a");
    assert_eq!(follow.changed().await, ("a".into(), vec![]));
}

#[tokio::test]
async fn an_outage_and_a_refusal_empty_nothing() {
    for (code, denied) in [(500_001, false), (401_004, true)] {
        let (fake, store) = serve(store(&[("a", &[1])])).await;
        let mut follow = Follow::of(&fake, Everything);
        follow.reset().await;
        store.lock().refused = Some(code);
        let lost = follow.next().await.unwrap_err();
        assert_eq!((lost.part, matches!(lost.error, Error::Denied(_))), (None, denied), "{code}");
        follow.nothing().await;
        store.lock().refused = None;
        assert_eq!(follow.reset().await.iter().map(ports).collect::<Vec<_>>(), [[1]]);
    }
}

#[tokio::test]
async fn a_namespace_that_is_removed_is_missing_and_not_empty() {
    let (fake, store) = serve(store(&[("a", &[1])])).await;
    let mut follow = Follow::of(&fake, Everything);
    follow.reset().await;
    store.lock().namespaces.retain(|name| *name != "dev");
    let lost = follow.next().await.unwrap_err();
    assert!(matches!(lost.error, Error::Missing(_)), "{lost}");
    assert_eq!(lost.part.unwrap().0, "dev".into());
    follow.nothing().await;
    store.lock().namespaces.push("dev");
    assert_eq!(follow.reset().await.len(), 1);
}

#[tokio::test]
async fn services_that_go_all_at_once_were_not_seen_to_go() {
    let (fake, store) = serve(store(&[("a", &[1]), ("b", &[2])])).await;
    let mut follow = Follow::of(&fake, Everything);
    follow.reset().await;
    store.lock().services.clear();
    assert!(matches!(follow.next().await.unwrap_err().error, Error::Unavailable(_)));
    assert_eq!(follow.reset().await.len(), 0, "a complete look, which proves less");
    // What comes again is as it was before, and so is the list's revision.
    store.lock().services = self::store(&[("a", &[1]), ("b", &[2])]).services;
    assert_eq!((follow.changed().await, follow.changed().await), (("a".into(), vec![1]), ("b".into(), vec![2])));
}

#[tokio::test]
async fn a_server_that_answers_some_questions_only_is_heard_about_those() {
    let (fake, store) = serve(store(&[("a", &[1]), ("b", &[2])])).await;
    let mut follow = Follow::of(&fake, Everything);
    follow.reset().await;
    {
        let mut store = store.lock();
        store.refused_of.insert("b", 403_003);
        store.services.extend([("a", Some((vec![], 2))), ("b", Some((vec![3], 2)))]);
    }
    assert_eq!(follow.changed().await, ("a".into(), vec![]));
    follow.nothing().await;
    store.lock().refused_of.clear();
    assert_eq!(follow.changed().await, ("b".into(), vec![3]));
}

/// One service, and later all.
#[derive(Default)]
struct Growing(std::sync::atomic::AtomicU64);

impl Interest for Growing {
    fn part(&self, _: &Part, _: Option<&str>) -> bool {
        true
    }
    fn named(&self) -> BTreeSet<Arc<str>> {
        BTreeSet::new()
    }
    fn scope(&self, scope: &ServiceKey) -> bool {
        *scope.name == *"a" || self.epoch() > 0
    }
    fn epoch(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_selection_that_changes_in_an_outage_is_not_forgotten() {
    let (fake, store) = serve(store(&[("a", &[1]), ("b", &[2])])).await;
    let select = Arc::new(Growing::default());
    let chosen: Selector = select.clone();
    let mut follow = Follow(watch(&fake.reading(PolarisOptions::default()), &chosen));
    assert_eq!(follow.reset().await.iter().map(ports).collect::<Vec<_>>(), [[1]]);
    store.lock().refused = Some(500_001);
    assert!(follow.next().await.is_err());
    select.0.store(1, std::sync::atomic::Ordering::Relaxed);
    follow.nothing().await;
    store.lock().refused = None;
    assert_eq!(follow.reset().await.iter().map(ports).collect::<Vec<_>>(), [[1], [2]]);
}

#[tokio::test]
async fn what_another_server_lacks_was_not_seen_to_go() {
    let (one, _) = serve(store(&[("a", &[1]), ("b", &[2]), ("c", &[3])])).await;
    // One that has not everything yet.
    let (two, other) = serve(store(&[("a", &[1])])).await;
    other.lock().services.insert("b", Some((vec![], 2)));
    let select: Selector = Arc::new(Everything);
    let mut follow = Follow(watch(&Fake::reading_of(&[&one, &two], PolarisOptions::default()), &select));
    assert_eq!(follow.reset().await.len(), 3);
    drop(one);
    assert!(matches!(follow.next().await.unwrap_err().error, Error::Unavailable(_)));
    assert_eq!(follow.reset().await.iter().map(ports).collect::<Vec<_>>(), [[1]]);
}

#[tokio::test]
async fn what_may_be_read_again_or_is_gone_is_not_left_out_any_more() {
    let (fake, store) = serve(store(&[("a", &[1]), ("b", &[2]), ("c", &[])])).await;
    let reading = fake.reading(PolarisOptions::default());
    let select: Selector = Arc::new(Everything);
    let mut follow = Follow(watch(&reading, &select));
    follow.reset().await;
    store.lock().refused_of.extend([("a", 401_001), ("b", 401_001)]);
    follow.nothing().await;
    assert_eq!(reading.left_out().len(), 2);
    {
        let mut store = store.lock();
        store.refused_of.clear();
        store.services.remove("b");
    }
    assert_eq!(follow.changed().await, ("b".into(), vec![]));
    follow.nothing().await;
    assert_eq!(reading.left_out().len(), 0);
}

#[tokio::test]
async fn an_alias_is_told_of_no_more_often_than_it_changes() {
    let store = store(&[("a", &[1])]);
    let fake = Fake::start(move |line, body| {
        let said = answer(&store, line, body);
        match said["code"] == 200_000 && body.contains("INSTANCE") {
            true => json!({"code": 200_000, "service": said["service"], "instances": said["instances"],
                "aliasFor": {"namespace": "dev", "name": "real"}}),
            false => said,
        }
    })
    .await;
    let mut follow = Follow::of(&fake, Everything);
    assert_eq!(follow.reset().await.len(), 0);
    follow.nothing().await;
    let asked = fake.seen("POST /v1/Discover");
    let whole = asked.iter().filter(|(_, body)| body.contains("INSTANCE") && !body.contains("revision"));
    assert_eq!(whole.count(), 1, "{asked:?}");
}

#[tokio::test]
async fn what_we_wrote_is_shown_before_the_server_shows_it() {
    let (fake, _) = serve(store(&[("a", &[1])])).await;
    let reading = fake.reading(PolarisOptions::default());
    let select: Selector = Arc::new(Everything);
    let mut follow = Follow(watch(&reading, &select));
    follow.reset().await;
    let copy = Instance::new("10.0.0.1", 9);
    reading.recent.note(&names::scope("dev", "a"), copy.id(), Some(copy));
    assert_eq!(follow.changed().await, ("a".into(), vec![1, 9]));
    // The server never had it.
    assert_eq!(follow.changed().await, ("a".into(), vec![1]));
}

#[tokio::test]
async fn one_complete_look_has_the_same() {
    let (fake, store) = serve(store(&[("a", &[1, 2]), ("g__b", &[3])])).await;
    let reading = fake.reading(PolarisOptions::default());
    let select: Selector = Arc::new(Everything);
    let sets = reading.read(&Part::new("dev"), &select).await.unwrap();
    assert_eq!(sets.iter().map(|set| set.scope.to_string()).collect::<Vec<_>>(), ["dev/DEFAULT_GROUP/a", "dev/g/b"]);
    assert!(matches!(reading.read(&Part::new("none"), &select).await, Err(Error::Missing(_))));
    assert_eq!(reading.parts().await.unwrap().into_keys().collect::<Vec<_>>(), [Part::new("dev")]);
    store.lock().refused = Some(401_004);
    assert!(matches!(reading.read(&Part::new("dev"), &select).await, Err(Error::Denied(_))));
}
