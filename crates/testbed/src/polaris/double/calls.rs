//! What the server was asked, and which calls are to fail.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::codes::AnswerCode;

/// The calls since the start, or since they were counted from nothing again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolarisCounts {
    pub total: usize,
    /// Most that were being answered at one time.
    pub peak: usize,
    /// By name: `POST /naming/v1/instances`, `grpc Discover INSTANCE`.
    pub calls: BTreeMap<String, usize>,
    /// The most records that one call of a name brought.
    pub largest: BTreeMap<String, usize>,
    /// The answers that were no success, by name and code.
    pub refused: BTreeMap<String, BTreeMap<u32, usize>>,
}

/// A way in which calls fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolarisFault {
    /// How the names of the calls begin; empty: all calls.
    pub calls: String,
    /// Waits so long first, in milliseconds.
    pub delay: u64,
    /// Never answers.
    pub hang: bool,
    /// Answers with this code and does nothing.
    pub code: Option<u32>,
    /// Answers with this status over HTTP and no body; over gRPC as unavailable.
    pub status: Option<u16>,
    /// How many calls fail; `None`: all.
    pub times: Option<usize>,
}

/// What becomes of a call.
pub enum CallFate {
    Answered,
    Code(AnswerCode),
    Status(u16),
}

#[derive(Default)]
pub struct CallLog {
    counts: Mutex<PolarisCounts>,
    open: Mutex<usize>,
    faults: Mutex<Vec<PolarisFault>>,
}

/// A call that is being answered.
pub struct OpenCall<'a> {
    calls: &'a CallLog,
    name: String,
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        *self.calls.open.lock() -= 1;
    }
}

impl OpenCall<'_> {
    /// It brought so many records.
    pub fn brings(&self, records: usize) {
        let mut counts = self.calls.counts.lock();
        let most = counts.largest.entry(self.name.clone()).or_default();
        *most = records.max(*most);
    }

    /// It is answered so.
    pub fn ends(&self, code: u32) {
        if code / 1_000 != 200 {
            let mut counts = self.calls.counts.lock();
            *counts.refused.entry(self.name.clone()).or_default().entry(code).or_default() += 1;
        }
    }
}

impl CallLog {
    /// Counts a call, and waits as long as its fault says.
    pub async fn begin(&self, name: &str) -> (OpenCall<'_>, CallFate) {
        let call = {
            let (mut counts, mut open) = (self.counts.lock(), self.open.lock());
            *open += 1;
            counts.total += 1;
            counts.peak = counts.peak.max(*open);
            *counts.calls.entry(name.to_owned()).or_default() += 1;
            OpenCall { calls: self, name: name.to_owned() }
        };
        let Some(fault) = self.fault(name) else { return (call, CallFate::Answered) };
        tokio::time::sleep(Duration::from_millis(fault.delay)).await;
        if fault.hang {
            std::future::pending::<()>().await;
        }
        let fate = match (fault.status, fault.code) {
            (Some(status), _) => CallFate::Status(status),
            (None, Some(code)) => CallFate::Code(AnswerCode(code)),
            (None, None) => CallFate::Answered,
        };
        (call, fate)
    }

    fn fault(&self, name: &str) -> Option<PolarisFault> {
        let mut faults = self.faults.lock();
        let found = faults.iter_mut().find(|fault| name.starts_with(&fault.calls) && fault.times != Some(0))?;
        found.times = found.times.map(|times| times - 1);
        Some(found.clone())
    }

    pub fn counts(&self) -> PolarisCounts {
        self.counts.lock().clone()
    }

    pub fn count_again(&self) {
        *self.counts.lock() = PolarisCounts::default();
    }

    /// The first one that fits a call counts.
    pub fn set_faults(&self, faults: Vec<PolarisFault>) {
        *self.faults.lock() = faults;
    }
}
