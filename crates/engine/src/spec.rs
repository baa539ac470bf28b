//! What the engine is told to do.

use causeway_core::{ClusterId, Lens, Overrides, OwnerId, Port, ServiceKey, WriteMode};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// One cluster.
#[derive(Clone)]
pub struct ClusterSpec<P = Port> {
    /// As it stands in marks.
    pub id: ClusterId,
    /// As the operator calls it.
    pub name: Arc<str>,
    /// How it is read and written. Another one is another connection: the old one is closed.
    pub port: P,
}

/// Whether a route works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// It does.
    #[default]
    On,
    /// It leaves everything as it is.
    Paused,
    /// It takes back exactly what it wrote.
    Drain,
}

/// When removals are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuardLimits {
    /// More than this share of a route's records …
    pub share: f64,
    /// … and more than this many …
    pub floor: usize,
    /// … within this time.
    pub window: Duration,
    /// Missing without a witness: more than this many, and more than `share`, or all of a part.
    pub implied_floor: usize,
    /// A hold of witnessed removals ends by itself after this time, when a second look agrees.
    pub hold: Duration,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            share: 0.3,
            floor: 50,
            window: Duration::from_secs(60),
            implied_floor: 10,
            hold: Duration::from_secs(300),
        }
    }
}

/// Whether scopes that appear later take part.
#[derive(Clone, Debug, PartialEq)]
pub enum Only {
    /// They do.
    Any,
    /// They do not, and the list of those that exist is still to be made.
    Freeze,
    /// They do not: only these take part.
    Frozen(Arc<BTreeSet<ServiceKey>>),
}

/// The tool whose copies in the destination a route takes over.
#[derive(Clone)]
pub struct TakeOverSpec {
    /// The tool, as it stands in the marks that connectors report for its copies.
    pub tool: Arc<str>,
    /// How the tool calls the route's source; `None`: nothing tells.
    pub source: Option<Arc<str>>,
    /// From names in the destination back to those in the source: copies that nobody wants are told of where it takes the scope.
    /// `None`: the names are the same, or cannot be told; then it is those scopes that something of the source goes to.
    pub back: Option<Arc<dyn Lens>>,
}

impl TakeOverSpec {
    fn same(&self, other: &Self) -> bool {
        let back = |one: &Self| one.back.as_ref().map(|lens| lens.fingerprint());
        self.tool == other.tool && self.source == other.source && back(self) == back(other)
    }
}

/// One direction of one task.
#[derive(Clone)]
pub struct RouteSpec {
    /// The task's name.
    pub task: Arc<str>,
    /// The task, as it stands in marks. Both directions of a task have the same.
    pub owner: OwnerId,
    /// Where it reads.
    pub source: ClusterId,
    /// Where it writes.
    pub destination: ClusterId,
    /// Whether it is a two-way task's way back, so that the task's settings name the parts of its destination.
    pub way_back: bool,
    /// Ids or display names of the source's parts; `None`: all, also ones created later.
    pub parts: Option<BTreeSet<Arc<str>>>,
    /// Filters, renames and metadata mapping. Another fingerprint is another lens.
    pub lens: Arc<dyn Lens>,
    /// What it may do.
    pub mode: WriteMode,
    /// What it does about an operator's changes in the destination.
    pub overrides: Overrides,
    /// Whether copies of other installs are exported too.
    pub relay: bool,
    /// The other tool whose copies in the destination become this task's.
    pub take_over: Option<TakeOverSpec>,
    /// When removals are held.
    pub guard: GuardLimits,
    /// How long a source must have been connected without a break before what it lacks is believed to be gone.
    pub settle: Duration,
    /// Which scopes of the source take part.
    pub only: Only,
    /// Whether it works.
    pub run: RunState,
}

impl RouteSpec {
    /// Whether nothing is different, given the same owner and destination.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.task == other.task
            && self.source == other.source
            && self.way_back == other.way_back
            && self.parts == other.parts
            && self.lens.fingerprint() == other.lens.fingerprint()
            && (self.mode, self.overrides, self.relay) == (other.mode, other.overrides, other.relay)
            && (self.guard, self.settle) == (other.guard, other.settle)
            && self.only == other.only
            && match (&self.take_over, &other.take_over) {
                (Some(one), Some(another)) => one.same(another),
                (one, another) => one.is_none() && another.is_none(),
            }
            && self.run == other.run
    }
}

/// Times that hold for the whole engine.
#[derive(Clone, Debug)]
pub struct Timing {
    /// One scope is not planned again sooner after it was written.
    pub debounce: Duration,
    /// How long a write may take to be seen in the destination before it counts as lost.
    pub visible: Duration,
    /// Most that [`causeway_core::Source::doubt`] holds up the end of a scope's last record.
    pub emptied: Duration,
    /// One call to a cluster.
    pub call: Duration,
    /// A complete look at one part, which takes many calls when it is large: for a removal, a dry run and a comparison alike.
    pub look: Duration,
    /// A complete look at every part that repairs what was missed.
    pub sweep: Duration,
    /// First and longest wait after a failed write.
    pub backoff: (Duration, Duration),
    /// How long a write whose only proof is the ledger waits until that has it.
    pub kept: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(200),
            visible: Duration::from_secs(2),
            emptied: Duration::from_secs(1),
            call: Duration::from_secs(10),
            look: Duration::from_secs(120),
            sweep: Duration::from_secs(300),
            backoff: (Duration::from_millis(200), Duration::from_secs(30)),
            kept: Duration::from_secs(2),
        }
    }
}
