//! How names of a document become names of ours: namespaces, groups in services' names, patterns.

use causeway_settings::PUBLIC;

/// The word of a document for the default namespace of Nacos.
pub(super) const EMPTY: &str = "empty_ns";
/// The default namespace of Polaris.
pub(super) const DEFAULT: &str = "default";
/// What stands between a group and a service.
pub(super) const BETWEEN: &str = "__";
/// The group of services whose names say none.
pub(super) const DEFAULT_GROUP: &str = "DEFAULT_GROUP";

/// A source's namespace, under the name that our settings know it by.
pub(super) fn source_namespace(kind: &str, namespace: &str) -> String {
    match kind {
        "polaris" if namespace == EMPTY => DEFAULT.to_owned(),
        "polaris" => namespace.to_owned(),
        // Elsewhere the default namespace has one name with us.
        _ if namespace == EMPTY => PUBLIC.to_owned(),
        _ => namespace.to_owned(),
    }
}

/// The namespace at the destination that a namespace of the source becomes, under the name that our settings know it by.
pub(super) fn destination_namespace(source: &str, destination: &str, namespace: &str) -> String {
    let is_default = match source {
        "nacos" => matches!(namespace, EMPTY | PUBLIC),
        "polaris" => matches!(namespace, EMPTY | DEFAULT),
        _ => namespace == EMPTY,
    };
    match destination {
        "polaris" if is_default => DEFAULT.to_owned(),
        // Other destinations than these two get a default namespace's name as it is.
        "nacos" if is_default => PUBLIC.to_owned(),
        _ => source_namespace(source, namespace),
    }
}

/// A group and a service, from a name that may hold both. `None`: the name says no group.
pub(super) fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once(BETWEEN) {
        Some((group, service)) if !group.is_empty() && !service.is_empty() => (Some(group), service),
        _ => (None, name),
    }
}

/// What a name in a `match` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameForm {
    /// `*`.
    All,
    /// One name.
    Exact,
    /// Stars stand for any characters: `order-*`.
    Stars,
    /// A pattern as in the settings file.
    Pattern,
}

/// The characters that mean something in a pattern, beside `.` and `*`.
const PATTERN: [char; 12] = ['+', '?', '|', '(', ')', '[', ']', '{', '}', '^', '$', '\\'];

/// Whether a character is only in patterns. A `$` is in names too: those of nested classes in Java.
fn tells_a_pattern(c: char) -> bool {
    c != '$' && PATTERN.contains(&c)
}

impl NameForm {
    pub fn of(name: &str) -> Self {
        match name {
            "*" => Self::All,
            _ if name.contains(tells_a_pattern) || name.contains(".*") => Self::Pattern,
            _ if name.contains('*') => Self::Stars,
            _ => Self::Exact,
        }
    }
}

/// The pattern of the settings file for a name; `None`: any name.
pub(super) fn pattern(name: &str) -> Option<String> {
    match NameForm::of(name) {
        NameForm::All => None,
        NameForm::Exact => Some(literal(name)),
        NameForm::Stars => Some(name.split('*').map(literal).collect::<Vec<_>>().join(".*")),
        NameForm::Pattern => Some(name.to_owned()),
    }
}

/// A pattern that matches this text only.
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if PATTERN.contains(&c) || matches!(c, '.' | '*') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// The text that a pattern stands for, where it is one text only.
pub(super) fn unliteral(pattern: &str) -> Option<String> {
    if let Some(inner) = pattern.strip_prefix("\\Q").and_then(|rest| rest.strip_suffix("\\E")) {
        return (!inner.contains("\\E")).then(|| inner.to_owned());
    }
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(char::is_ascii_punctuation)?),
            _ if PATTERN.contains(&c) || matches!(c, '.' | '*') => return None,
            _ => text.push(c),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_between_kinds() {
        for (source, destination, namespace, at_source, at_destination) in [
            ("nacos", "polaris", "empty_ns", "public", "default"),
            ("nacos", "polaris", "prod", "prod", "prod"),
            ("polaris", "nacos", "empty_ns", "default", "public"),
            ("polaris", "nacos", "default", "default", "public"),
            ("polaris", "nacos", "prod", "prod", "prod"),
            ("nacos", "nacos", "empty_ns", "public", "public"),
            ("polaris", "kong", "empty_ns", "default", "default"),
            ("nacos", "kong", "empty_ns", "public", "public"),
            ("consul", "polaris", "empty_ns", "public", "default"),
            ("consul", "nacos", "team", "team", "team"),
        ] {
            let case = format!("{source} to {destination}: {namespace}");
            assert_eq!(source_namespace(source, namespace), at_source, "{case}");
            assert_eq!(destination_namespace(source, destination, namespace), at_destination, "{case}");
        }
    }

    #[test]
    fn a_name_is_split_once_and_nothing_is_lost() {
        assert_eq!(split("pay"), (None, "pay"));
        assert_eq!(split("G1__pay"), (Some("G1"), "pay"));
        assert_eq!(split("G1__pay__v2"), (Some("G1"), "pay__v2"));
        assert_eq!(split("__pay"), (None, "__pay"));
    }

    #[test]
    fn forms_of_names() {
        for (name, form, want) in [
            ("*", NameForm::All, None),
            ("nacos.test.3", NameForm::Exact, Some("nacos\\.test\\.3")),
            ("com.example:1-a_b", NameForm::Exact, Some("com\\.example:1-a_b")),
            ("com.example.Outer$Inner", NameForm::Exact, Some("com\\.example\\.Outer\\$Inner")),
            ("order-*", NameForm::Stars, Some("order-.*")),
            ("a.*", NameForm::Pattern, Some("a.*")),
            ("order-(a|b)", NameForm::Pattern, Some("order-(a|b)")),
        ] {
            assert_eq!((NameForm::of(name), pattern(name).as_deref()), (form, want), "{name}");
        }
        for text in ["nacos.test.3", "a$b{c}", "x\\y", "名"] {
            assert_eq!(unliteral(&literal(text)).as_deref(), Some(text));
        }
        assert_eq!(unliteral("\\Qa.b\\E").as_deref(), Some("a.b"));
        for pattern in ["a.*", "a|b", "\\d", "a.b", "\\Qa\\Eb\\E"] {
            assert_eq!(unliteral(pattern), None, "{pattern}");
        }
    }
}
