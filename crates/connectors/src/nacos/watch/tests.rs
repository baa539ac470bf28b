use super::names::{Knowledge, ListedService, ServiceCounts};
use super::*;
use crate::nacos::client::{Address, NacosClient, Options, ServiceNames, ServiceSummary};
use crate::nacos::publications::Publications;
use crate::nacos::reading::{IN_FLIGHT, SetPage};
use causeway_core::{Attributes, ServiceKey, Set};
use tokio::time::timeout;

/// A watch of a cluster that nobody answers for, with one namespace of two services that is being read.
fn watch(keys: &[&ServiceKey]) -> ServiceWatch {
    let address = Address { host: "127.0.0.1".into(), port: 1, https: false };
    let client = NacosClient::new(Options::new(vec![address])).unwrap();
    let publications = Arc::new(Publications::new(client.clone(), "c".into(), None, Vec::new()));
    let reader = client.reader();
    let reading = Reading { client, publications };
    let mut watch = ServiceWatch::new(reading, Arc::new(causeway_core::Everything), Vec::new(), Trigger::Push(reader));
    watch.connected = true;
    let names: BTreeMap<_, _> = keys.iter().map(|key| ((*key).clone(), listed(key))).collect();
    let knowledge = Knowledge::Filling { missing: names.keys().cloned().collect(), sets: BTreeMap::new() };
    let namespace = FollowedNamespace { knowledge, names, ..FollowedNamespace::new(None, true) };
    watch.namespaces.insert(Part::new("n"), namespace);
    watch
}

fn empty(key: &ServiceKey) -> Set {
    Set::empty(key.clone())
}

fn listed(key: &ServiceKey) -> ListedService {
    ListedService { counts: ServiceCounts::of(&summary(key)), has_attributes: false }
}

fn summary(key: &ServiceKey) -> ServiceSummary {
    serde_json::from_value(serde_json::json!({"name": key.name, "groupName": key.group})).unwrap()
}

/// The names come again as they were.
fn list(watch: &mut ServiceWatch) {
    let part = Part::new("n");
    let list = Some(watch.namespaces[&part].names.keys().map(summary).collect());
    watch.names(&part, Ok(ServiceNames { fingerprint: 1, list }));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_service_is_read_again_until_it_can_be() {
    let (good, bad) = (ServiceKey::new("n", "g", "good"), ServiceKey::new("n", "g", "bad"));
    let mut watch = watch(&[&good, &bad]);
    let denied = || Err(WireError::Denied("no right".into()));
    watch.read(good.clone(), Ok(empty(&good)));
    watch.read(bad.clone(), denied());
    assert!(matches!(watch.ready.pop_front(), Some(Err(Lost { part: Some(_), .. }))));
    list(&mut watch);
    watch.read(good.clone(), Ok(empty(&good)));
    // Reported already: it is retried all the same, and once, however often it failed.
    watch.read(bad.clone(), denied());
    watch.read(bad.clone(), denied());
    assert!(watch.ready.is_empty() && watch.work.len() == 1);
    watch.reads.todo.clear();
    watch.reads.queued.clear();
    let due = timeout(UNREADABLE * 2, watch.work.next()).await.unwrap().unwrap();
    due(&mut watch);
    assert_eq!(watch.reads.todo.front(), Some(&bad));
    watch.read(bad.clone(), Ok(empty(&bad)));
    assert!(matches!(watch.ready.pop_front(), Some(Ok(Update::Reset { sets, .. })) if sets.len() == 2));
}

#[tokio::test(start_paused = true)]
async fn a_failure_for_the_moment_is_not_told() {
    let key = ServiceKey::new("n", "g", "s");
    let mut watch = watch(&[&key]);
    watch.read(key.clone(), Err(WireError::Unavailable("busy".into())));
    assert!(watch.ready.is_empty());
    let due = timeout(AGAIN * 2, watch.work.next()).await.unwrap().unwrap();
    due(&mut watch);
    assert_eq!(watch.reads.todo, [key]);
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_no_more_is_not_waited_for() {
    let (key, gone) = (ServiceKey::new("n", "g", "s"), ServiceKey::new("n", "g", "gone"));
    let mut watch = watch(&[&key]);
    watch.read(gone, Err(WireError::Denied("no right".into())));
    assert!(watch.work.is_empty());
}

fn many(count: usize) -> Vec<ServiceKey> {
    (0..count).map(|n| ServiceKey::new("n", "g", &format!("s{n:03}"))).collect()
}

/// A watch in which all of these are wanted, and what it is waiting for then.
fn wanting(keys: &[ServiceKey]) -> ServiceWatch {
    let mut watch = watch(&keys.iter().collect::<Vec<_>>());
    keys.iter().for_each(|key| watch.want(key.clone()));
    watch.start_reads();
    watch
}

fn without_attributes(key: &ServiceKey) -> (ServiceKey, Set) {
    (key.clone(), Set { attributes: None, ..empty(key) })
}

fn round(watch: &ServiceWatch) -> Option<u64> {
    watch.namespaces[&Part::new("n")].round.as_ref().map(|round| round.id)
}

#[tokio::test(start_paused = true)]
async fn many_services_are_read_by_pages_and_the_rest_one_by_one() {
    let keys = many(40);
    let mut watch = wanting(&keys);
    assert!(watch.reads.in_flight.is_empty() && watch.work.len() == 1);
    // One that changes after its page was made is read again; one that has not come yet, too.
    let page = SetPage { sets: keys[..20].iter().map(without_attributes).collect(), more: true };
    let id = round(&watch).unwrap();
    watch.page(&Part::new("n"), id, Ok(page));
    watch.want(keys[0].clone());
    watch.want(keys[30].clone());
    assert_eq!(watch.reads.todo, [keys[0].clone()]);
    assert_eq!(watch.work.len(), 2);
    let page = SetPage { sets: keys[20..39].iter().map(without_attributes).collect(), more: false };
    let id = round(&watch).unwrap();
    watch.page(&Part::new("n"), id, Ok(page));
    assert_eq!(round(&watch), None);
    assert_eq!(watch.reads.todo, [keys[0].clone(), keys[30].clone()]);
    assert!(watch.ready.is_empty(), "one is missing");
    watch.start_reads();
    assert!(watch.reads.in_flight.contains_key(&keys[39]) && watch.reads.in_flight.len() == 3);
    watch.read(keys[39].clone(), Ok(empty(&keys[39])));
    assert!(matches!(watch.ready.pop_front(), Some(Ok(Update::Reset { sets, .. })) if sets.len() == 40));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_pages_is_asked_one_by_one() {
    let keys = many(40);
    let mut watch = wanting(&keys);
    let id = round(&watch).unwrap();
    watch.page(&Part::new("n"), id, Err(WireError::Denied("no right".into())));
    assert!(watch.ready.is_empty());
    watch.start_reads();
    assert_eq!((watch.reads.in_flight.len(), round(&watch)), (IN_FLIGHT, None));
    for key in &keys {
        watch.read(key.clone(), Ok(empty(key)));
    }
    keys.iter().for_each(|key| watch.want(key.clone()));
    watch.start_reads();
    assert_eq!(round(&watch), None, "it is not asked for pages again");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_refuses_pages_for_itself_alone() {
    let keys = many(40);
    let mut watch = wanting(&keys);
    let id = round(&watch).unwrap();
    watch.page(&Part::new("n"), id, Err(WireError::Denied("no right".into())));
    let other = Part::new("m");
    let others: Vec<_> = keys.iter().map(|key| key.in_part(&other)).collect();
    let names = others.iter().map(|key| (key.clone(), listed(key))).collect();
    watch.namespaces.insert(other.clone(), FollowedNamespace { names, ..FollowedNamespace::new(None, true) });
    others.iter().for_each(|key| watch.want(key.clone()));
    watch.start_reads();
    assert!(watch.namespaces[&other].round.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_before_an_outage_counts_for_nothing() {
    let keys = many(40);
    let mut watch = wanting(&keys);
    let id = round(&watch).unwrap();
    watch.want(keys[0].clone());
    watch.lose_all(WireError::Unavailable("away".into()));
    watch.ready.clear();
    list(&mut watch);
    watch.start_reads();
    assert_ne!(round(&watch), Some(id));
    let page = || SetPage { sets: keys.iter().map(without_attributes).collect(), more: false };
    watch.page(&Part::new("n"), id, Ok(page()));
    assert!(watch.ready.is_empty());
    let id = round(&watch).unwrap();
    watch.page(&Part::new("n"), id, Ok(page()));
    assert!(watch.reads.todo.is_empty(), "it was wanted before the outage");
}

#[tokio::test(start_paused = true)]
async fn a_few_at_a_time_become_many() {
    let keys = many(100);
    let mut watch = watch(&keys.iter().collect::<Vec<_>>());
    for key in &keys[..31] {
        watch.want(key.clone());
        watch.start_reads();
    }
    assert_eq!((watch.reads.in_flight.len(), round(&watch)), (31, None));
    for key in &keys[31..] {
        watch.want(key.clone());
        watch.start_reads();
    }
    assert_eq!(watch.reads.in_flight.len(), IN_FLIGHT);
    assert!(round(&watch).is_some(), "{:?} are waiting", watch.reads.todo);
}

#[tokio::test(start_paused = true)]
async fn attributes_follow_what_pages_tell() {
    let keys = many(40);
    let mut watch = wanting(&keys);
    let page = SetPage { sets: keys.iter().map(without_attributes).collect(), more: false };
    let id = round(&watch).unwrap();
    watch.page(&Part::new("n"), id, Ok(page));
    assert!(matches!(watch.ready.pop_front(), Some(Ok(Update::Reset { .. }))));
    for key in &keys {
        watch.start_reads();
        assert!(watch.reads.asking > 0);
        watch.attributes(key.clone(), Ok(Attributes::default()));
        let told = watch.ready.pop_front();
        assert!(matches!(told, Some(Ok(Update::Attributes(scope, _))) if scope == *key));
    }
    // They are not asked for again with the next page.
    keys.iter().for_each(|key| watch.want(key.clone()));
    watch.start_reads();
    let page = SetPage { sets: keys.iter().map(without_attributes).collect(), more: false };
    let id = round(&watch).unwrap();
    watch.page(&Part::new("n"), id, Ok(page));
    let before = watch.work.len();
    watch.start_reads();
    assert_eq!((watch.work.len(), watch.ready.len()), (before, keys.len()));
}

#[tokio::test(start_paused = true)]
async fn names_that_are_as_before_an_outage_are_asked_for_again() {
    let key = ServiceKey::new("n", "g", "s");
    let mut watch = watch(&[&key]);
    list(&mut watch);
    watch.lose_all(WireError::Unavailable("away".into()));
    let before = watch.work.len();
    watch.names(&Part::new("n"), Ok(ServiceNames { fingerprint: 1, list: None }));
    assert_eq!(watch.work.len(), before + 1);
    list(&mut watch);
    assert!(
        matches!(&watch.namespaces[&Part::new("n")].knowledge, Knowledge::Filling { missing, .. } if missing.len() == 1)
    );
}
