//! One server: what it holds, who may do what, what it was asked and what is to fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::cache::CachedRecords;
use super::calls::CallLog;
use super::health::Heartbeats;
use super::records::HeldRecords;
use super::rights::Tokens;

/// How often the cache looks at what was written.
const REFRESH: Duration = Duration::from_secs(1);

/// The id of the one user that every server has.
pub const USER_ID: &str = "65e4789a6d5b49669adf1e9e8387549c";

/// How the server is to be.
#[derive(Clone, Debug)]
pub struct PolarisRules {
    /// Keeps what is written in this folder; else all of it goes with the process.
    pub data: Option<PathBuf>,
    /// Console calls need this token.
    pub token: Option<String>,
    /// What clients call needs it as well.
    pub client_auth: bool,
    /// Most records of one write, and most rows of one page.
    pub limit: usize,
    /// As with a MySQL store, which has a location of every instance.
    pub always_location: bool,
    /// Lists of the console are as old as the cache; else they bring it up to date first.
    pub stale_lists: bool,
}

pub struct PolarisState {
    pub rules: PolarisRules,
    pub records: Mutex<HeldRecords>,
    cache: RwLock<Arc<CachedRecords>>,
    pub tokens: Mutex<Tokens>,
    pub calls: CallLog,
    pub beats: Mutex<Heartbeats>,
    /// Counts how often all streams were dropped.
    streams: watch::Sender<u64>,
}

impl PolarisState {
    pub fn new(rules: PolarisRules) -> Result<Self> {
        let records = HeldRecords::load(rules.data.as_deref())?;
        let tokens = Tokens { admin: rules.token.clone(), clients: rules.client_auth, ..Tokens::default() };
        let state = Self {
            rules,
            records: Mutex::new(records),
            cache: RwLock::default(),
            tokens: Mutex::new(tokens),
            calls: CallLog::default(),
            beats: Mutex::new(Heartbeats::new(Instant::now())),
            streams: watch::Sender::new(0),
        };
        state.refresh();
        Ok(state)
    }

    /// What readers see.
    pub fn cache(&self) -> Arc<CachedRecords> {
        self.cache.read().clone()
    }

    /// Brings the cache up to date.
    pub fn refresh(&self) {
        // Of two at once, each would lack what the other takes in.
        let mut records = self.records.lock();
        let next = self.cache().next(&mut records, self.rules.always_location);
        if let Some(next) = next {
            *self.cache.write() = Arc::new(next);
        }
    }

    /// Who makes what is made in the console: its user, where there are users.
    pub fn owner(&self) -> Option<String> {
        self.tokens.lock().admin.as_ref().map(|_| USER_ID.to_owned())
    }

    /// Does something to the records, and keeps it.
    pub fn write<T>(&self, change: impl FnOnce(&mut HeldRecords) -> T) -> Result<T> {
        let mut records = self.records.lock();
        let done = change(&mut records);
        records.flush()?;
        Ok(done)
    }

    /// Ends every stream of a client.
    pub fn drop_streams(&self) {
        self.streams.send_modify(|times| *times += 1);
    }

    /// Returns when streams are dropped.
    pub async fn streams_dropped(&self) {
        let mut times = self.streams.subscribe();
        // The sender lives as long as this does.
        drop(times.changed().await);
    }

    /// Refreshes the cache, for ever.
    pub async fn keep_cache(self: Arc<Self>) {
        let mut ticks = interval(REFRESH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.refresh();
        }
    }
}
