//! Ports that misbehave: one that dies at a given step, and one that misses what happens.

use super::*;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

/// Methods that a port leaves to the one inside it.
macro_rules! as_inside {
    ($($name:ident)+) => { $(as_inside! { @$name })+ };
    (@facts) => {
        fn facts(&self) -> EntryFacts {
            self.0.facts()
        }
    };
    (@watch) => {
        fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
            self.0.watch(select)
        }
    };
    (@read) => {
        fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
            self.0.read(keys)
        }
    };
    (@list) => {
        fn list<'a>(&'a self, select: &'a DataSelector) -> BoxFuture<'a, Result<BTreeMap<EntryKey, Entry>, Error>> {
            self.0.list(select)
        }
    };
    (@limits) => {
        fn limits(&self) -> Limits {
            self.0.limits()
        }
    };
    (@provisional) => {
        fn provisional(&self, content: &Content) -> Option<Content> {
            self.0.provisional(content)
        }
    };
    (@write) => {
        fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
            self.0.write(writes)
        }
    };
}

/// Counts steps down; at none left, the process is dead: nothing that it does has an effect any more.
pub struct Fuse(Mutex<usize>);

impl Fuse {
    pub fn new(steps: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(steps)))
    }
    /// Whether one more step can be made.
    pub fn step(&self) -> bool {
        let mut left = self.0.lock();
        let alive = *left > 0;
        *left -= usize::from(alive);
        alive
    }
    pub fn burnt(&self) -> bool {
        *self.0.lock() == 0
    }
}

/// A tree that a process reaches only while it lives. Each single write is a step, and so is each answer.
pub struct Mortal(pub MemoryData, pub Arc<Fuse>);

impl Mortal {
    async fn live(&self) {
        if !self.1.step() {
            std::future::pending::<()>().await;
        }
    }
}

impl DataSource for Mortal {
    as_inside!(facts watch list);
    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        Box::pin(async move {
            self.live().await;
            self.0.read(keys).await
        })
    }
}

impl DataSink for Mortal {
    as_inside!(limits provisional);
    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for write in writes {
                self.live().await;
                answers.extend(self.0.write(std::slice::from_ref(write)).await);
            }
            self.live().await;
            answers
        })
    }
}

/// A notebook that a process reaches only while it lives.
pub struct MortalNotebook {
    pub notebook: Arc<Notebook>,
    pub fuse: Arc<Fuse>,
    /// Whether the ledger keeps what it is asked to keep, or is always late.
    pub keeps: bool,
}

impl DataRecorder for MortalNotebook {
    fn base(&self, route: &DataRoute, key: &EntryKey, base: Option<&Base>) {
        if self.fuse.step() {
            self.notebook.base(route, key, base);
        }
    }
    fn intents(&self, route: &DataRoute, lot: u64, intents: Option<&[Intent]>) {
        if self.fuse.step() {
            self.notebook.intents(route, lot, intents);
        }
    }
    fn kept(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if !self.fuse.step() {
                std::future::pending::<()>().await;
            }
            if self.keeps {
                self.notebook.keep();
            }
        })
    }
    fn event(&self, event: Event) {
        if !self.fuse.burnt() {
            self.notebook.event(event);
        }
    }
}

/// A tree whose watch tells what stands there once, and nothing that happens later.
pub struct Deaf(pub MemoryData);

impl DataSource for Deaf {
    as_inside!(facts read list);
    fn watch(&self, select: &DataSelector) -> BoxStream<'static, Result<EntryUpdate, Lost>> {
        let deaf = |item: &Result<EntryUpdate, Lost>| !matches!(item, Ok(EntryUpdate::Changed(_)));
        self.0.watch(select).filter(move |item| std::future::ready(deaf(item))).boxed()
    }
}

impl DataSink for Deaf {
    as_inside!(limits provisional write);
}

/// A tree in which an entry is another while it is read for the first time, and as it was before its watch looks again.
pub struct Flickering(pub MemoryData, pub Mutex<Option<(EntryKey, Content)>>);

impl DataSource for Flickering {
    as_inside!(facts watch list);
    fn read<'a>(&'a self, keys: &'a [EntryKey]) -> BoxFuture<'a, Vec<Result<FoundEntry, Error>>> {
        let Some((key, content)) = self.1.lock().take_if(|(key, _)| keys.contains(key)) else {
            return self.0.read(keys);
        };
        let before = self.0.get(&key).unwrap();
        self.0.put(&key, content);
        // Nothing waits in memory.
        let found = self.0.read(keys).now_or_never().unwrap();
        self.0.put(&key, before);
        Box::pin(std::future::ready(found))
    }
}

/// A tree in which an entry is put back right after our next write of it.
pub struct Undoing(pub MemoryData, pub Mutex<Option<(EntryKey, Content)>>);

impl DataSource for Undoing {
    as_inside!(facts watch read list);
}

impl DataSink for Undoing {
    as_inside!(limits);
    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        // Nothing waits in memory.
        let answers = self.0.write(writes).now_or_never().unwrap();
        let undone = self.1.lock().take_if(|(key, _)| writes.iter().any(|write| write.key == *key));
        if let Some((key, content)) = undone {
            self.0.put(&key, content);
        }
        Box::pin(std::future::ready(answers))
    }
}

/// A tree whose next answers to writes get lost, although the writes are made.
pub struct Mute(pub MemoryData, pub Mutex<usize>);

impl DataSource for Mute {
    as_inside!(facts watch read list);
}

impl DataSink for Mute {
    as_inside!(limits provisional);
    fn write<'a>(&'a self, writes: &'a [EntryWrite]) -> BoxFuture<'a, Vec<Result<Option<Entry>, Error>>> {
        Box::pin(async move {
            let answers = self.0.write(writes).await;
            let lost = {
                let mut left = self.1.lock();
                let lost = *left > 0;
                *left -= usize::from(lost);
                lost
            };
            if lost {
                std::future::pending::<()>().await;
            }
            answers
        })
    }
}
