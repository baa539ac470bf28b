//! The words of the REST API: every request and every answer, as JSON with keys in camelCase.
//!
//! | route | what it does | answer |
//! | --- | --- | --- |
//! | `GET /healthz` | the process lives | `200 ok` (text) |
//! | `GET /readyz` | it works: clusters are configured, what earlier runs wrote was taken over, and no internal work has failed and is being restarted | [`Ready`]: 200, or 503 with reasons |
//! | `GET /metrics` | what the node measures, for Prometheus: `docs/observability.md` lists it | text, in Prometheus' form or in that of OpenMetrics |
//! | `GET /api/v1/version` | | [`Version`] |
//! | `GET /api/v1/clusters` | | list of [`Cluster`], by name |
//! | `GET /api/v1/clusters/{name}/http_sd` | what the tasks that use a cluster select of it, from memory, for Prometheus' `http_sd_config` | list of target groups in Prometheus' form; 503 while it is not known to be complete: Prometheus keeps its list then |
//! | `GET /api/v1/tasks` | | list of [`Task`], by name |
//! | `GET /api/v1/tasks/{name}` | | [`Task`] |
//! | `GET /api/v1/documents` | documents of other tools that the node follows | list of [`Document`] |
//! | `GET /api/v1/services?cluster=&namespace=&limit=` | services that clusters in use hold | list of [`Service`]; how many there are in the header `x-total-count` |
//! | `GET /api/v1/events?task=&cluster=&service=&action=&before=&limit=` | the history, newest first | list of [`Event`] |
//! | `POST /api/v1/apply` | [`ApplyRequest`] | [`Applied`]; a file with errors: 422 with [`Failure::problems`] |
//! | `POST /api/v1/plan` | [`PlanRequest`]: what applying would do; writes nothing | [`Planned`]; a cluster that cannot be read: 502 |
//! | `GET /api/v1/tasks/{name}/diff` | source against destination, now, from memory | [`TaskPlan`] |
//! | `GET /api/v1/tasks/{name}/verify` | both sides read anew and compared record by record; a cluster that cannot be read: 502 | [`Verification`] |
//! | `GET /api/v1/conflicts?task=` | config entries that both sides have changed and nobody has decided about, at most 1,000 a task | list of [`Conflict`] |
//! | `POST /api/v1/tasks/{name}/resolve` | [`Resolve`]: decides one of them | [`Task`] |
//! | `POST /api/v1/tasks/{name}/pause` | leaves everything as it is | [`Task`] |
//! | `POST /api/v1/tasks/{name}/resume` | goes on; also after a drain | [`Task`] |
//! | `POST /api/v1/tasks/{name}/release` | lets go of what guards hold | [`Released`] |
//! | `POST /api/v1/tasks/{name}/drain?preview=true\|false` | takes back exactly what it wrote; the task stays `drained` | [`Drain`] |
//! | `POST /api/v1/tasks/{name}/drain?theirs=true&preview=true\|false` | removes the copies of the tool that it takes over from and that no task wants | [`Drain`] |
//! | `DELETE /api/v1/tasks/{name}?drain=\|keep=&timeout=30` | 409 while copies exist, unless one of the two; `drain` waits for at most `timeout` seconds (default 30, at most 300) | [`Deleted`] |
//!
//! Every failure is an [`ErrorBody`]. On an address that is not loopback, everything below `/api`, and `/metrics`, require
//! `Authorization: Bearer TOKEN`. Requests that change something, and come from a web page of another origin, are refused.
//! A name in a path is percent-encoded. Bodies are JSON (`Content-Type: application/json`), at most 8 MiB around a
//! file of at most 4 MiB.

mod conflict;
mod document;
mod plan;
mod reason;
mod verify;

pub use conflict::{Conflict, ConflictSide, Resolve, Take};
pub use document::{Document, DocumentState};
pub use plan::{Action, PlanRequest, Planned, PlannedChange, PlannedSkip, TaskPlan, Totals, Unanswered};
pub use reason::{Cause, Event, RecordRef, SkippedRecord};
pub use verify::{Difference, Differs, LeftOut, Verification};

use causeway_settings::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether the node works.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// Whether it works.
    pub ready: bool,
    /// What is still awaited, and internal work that failed because of a bug and is being restarted.
    pub reasons: Vec<String>,
}

/// Which node and version answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The program's version.
    pub version: String,
    /// The install's id, as it stands in marks.
    pub install: String,
    /// The version of this API.
    pub api: String,
}

/// A cluster as it is set up. Never holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its id, as it stands in the paths of marks.
    pub id: String,
    /// Its kind, in lower case.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its addresses, as the file writes them.
    pub addresses: Vec<String>,
    /// The namespaces that the file names; empty: all.
    pub namespaces: Vec<String>,
    /// The user to sign in as, as the file writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The tasks that use it.
    pub tasks: Vec<String>,
    /// Whether a connection is set up: a task that is not drained uses it.
    pub open: bool,
    /// The connections or sessions that hold our copies there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carriers: Vec<Carrier>,
    /// Why it cannot be used; empty when nothing is known against it.
    pub reason: String,
}

/// One connection or session that holds copies of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// `session` or `connection`.
    pub what: String,
    /// Its id, as the server's own tools show it; empty while there is none.
    pub id: String,
    /// How many records it holds.
    pub records: usize,
    /// The bytes that the servers handle in one piece because of it.
    pub bytes: usize,
    /// The bound that `bytes` is kept below.
    pub limit: usize,
}

/// How a task or one of its routes is doing, from best to worst, and what the operator has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Everything that it should copy is in its destination.
    #[default]
    InStep,
    /// It is writing, or waits for a source to settle.
    Syncing,
    /// A guard holds removals.
    Held,
    /// A cluster cannot be read or written.
    Failing,
    /// The operator has paused it.
    Paused,
    /// It has taken back all that it wrote.
    Drained,
    /// It takes back what it wrote.
    Draining,
    /// This version cannot do it.
    Unsupported,
}

impl State {
    /// Each state, from best to worst.
    pub const ALL: [Self; 8] = [
        Self::InStep,
        Self::Syncing,
        Self::Held,
        Self::Failing,
        Self::Paused,
        Self::Drained,
        Self::Draining,
        Self::Unsupported,
    ];

    /// The word in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InStep => "in-step",
            Self::Syncing => "syncing",
            Self::Held => "held",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Drained => "drained",
            Self::Draining => "draining",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A task and how it is doing: the worst state and the sums of its routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Its id, as it stands in marks; survives a change of name.
    pub id: String,
    /// The cluster to copy from, by name.
    pub source: String,
    /// The cluster to copy to, by name.
    pub destination: String,
    /// `Service`, `Config` or `All`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Unidirectional` or `Bidirectional`.
    pub mode: String,
    /// How it is doing.
    pub state: State,
    /// What the operator should know; empty when there is nothing.
    pub reason: String,
    /// The same one by one, with codes for programs.
    #[serde(default)]
    pub causes: Vec<Cause>,
    /// Services in which it holds copies, over both directions.
    pub services: usize,
    /// Copies that it holds, over both directions.
    pub instances: usize,
    /// Config entries that both sides have in common.
    pub entries: usize,
    /// Config entries that both sides have changed, and that wait for the operator.
    pub conflicts: usize,
    /// Differences that are to be written.
    pub pending: usize,
    /// Removals that guards hold.
    pub held: usize,
    /// What of its settings has no effect, or not the whole of it.
    pub warnings: Vec<String>,
    /// Records left alone, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// One for each direction; none while it is drained.
    pub routes: Vec<Route>,
}

/// One direction of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Where it reads, by name.
    pub source: String,
    /// Where it writes, by name.
    pub destination: String,
    /// How it is doing.
    pub state: State,
    /// What the operator should know.
    pub reasons: Vec<String>,
    /// Services in which it holds copies.
    pub services: usize,
    /// Copies that it holds.
    pub instances: usize,
    /// Differences that are to be written.
    pub pending: usize,
    /// Removals that its guard holds.
    pub held: usize,
    /// For how many seconds the guard has been holding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_seconds: Option<u64>,
    /// Records left alone, by reason.
    pub skipped: BTreeMap<String, usize>,
}

/// A service as a cluster holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The cluster's name.
    pub cluster: String,
    /// The namespace's id.
    pub namespace: String,
    /// The group.
    pub group: String,
    /// The service's name.
    pub name: String,
    /// Instances that no mark claims.
    pub native: usize,
    /// Our copies.
    pub copies: usize,
    /// Copies of other installs.
    pub foreign: usize,
    /// What is left alone there, and why.
    pub skipped: Vec<SkippedRecord>,
}

/// A settings file to be applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplyRequest {
    /// The file's name, for problems.
    pub file: String,
    /// The file's text.
    pub text: String,
    /// Also remove clusters and tasks that are not in the file. A task that holds copies is not removed (409); one that is in
    /// the file with the same settings under another name is renamed: it keeps its id and its copies.
    #[serde(default)]
    pub prune: bool,
    /// With `prune`: drain tasks that hold copies, and then remove them.
    #[serde(default)]
    pub drain: bool,
}

/// What a file has changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Of clusters, by name.
    pub clusters: Changes,
    /// Of tasks, by name.
    pub tasks: Changes,
    /// What has no effect, or not the whole of it.
    pub warnings: Vec<Problem>,
}

impl Applied {
    /// Whether nothing is different from before.
    pub fn is_unchanged(&self) -> bool {
        self.clusters.is_unchanged() && self.tasks.is_unchanged()
    }
}

/// Names, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// New.
    pub added: Vec<String>,
    /// There before, and different now.
    pub changed: Vec<String>,
    /// There before, and the same.
    pub unchanged: Vec<String>,
    /// Removed by `prune`.
    pub removed: Vec<String>,
    /// Drained now, and removed when that is done.
    pub draining: Vec<String>,
}

impl Changes {
    /// Whether nothing is different from before.
    pub fn is_unchanged(&self) -> bool {
        [&self.added, &self.changed, &self.removed, &self.draining].iter().all(|names| names.is_empty())
    }
}

/// What a release has let go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// The task's name.
    pub task: String,
    /// How many removals were held.
    pub held: usize,
}

/// What a drain removes, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// The task's name.
    pub task: String,
    /// Nothing was begun: only the list was asked for.
    pub preview: bool,
    /// Every copy that it wrote and that is still there, in both directions. With `theirs`: the copies of the other tool that no
    /// task wants; once it is done, those that were removed.
    pub copies: Vec<Copy>,
    /// The other tool whose copies are removed, and not the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
    /// What of them could not be removed, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<LeftOut>,
    /// The task's state now.
    pub state: State,
}

/// One record that a task wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// Which.
    #[serde(flatten)]
    pub at: RecordRef,
    /// It only backs an identical native record, which stays.
    pub shadow: bool,
}

/// What a deletion has left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    /// The task's name.
    pub task: String,
    /// Copies taken back before it.
    pub drained: usize,
    /// Copies left behind, which are nobody's now.
    pub kept: usize,
}

/// Every failure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// What is wrong.
    pub error: Failure,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// For programs: `invalid-settings` (422), `bad-request` (400), `unauthorized` (401), `forbidden` (403),
    /// `not-found` (404), `conflict` (409), `too-large` (413), `internal` (500), `cluster-unavailable` (502),
    /// `unavailable` (503), `timeout` (504).
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// What is wrong with a settings file, each with its place; warnings too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The same, drawn as text with the lines of the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rendered: String,
}
