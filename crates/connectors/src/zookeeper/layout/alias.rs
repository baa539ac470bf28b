//! Another name for the znode of an instance: under it a record of ours backs a native one that has the instance's own name.
//!
//! Consumers of either name call the same address, so that they lose nobody when one of the two goes. The names are told
//! from all that providers write. Dubbo's interface level: the time stamp has five zeros in front, or is five zeros where
//! there is none. (It must be another URL: Dubbo's consumers in Go drop an address when either of two equal URLs goes.) Its
//! application level: the name ends with `~`, since consumers read the payload.

use super::roots::ServiceFolder;
use super::{Layout, Roots, curator, dubbo};

/// What ends the name in Dubbo's application level.
const END: char = '~';
/// As Dubbo escapes what stands before and in a parameter.
const QUERY: &str = "%3F";
const AND: &str = "%26";
const STAMP: &str = "timestamp%3D";
/// What stands before a time stamp.
const ZEROS: &str = "00000";
/// The time stamp of a URL that has none.
const NONE: &str = "timestamp%3D00000";

/// The path of the other name; `None` in layouts whose readers would see two instances.
pub fn alias(roots: &Roots, path: &str, data: &[u8]) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let name = match of(roots, path, data)? {
        Layout::Dubbo => stamped(name),
        _ => format!("{name}{END}"),
    };
    Some(format!("{folder}/{name}"))
}

/// The path of the instance's own name, where `path` is another name.
pub(super) fn plain(roots: &Roots, path: &str, data: &[u8]) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let plain = match roots.position(path)?.folder {
        ServiceFolder::Dubbo { .. } => unstamped(name)?,
        ServiceFolder::Services(_) => name.strip_suffix(END).filter(|name| !name.is_empty())?.to_owned(),
        ServiceFolder::Plain(_) => return None,
    };
    let plain = format!("{folder}/{plain}");
    (alias(roots, &plain, data).as_deref() == Some(path)).then_some(plain)
}

/// The layout, where it is one of those with other names.
fn of(roots: &Roots, path: &str, data: &[u8]) -> Option<Layout> {
    let layout = match roots.position(path)?.folder {
        ServiceFolder::Dubbo { category: dubbo::PROVIDERS, .. } => Layout::Dubbo,
        ServiceFolder::Services(_) if curator::class(data).as_deref() == Some(curator::DUBBO) => Layout::Application,
        _ => return None,
    };
    roots.layouts.contains(&layout).then_some(layout)
}

/// The name with another time stamp.
fn stamped(name: &str) -> String {
    match stamp(name) {
        Some(at) => format!("{}{ZEROS}{}", &name[..at], &name[at..]),
        None => format!("{name}{}{NONE}", if name.contains(QUERY) { AND } else { QUERY }),
    }
}

/// The name without what [`stamped`] has put into it.
fn unstamped(name: &str) -> Option<String> {
    if let Some(plain) = name.strip_suffix(NONE) {
        return plain.strip_suffix(AND).or_else(|| plain.strip_suffix(QUERY)).map(str::to_owned);
    }
    let at = stamp(name)?;
    Some(format!("{}{}", &name[..at], name[at..].strip_prefix(ZEROS)?))
}

/// Where the value of the time stamp begins.
fn stamp(name: &str) -> Option<usize> {
    let found =
        name.match_indices(STAMP).find(|(at, _)| [AND, QUERY].iter().any(|mark| name[..*at].ends_with(mark)))?;
    Some(found.0 + STAMP.len())
}
