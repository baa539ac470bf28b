//! Keeps clusters in step: watches sources, plans what is to be written, guards it, writes it, and remembers it.
//!
//! ```text
//! source.watch ─► Mirror ─► export ─┐
//!                                   ├─► plan ─► guard ─► sink.apply ─► ledger, events
//! sink.watch ───► Mirror ───────────┘
//! ```
//! A change on either side marks the *destination's scope* as dirty. One [`writer`] a destination plans dirty scopes,
//! never one twice at a time. Nothing here knows a kind of cluster by name.

mod call;
mod census;
mod cluster;
mod data;
mod decide;
mod engine;
mod export;
mod guard;
mod interest;
mod mirror;
mod outcome;
mod pace;
mod preview;
mod queue;
mod reader;
mod record;
mod releases;
mod replicas;
mod scopes;
mod spec;
mod status;
mod supervise;
mod sweep;
mod writer;

pub use cluster::Ledger;
pub use data::{
    Attend, ConflictRow, DataCluster, DataEngine, DataLedger, DataRecorder, DataRoute, DataSpec, DataStatus,
    DataTiming, Known, Shown,
};
pub use engine::Engine;
pub use pace::Pacers;
pub use preview::{DryRun, Preview, Unread, dry_run};
pub use record::{Action, Event, Recorder};
pub use replicas::{Compared, Unlike};
pub use spec::{ClusterSpec, GuardLimits, Only, RouteSpec, Run, Timing};
pub use status::{Hold, RouteState, RouteStatus, ServiceRow};
pub use supervise::{Crashes, supervise};
