//! Several nodes and one coordinator in memory, in paused time.

use causeway_core::ClusterId;
use causeway_nodes::{
    Clock, Coordinator, Error, Grant, Handover, Holding, Lease, Member, Membership, NodeId, Roles, Setup, ShardId, View,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

const LEASE: Duration = Duration::from_secs(6);

/// A coordinator in memory.
#[derive(Default)]
struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    members: BTreeMap<NodeId, (Member, Instant)>,
    shards: BTreeMap<ShardId, Holding>,
    cut_off: BTreeSet<NodeId>,
    away: bool,
}

impl State {
    fn lives(&self, id: &NodeId) -> bool {
        self.members.get(id).is_some_and(|(_, until)| Instant::now() < *until)
    }

    fn reach(&self, me: &NodeId) -> Result<(), Error> {
        let gone = self.away || self.cut_off.contains(me);
        if gone { Err(Error::Away("cut off".into())) } else { Ok(()) }
    }
}

impl Coordinator for Memory {
    fn lease(&self) -> Duration {
        LEASE
    }

    fn beat<'a>(&'a self, me: &'a Member) -> BoxFuture<'a, Result<View, Error>> {
        async move {
            let mut state = self.0.lock();
            state.reach(&me.id)?;
            state.members.insert(me.id.clone(), (me.clone(), Instant::now() + LEASE));
            let members = state.members.values().filter(|(member, _)| state.lives(&member.id));
            Ok(View {
                members: members.map(|(member, _)| member.clone()).collect(),
                shards: state.shards.clone(),
                revision: 0,
            })
        }
        .boxed()
    }

    fn claim<'a>(
        &'a self,
        me: &'a NodeId,
        shards: &'a [Grant],
    ) -> BoxFuture<'a, Result<BTreeMap<ShardId, u64>, Error>> {
        async move {
            let mut state = self.0.lock();
            state.reach(me)?;
            let mut granted = BTreeMap::new();
            for Grant { shard, epoch } in shards {
                let now = state.shards.get(shard).cloned().unwrap_or_default();
                let free = now.holder.as_ref().is_none_or(|holder| !state.lives(holder));
                if now.epoch == *epoch && free && state.lives(me) {
                    state
                        .shards
                        .insert(shard.clone(), Holding { holder: Some(me.clone()), epoch: epoch + 1, next: None });
                    granted.insert(shard.clone(), epoch + 1);
                }
            }
            Ok(granted)
        }
        .boxed()
    }

    fn offer<'a>(&'a self, me: &'a NodeId, shards: &'a [Grant]) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let mut state = self.0.lock();
            state.reach(me)?;
            for Grant { shard, epoch } in shards {
                if let Some(holding) = state.shards.get_mut(shard).filter(|holding| holding.epoch == *epoch) {
                    holding.next = Some(me.clone());
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn hand_over<'a>(
        &'a self,
        me: &'a NodeId,
        shards: &'a [(Grant, Option<NodeId>)],
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let mut state = self.0.lock();
            state.reach(me)?;
            for (Grant { shard, epoch }, to) in shards {
                let mine = |holding: &&mut Holding| holding.epoch == *epoch && holding.holder.as_ref() == Some(me);
                if let Some(holding) = state.shards.get_mut(shard).filter(mine) {
                    *holding = Holding { holder: to.clone(), epoch: epoch + 1, next: None };
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn leave<'a>(&'a self, me: &'a NodeId) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let mut state = self.0.lock();
            state.reach(me)?;
            state.members.remove(me);
            Ok(())
        }
        .boxed()
    }
}

/// The paused time of the runtime.
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Duration {
        self.0.elapsed() + Duration::from_secs(1)
    }
}

struct Ready;

impl Handover for Ready {
    fn stop<'a>(&'a self, _: &'a [ShardId]) -> BoxFuture<'a, ()> {
        sleep(Duration::from_millis(300)).boxed()
    }

    fn is_warm(&self, _: &ShardId) -> bool {
        true
    }
}

struct Node {
    id: NodeId,
    membership: Membership,
    lease: Lease,
    roles: watch::Receiver<Arc<Roles>>,
}

impl Node {
    /// What it would write right now.
    fn writes(&self) -> BTreeSet<ShardId> {
        match self.lease.is_valid() {
            true => self.roles.borrow().holds.keys().cloned().collect(),
            false => BTreeSet::new(),
        }
    }
}

fn shards() -> BTreeSet<ShardId> {
    ShardId::of_destination(&ClusterId::of("c"), 32).collect()
}

fn start(memory: &Arc<Memory>, name: &str, wanted: &watch::Sender<BTreeSet<ShardId>>) -> Node {
    let id = NodeId(name.into());
    let lease = Lease::new(Arc::new(Paused(Instant::now())));
    let me = Member { id: id.clone(), name: name.into(), address: None, since_ms: 0, writes: 1, leaving: false };
    let membership = Membership::start(Setup {
        me,
        coordinator: memory.clone(),
        lease: lease.clone(),
        wanted: wanted.subscribe(),
        handover: Arc::new(Ready),
    });
    let roles = membership.roles();
    Node { id, membership, lease, roles }
}

/// Lets time pass in small steps. In each no shard is written by two; returns for how long some shard was written by nobody.
async fn pass(nodes: &[&Node], time: Duration) -> Duration {
    let (began, mut gap) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < time {
        sleep(Duration::from_millis(10)).await;
        let mut all = BTreeSet::new();
        for node in nodes {
            for shard in node.writes() {
                assert!(all.insert(shard.clone()), "{shard} is written by two nodes");
            }
        }
        if all.len() < shards().len() {
            gap += Duration::from_millis(10);
        }
    }
    gap
}

fn sizes(nodes: &[&Node]) -> Vec<usize> {
    nodes.iter().map(|node| node.writes().len()).collect()
}

#[tokio::test(start_paused = true)]
async fn three_nodes_share_the_work_and_the_death_of_one_is_a_gap_of_the_lease_at_most() {
    let (memory, wanted) = (Arc::new(Memory::default()), watch::Sender::new(shards()));
    let [a, b, c] = ["a", "b", "c"].map(|name| start(&memory, name, &wanted));
    pass(&[&a, &b, &c], Duration::from_secs(5)).await;
    let before = sizes(&[&a, &b, &c]);
    assert!(before.iter().sum::<usize>() == 32 && before.iter().all(|size| *size > 3), "{before:?}");
    drop(a);
    let gap = pass(&[&b, &c], Duration::from_secs(20)).await;
    assert_eq!(sizes(&[&b, &c]).iter().sum::<usize>(), 32);
    assert!(gap <= LEASE + Duration::from_secs(1), "{gap:?}");
    // A new one comes: its share moves, and nothing else; each shard rests for as long as the handover takes.
    let held: BTreeMap<_, _> = [&b, &c].map(|node| (node.id.clone(), node.writes())).into();
    let d = start(&memory, "d", &wanted);
    let gap = pass(&[&b, &c, &d], Duration::from_secs(10)).await;
    assert!(!d.writes().is_empty() && gap < Duration::from_secs(3), "{gap:?}");
    for node in [&b, &c] {
        assert!(held[&node.id].is_superset(&node.writes()), "only to the new one");
    }
}

#[tokio::test(start_paused = true)]
async fn a_planned_end_hands_over_first() {
    let (memory, wanted) = (Arc::new(Memory::default()), watch::Sender::new(shards()));
    let [a, b] = ["a", "b"].map(|name| start(&memory, name, &wanted));
    pass(&[&a, &b], Duration::from_secs(5)).await;
    let others = [&b];
    let (gap, ()) = tokio::join!(pass(&others, Duration::from_secs(10)), a.membership.leave(Duration::from_secs(30)));
    assert_eq!(sizes(&[&a, &b]), [0, 32]);
    assert!(gap < Duration::from_secs(4), "{gap:?}");
    let alone = Instant::now();
    b.membership.leave(Duration::from_secs(30)).await;
    assert!(alone.elapsed() < Duration::from_secs(2), "the last one waits for nobody");
    assert!(memory.0.lock().shards.values().all(|holding| holding.holder.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_stops_before_another_begins() {
    let (memory, wanted) = (Arc::new(Memory::default()), watch::Sender::new(shards()));
    let [a, b] = ["a", "b"].map(|name| start(&memory, name, &wanted));
    pass(&[&a, &b], Duration::from_secs(5)).await;
    memory.0.lock().cut_off.insert(a.id.clone());
    // That no shard is written by two is looked at all the time.
    pass(&[&a, &b], Duration::from_secs(20)).await;
    assert_eq!(sizes(&[&a, &b]), [0, 32]);
    assert!(a.roles.borrow().away.is_some());
    memory.0.lock().cut_off.clear();
    pass(&[&a, &b], Duration::from_secs(10)).await;
    assert!(sizes(&[&a, &b]).iter().all(|size| *size > 5));
}

#[tokio::test(start_paused = true)]
async fn nobody_writes_while_the_coordinator_is_away_and_all_go_on_after() {
    let (memory, wanted) = (Arc::new(Memory::default()), watch::Sender::new(shards()));
    let [a, b] = ["a", "b"].map(|name| start(&memory, name, &wanted));
    pass(&[&a, &b], Duration::from_secs(5)).await;
    let before = sizes(&[&a, &b]);
    memory.0.lock().away = true;
    pass(&[&a, &b], Duration::from_secs(60)).await;
    assert_eq!(sizes(&[&a, &b]), [0, 0]);
    memory.0.lock().away = false;
    pass(&[&a, &b], Duration::from_secs(3)).await;
    assert_eq!(sizes(&[&a, &b]), before);
}
