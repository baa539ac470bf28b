//! The settings file: MSE Sync's YAML unchanged, and our own optional keys beside it.
//!
//! [`parse`] reads and checks a text and returns [`Settings`], or all [`Problems`] at once, each with its place.
//! [`Settings::to_yaml`] writes it back. [`schema`] and [`page`] describe every key.

mod addresses;
mod check;
mod clusters;
mod duration;
mod env;
mod groups;
mod java;
mod kinds;
mod mask;
mod model;
mod options;
mod page;
mod pattern;
mod problem;
mod read;
mod schema;
mod secret;
mod suggest;
mod tasks;
mod template;
mod tree;
mod values;
mod write;
pub mod yaml;

pub use addresses::{check_address, each};
pub use clusters::LONGEST_NAME;
pub use duration::{format_duration, parse_duration, text as duration_text};
pub use env::{Env, FixedEnv, MAX_REFERRED, ProcessEnv, escape};
pub use kinds::{Block, Kind, KindFacts, Kinds, PairAbility};
pub use mask::is_secret_key;
pub use model::{Cases, Cluster, Grouped, Namespaces, PUBLIC, Settings, Task, TaskMode, TaskType, Tls};
pub use options::{
    ConflictRule, Data, DataAcl, Guard, Marks, MetadataGroup, MetadataRenames, NameCase, Overrides, Policy, Rename,
    Renames, Rule, Selection, TakeOver,
};
pub use page::page;
pub use pattern::{Pattern, PatternError};
pub use problem::{Problem, Problems, Severity};
pub use read::{Draft, Fields, Reader};
pub use schema::schema;
pub use secret::Secret;
pub use template::{TemplatePart, template_parts};
pub use tree::{Key, Node, Place, Scalar, Value};
pub use write::Secrets;

/// The largest file, in bytes.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

const TOP_KEYS: [&str; 2] = ["clusters", "tasks"];

/// Reads and checks a whole file. `file_name` is what problems name; `env` resolves references; `kinds` says what
/// each kind of cluster can do. The error holds all problems, warnings too, in the order of the file.
pub fn parse(file_name: &str, text: &str, env: &dyn Env, kinds: &Kinds) -> Result<Settings, Problems> {
    parse_beside(file_name, text, env, kinds, &[])
}

/// Like [`parse`], with clusters that are known already: tasks may refer to them, and a cluster of the file of the
/// same name replaces one.
pub fn parse_beside(
    file_name: &str,
    text: &str,
    env: &dyn Env,
    kinds: &Kinds,
    known: &[Cluster],
) -> Result<Settings, Problems> {
    let too_large = text.len() > MAX_FILE;
    let text = if too_large { "" } else { text };
    let (settings, warnings) = read::document(file_name, text, env, kinds, tree::MAX_NODES, |reader, root| {
        if too_large {
            let message = format!("the file is larger than {MAX_FILE} bytes");
            reader.report(Draft::error(START, "", message).help("split it into several files"));
            return None;
        }
        root_of(reader, root, known)
    })?;
    Ok(Settings { warnings: warnings.0, ..settings })
}

const START: Place = Place { line: 1, column: 1, start: 0, end: 0 };

fn root_of(reader: &mut Reader<'_>, root: Option<Node>, known: &[Cluster]) -> Option<Settings> {
    let Some(mut root) = root else {
        // Reading it as «nothing is configured» could remove everything.
        reader.report(
            Draft::error(START, "", "the file is empty")
                .expected("the keys `clusters` and `tasks`")
                .help("to say that there is nothing, write `clusters: []` and `tasks: []`"),
        );
        return None;
    };
    reader.resolve(&mut root);
    let fields = reader.fields(&root, "", &TOP_KEYS)?;
    let items = reader.list(&fields, "clusters", "clusters");
    let clusters = clusters::read(reader, &items);
    let items = reader.list(&fields, "tasks", "tasks");
    let mut tasks = tasks::read(reader, &items);
    let named = |name: &str| clusters.iter().any(|cluster| cluster.name == name);
    let mut all = clusters.clone();
    all.extend(known.iter().filter(|cluster| !named(&cluster.name)).cloned());
    check::tasks(reader, &mut tasks, &all);
    if clusters.is_empty() && tasks.is_empty() {
        reader.report(
            Draft::warning(START, "", "there is no cluster and no task in this file")
                .help("describe clusters below `clusters:` and what to copy below `tasks:`"),
        );
    }
    Some(Settings { clusters, tasks: tasks.into_iter().map(|read| read.task).collect(), warnings: Vec::new() })
}

impl From<tree::SyntaxFault> for Draft {
    fn from(fault: tree::SyntaxFault) -> Self {
        let draft = Draft::error(fault.place, "", fault.message);
        match fault.help {
            Some(help) => draft.help(help),
            None => draft,
        }
    }
}
