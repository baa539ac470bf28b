//! What the operator should know of a task as it stands: codes with arguments, and their words.

use causeway_core::{Aside, EntrySkip, HoldReason, Part, SkipKind, Undecided};
use serde::Serialize;
use std::fmt::{self, Display};
use std::sync::Arc;

/// What the operator should know of a task. Serialized as an object: `code`, which names the variant, and the arguments beside
/// it. What a cluster said is an argument, `text`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Notice {
    /// A guard holds removals of instances.
    Held { count: usize, why: HoldReason },
    /// A guard holds removals of config entries.
    EntriesHeld { cluster: Arc<str>, count: usize, why: HoldReason },
    /// Config entries wait for the operator's decision.
    Conflicts { count: usize },
    /// Work inside the engine panicked and is being restarted.
    Crashed(Crash),
    /// A cluster, or something in it, cannot be read or written.
    ClusterFails { cluster: Arc<str>, text: String },
    /// A namespace cannot be read.
    NamespaceFails { cluster: Arc<str>, namespace: Part, text: String },
    /// A task that copies what exists now cannot tell what that is.
    NotFrozen { cluster: Arc<str>, text: String },
    /// A namespace is served and not listed: its services are copied all the same.
    NotListed { cluster: Arc<str>, namespace: String },
    /// The task names a namespace that there is not.
    NoNamespace { cluster: Arc<str>, namespace: String },
    /// The task names several namespaces at once.
    AmbiguousNamespace { cluster: Arc<str>, namespace: String, count: usize },
    /// There is nothing to copy.
    NoInstances { cluster: Arc<str>, namespaces: Vec<Part> },
    /// The task's filters take nothing of what there is.
    NoMatch { cluster: Arc<str>, namespaces: Vec<Part>, count: usize },
    /// Services of the source that differ in nothing but case are one in the destination. `count`: of how many there it is so.
    OneByCase { source: Arc<str>, destination: Arc<str>, services: Vec<Arc<str>>, service: Arc<str>, count: usize },
    /// The destination has another service whose name differs from ours in nothing but case. `count`: how many of ours have one.
    BesideByCase { cluster: Arc<str>, service: Arc<str>, other: Arc<str>, count: usize },
    /// Copies of the tool that the task takes over from stand in the destination, and identical ones of ours with them.
    Backs { cluster: Arc<str>, tool: Arc<str>, count: usize },
    /// Copies of the tool that the task takes over from stand in the destination, and no task wants them. `records`: some of them.
    LeftBehind { cluster: Arc<str>, tool: Arc<str>, count: usize, records: Vec<String> },
    /// The destination cannot be written.
    ReadOnly { cluster: Arc<str> },
    /// A source has not been read whole yet, and nothing else is to be done.
    NotRead,
    /// The task has been drained.
    HasDrained,
    /// The task goes once it is drained.
    Leaves,
    /// The task's settings cannot be used.
    Unusable { text: String },
}

impl Notice {
    /// The cluster that does not work, by name, and what is wrong with it.
    pub fn with_cluster(&self) -> Option<(&str, String)> {
        match self {
            Self::ClusterFails { cluster, text } => Some((cluster, text.clone())),
            Self::NamespaceFails { cluster, namespace, text } => {
                Some((cluster, format!("namespace {namespace}: {text}")))
            }
            Self::NotFrozen { cluster, text } => {
                Some((cluster, format!("the list of the services that exist now cannot be made yet: {text}")))
            }
            _ => None,
        }
    }
}

impl Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { count, why } => write!(f, "{count} removals held: {why}"),
            Self::EntriesHeld { cluster, count, why } => write!(f, "{count} removals from {cluster} held: {why}"),
            Self::Conflicts { count } => write!(f, "{count} conflicts wait for the operator"),
            Self::Crashed(crash) => crash.fmt(f),
            Self::Unusable { text } => f.write_str(text),
            Self::ClusterFails { .. } | Self::NamespaceFails { .. } | Self::NotFrozen { .. } => {
                let (cluster, what) = self.with_cluster().unwrap_or_default();
                write!(f, "{cluster}: {what}")
            }
            Self::NotListed { cluster, namespace } => write!(
                f,
                "{cluster} does not list namespace {namespace}: nobody has created it there, but services stand in it, and they \
                 are copied"
            ),
            Self::NoNamespace { cluster, namespace } => {
                write!(f, "{cluster} has no namespace {namespace}: it is neither an id nor a name there")
            }
            Self::AmbiguousNamespace { cluster, namespace, count } => {
                write!(f, "{cluster} has {count} namespaces called {namespace}: give the id instead of the name")
            }
            Self::NoInstances { cluster, namespaces } => {
                write!(f, "{cluster} has no service with instances in {}", names(namespaces))
            }
            Self::NoMatch { cluster, namespaces, count } => {
                write!(f, "none of the {count} services of {cluster} in {} matches the task", names(namespaces))
            }
            Self::OneByCase { source, destination, services, service, count } => write!(
                f,
                "{} of {source} differ only in case, and are one service in {destination}: {service}, with the instances of \
                 all{}",
                services.join(", "),
                more(*count)
            ),
            Self::BesideByCase { cluster, service, other, count } => write!(
                f,
                "{cluster} has a service {other} beside {service}, to which we copy: names differ there by case, and who asks \
                 for one does not see the other's instances{}",
                more(*count)
            ),
            Self::Backs { cluster, tool, count } => write!(
                f,
                "{count} copies of {tool} stand in {cluster}, each with an identical one of ours: {tool} can be stopped"
            ),
            Self::LeftBehind { cluster, tool, count, records } => {
                let more = count.saturating_sub(records.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                write!(
                    f,
                    "{count} copies of {tool} in {cluster} are wanted by no task: {}{more}; `causeway drain --theirs` removes them",
                    records.join(", ")
                )
            }
            Self::ReadOnly { cluster } => write!(f, "{cluster} can only be read"),
            Self::NotRead => f.write_str("nothing is to be written; a source has not been read whole yet"),
            Self::HasDrained => f.write_str("it has taken back what it wrote; resume it to copy again"),
            Self::Leaves => f.write_str("it is removed when it has taken back what it wrote"),
        }
    }
}

/// That there are more than the one that is named.
fn more(count: usize) -> String {
    if count > 1 { format!(" (and {} more such)", count - 1) } else { String::new() }
}

fn names(parts: &[Part]) -> String {
    let names: Vec<_> = parts.iter().take(3).map(Part::to_string).collect();
    match parts.len() > 3 {
        true => format!("{} and {} more namespaces", names.join(", "), parts.len() - 3),
        false => names.join(", "),
    }
}

/// Work inside the engine that panicked and is being restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Crash {
    /// Which.
    #[serde(flatten)]
    pub work: EngineWork,
    /// The message of the panic.
    pub panic: String,
}

/// Work inside the engine that never ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "work", rename_all = "kebab-case")]
pub enum EngineWork {
    /// Watching the guards of all routes.
    Guards,
    /// Reading a cluster.
    Reading { cluster: Arc<str> },
    /// Writing a cluster.
    Writing { cluster: Arc<str> },
    /// Comparing what the servers of a cluster list.
    Comparing { cluster: Arc<str> },
    /// Syncing the config entries of a task.
    Entries { task: Arc<str> },
}

impl EngineWork {
    /// Its word in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Guards => "guards",
            Self::Reading { .. } => "reading",
            Self::Writing { .. } => "writing",
            Self::Comparing { .. } => "comparing",
            Self::Entries { .. } => "entries",
        }
    }

    /// The cluster that it works on, by name; empty where it is none.
    pub fn cluster(&self) -> &str {
        match self {
            Self::Reading { cluster } | Self::Writing { cluster } | Self::Comparing { cluster } => cluster,
            Self::Guards | Self::Entries { .. } => "",
        }
    }

    /// The task that it works for, by name; empty where it is none.
    pub fn task(&self) -> &str {
        match self {
            Self::Entries { task } => task,
            _ => "",
        }
    }
}

impl Display for EngineWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guards => f.write_str("watching the guards"),
            Self::Reading { cluster } => write!(f, "reading {cluster}"),
            Self::Writing { cluster } => write!(f, "writing {cluster}"),
            Self::Comparing { cluster } => write!(f, "comparing the servers of {cluster}"),
            Self::Entries { task } => write!(f, "syncing the config entries of task {task}"),
        }
    }
}

impl Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, panic } = self;
        write!(f, "{work} failed because of a bug in Causeway and is being restarted: {panic}")
    }
}

/// Why records or entries are left alone, as they are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftAlone {
    /// Instances.
    Instance(SkipKind),
    /// What stands where instances do, and is none.
    Unreadable,
    /// Config entries; never [`EntrySkip::Undecided`].
    Entry(EntrySkip),
    /// Config entries of which no filter decides whether they take part.
    Undecided,
    /// What a cluster lists among its config entries, and is left out on purpose.
    Aside(Aside),
    /// Config entries that a cluster does not allow us to write.
    Denied { cluster: Arc<str> },
}

impl From<EntrySkip> for LeftAlone {
    fn from(skip: EntrySkip) -> Self {
        match skip {
            EntrySkip::Undecided(_) => Self::Undecided,
            skip => Self::Entry(skip),
        }
    }
}

impl LeftAlone {
    /// One of each beside those of instances, with empty arguments.
    pub fn others() -> impl Iterator<Item = Self> {
        let why = String::new();
        let entries = [
            EntrySkip::Foreign,
            EntrySkip::Overridden,
            EntrySkip::Kept,
            EntrySkip::Mode,
            EntrySkip::Conflict,
            EntrySkip::Occupied,
            EntrySkip::Rejected { why: why.clone() },
            EntrySkip::Blocked { why },
        ];
        let asides = [Aside::Ephemeral, Aside::Numbered, Aside::Services, Aside::NoPlace];
        let denied = Self::Denied { cluster: "the cluster".into() };
        let some = [Self::Unreadable, Self::Undecided, denied];
        some.into_iter().chain(entries.map(Self::Entry)).chain(asides.map(Self::Aside))
    }

    /// Its code, for programs: one of a few dozen, whatever a cluster says.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Instance(kind) => kind.code(),
            Self::Unreadable => "unreadable",
            Self::Entry(skip) => skip.code(),
            Self::Undecided => "entry-undecided",
            Self::Aside(Aside::Ephemeral) => "entry-ephemeral",
            Self::Aside(Aside::Numbered) => "entry-numbered",
            Self::Aside(Aside::Services) => "entry-services",
            Self::Aside(Aside::NoPlace) => "entry-no-place",
            Self::Denied { .. } => "entry-denied",
        }
    }
}

impl Display for LeftAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(kind) => kind.fmt(f),
            Self::Unreadable => f.write_str("it cannot be read as an instance"),
            Self::Entry(skip) => skip.fmt(f),
            Self::Undecided => f.write_str(Undecided::KIND),
            Self::Aside(aside) => aside.fmt(f),
            Self::Denied { cluster } => write!(f, "{cluster} does not allow it"),
        }
    }
}
