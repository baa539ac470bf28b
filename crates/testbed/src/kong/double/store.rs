//! What the double holds: tables, and on disk a journal of their changes, so that a crash loses nothing that was answered.

use super::schema::{KongEntity, KongRow};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// The workspace of a Kong that has no others.
pub const DEFAULT_SPACE: &str = "default";

/// One kind's rows by id, with an index of their names and of what they belong to. A target's name is that of its
/// upstream's id and its address.
#[derive(Debug, Clone, Default)]
pub struct KongTable {
    rows: BTreeMap<String, KongRow>,
    names: HashMap<String, String>,
    children: HashMap<String, BTreeSet<String>>,
}

/// The id of the row that this one belongs to.
pub fn parent_id(kind: KongEntity, row: &KongRow) -> Option<&str> {
    row.get(kind.parent()?.0)?.get("id")?.as_str()
}

/// The id of a row.
pub fn id(row: &KongRow) -> &str {
    row.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// What must be unique of a row besides its id.
pub fn unique_name(kind: KongEntity, row: &KongRow) -> Option<String> {
    let name = row.get(kind.key_field())?.as_str()?;
    match kind {
        KongEntity::Targets => Some(format!("{} {name}", parent_id(kind, row)?)),
        _ => Some(name.to_owned()),
    }
}

impl KongTable {
    pub fn get(&self, id: &str) -> Option<&KongRow> {
        self.rows.get(id)
    }

    /// The id under a name ([`unique_name`]).
    pub fn id_of(&self, name: &str) -> Option<&str> {
        self.names.get(name).map(String::as_str)
    }

    /// All rows by id.
    pub fn rows(&self) -> impl Iterator<Item = &KongRow> {
        self.rows.values()
    }

    /// The rows that belong to another one, by id.
    pub fn of(&self, parent: &str) -> impl Iterator<Item = &KongRow> {
        self.children.get(parent).into_iter().flatten().filter_map(|id| self.rows.get(id))
    }

    pub fn put(&mut self, kind: KongEntity, row: KongRow) {
        let id = id(&row).to_owned();
        self.remove(kind, &id);
        if let Some(name) = unique_name(kind, &row) {
            self.names.insert(name, id.clone());
        }
        if let Some(parent) = parent_id(kind, &row) {
            self.children.entry(parent.to_owned()).or_default().insert(id.clone());
        }
        self.rows.insert(id, row);
    }

    pub fn remove(&mut self, kind: KongEntity, id: &str) {
        let Some(row) = self.rows.remove(id) else { return };
        if let Some(name) = unique_name(kind, &row) {
            self.names.remove(&name);
        }
        if let Some(parent) = parent_id(kind, &row)
            && let Some(others) = self.children.get_mut(parent)
        {
            others.remove(id);
            if others.is_empty() {
                self.children.remove(parent);
            }
        }
    }
}

/// The tables of one workspace, and what a declarative configuration holds that this double does not know.
#[derive(Debug, Clone, Default)]
pub struct KongSpace {
    tables: BTreeMap<KongEntity, KongTable>,
    pub others: KongRow,
}

impl KongSpace {
    pub fn table(&self, kind: KongEntity) -> &KongTable {
        static EMPTY: std::sync::LazyLock<KongTable> = std::sync::LazyLock::new(KongTable::default);
        self.tables.get(&kind).unwrap_or(&EMPTY)
    }

    pub fn table_mut(&mut self, kind: KongEntity) -> &mut KongTable {
        self.tables.entry(kind).or_default()
    }
}

/// All workspaces.
#[derive(Debug, Default)]
pub struct KongStore {
    spaces: BTreeMap<String, KongSpace>,
    journal: Option<File>,
}

impl KongStore {
    /// In memory only.
    pub fn volatile() -> Self {
        Self::default()
    }

    /// With what the journal in this folder holds.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("journal.jsonl");
        let mut store = Self::default();
        if path.exists() {
            for line in BufReader::new(File::open(&path)?).lines() {
                // The last line may be half of one.
                let Ok(change) = serde_json::from_str::<Value>(&line?) else { continue };
                store.replay(&change).with_context(|| format!("{}: {change}", path.display()))?;
            }
        }
        let mut journal = File::options().create(true).append(true).open(path)?;
        // Ends a line that a crash has cut.
        journal.write_all(b"\n")?;
        store.journal = Some(journal);
        Ok(store)
    }

    fn replay(&mut self, change: &Value) -> Result<()> {
        let text = |key: &str| change[key].as_str().with_context(|| format!("no {key}"));
        let kind = KongEntity::named(text("kind")?).context("no such kind")?;
        let table = self.spaces.entry(text("space")?.to_owned()).or_default().table_mut(kind);
        match &change["row"] {
            Value::Object(row) => table.put(kind, row.clone()),
            _ => table.remove(kind, text("id")?),
        }
        Ok(())
    }

    pub fn space(&self, name: &str) -> &KongSpace {
        static EMPTY: std::sync::LazyLock<KongSpace> = std::sync::LazyLock::new(KongSpace::default);
        self.spaces.get(name).unwrap_or(&EMPTY)
    }

    pub fn spaces(&self) -> impl Iterator<Item = &KongSpace> {
        self.spaces.values()
    }

    /// Stores a row under its id.
    pub fn put(&mut self, space: &str, kind: KongEntity, row: KongRow) {
        self.note(&json!({"space": space, "kind": kind.name(), "row": row}));
        self.spaces.entry(space.to_owned()).or_default().table_mut(kind).put(kind, row);
    }

    pub fn remove(&mut self, space: &str, kind: KongEntity, id: &str) {
        self.note(&json!({"space": space, "kind": kind.name(), "id": id}));
        self.spaces.entry(space.to_owned()).or_default().table_mut(kind).remove(kind, id);
    }

    /// Puts something else in the place of everything.
    pub fn replace(&mut self, space: KongSpace) {
        self.spaces = BTreeMap::from([(DEFAULT_SPACE.to_owned(), space)]);
    }

    /// One write to the file, so that what was answered outlives the process.
    fn note(&mut self, change: &Value) {
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.write_all(format!("{change}\n").as_bytes())
        {
            // A double that forgets is worse than one that is gone.
            eprintln!("the journal cannot be written: {error}");
            std::process::exit(1);
        }
    }
}
