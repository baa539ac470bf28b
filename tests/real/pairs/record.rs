//! An instance as every layout can say it.

use std::collections::BTreeMap;

/// What can be changed of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Metadata,
    Weight,
    Enabled,
    Health,
}

/// An instance at 127.0.0.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub service: String,
    pub port: u16,
    pub metadata: BTreeMap<String, String>,
    pub weight: f64,
    pub enabled: bool,
    pub healthy: bool,
}

impl Record {
    /// The `n`th service of a test; an interface of Dubbo's where `dubbo`.
    pub fn new(test: &str, n: u16, port: u16, dubbo: bool) -> Self {
        let name = format!("{test}-{n}");
        // A parameter of Dubbo's URLs cannot hold every character.
        let owner = if dubbo { "ø b" } else { "a=b&ø" };
        let mut metadata =
            BTreeMap::from([("zone".to_owned(), "z 1".to_owned()), ("owner".to_owned(), owner.to_owned())]);
        let mut service = name.clone();
        if dubbo {
            let words = [
                ("protocol", "dubbo"),
                ("side", "provider"),
                ("category", "providers"),
                ("path", &name),
                ("interface", &name),
            ];
            metadata.extend(words.map(|(key, value)| (key.to_owned(), value.to_owned())));
            service = format!("providers:{name}::");
        }
        Self { service, port, metadata, weight: 1.0, enabled: true, healthy: true }
    }

    pub fn change(&mut self, field: Field) {
        match field {
            Field::Metadata => drop(self.metadata.insert("zone".into(), "z 2".into())),
            Field::Weight => self.weight = 3.0,
            Field::Enabled => self.enabled = false,
            Field::Health => self.healthy = false,
        }
    }

    /// Its place: names of services are compared without case, as some registries keep none.
    fn place(&self) -> (String, u16) {
        (self.service.to_lowercase(), self.port)
    }

    /// Whether `there` says the same in these fields and in all keys of the metadata; it may have more keys.
    fn is_said_by(&self, there: &Self, fields: &[Field]) -> bool {
        let same = |field| match field {
            Field::Metadata => true,
            Field::Weight => (self.weight - there.weight).abs() < 1e-6,
            Field::Enabled => self.enabled == there.enabled,
            Field::Health => self.healthy == there.healthy,
        };
        fields.iter().all(|field| same(*field))
            && self.metadata.iter().all(|(key, value)| there.metadata.get(key) == Some(value))
    }
}

/// What is missing, what is too much and what differs, in words.
pub fn differences(wanted: &[Record], there: &[Record], fields: &[Field]) -> Vec<String> {
    let mut rest: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
    for one in there {
        rest.entry(one.place()).or_default().push(one);
    }
    let mut found = Vec::new();
    for one in wanted {
        match rest.remove(&one.place()).as_deref() {
            None => found.push(format!("missing: {} :{}", one.service, one.port)),
            Some([there]) if one.is_said_by(there, fields) => {}
            Some(others) => found.push(format!("wanted {one:?}, there is {others:?}")),
        }
    }
    found.extend(rest.into_values().flatten().map(|one| format!("too much: {one:?}")));
    found
}
