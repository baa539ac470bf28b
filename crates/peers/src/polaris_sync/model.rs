//! What the documents of polaris-sync say: of registries (`sync-registry.json`) and of configuration centres (`sync-config.json`).

use causeway_settings::Place;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentSubject {
    /// Registries and gateways.
    Registry,
    /// Configuration centres.
    Configuration,
}

/// A whole document. Names are those of its own form.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncDocument {
    /// What it is about, as its content says.
    pub subject: DocumentSubject,
    /// What is copied from where to where.
    pub tasks: Vec<SyncTask>,
    /// When it is copied, for all tasks.
    pub methods: Vec<Method>,
    /// ProbeRules.
    pub health_check: ProbeRules,
    /// What is reported about the probes and calls.
    pub report: Reporting,
    /// Where `methods` stands, or else the document.
    pub methods_place: Place,
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncTask {
    /// Its name.
    pub name: String,
    /// Whether it counts at all.
    pub enable: bool,
    /// Where it copies from.
    pub source: SyncEnd,
    /// Where it copies to.
    pub destination: SyncEnd,
    /// Which services or groups of configuration.
    pub matches: Vec<Match>,
    /// Where it stands.
    pub place: Place,
    /// Where its name stands.
    pub name_place: Place,
}

/// One end of a task: a registry, a gateway or a configuration centre.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncEnd {
    /// Its name.
    pub name: String,
    /// The word for what it is, as its form defines it; empty: `unknown`, or none is given.
    pub kind: String,
    /// Its servers.
    pub addresses: Vec<Located<String>>,
    /// The token; a secret.
    pub token: String,
    /// The user.
    pub user: String,
    /// The user's password; a secret.
    pub password: String,
    /// A label for reports.
    pub product_name: String,
    /// Where it stands, and its name, its kind, its addresses and its credentials.
    pub places: EndPlaces,
}

/// Where the parts of a [`SyncEnd`] stand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EndPlaces {
    /// The whole.
    pub whole: Place,
    /// `name`.
    pub name: Place,
    /// `type`.
    pub kind: Place,
    /// `addresses`.
    pub addresses: Place,
    /// `token`, or `user`.
    pub login: Place,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// What a task copies.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The namespace.
    pub namespace: String,
    /// The service, or the group of configuration.
    pub name: String,
    /// The named subsets.
    pub groups: Vec<MatchGroup>,
    /// Where it stands, its namespace and its name.
    pub places: [Place; 3],
}

/// A named subset of the instances of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchGroup {
    /// Its name.
    pub name: String,
    /// What an instance's metadata must hold.
    pub metadata: BTreeMap<String, String>,
    /// The upstream of the gateway, where it is not named after the group.
    pub upstream: String,
    /// Where it stands.
    pub place: Place,
}

/// How changes are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodKind {
    /// Not said, which is an error.
    Unknown,
    /// At once.
    Watch,
    /// At an interval.
    Pull,
}

/// One way of noticing changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// Which.
    pub kind: MethodKind,
    /// Whether it is used.
    pub enable: bool,
    /// The interval of `pull`.
    pub interval: Duration,
    /// Where it stands.
    pub place: Place,
}

/// ProbeRules of the clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRules {
    /// Whether clusters are probed.
    pub enable: bool,
    /// How often.
    pub interval: Duration,
}

/// What is reported where.
#[derive(Clone, Debug, PartialEq)]
pub struct Reporting {
    /// How often.
    pub interval: Duration,
    /// Where to.
    pub targets: Vec<ReportTarget>,
}

/// Where reports go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Not said.
    Unknown,
    /// A file of lines.
    File,
    /// The node's own metrics.
    Prometheus,
    /// A monitoring service.
    Balad,
}

/// One place that reports go to.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportTarget {
    /// Which.
    pub kind: TargetKind,
    /// Whether it is used.
    pub enable: bool,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// Where it stands.
    pub place: Place,
}

/// The interval of `pull` where none is given.
pub const PULL: Duration = Duration::from_secs(300);
/// The interval of probes where none is given.
pub const PROBE: Duration = Duration::from_secs(5);
/// The interval of reports where none is given.
pub const REPORT: Duration = Duration::from_secs(60);

impl Default for ProbeRules {
    fn default() -> Self {
        Self { enable: false, interval: PROBE }
    }
}

impl Default for Reporting {
    fn default() -> Self {
        Self { interval: REPORT, targets: Vec::new() }
    }
}

impl SyncDocument {
    /// The tasks that count.
    pub fn enabled(&self) -> impl Iterator<Item = (usize, &SyncTask)> {
        self.tasks.iter().enumerate().filter(|(_, task)| task.enable)
    }

    /// How often changes are copied where they are not watched; `None`: they are watched.
    pub fn pull_only(&self) -> Option<Duration> {
        let on = |kind| self.methods.iter().find(|method| method.enable && method.kind == kind);
        match (on(MethodKind::Watch), on(MethodKind::Pull)) {
            (None, Some(pull)) => Some(pull.interval),
            _ => None,
        }
    }
}
