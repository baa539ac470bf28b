//! Reading typed values out of the tree, with every problem noted and none the last.

use std::collections::BTreeMap;

use crate::env::{Env, resolve};
use crate::kinds::Kinds;
use crate::mask::{is_secret_key, mask};
use crate::problem::{Problem, Problems, Severity};
use crate::suggest::nearest;
use crate::tree::{self, Key, Node, Place, Scalar, Value};

/// More problems than this are not listed one by one.
const MAX_PROBLEMS: usize = 100;
/// More than this are only counted.
const MAX_KEPT: usize = 1000;
/// Longer lines (in bytes) are not quoted.
const MAX_LINE: usize = 2000;

/// A problem in the making.
pub struct Draft {
    severity: Severity,
    place: Place,
    field: String,
    message: String,
    expected: Option<String>,
    help: Option<String>,
}

impl Draft {
    /// Something wrong with a field of the file. Nothing of a secret may stand in `message`.
    pub fn error(place: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self { severity: Severity::Error, place, field, message, expected: None, help: None }
    }

    /// Something without effect, or only a part of it.
    pub fn warning(place: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, field, message) }
    }

    /// Something wrong with a key of a mapping, or with its absence.
    pub fn key_error(fields: &Fields<'_>, key: &str, message: impl Into<String>) -> Self {
        Self::error(fields.place_of(key), fields.at(key), message)
    }

    /// A key of a mapping without effect, or with only a part of it.
    pub fn key_warning(fields: &Fields<'_>, key: &str, message: impl Into<String>) -> Self {
        Self::warning(fields.place_of(key), fields.at(key), message)
    }

    /// A node of the wrong form.
    pub fn wrong_form(node: &Node, path: &str, expected: impl Into<String>) -> Self {
        Self::error(node.place, path, format!("this is {}", node.describe())).expected(expected)
    }

    /// What was expected instead.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// How to put it right.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The keys of one mapping, with the path that problems name.
pub struct Fields<'n> {
    /// The mapping's own path.
    pub path: String,
    /// Where it begins.
    pub place: Place,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// A key's value; one that is nothing counts as absent.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        let (_, node) = self.entries.iter().find(|(own, _)| own.text == key)?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// The path of one of its keys.
    pub fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where a key's value stands; where the mapping begins, when it lacks the key.
    pub fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place, |node| node.place)
    }

    /// All keys with their values, in the order of the file.
    pub fn entries(&self) -> &'n [(Key, Node)] {
        self.entries
    }
}

/// Reads one document of at most `most` values with `read`, which gets its root (`None`: there is nothing in it), and reports
/// what is wrong there. Returns what was read and the warnings. The error holds all problems in the order of the file.
pub(crate) fn document<T>(
    file: &str,
    text: &str,
    env: &dyn Env,
    kinds: &Kinds,
    most: usize,
    read: impl FnOnce(&mut Reader<'_>, Option<Node>) -> Option<T>,
) -> Result<(T, Problems), Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tree = tree::read(text, most);
    let masked = mask(text, tree.as_ref().ok().and_then(|(root, _)| root.as_ref()));
    let mut reader = Reader::new(file, text, &masked, env, kinds);
    let found = match tree {
        Err(fault) => {
            reader.report(fault.into());
            None
        }
        Ok((root, faults)) => {
            faults.into_iter().for_each(|fault| reader.report(fault.into()));
            read(&mut reader, root)
        }
    };
    let problems = reader.finish();
    match found {
        Some(found) if problems.errors().next().is_none() => Ok((found, problems)),
        _ => Err(problems),
    }
}

/// Everything that reading a file needs, and the problems so far.
pub struct Reader<'a> {
    pub(crate) file: &'a str,
    pub(crate) env: &'a dyn Env,
    pub(crate) kinds: &'a Kinds,
    /// The masked text.
    pub(crate) masked: &'a str,
    /// The text itself; nothing of it goes into a problem.
    pub(crate) text: &'a str,
    lines: Vec<&'a str>,
    problems: Vec<Problem>,
    dropped: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str, masked: &'a str, env: &'a dyn Env, kinds: &'a Kinds) -> Self {
        let lines = masked.lines().collect();
        Self { file, env, kinds, masked, text, lines, problems: Vec::new(), dropped: 0 }
    }

    /// Notes a problem; reading goes on.
    pub fn report(&mut self, draft: Draft) {
        if self.problems.len() >= MAX_KEPT {
            self.dropped += 1;
            // The caller decides by the errors, so that at least one stays.
            let errors = self.problems.iter().any(|p| p.severity == Severity::Error);
            if errors || draft.severity == Severity::Warning {
                return;
            }
            self.problems.pop();
        }
        let line = self.lines.get(draft.place.line - 1).copied().unwrap_or_default();
        let line = if line.len() > MAX_LINE { "" } else { line };
        let left = line.chars().count().saturating_sub(draft.place.column - 1);
        let stretch = self.masked.get(draft.place.start..draft.place.end).unwrap_or_default();
        let width = stretch.lines().next().unwrap_or_default().trim_end().chars().count();
        self.problems.push(Problem {
            severity: draft.severity,
            file: self.file.to_owned(),
            line: draft.place.line,
            column: draft.place.column,
            width: width.min(left).max(1),
            field: draft.field,
            message: draft.message,
            expected: draft.expected,
            help: draft.help,
            text: line.to_owned(),
        });
    }

    /// Whether more problems are hardly worth their words.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    /// All problems in the order of the file, cut where there are too many.
    pub(crate) fn finish(self) -> Problems {
        let mut problems = self.problems;
        // Errors must not be cut off behind warnings.
        problems.sort_by_key(|p| p.severity);
        let more = problems.len().saturating_sub(MAX_PROBLEMS) + self.dropped;
        problems.truncate(MAX_PROBLEMS);
        problems.sort_by_key(|p| (p.line, p.column, p.severity));
        if more > 0
            && let Some(last) = problems.last_mut()
        {
            last.message.push_str(&format!(" (and {more} more problems in the file)"));
        }
        Problems(problems)
    }

    /// Replaces the references in all values of the tree.
    pub(crate) fn resolve(&mut self, root: &mut Node) {
        let mut failed = Vec::new();
        let env = self.env;
        root.scalars(&mut |scalar, place| {
            if !scalar.text.contains("${") {
                return;
            }
            match resolve(&scalar.text, env) {
                Ok(resolved) => {
                    let written = std::mem::replace(&mut scalar.text, resolved.text);
                    scalar.written = resolved.referred.then_some(written);
                }
                Err(wrong) => {
                    scalar.broken = true;
                    failed.push((place, wrong));
                }
            }
        });
        let mut seen = Vec::new();
        for (place, wrong) in failed {
            // An alias puts one place into the tree several times.
            if !seen.contains(&place) {
                seen.push(place);
                let field = path_of(root, place).unwrap_or_default();
                self.report(Draft::error(place, field, wrong.message).help(wrong.help));
            }
        }
    }

    /// The mapping behind a node; keys that are not in `known` are reported.
    pub fn fields<'n>(&mut self, node: &'n Node, path: &str, known: &[&str]) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            let keys = known.iter().take(3).map(|key| format!("`{key}: …`")).collect::<Vec<_>>().join(", ");
            let draft = Draft::wrong_form(node, path, "keys with values");
            self.report(draft.help(format!("write keys such as {keys}")));
            return None;
        };
        let place = entries.first().map_or(node.place, |(key, _)| key.place);
        let fields = Fields { path: path.to_owned(), place, entries };
        for (key, _) in entries {
            let free = path.is_empty() && key.text.starts_with("x-");
            if !free && !known.contains(&key.text.as_str()) {
                let unused = known.iter().copied().filter(|word| !entries.iter().any(|(own, _)| own.text == **word));
                let help = match nearest(&key.text, unused) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("take it out; known here are {}", known.join(", ")),
                };
                let name = fields.at(&key.text);
                let message = format!("the key `{}` is not known here", shorten(&key.text));
                self.report(Draft::error(key.place, name, message).help(help));
            }
        }
        Some(fields)
    }

    /// The mapping behind a key; `None` when absent, or reported.
    pub fn block<'n>(&mut self, fields: &Fields<'n>, key: &str, known: &[&str]) -> Option<Fields<'n>> {
        self.fields(fields.get(key)?, &fields.at(key), known)
    }

    /// A single value; `None` when absent, or reported.
    pub fn scalar<'n>(&mut self, fields: &Fields<'n>, key: &str, expected: &str) -> Option<&'n Scalar> {
        self.one(fields.get(key)?, &fields.at(key), expected)
    }

    /// The single value of a node; `None` when it is something else, which is reported.
    pub fn one<'n>(&mut self, node: &'n Node, path: &str, expected: &str) -> Option<&'n Scalar> {
        match &node.value {
            Value::Scalar(scalar) if scalar.broken => None,
            Value::Scalar(scalar) => Some(scalar),
            _ => {
                self.report(Draft::wrong_form(node, path, expected).help("write one value behind the colon"));
                None
            }
        }
    }

    /// A text that is not empty; an empty one counts as absent, as in MSE Sync.
    pub fn text(&mut self, fields: &Fields<'_>, key: &str, expected: &str) -> Option<String> {
        let scalar = self.scalar(fields, key, expected)?;
        (!scalar.text.is_empty()).then(|| scalar.text.clone())
    }

    /// A text that must be there.
    pub fn required(&mut self, fields: &Fields<'_>, key: &str, expected: &str, help: &str) -> Option<String> {
        let node = fields.get(key);
        let empty = matches!(node.map(|n| &n.value), None | Some(Value::Scalar(Scalar { broken: false, .. })));
        let text = self.text(fields, key, expected);
        if text.is_none() && empty {
            let message = if node.is_some() { "this is empty".to_owned() } else { format!("`{key}` is missing") };
            self.report(Draft::key_error(fields, key, message).expected(expected).help(help));
        }
        text
    }

    /// The items of a list, each with its path.
    pub fn list<'n>(&mut self, fields: &Fields<'n>, key: &str, item: &str) -> Vec<(&'n Node, String)> {
        let Some(node) = fields.get(key) else { return Vec::new() };
        match &node.value {
            Value::List(items) => {
                items.iter().enumerate().map(|(n, node)| (node, format!("{}[{n}]", fields.at(key)))).collect()
            }
            _ => {
                let draft = Draft::wrong_form(node, &fields.at(key), format!("a list of {item}"));
                self.report(draft.help("begin every item on its own line with `- `"));
                Vec::new()
            }
        }
    }

    /// The entries of a mapping whose keys are the user's own words.
    pub fn entries<'n>(&mut self, node: &'n Node, path: &str, expected: &str) -> &'n [(Key, Node)] {
        if let Value::Map(entries) = &node.value {
            return entries;
        }
        self.report(Draft::wrong_form(node, path, expected).help("write one `key: value` a line"));
        &[]
    }

    /// A table of texts.
    pub fn table(&mut self, node: &Node, path: &str, expected: &str) -> BTreeMap<String, String> {
        let mut table = BTreeMap::new();
        for (key, value) in self.entries(node, path, expected) {
            let text = match &value.value {
                Value::Null => Some(String::new()),
                _ => self.one(value, &format!("{path}.{}", key.text), "a text").map(|scalar| scalar.text.clone()),
            };
            table.extend(text.map(|text| (key.text.clone(), text)));
        }
        table
    }
}

/// A value as it may be shown: a reference rather than what it stands for.
pub(crate) fn shown(scalar: &Scalar) -> String {
    shorten(scalar.written.as_deref().unwrap_or(&scalar.text))
}

fn shorten(text: &str) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("…".chars()).collect() }
}

fn path_of(node: &Node, place: Place) -> Option<String> {
    let join = |head: String, rest: String| match rest.as_str() {
        "" => head,
        r if r.starts_with('[') => head + r,
        r => format!("{head}.{r}"),
    };
    match &node.value {
        Value::List(items) => {
            items.iter().enumerate().find_map(|(n, item)| Some(join(format!("[{n}]"), path_of(item, place)?)))
        }
        Value::Map(entries) => {
            entries.iter().find_map(|(key, value)| Some(join(key.text.clone(), path_of(value, place)?)))
        }
        _ => (node.place == place).then(String::new),
    }
}

/// The written text of the values with references below a node, by JSON pointer; secrets keep their own.
pub(crate) fn written(node: &Node) -> BTreeMap<String, String> {
    fn walk(node: &Node, pointer: &str, out: &mut BTreeMap<String, String>) {
        match &node.value {
            Value::Null => {}
            Value::Scalar(scalar) => out.extend(scalar.written.clone().map(|text| (pointer.to_owned(), text))),
            Value::List(items) => {
                items.iter().enumerate().for_each(|(n, item)| walk(item, &format!("{pointer}/{n}"), out))
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    if pointer.is_empty() && is_secret_key(&key.text) {
                        continue;
                    }
                    let token = key.text.replace('~', "~0").replace('/', "~1");
                    walk(value, &format!("{pointer}/{token}"), out);
                }
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(node, "", &mut out);
    out
}
