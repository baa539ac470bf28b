//! Keeps clusters in step: watches sources, plans what is to be written, guards it, writes it, and remembers it.
//!
//! ```text
//! source.watch ─► Mirror ─► export ─┐
//!                                   ├─► plan ─► guard ─► sink.apply ─► ledger, events
//! sink.watch ───► Mirror ───────────┘
//! ```
//! A change on either side marks the *destination's scope* as dirty. One [`writer`] a destination plans dirty scopes,
//! never one twice at a time. Nothing here knows a kind of cluster by name.

mod entries;
mod event;
mod kit;
mod notice;
mod services;
mod spec;
mod status;

pub use entries::{
    AttributeFilter, ConflictRow, DataCluster, DataEngine, DataLedger, DataRecorder, DataRoute, DataSpec, DataStatus,
    DataTiming, KnownEntry, ShownEntry, mapped, with_place,
};
pub use event::{Action, Event};
pub use kit::meter::{WriteKind, WriteMeter, WriteOutcome};
pub use kit::pace::Pacers;
pub use kit::spans::{NOTHING, OUTCOME, TRACES};
pub use notice::{Crash, EngineWork, LeftAlone, Notice};
pub use services::cluster_status::ClusterStatus;
pub use services::engine::Engine;
pub use services::ledger::Ledger;
pub use services::other_tools::LeftCopy;
pub use services::preview::{DryRun, Preview, UnreadPart, dry_run};
pub use services::record::Recorder;
pub use services::replicas::{ReplicaDifference, ReplicaFindings};
pub use services::status::{RouteStatus, ServiceRow};
pub use spec::{ClusterSpec, GuardLimits, Only, RouteSpec, RunState, TakeOverSpec, Timing};
pub use status::{Hold, RouteState};
