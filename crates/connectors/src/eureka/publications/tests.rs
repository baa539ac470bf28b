use super::*;
use crate::eureka::fake::{Fake, client};
use causeway_core::{ClusterId, Mark, Payload, Removal};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::slice::from_ref;

/// The instances of application `A` by their ids, and what was asked for.
#[derive(Default)]
struct State {
    rows: BTreeMap<String, Value>,
    asked: Vec<String>,
    /// The status that answers everything.
    refuses: Option<u16>,
}

impl State {
    fn answer(&mut self, method: &str, target: &str, body: &str) -> (u16, String) {
        let target = target.strip_prefix("/apps/A").unwrap().trim_start_matches('/');
        self.asked.push(format!("{method} {target}"));
        if let Some(status) = self.refuses {
            return (status, String::new());
        }
        let path = target.split('?').next().unwrap();
        let id = path.trim_end_matches("/status");
        if method == "POST" {
            let one = serde_json::from_str::<Value>(body).unwrap()["instance"].take();
            self.rows.insert(one["instanceId"].as_str().unwrap().to_owned(), one);
            return (200, String::new());
        }
        let Some(one) = self.rows.get(id) else { return (404, String::new()) };
        let found = json!({"instance": one}).to_string();
        if method == "DELETE" && id == path {
            self.rows.remove(id);
        }
        (200, found)
    }
}

/// A server with one application, and copies of ours in it.
struct World {
    state: Arc<Mutex<State>>,
    publications: Publications,
    _server: Fake,
}

impl World {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let server = Fake::start(move |method, target, body| shared.lock().answer(method, target, body)).await;
        let publications = Publications::new(client(&[&server.addr]), &Settings::default());
        Self { state, publications, _server: server }
    }

    /// The same server for another process.
    fn restarted(&self) -> Publications {
        Publications::new(self.publications.inner.client.clone(), &Settings::default())
    }

    /// The ids of what stands, with their addresses.
    fn standing(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.state.lock().rows.iter().map(|(id, one)| (id.clone(), text(&one["ipAddr"]))).collect()
    }

    /// The time stamp of what stands under an id.
    fn stamp(&self, id: &str) -> i64 {
        self.state.lock().rows[id]["lastDirtyTimestamp"].as_str().unwrap().parse().unwrap()
    }

    /// What was asked for since this was called last.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().asked)
    }
}

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

/// A copy with this id; an empty one: without an id of its own.
fn copy(host: &str, id: &str) -> Instance {
    let words = |id: &str| Payload { kind: "eureka".into(), text: json!({ "id": id }).to_string().into() };
    Instance::new(host, 1).with(|one| {
        one.payload = (!id.is_empty()).then(|| words(id));
        one.mark = Some(Mark::new(owner(), vec![ClusterId::of("a")]));
    })
}

fn id(id: &str) -> Id {
    ("A".into(), id.into())
}

fn delete(record: &Instance) -> Change {
    Change::Delete { record: record.clone(), owner: owner(), why: Removal::Native }
}

async fn apply(publications: &Publications, changes: &[Change]) {
    for outcome in publications.apply(&convert::scope("A"), changes).await {
        outcome.unwrap();
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(id, host)| ((*id).to_owned(), (*host).to_owned())).collect()
}

#[tokio::test]
async fn what_has_moved_with_its_id_is_not_withdrawn() {
    let world = World::start().await;
    let (old, new) = (copy("10.0.0.1", "x"), copy("10.0.0.2", "x"));
    apply(&world.publications, &[Change::Create(old.clone())]).await;
    apply(&world.publications, &[delete(&old), Change::Create(new.clone())]).await;
    assert_eq!(world.standing(), pairs(&[("x", "10.0.0.2")]));
    assert_eq!(world.publications.inner.kept.lock().copy(&id("x")).unwrap().record, new);
    let restarted = world.restarted();
    apply(&restarted, &[delete(&old)]).await;
    assert_eq!(world.standing(), pairs(&[("x", "10.0.0.2")]));
    apply(&restarted, &[delete(&new)]).await;
    assert!(world.standing().is_empty());
}

#[tokio::test]
async fn an_update_may_change_the_id() {
    let world = World::start().await;
    let (named, plain, other) = (copy("10.0.0.1", "x"), copy("10.0.0.1", ""), copy("10.0.0.2", "x"));
    apply(&world.publications, &[Change::Create(named.clone())]).await;
    let update = Change::Update { from: named, to: plain };
    apply(&world.publications, from_ref(&update)).await;
    assert_eq!(world.standing(), pairs(&[("10.0.0.1:1:A", "10.0.0.1")]));
    // And its former id may be another's by then.
    apply(&world.publications, &[Change::Create(other), update]).await;
    assert_eq!(world.standing(), pairs(&[("10.0.0.1:1:A", "10.0.0.1"), ("x", "10.0.0.2")]));
    assert!(world.publications.inner.kept.lock().copy(&id("x")).is_some());
}

#[tokio::test]
async fn what_was_withdrawn_meanwhile_is_not_made_again() {
    let world = World::start().await;
    let (inner, record) = (&world.publications.inner, copy("10.0.0.1", "x"));
    let lose = || world.state.lock().rows.clear();
    let looked_up = || (inner.kept.lock().copy(&id("x")).unwrap(), inner.wire(&convert::scope("A"), &record).1);
    apply(&world.publications, &[Change::Create(record.clone())]).await;
    lose();
    assert!(matches!(inner.renew(id("x")).await, Renewal::Done(None)));
    assert_eq!(world.standing(), pairs(&[("x", "10.0.0.1")]), "made again");
    // The server has said that it does not know it, and then it is written, or withdrawn.
    let (before, wire) = looked_up();
    apply(&world.publications, &[Change::Adopt(record.clone())]).await;
    lose();
    inner.put_again(&id("x"), wire.clone(), &before).await.unwrap();
    assert!(world.standing().is_empty());
    let (before, _) = looked_up();
    apply(&world.publications, &[delete(&record)]).await;
    inner.put_again(&id("x"), wire, &before).await.unwrap();
    assert!(world.standing().is_empty() && inner.kept.lock().copy(&id("x")).is_none());
}

#[tokio::test]
async fn an_override_that_travels_back_leaves_the_time_stamp() {
    let world = World::start().await;
    let inner = &world.publications.inner;
    let mut native = inner.wire(&convert::scope("A"), &copy("10.0.0.1", "x").with_mark(None)).1;
    (native.status, native.last_dirty_timestamp) = (Status::OutOfService, 7);
    let mut stands = serde_json::to_value(&native).unwrap();
    let off = convert::read(native, &Settings::default()).record;
    let on = off.clone().with(|one| one.enabled = true);
    for (laid_over, enabled, asked) in [
        ("UNKNOWN", true, "PUT x/status?value=UP&lastDirtyTimestamp=7"),
        ("OUT_OF_SERVICE", true, "DELETE x/status?value=UP&lastDirtyTimestamp=7"),
        ("UNKNOWN", false, "PUT x/status?value=OUT_OF_SERVICE&lastDirtyTimestamp=7"),
    ] {
        stands["overriddenStatus"] = json!(laid_over);
        world.state.lock().rows.insert("x".to_owned(), stands.clone());
        let (from, to) = if enabled { (&off, &on) } else { (&on, &off) };
        apply(&world.publications, &[Change::Edit { from: from.clone(), to: to.clone(), owner: owner() }]).await;
        assert_eq!(world.asked(), ["GET x", asked]);
    }
}

#[tokio::test]
async fn time_stamps_grow_though_clocks_do_not() {
    let world = World::start().await;
    let (inner, record) = (&world.publications.inner, copy("10.0.0.1", "x"));
    let ahead = now() + 1_000_000;
    // Nothing stands, and what was withdrawn or lost had a time stamp of a clock that is ahead.
    inner.kept.lock().withdrawn(&id("x"), ahead);
    apply(&world.publications, &[Change::Create(record.clone())]).await;
    assert_eq!(world.stamp("x"), ahead + 1);
    world.state.lock().rows.clear();
    inner.renew(id("x")).await;
    assert_eq!(world.stamp("x"), ahead + 2);
    world.state.lock().rows.get_mut("x").unwrap()["lastDirtyTimestamp"] = json!((ahead + 9).to_string());
    apply(&world.publications, &[Change::Adopt(record)]).await;
    assert_eq!(world.stamp("x"), ahead + 10);
}

#[tokio::test]
async fn a_renewal_takes_no_override_away() {
    let world = World::start().await;
    let (inner, record) = (&world.publications.inner, copy("10.0.0.1", "x"));
    apply(&world.publications, &[Change::Create(record.clone())]).await;
    let wire = inner.wire(&convert::scope("A"), &record).1;
    for (again, asked) in [(true, vec!["GET x", "POST "]), (false, vec!["GET x", "POST ", "PUT x/status"])] {
        {
            let rows = &mut world.state.lock().rows;
            let one = rows.get_mut("x").unwrap();
            (one["status"], one["overriddenStatus"]) = (json!("OUT_OF_SERVICE"), json!("OUT_OF_SERVICE"));
        }
        world.asked();
        let kept = inner.kept.lock().copy(&id("x")).unwrap();
        match again {
            true => inner.put_again(&id("x"), wire.clone(), &kept).await.unwrap(),
            false => apply(&world.publications, &[Change::Adopt(record.clone())]).await,
        }
        let all = world.asked();
        let paths: Vec<_> = all.iter().filter_map(|asked| asked.split('?').next()).collect();
        assert_eq!(paths, asked);
    }
}

#[tokio::test]
async fn what_is_refused_to_all_slows_all_down() {
    let world = World::start().await;
    let inner = &world.publications.inner;
    apply(&world.publications, &[Change::Create(copy("10.0.0.1", "x"))]).await;
    for (status, expected) in [(401, SLOWLY), (403, SLOWLY), (429, AGAIN), (500, AGAIN)] {
        world.state.lock().refuses = Some(status);
        let renewal = inner.renew(id("x")).await;
        assert!(matches!(renewal, Renewal::Away(after, _) if after == expected), "{status}");
    }
    world.state.lock().refuses = Some(400);
    assert!(matches!(inner.renew(id("x")).await, Renewal::Failed(_)));
}
