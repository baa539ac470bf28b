//! Between znodes and records, for each way in which services stand in a tree. Pure.
//!
//! | layout | znode | service | what a copy elsewhere shows |
//! | --- | --- | --- | --- |
//! | Dubbo | `/dubbo/<interface>/<category>/<URL>` | `<category>:<interface>:<version>:<group>`, as Dubbo names it in flat registries | host, port; all parameters, `protocol`, `path`, `category`, `interface` as metadata; `weight` 100 as weight 1; `enabled` |
//! | Application | `/services/<name>/<host>:<port>` | `<name>` | host, port; the payload's metadata |
//! | Spring | `/services/<name>/<id>` | `<name>` | host, port (`sslPort`, with `secure`: `true`, before `port`); the payload's metadata; `instance_status` `OUT_OF_SERVICE` as disabled, others than `UP` as unhealthy |
//! | Curator | the same, any other class | `<name>` | host, port; the payload, where it holds only text, as metadata; `enabled` |
//! | Plain | `<root>/<name>/<any>` | `<name>`, which may hold `/`; `/` right below the root | host, port |
//!
//! Every service is in the namespace `public` and the group `DEFAULT_GROUP`. What a copy elsewhere cannot show stands in
//! the record's payload, so that whatever [`read`] takes, [`write()`] makes again byte for byte. A slot is a hash of the
//! znode's name.
//!
//! What no znode holds: slots and payloads of other kinds; both *disabled* and *unhealthy* (one word says either); weights
//! but in Dubbo's layout, there in steps of 0.01, and 0, which is disabled elsewhere; a `&` in a parameter (`%26`), an `=` in its key (`%3D`), parameters
//! without a key. Application and Plain cannot say that an instance takes no calls: it is refused. A new znode of Spring's
//! or Curator's says 0 for its time of registration, and an Application's its `timestamp`: copies are always the same.

mod alias;
mod curator;
mod dubbo;
mod escape;
mod json;
mod plain;
mod roots;
mod service_name;
#[cfg(test)]
mod tests;
mod words;

pub use alias::alias;
pub use roots::Roots;

use causeway_core::{Instance, Payload, ServiceKey};
use roots::{Position, ServiceFolder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use words::{ACCESS, NULL, ROOT, Words};

/// The kind in payloads, as in the settings.
pub(super) const KIND: &str = "zookeeper";
/// The one namespace.
pub(super) const PUBLIC: &str = "public";
/// The one group.
pub(super) const GROUP: &str = "DEFAULT_GROUP";

/// A way in which services stand in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Layout {
    /// Dubbo's interfaces: `/dubbo/<interface>/providers/<url>`.
    Dubbo,
    /// Dubbo's applications: `/services/<application>/<ip:port>`, with mapping and metadata.
    Application,
    /// Spring Cloud's services: `/services/<name>/<uuid>`.
    Spring,
    /// Other payloads of Curator's service discovery.
    Curator,
    /// Trees of ephemeral nodes.
    Plain,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Dubbo, Self::Application, Self::Spring, Self::Curator, Self::Plain];

    /// Its name in the settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dubbo => "dubbo",
            Self::Application => "application",
            Self::Spring => "spring",
            Self::Curator => "curator",
            Self::Plain => "plain",
        }
    }

    /// Its letter in payloads, another one for each.
    fn code(self) -> char {
        char::from(self.word().as_bytes()[0])
    }
}

/// An instance as a znode says it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadInstance {
    /// Its service.
    pub scope: ServiceKey,
    /// What it is.
    pub instance: Instance,
    /// The path of the instance's own name, where this znode has another one ([`alias()`]).
    pub alias_of: Option<String>,
}

/// A znode that holds an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct NewZnode {
    /// Its path below the chroot.
    pub path: String,
    /// Its data.
    pub data: Vec<u8>,
    /// Whether it goes with its session.
    pub ephemeral: bool,
}

/// Reads a znode as an instance: `None` where it is not for us to read (an inner node, a layout that is not selected),
/// an error where it should be one and why it is not. [`write()`] makes of the record the same znode again; of one with
/// another name, that with its own.
pub fn read(roots: &Roots, path: &str, data: &[u8], ephemeral: bool) -> Result<Option<ReadInstance>, String> {
    let plain = alias::plain(roots, path, data);
    let read = read_plain(roots, plain.as_deref().unwrap_or(path), data, ephemeral)?;
    Ok(read.map(|(scope, instance)| ReadInstance { scope, instance, alias_of: plain }))
}

fn read_plain(
    roots: &Roots,
    path: &str,
    data: &[u8],
    ephemeral: bool,
) -> Result<Option<(ServiceKey, Instance)>, String> {
    let Some((layout, scope, mut instance)) = said(roots, path, data, ephemeral)? else { return Ok(None) };
    let Some(Position { root, folder, name }) = roots.position(path) else { return Ok(None) };
    let is_first = roots.of(layout).next() == Some(root);
    // Below another root the same name may stand once more.
    let slot = xxhash_rust::xxh3::xxh3_64(if is_first { name } else { path }.as_bytes());
    instance.id.slot = format!("{:08x}", slot >> 32).into();
    for last in [false, true] {
        let words = match (folder, last) {
            (ServiceFolder::Dubbo { interface, .. }, false) => dubbo::words(&scope, &instance, interface, name, data),
            (ServiceFolder::Dubbo { interface, .. }, true) => dubbo::whole(&scope, &instance, interface, name, data),
            (ServiceFolder::Services(service), false) => curator::words(layout, service, &instance, name, data),
            (ServiceFolder::Services(_), true) => Some(curator::whole(layout, &instance, name, data)),
            (ServiceFolder::Plain(_), false) => Some(plain::words(&instance, name, data)),
            (ServiceFolder::Plain(_), true) => None,
        };
        let Some(mut words) = words else { continue };
        if !is_first {
            words.push(ROOT, root);
        }
        let text = words.encode();
        let again = Words::decode(&text).and_then(|words| make(roots, &scope, &instance, &words).ok());
        if again.is_some_and(|node| node.path == path && node.data == data) {
            instance.payload = Some(Payload { kind: KIND.into(), text: text.into() });
            return Ok(Some((scope, instance)));
        }
    }
    Err("it could not be made again byte for byte".to_owned())
}

/// Makes the znode of a record, or says why ZooKeeper cannot hold it. A record that was read from ZooKeeper becomes the
/// same znode again, but for what was edited since; any other becomes the canonical one, always the same. What
/// [`read`] then makes of it is the record as this kind holds it.
pub fn write(roots: &Roots, scope: &ServiceKey, record: &Instance) -> Result<NewZnode, String> {
    if (&*scope.namespace, &*scope.group) != (PUBLIC, GROUP) {
        let (namespace, group) = (&scope.namespace, &scope.group);
        return Err(format!(
            "would merge {namespace}/{group} and {PUBLIC}/{GROUP}: ZooKeeper has no namespaces and groups; map them"
        ));
    }
    if !record.weight.is_finite() || record.weight < 0.0 {
        return Err(format!("{} is no weight", record.weight));
    }
    let words = words_of(record).unwrap_or_else(|| {
        Words::new(if service_name::is_service_name(&scope.name, &record.metadata) {
            Layout::Dubbo
        } else if record.metadata.contains_key("dubbo.metadata.revision") {
            Layout::Application
        } else {
            roots.new
        })
    });
    let bare = words.bare();
    if bare == words {
        let node = make(roots, scope, record, &words)?;
        return check(roots, scope, &words, &node).map(|()| node);
    }
    let made = build(roots, scope, record, &words);
    if made.as_ref().is_ok_and(|(_, instance)| agree(instance, record)) {
        return made.map(|made| made.0);
    }
    // It was edited since, or is not held in full: the words hold where they say nothing else than the record does.
    let plain = build(roots, scope, record, &bare)?;
    Ok(made.ok().filter(|made| agree(&made.1, &plain.1)).unwrap_or(plain).0)
}

/// The record that [`read`] made of a znode, with the text of its access list.
pub fn with_access(instance: Instance, text: &str) -> Instance {
    with_word(instance, ACCESS, text)
}

/// The record that [`read`] made of a znode with empty data, if that has no data at all.
pub fn without_data(instance: Instance) -> Instance {
    with_word(instance, NULL, "")
}

/// Whether the znode that a record came from has no data at all. Says nothing of a znode that has some.
pub fn has_no_data(record: &Instance) -> bool {
    words_of(record).is_some_and(|words| words.get(NULL).is_some())
}

fn words_of(record: &Instance) -> Option<Words> {
    let native = record.payload.as_ref().filter(|payload| &*payload.kind == KIND)?;
    Words::decode(&native.text)
}

fn with_word(mut instance: Instance, item: char, value: &str) -> Instance {
    if let Some(payload) = instance.payload.as_mut()
        && let Some(mut words) = Words::decode(&payload.text)
    {
        words.push(item, value);
        payload.text = words.encode().into();
    }
    instance
}

/// The access list of the znode that a record came from; `None` where it came from none, or from one that is open to all.
pub fn access(record: &Instance) -> Option<String> {
    words_of(record)?.get(ACCESS).map(str::to_owned)
}

/// The class of a znode's payload below a root of Curator's service discovery: `None` where it has no payload, empty
/// where that names no class. A lookup of Spring Cloud's, Dubbo's or Curator's fails for the whole service when one
/// payload there has another class than its own: never put a second class into a service.
pub fn class(roots: &Roots, path: &str, data: &[u8]) -> Option<String> {
    match roots.position(path)?.folder {
        ServiceFolder::Services(_) => curator::class(data),
        _ => None,
    }
}

/// The znode that a record and its words make, and what it says. What cannot be read back must not be written: it might
/// hide its siblings.
fn build(roots: &Roots, scope: &ServiceKey, record: &Instance, words: &Words) -> Result<(NewZnode, Instance), String> {
    let node = make(roots, scope, record, words)?;
    match said(roots, &node.path, &node.data, node.ephemeral)? {
        Some((layout, there, instance)) if layout == words.layout && there == *scope => Ok((node, instance)),
        _ => Err(elsewhere(scope, &node)),
    }
}

/// Whether a znode can be read back as [`build`] asks for, without the record that it says.
fn check(roots: &Roots, scope: &ServiceKey, words: &Words, node: &NewZnode) -> Result<(), String> {
    let (layout, there) = match roots.position(&node.path) {
        Some(Position { folder: ServiceFolder::Dubbo { interface, category }, name, .. })
            if roots.layouts.contains(&Layout::Dubbo) =>
        {
            (Layout::Dubbo, service(&dubbo::service_said(interface, category, name)?))
        }
        _ => match said(roots, &node.path, &node.data, node.ephemeral)? {
            Some((layout, there, _)) => (layout, there),
            None => return Err(elsewhere(scope, node)),
        },
    };
    (layout == words.layout && there == *scope).then_some(()).ok_or_else(|| elsewhere(scope, node))
}

fn elsewhere(scope: &ServiceKey, node: &NewZnode) -> String {
    format!("{:?} would not be read as an instance of {:?}", node.path, scope.name)
}

/// The znode that a record and its words make.
fn make(roots: &Roots, scope: &ServiceKey, record: &Instance, words: &Words) -> Result<NewZnode, String> {
    let layout = words.layout;
    if !roots.layouts.contains(&layout) {
        return Err(format!("the layout {layout:?} is not selected"));
    }
    let root = match words.get(ROOT) {
        Some(root) => roots.of(layout).find(|one| *one == root),
        None => roots.of(layout).next(),
    };
    let root = root.ok_or_else(|| format!("there is no such root for the layout {layout:?}"))?;
    let (path, data) = match layout {
        Layout::Dubbo => dubbo::build(&scope.name, record, words)?,
        Layout::Application | Layout::Spring | Layout::Curator => curator::build(&scope.name, record, words)?,
        Layout::Plain => plain::build(&scope.name, record, words)?,
    };
    let path = format!("{root}{path}");
    if path.split('/').skip(1).any(|part| part.is_empty() || part == "." || part == "..") || has_odd(&path) {
        return Err(format!("{path:?} is no path of ZooKeeper's"));
    }
    Ok(NewZnode { path, data, ephemeral: record.ephemeral })
}

/// What a znode says, without what only its words hold.
fn said(
    roots: &Roots,
    path: &str,
    data: &[u8],
    ephemeral: bool,
) -> Result<Option<(Layout, ServiceKey, Instance)>, String> {
    let Some(Position { folder, name, .. }) = roots.position(path) else { return Ok(None) };
    let said = match folder {
        ServiceFolder::Dubbo { interface, category } => {
            let (scope, instance) = dubbo::said(interface, category, name, ephemeral)?;
            (Layout::Dubbo, scope, instance)
        }
        // A service's name may hold `/`: then there are inner nodes on the way, empty or with Curator's default data.
        ServiceFolder::Services(_) if !ephemeral && !data.trim_ascii_start().starts_with(b"{") => return Ok(None),
        ServiceFolder::Services(service) => curator::said(service, data, ephemeral)?,
        ServiceFolder::Plain(_) if !ephemeral => return Ok(None),
        ServiceFolder::Plain(service) => {
            let (scope, instance) = plain::said(service, name, data)?;
            (Layout::Plain, scope, instance)
        }
    };
    Ok(Some(said).filter(|said| roots.layouts.contains(&said.0)))
}

/// Whether two records say the same, apart from slots, payloads and marks.
fn agree(left: &Instance, right: &Instance) -> bool {
    let plain = |one: &Instance| (one.weight, one.enabled, one.healthy, one.ephemeral);
    left.id.endpoint == right.id.endpoint && plain(left) == plain(right) && left.metadata == right.metadata
}

/// Whether anybody is to call it: a weight of 0 says so, too, where there are no weights.
fn takes_calls(instance: &Instance) -> bool {
    instance.enabled && instance.healthy && instance.weight > 0.0
}

fn service(name: &str) -> ServiceKey {
    // There may be a million keys: they share these two.
    static WORDS: LazyLock<[Arc<str>; 2]> = LazyLock::new(|| [PUBLIC.into(), GROUP.into()]);
    let [namespace, group] = WORDS.clone();
    ServiceKey { namespace, group, name: name.into() }
}

/// Whether a path holds what the server takes in none.
fn has_odd(path: &str) -> bool {
    match path.is_ascii() {
        true => path.bytes().any(|byte| byte.is_ascii_control()),
        false => path.contains(is_odd),
    }
}

/// What the server takes in no path. Whatever does not fit into 16 bits it sees as two of the characters that it refuses.
fn is_odd(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}
