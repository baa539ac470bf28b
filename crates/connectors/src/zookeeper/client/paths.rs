//! Paths of nodes.

use super::error::{Result, WireError};

/// Refuses what a server would refuse as a path, before it is sent. Some such requests would end the connection.
pub(super) fn check_path(path: &str) -> Result<()> {
    let wrong = |why: &str| Err(WireError::Rejected(format!("path \"{path}\": {why}")));
    if path == "/" {
        return Ok(());
    }
    let Some(rest) = path.strip_prefix('/') else { return wrong("does not begin with a slash") };
    for part in rest.split('/') {
        match part {
            "" => return wrong("has an empty part"),
            "." | ".." => return wrong("is relative"),
            _ => {}
        }
    }
    let forbidden = |c: char| {
        matches!(u32::from(c), 0x0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff) || u32::from(c) > 0xffff
    };
    if rest.chars().any(forbidden) {
        return wrong("holds a character that ZooKeeper does not take");
    }
    Ok(())
}

/// The path of the parent; `None` for the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

/// The path of a child.
pub(super) fn join(path: &str, name: &str) -> String {
    if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }
}

/// Whether `path` is `root` or lies below it.
pub(crate) fn within(root: &str, path: &str) -> bool {
    root == "/" || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_paths() {
        for fine in ["/", "/a", "/a/b.c", "/服务/...", "/a%2Fb"] {
            assert!(check_path(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "a", "/a/", "//a", "/a//b", "/./a", "/a/..", "/a\u{0}", "/\u{1f600}", "/\u{e000}"] {
            assert!(check_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn walks_paths() {
        assert_eq!(parent("/"), None);
        assert_eq!(parent("/a"), Some("/"));
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("/a", "b"), "/a/b");
        assert!(within("/", "/a") && within("/a", "/a") && within("/a", "/a/b"));
        assert!(!within("/a", "/ab") && !within("/a/b", "/a"));
    }
}
