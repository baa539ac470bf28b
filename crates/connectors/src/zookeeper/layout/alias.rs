//! Another name for the znode of an instance: under it a record of ours backs a native one that has the instance's own name.
//!
//! Dubbo's consumers make equal URLs, or equal addresses, of both, and see one provider; so they do not see the end of
//! either. Its interface level: one letter or digit of the escaped URL is escaped, too, which nobody else does. Its
//! application level: the name with `~`, since consumers read the payload.

use super::roots::Place;
use super::{Layout, Roots, curator, dubbo};

/// What ends the name in Dubbo's application level.
const END: char = '~';

/// The path of the other name; `None` in layouts whose readers would see two instances.
pub fn alias(roots: &Roots, path: &str, data: &[u8]) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let name = match of(roots, path, data)? {
        Layout::Dubbo => escaped(name)?,
        _ => format!("{name}{END}"),
    };
    Some(format!("{folder}/{name}"))
}

/// The path of the instance's own name, where `path` is another name.
pub(super) fn plain(roots: &Roots, path: &str, data: &[u8]) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let plain = match roots.place(path)? {
        Place::Dubbo { .. } => unescaped(name)?,
        Place::Services { .. } => name.strip_suffix(END).filter(|name| !name.is_empty())?.to_owned(),
        Place::Plain { .. } => return None,
    };
    let plain = format!("{folder}/{plain}");
    (alias(roots, &plain, data).as_deref() == Some(path)).then_some(plain)
}

/// The layout, where it is one of those with other names.
fn of(roots: &Roots, path: &str, data: &[u8]) -> Option<Layout> {
    let layout = match roots.place(path)? {
        Place::Dubbo { category: dubbo::PROVIDERS, .. } => Layout::Dubbo,
        Place::Services { .. } if curator::class(data).as_deref() == Some(curator::DUBBO) => Layout::Application,
        _ => return None,
    };
    roots.layouts.contains(&layout).then_some(layout)
}

/// The name with its last letter or digit escaped.
fn escaped(name: &str) -> Option<String> {
    let (at, c) = letters(name).last()?;
    Some(format!("{}%{:02X}{}", &name[..at], u32::from(c), &name[at + 1..]))
}

/// The name with the last escaped letter or digit as it is.
fn unescaped(name: &str) -> Option<String> {
    let code = |at: usize| u8::from_str_radix(name.get(at + 1..at + 3)?, 16).ok().map(char::from);
    let at = name.rmatch_indices('%').map(|found| found.0).find(|&at| code(at).is_some_and(is_plain))?;
    Some(format!("{}{}{}", &name[..at], code(at)?, &name[at + 3..]))
}

/// Letters and digits that stand for themselves, and where.
fn letters(name: &str) -> impl Iterator<Item = (usize, char)> {
    let mut escape = 0;
    name.char_indices().filter(move |(at, c)| {
        if *c == '%' {
            escape = at + 3;
        }
        *at >= escape && is_plain(*c)
    })
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric()
}
