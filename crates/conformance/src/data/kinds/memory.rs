//! The tree of data in memory.

use super::open;
use crate::data::{Compares, Data, DataFacts, DataKind, DataMeter, DataSubject, Line, Login};
use crate::tap::cable::Fault as Cable;
use anyhow::{Context, Result};
use causeway_connectors::Connect;
use causeway_connectors::memory::{Fault, MemoryData};
use causeway_core::{Attributes, Content, DataSource, EntryFacts, EntryKey, NameShape, Part};
use causeway_testbed::Server;
use std::collections::BTreeMap;
use std::time::Duration;

/// The data in memory; a new tree for every test.
#[derive(Clone, Copy)]
pub struct MemoryDataKind {
    label: &'static str,
    facts: EntryFacts,
}

impl MemoryDataKind {
    /// With entries like this.
    pub fn new(label: &'static str, facts: EntryFacts) -> Self {
        Self { label, facts }
    }
}

impl DataKind for MemoryDataKind {
    type Subject = MemoryTree;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        &[]
    }
    async fn shared(&self) -> Result<MemoryTree> {
        let name = uuid::Uuid::new_v4().to_string();
        let data = MemoryData::with(self.facts).called(&name);
        data.limit(LARGEST);
        Ok(MemoryTree { name, data })
    }
    async fn own(&self) -> Result<MemoryTree> {
        self.shared().await
    }
}

/// One tree.
pub struct MemoryTree {
    name: String,
    data: MemoryData,
}

/// As servers have a limit, too.
const LARGEST: usize = 1 << 20;
/// What every attribute of the tree is called here.
const LABEL: &str = "label";

impl DataSubject for MemoryTree {
    fn facts(&self) -> DataFacts {
        let attributes = ["red", "blue"].map(|value| Attributes([(LABEL.to_owned(), value.to_owned())].into()));
        DataFacts {
            entries: self.data.facts(),
            told_in: Duration::from_millis(200),
            attributes_told_in: Some(Duration::from_millis(200)),
            lost_in: Duration::from_secs(2),
            names: vec!["a b", "ü-\u{1f600}", "deep/er/and/deeper"],
            contents: vec![
                ("nothing", Content::default()),
                ("empty", Content::of("")),
                ("bytes", Content::of([0, 159, 255])),
                ("large", Content::of(vec![b'x'; LARGEST])),
            ],
            refused: vec![Content::of(vec![b'x'; LARGEST + 1])],
            attributes,
            compares: Compares::All,
            many: (10_000, 0),
            calls_to_list: 0,
        }
    }

    async fn open(&self, _: Login) -> Result<Data> {
        open("memory", Connect { addresses: vec![self.name.clone()], ..Connect::default() })
    }

    async fn open_metered(&self) -> Result<(Data, DataMeter)> {
        let (data, before) = (self.data.clone(), self.data.counts().calls);
        let calls = Box::new(move || data.counts().calls - before);
        Ok((self.open(Login::Administrator).await?, DataMeter { calls, wire: Box::new(()) }))
    }

    async fn open_over_line(&self) -> Result<(Data, Line)> {
        let data = self.data.clone();
        let line = Box::new(move |cable| {
            data.fail(match cable {
                Cable::None => Fault::None,
                Cable::Cut => Fault::Down,
                Cable::NoQuestions => Fault::Hung,
                // There is no way back.
                Cable::LateAnswers => return false,
            });
            true
        });
        Ok((self.open(Login::Administrator).await?, line))
    }

    fn part(&self) -> Part {
        Part::new("public")
    }
    fn key(&self, folder: &str, name: &str) -> EntryKey {
        match self.data.facts().shape {
            NameShape::Tree => EntryKey::path(&format!("/{folder}/{name}")),
            NameShape::Flat => EntryKey::new("public", folder, name),
        }
    }

    async fn put(&self, key: &EntryKey, content: &Content) -> Result<()> {
        self.data.put(key, content.clone());
        Ok(())
    }
    async fn dress(&self, key: &EntryKey, attributes: &Attributes) -> Result<()> {
        let stands = self.data.get(key).with_context(|| format!("no {key}"))?;
        self.data.put(key, Content { attributes: attributes.clone(), ..stands });
        Ok(())
    }
    async fn get(&self, key: &EntryKey) -> Result<Option<Content>> {
        Ok(self.data.get(key))
    }
    async fn remove(&self, key: &EntryKey) -> Result<()> {
        self.data.remove(key);
        Ok(())
    }
    async fn all(&self) -> Result<BTreeMap<EntryKey, Content>> {
        Ok(self.data.all())
    }
    async fn fill(&self, folder: &str, count: usize) -> Result<Vec<EntryKey>> {
        let keys: Vec<_> = (0..count).map(|n| self.key(folder, &format!("key-{n}"))).collect();
        for (n, key) in keys.iter().enumerate() {
            self.data.put(key, Content::of(n.to_string()));
        }
        Ok(keys)
    }
    async fn strangers(&self) -> Result<Vec<EntryKey>> {
        Ok(Vec::new())
    }

    async fn deny(&self, key: &EntryKey) -> Result<()> {
        // The tree knows no users: what is denied is denied to all.
        self.data.fail(Fault::PartDenied(key.part()));
        Ok(())
    }
    async fn allow(&self, _: &EntryKey) -> Result<()> {
        self.data.fail(Fault::None);
        Ok(())
    }
    async fn stop(&self) -> Result<()> {
        self.data.fail(Fault::Down);
        Ok(())
    }
    async fn start(&self) -> Result<()> {
        self.data.fail(Fault::None);
        Ok(())
    }
    async fn clean(&self) -> Result<()> {
        self.data.wipe(false);
        Ok(())
    }
}
