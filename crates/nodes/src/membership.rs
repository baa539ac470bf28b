//! A node's part in the work: beats, takes shards and hands them over.

use crate::decide::{Decision, decide};
use crate::{Coordinator, Error, Grant, Lease, Member, NodeId, ShardId, View};
use futures_core::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// Between two beats of a node that leaves, and waits for others to be ready.
const HURRY: Duration = Duration::from_millis(200);
/// One question to the coordinator.
const CALL: Duration = Duration::from_secs(2);
/// A lease ends here so much earlier than at the coordinator: a write that has begun may still be under way.
const MARGIN: Duration = Duration::from_secs(1);

/// What a node does with a shard besides writing it.
pub trait Handover: Send + Sync {
    /// Stops writing these shards. Completes when no write of them is under way, and the store has everything about them.
    fn stop<'a>(&'a self, shards: &'a [ShardId]) -> BoxFuture<'a, ()>;

    /// Whether this node could go on with a shard at once: what it reads is complete, and what keeps copies alive is ready.
    fn is_warm(&self, shard: &ShardId) -> bool;
}

/// What a node is for each shard, as of the last beat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roles {
    /// Shards that it holds, with their epochs. It writes them as long as its lease is valid.
    pub holds: BTreeMap<ShardId, u64>,
    /// Shards that it is the standby of.
    pub standby: BTreeSet<ShardId>,
    /// What the coordinator said last.
    pub view: View,
    /// Why the coordinator was not reached at the last beat.
    pub away: Option<Error>,
}

/// What a node takes part with.
pub struct Setup {
    /// This node.
    pub me: Member,
    /// What grants shards.
    pub coordinator: Arc<dyn Coordinator>,
    /// This node's lease.
    pub lease: Lease,
    /// The shards that there are by the settings. Their change is noticed at the next beat.
    pub wanted: watch::Receiver<BTreeSet<ShardId>>,
    /// What becomes of shards that go to another node.
    pub handover: Arc<dyn Handover>,
}

/// A node's part in the work. Ends with [`Membership::leave`], or when it is dropped, which is like a crash.
pub struct Membership {
    roles: watch::Receiver<Arc<Roles>>,
    leave: CancellationToken,
    poke: Arc<Notify>,
    work: parking_lot::Mutex<JoinSet<()>>,
}

impl Membership {
    /// Begins to beat. Call it within a tokio runtime.
    pub fn start(setup: Setup) -> Self {
        let (sender, roles) = watch::channel(Arc::default());
        let (leave, poke) = (CancellationToken::new(), Arc::new(Notify::new()));
        let heart = Heart {
            setup,
            roles: sender,
            handing: BTreeSet::new(),
            hands: JoinSet::new(),
            leave: leave.clone(),
            poke: poke.clone(),
        };
        let mut work = JoinSet::new();
        work.spawn(heart.run());
        Self { roles, leave, poke, work: parking_lot::Mutex::new(work) }
    }

    /// What this node is for each shard, and every change of that.
    pub fn roles(&self) -> watch::Receiver<Arc<Roles>> {
        self.roles.clone()
    }

    /// Beats now: something has changed that another node said.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    /// Hands everything over to nodes that are ready, and ends the lease. Gives up after `limit`, and ends it all the same: then the
    /// others claim what is left.
    pub async fn leave(&self, limit: Duration) {
        self.leave.cancel();
        let mut work = std::mem::take(&mut *self.work.lock());
        if timeout(limit, work.join_next()).await.is_err() {
            tracing::warn!("not everything was handed over to other nodes in time; they take it over");
        }
    }
}

/// What beats.
struct Heart {
    setup: Setup,
    roles: watch::Sender<Arc<Roles>>,
    /// Shards that are being handed over: not written any more, and not the other's yet.
    handing: BTreeSet<ShardId>,
    hands: JoinSet<Vec<ShardId>>,
    leave: CancellationToken,
    poke: Arc<Notify>,
}

impl Heart {
    async fn run(mut self) {
        loop {
            let began = Instant::now();
            self.setup.me.leaving |= self.leave.is_cancelled();
            self.beat().await;
            if self.setup.me.leaving && self.has_nothing() {
                break;
            }
            let pause = if self.setup.me.leaving { HURRY } else { BEAT };
            tokio::select! {
                () = sleep(pause.saturating_sub(began.elapsed())) => {}
                () = self.poke.notified() => {}
                () = self.leave.cancelled(), if !self.setup.me.leaving => {}
                Some(done) = self.hands.join_next() => self.handed(done.unwrap_or_default()),
            }
        }
        self.setup.lease.end();
        let me = self.setup.me.id.clone();
        match call(self.setup.coordinator.leave(&me)).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "the coordinator does not know yet that this node has left"),
        }
    }

    /// Whether nothing of this node has to be handed over any more, as far as it is known.
    fn has_nothing(&self) -> bool {
        let roles = self.roles.borrow();
        let mine = |id: &NodeId| *id == self.setup.me.id;
        self.handing.is_empty()
            && roles.away.is_none()
            && !roles.view.shards.values().any(|holding| holding.holder.as_ref().is_some_and(mine))
    }

    async fn beat(&mut self) {
        let (coordinator, lease) = (self.setup.coordinator.clone(), self.setup.lease.clone());
        let sent = lease.sent();
        let view = match call(coordinator.beat(&self.setup.me)).await {
            Ok(view) => view,
            Err(error) => {
                if self.roles.borrow().away.is_none() {
                    tracing::warn!(%error, "the coordinator of the nodes was not reached");
                }
                self.roles.send_modify(|roles| Arc::make_mut(roles).away = Some(error));
                return;
            }
        };
        lease.prolong(sent, coordinator.lease().saturating_sub(MARGIN));
        while let Some(done) = self.hands.try_join_next() {
            self.handed(done.unwrap_or_default());
        }
        let wanted = self.setup.wanted.borrow_and_update().clone();
        let me = self.setup.me.id.clone();
        let Decision { mut holds, standby, claim, offer, mut hand_over } =
            decide(&view, &me, &wanted, |shard| self.setup.handover.is_warm(shard));
        hand_over.retain(|(grant, _)| !self.handing.contains(&grant.shard));
        self.handing.extend(hand_over.iter().map(|(grant, _)| grant.shard.clone()));
        holds.retain(|shard, _| !self.handing.contains(shard));
        let told = |holds: &BTreeMap<ShardId, u64>| {
            Arc::new(Roles { holds: holds.clone(), standby: standby.clone(), view: view.clone(), away: None })
        };
        let next = told(&holds);
        self.roles.send_if_modified(|roles| std::mem::replace(roles, next.clone()) != next);
        if !hand_over.is_empty() {
            self.hands.spawn(give(self.setup.handover.clone(), coordinator.clone(), me.clone(), hand_over));
        }
        if !claim.is_empty() {
            match call(coordinator.claim(&me, &claim)).await {
                Ok(granted) if !granted.is_empty() => {
                    holds.extend(granted);
                    self.roles.send_replace(told(&holds));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "no shards could be claimed"),
            }
        }
        if !offer.is_empty()
            && let Err(error) = call(coordinator.offer(&me, &offer)).await
        {
            tracing::warn!(%error, "could not say that this node is ready");
        }
    }

    /// What was being handed over is the other's now; or it failed, and the next beat says who has it.
    fn handed(&mut self, shards: Vec<ShardId>) {
        for shard in shards {
            self.handing.remove(&shard);
        }
    }
}

/// Lets shards go to their next holders.
async fn give(
    handover: Arc<dyn Handover>,
    coordinator: Arc<dyn Coordinator>,
    me: NodeId,
    shards: Vec<(Grant, Option<NodeId>)>,
) -> Vec<ShardId> {
    let names: Vec<_> = shards.iter().map(|(grant, _)| grant.shard.clone()).collect();
    handover.stop(&names).await;
    if let Err(error) = call(coordinator.hand_over(&me, &shards)).await {
        tracing::warn!(%error, "shards could not be handed over");
    }
    names
}

async fn call<T>(work: BoxFuture<'_, Result<T, Error>>) -> Result<T, Error> {
    let slow = || Error::Away(format!("no answer within {} s", CALL.as_secs()));
    timeout(CALL, work).await.unwrap_or_else(|_| Err(slow()))
}
