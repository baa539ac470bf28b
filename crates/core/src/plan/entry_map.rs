//! Names of entries between kinds that name them otherwise: `namespace/group/name`, a path, a key.

use crate::model::{EntryKey, Part};
use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::sync::Arc;

/// Why an entry has no name on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// It is none of those that are named at all, such as a folder.
    Outside,
    /// What is in the way, in words.
    Because(String),
}

/// How the entries of one kind are called by another. Pure: the same answer to the same question, always.
pub trait EntryNames: Debug + Send + Sync {
    /// The other kind's name of an entry.
    fn to(&self, own: &EntryKey) -> Result<EntryKey, NoPlace>;
    /// The entry that has this name there.
    fn back(&self, shown: &EntryKey) -> Result<EntryKey, NoPlace>;
}

/// Shows parts of a cluster as one part of another kind, entry by entry: each has one name there, and each name is of one
/// entry.
#[derive(Clone, Debug)]
pub struct EntryMap {
    own: BTreeSet<Part>,
    shown: Part,
    names: Arc<dyn EntryNames>,
}

impl EntryMap {
    /// Shows `own` as `shown`, each entry as `names` calls it.
    pub fn new(own: BTreeSet<Part>, shown: Part, names: impl EntryNames + 'static) -> Self {
        Self { own, shown, names: Arc::new(names) }
    }

    /// The cluster's parts that are shown.
    pub fn own(&self) -> &BTreeSet<Part> {
        &self.own
    }

    /// What they are shown as.
    pub fn shown(&self) -> &Part {
        &self.shown
    }

    /// The name that an entry is shown under. An error names both entries where another one has that name.
    pub fn to(&self, own: &EntryKey) -> Result<EntryKey, NoPlace> {
        if !self.within(own) {
            return Err(NoPlace::Outside);
        }
        let shown = self.names.to(own)?;
        let fits = shown.part() == self.shown;
        self.same(own, &shown, self.names.back(&shown).ok().filter(|_| fits))?;
        Ok(shown)
    }

    /// The entry that is shown under this name. An error names both names where that entry has another one.
    pub fn back(&self, shown: &EntryKey) -> Result<EntryKey, NoPlace> {
        if shown.part() != self.shown {
            return Err(NoPlace::Outside);
        }
        let own = self.names.back(shown)?;
        let fits = self.within(&own);
        self.same(shown, &own, self.names.to(&own).ok().filter(|_| fits))?;
        Ok(own)
    }

    fn within(&self, own: &EntryKey) -> bool {
        self.own.contains(&own.part())
    }

    fn same(&self, key: &EntryKey, there: &EntryKey, again: Option<EntryKey>) -> Result<(), NoPlace> {
        match again {
            Some(again) if again == *key => Ok(()),
            Some(other) => Err(NoPlace::Because(format!("{key} would be {there} there, as {other} is"))),
            None => {
                Err(NoPlace::Because(format!("{key} would be {there} there, which is no name that can be read back")))
            }
        }
    }
}

/// Entries named by namespace, group and name, as nodes of a tree: `/root/namespace/group/name`. What a node's name cannot
/// hold is escaped by `%` and two hexadecimal digits; `%` alone stands for an empty text.
#[derive(Clone, Debug)]
pub struct NodesBelow {
    /// Such as `/config`, or empty.
    pub root: String,
}

impl EntryNames for NodesBelow {
    fn to(&self, own: &EntryKey) -> Result<EntryKey, NoPlace> {
        let mut path = self.root.clone();
        for text in [&own.namespace, &own.group, &own.name] {
            path.push('/');
            escape(text, &mut path);
        }
        Ok(EntryKey::path(&path))
    }

    fn back(&self, shown: &EntryKey) -> Result<EntryKey, NoPlace> {
        let below = shown.name.strip_prefix(self.root.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let names: Vec<_> = below.ok_or(NoPlace::Outside)?.split('/').collect();
        let [namespace, group, name] = names.as_slice() else {
            let because = || format!("{} has no name of its own there: it lies below {}", shown, names[..3].join("/"));
            return Err(if names.len() < 3 { NoPlace::Outside } else { NoPlace::Because(because()) });
        };
        match [namespace, group, name].map(|name| unescape(name)) {
            [Some(namespace), Some(group), Some(name)] => Ok(EntryKey::new(&namespace, &group, &name)),
            _ => Err(NoPlace::Because(format!("{shown} is not escaped as Causeway does it"))),
        }
    }
}

fn escape(text: &str, into: &mut String) {
    if text.is_empty() {
        into.push('%');
    }
    let dots = text.bytes().all(|byte| byte == b'.');
    for c in text.chars() {
        match c {
            '.' if !dots => into.push(c),
            '/' | '%' | '.' => escape_char(c, into),
            c if c.is_control() => escape_char(c, into),
            c => into.push(c),
        }
    }
}

fn escape_char(c: char, into: &mut String) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a text cannot fail.
        write!(into, "%{byte:02X}").unwrap_or_default();
    }
}

fn unescape(name: &str) -> Option<String> {
    if name == "%" {
        return Some(String::new());
    }
    let mut parts = name.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map() -> EntryMap {
        let own = ["public", "dev"].map(Part::new).into();
        EntryMap::new(own, Part::new("public"), NodesBelow { root: "/config".into() })
    }

    #[test]
    fn names_and_what_has_none() {
        let map = map();
        for (own, shown) in [
            (EntryKey::new("dev", "g", "a.yaml"), "/config/dev/g/a.yaml"),
            (EntryKey::new("public", "", "a/b"), "/config/public/%/a%2Fb"),
            (EntryKey::new("public", "..", "100%"), "/config/public/%2E%2E/100%25"),
        ] {
            let shown = EntryKey::path(shown);
            assert_eq!((map.to(&own), map.back(&shown)), (Ok(shown.clone()), Ok(own)));
        }
        assert_eq!(map.to(&EntryKey::new("prod", "g", "a")), Err(NoPlace::Outside));
        for folder in ["/", "/config", "/config/dev", "/config/dev/g", "/configs/dev/g/a"] {
            assert_eq!(map.back(&EntryKey::path(folder)), Err(NoPlace::Outside), "{folder}");
        }
        for (path, words) in [
            ("/config/dev/g/a/b", "lies below dev/g/a"),
            ("/config/dev/g/%41", "would be dev/g/A there, as /config/dev/g/A is"),
            ("/config/dev/g/%2", "is not escaped"),
            ("/config/prod/g/a", "no name that can be read back"),
        ] {
            let answer = map.back(&EntryKey::path(path));
            assert!(matches!(&answer, Err(NoPlace::Because(why)) if why.contains(words)), "{answer:?}");
        }
    }

    #[test]
    fn of_two_that_would_have_one_name_both_are_named() {
        #[derive(Debug)]
        struct Lower;
        impl EntryNames for Lower {
            fn to(&self, own: &EntryKey) -> Result<EntryKey, NoPlace> {
                Ok(EntryKey::new("public", &own.group, &own.name.to_lowercase()))
            }
            fn back(&self, shown: &EntryKey) -> Result<EntryKey, NoPlace> {
                Ok(shown.clone())
            }
        }
        let map = EntryMap::new([Part::new("public")].into(), Part::new("public"), Lower);
        assert!(map.to(&EntryKey::new("public", "g", "a")).is_ok());
        let answer = map.to(&EntryKey::new("public", "g", "A"));
        let both = "public/g/A would be public/g/a there, as public/g/a is";
        assert_eq!(answer, Err(NoPlace::Because(both.into())));
    }

    proptest! {
        #[test]
        fn every_entry_has_one_name(group in any::<String>(), name in any::<String>()) {
            let own = EntryKey::new("dev", &group, &name);
            let shown = map().to(&own).unwrap();
            prop_assert_eq!(shown.name.split('/').filter(|name| !name.is_empty() && *name != ".").count(), 4);
            prop_assert_eq!(map().back(&shown), Ok(own));
        }
    }
}
