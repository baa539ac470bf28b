//! How the names of entries stand to each other.

use super::EntryKey;

/// How the names of a kind's entries stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameShape {
    /// Each stands by itself: `/` is a character like any other.
    Flat,
    /// They are paths that begin with `/`: what an entry lies in is an entry, too. The order of keys puts every parent before
    /// its children.
    Tree,
}

impl NameShape {
    /// The entry that this one lies in. `None` at the top: the root itself is nobody's to make or to remove.
    pub fn parent(self, key: &EntryKey) -> Option<EntryKey> {
        let (above, _) = key.name.rsplit_once('/').filter(|(above, _)| self == Self::Tree && !above.is_empty())?;
        Some(EntryKey { name: above.into(), ..key.clone() })
    }

    /// All that this one lies in, the nearest first.
    pub fn above(self, key: &EntryKey) -> impl Iterator<Item = EntryKey> {
        std::iter::successors(self.parent(key), move |key| self.parent(key))
    }

    /// Where the keys of everything below this one begin, and where they have ended; `None`: nothing can lie below it.
    pub fn below(self, key: &EntryKey) -> Option<(EntryKey, EntryKey)> {
        let stem = key.name.strip_suffix('/').unwrap_or(&key.name);
        let named = |name: String| EntryKey { name: name.into(), ..key.clone() };
        // `0` is the character after `/`.
        (self == Self::Tree).then(|| (named(format!("{stem}/")), named(format!("{stem}0"))))
    }

    /// Whether an entry lies below `other`, at any depth.
    pub fn is_below(self, key: &EntryKey, other: &EntryKey) -> bool {
        let rest = key.name.strip_prefix(other.name.strip_suffix('/').unwrap_or(&other.name));
        self == Self::Tree
            && key.namespace == other.namespace
            && key.group == other.group
            && rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_and_what_lies_below() {
        let parent = |path: &str| NameShape::Tree.parent(&EntryKey::path(path)).map(|key| key.name.to_string());
        assert_eq!(parent("/a/b/c"), Some("/a/b".into()));
        assert_eq!((parent("/a"), parent("/"), parent("a.yaml")), (None, None, None));
        assert!(NameShape::Tree.above(&EntryKey::path("/a/b/c")).eq(["/a/b", "/a"].map(EntryKey::path)));
        for (path, above, is) in
            [("/a/b", "/a", true), ("/a/b/c", "/a", true), ("/a", "/", true), ("/ab", "/a", false), ("/a", "/a", false)]
        {
            let (key, above) = (EntryKey::path(path), EntryKey::path(above));
            assert_eq!(NameShape::Tree.is_below(&key, &above), is, "{key} below {above}");
            let (from, to) = NameShape::Tree.below(&above).unwrap();
            assert_eq!((from..to).contains(&key) && key != above, is, "{key} in the range of {above}");
            assert!(!NameShape::Flat.is_below(&key, &above) && NameShape::Flat.below(&above).is_none());
            assert!(NameShape::Flat.parent(&key).is_none());
        }
        assert!(EntryKey::path("/a") < EntryKey::path("/a-b") && EntryKey::path("/a") < EntryKey::path("/a/b"));
    }
}
