//! What each kind of entity may hold: every field, its type, its bounds and its default. What is not in the list is refused.

mod check;
mod kinds;
mod words;

use serde_json::{Map, Value};

pub use check::{complete, from_form};
pub use kinds::fields;

/// A row of a table.
pub type KongRow = Map<String, Value>;

/// A kind of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KongEntity {
    Services,
    Routes,
    Upstreams,
    Targets,
}

impl KongEntity {
    pub const ALL: [Self; 4] = [Self::Services, Self::Routes, Self::Upstreams, Self::Targets];

    /// As in paths and in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Routes => "routes",
            Self::Upstreams => "upstreams",
            Self::Targets => "targets",
        }
    }

    /// One of them, as in flattened errors.
    pub fn singular(self) -> &'static str {
        let name = self.name();
        &name[..name.len() - 1]
    }

    /// The kind of that name.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// The field that names a row.
    pub fn key_field(self) -> &'static str {
        if self == Self::Targets { "target" } else { "name" }
    }

    /// The field with the row that a row belongs to, and that row's kind.
    pub fn parent(self) -> Option<(&'static str, Self)> {
        match self {
            Self::Routes => Some(("service", Self::Services)),
            Self::Targets => Some(("upstream", Self::Upstreams)),
            Self::Services | Self::Upstreams => None,
        }
    }
}

/// Says what is wrong with a text.
pub type KongWord = fn(&str) -> Result<(), String>;

/// What a field takes.
pub enum KongRule {
    Integer(i64, i64),
    Number(f64, f64),
    Bool,
    Text(KongWord),
    OneOf(&'static [&'static str]),
    Code(&'static [i64]),
    List(Box<KongRule>),
    /// A list without doubles.
    Set(Box<KongRule>),
    Record(Vec<KongField>),
    /// Header names, each with a list of values.
    Headers,
    /// Another entity, by `{"id": …}` or `{"name": …}`.
    Foreign,
}

pub struct KongField {
    pub name: &'static str,
    pub rule: KongRule,
    /// Null is refused.
    pub required: bool,
    /// What stands there when nothing is said.
    pub default: Value,
}

impl KongField {
    fn new(name: &'static str, rule: KongRule) -> Self {
        Self { name, rule, required: false, default: Value::Null }
    }

    fn required(self) -> Self {
        Self { required: true, ..self }
    }

    fn or(self, default: impl Into<Value>) -> Self {
        Self { default: default.into(), ..self }
    }
}

/// Whether a path's segment is taken as an id and not as a name.
pub fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|one| one.is_ascii_hexdigit()))
}
