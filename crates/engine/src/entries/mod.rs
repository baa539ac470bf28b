//! Keeps config entries in step between two clusters, one or two ways.
//!
//! ```text
//! left.watch ──► EntryRows, freshness ─► agenda ─► read ─► judge (merge, guards) ─► intents ─► write ─► ledger, events
//! right.watch ─►      ▲                                                                         │
//!                     └────────────────────────── what is not in step is marked ────────────────┘
//! ```
//! One [`actor`] a task holds one [`state::TaskState`]: all judgement is there, without waiting. Only what changed is read:
//! an entry whose stamps are those of the last common version is in step.

mod actor;
mod agenda;
mod drain;
mod engine;
mod failures;
mod filling;
mod freshness;
mod history;
mod holds;
mod ingest;
mod intents;
mod job;
mod judge;
mod left_alone;
mod left_out;
mod lists;
mod mapped;
mod outcome;
mod probes;
mod record;
mod removals;
mod rows;
mod schedule;
mod spec;
mod state;
mod status;

pub use engine::DataEngine;
pub use mapped::{mapped, with_place};
pub use record::{DataLedger, DataRecorder};
pub use spec::{AttributeFilter, DataCluster, DataRoute, DataSpec, DataTiming};
pub use state::ShownEntry;
pub use status::{ConflictRow, DataStatus, KnownEntry};
