//! A consumer that calls all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{STOP, program};
use crate::java::Java;

/// As many calls say who answers now: one second of them.
const LAST: usize = 20;

/// A Dubbo consumer in a process of its own. Dropping it kills the process.
pub struct DubboConsumer {
    java: Java,
    calls: Arc<Calls>,
}

#[derive(Default)]
struct Calls {
    all: Mutex<Vec<DubboCall>>,
    grown: Notify,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DubboCall {
    /// When it began, in milliseconds since 1970, by the consumer's clock.
    pub at: u64,
    pub took: Duration,
    /// The port of the provider that answered, or the first line of the error.
    pub answer: Result<u16, String>,
}

/// All calls since the start, or since [`DubboConsumer::forget`].
#[derive(Debug, Clone, Default)]
pub struct DubboReport {
    pub calls: Vec<DubboCall>,
}

impl DubboConsumer {
    /// Starts it; it calls every 50 ms from then on, whether there are providers or not. `registry` as for a
    /// [`super::DubboProvider`].
    ///
    /// Keys: `app` (else `consumer`), `migration` (`APPLICATION_FIRST`, which is Dubbo's default, `FORCE_INTERFACE` or
    /// `FORCE_APPLICATION`), `group`, `version`, `tag`, `timeout` and `interval` (ms). Any other becomes a parameter.
    pub async fn start(registry: &str, keys: &[(&str, &str)]) -> Result<Self> {
        let mut all = vec![("app", "consumer")];
        all.retain(|(ours, _)| keys.iter().all(|(key, _)| key != ours));
        all.extend(keys);
        let program = program("causeway.testbed.Consumer", vec![registry.to_string()], &all)?;
        let calls = Arc::new(Calls::default());
        let heard = calls.clone();
        let java = Java::start(program, move |said| heard.add(&said)).await?;
        Ok(Self { java, calls })
    }

    /// `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.java.pid()
    }

    /// Who answered the last 20 calls.
    pub fn answers(&self) -> BTreeSet<u16> {
        let all = self.calls.all.lock();
        all[all.len().saturating_sub(LAST)..].iter().filter_map(|call| call.answer.clone().ok()).collect()
    }

    /// How many calls failed.
    pub fn errors(&self) -> usize {
        self.calls.all.lock().iter().filter(|call| call.answer.is_err()).count()
    }

    /// Waits until the last 20 calls were all answered, by just these providers; without any, until all 20 failed.
    pub async fn wait_for(&self, ports: &[u16], within: Duration) -> Result<()> {
        let wanted: BTreeSet<u16> = ports.iter().copied().collect();
        let look = async {
            loop {
                let grown = self.calls.grown.notified();
                if self.calls.settled(&wanted) {
                    return;
                }
                grown.await;
            }
        };
        match timeout(within, look).await {
            Ok(()) => Ok(()),
            Err(_) => {
                let report = self.report();
                let last = report.calls.last();
                bail!("within {within:?} not just {wanted:?} answered, but {:?}; last: {last:?}", self.answers())
            }
        }
    }

    pub fn report(&self) -> DubboReport {
        DubboReport { calls: self.calls.all.lock().clone() }
    }

    /// Forgets all calls so far, for the next phase of a test.
    pub fn forget(&self) {
        self.calls.all.lock().clear();
    }

    /// SIGTERM.
    pub async fn stop(&self) -> Result<()> {
        self.java.stop(STOP).await
    }

    pub fn kill9(&self) -> Result<()> {
        self.java.kill9()
    }
}

impl DubboReport {
    pub fn errors(&self) -> Vec<&DubboCall> {
        self.calls.iter().filter(|call| call.answer.is_err()).collect()
    }

    /// How many calls each provider answered.
    pub fn answers(&self) -> BTreeMap<u16, usize> {
        let mut out = BTreeMap::new();
        for port in self.calls.iter().filter_map(|call| call.answer.as_ref().ok()) {
            *out.entry(*port).or_default() += 1;
        }
        out
    }

    /// The longest time from the first of several failed calls in a row to the next answer, or to the last call.
    pub fn longest_outage(&self) -> Duration {
        let (mut longest, mut since) = (0, None);
        for call in &self.calls {
            longest = longest.max(call.at.saturating_sub(since.unwrap_or(call.at)));
            since = if call.answer.is_ok() { None } else { since.or(Some(call.at)) };
        }
        Duration::from_millis(longest)
    }
}

impl Calls {
    fn add(&self, said: &Value) {
        if said["event"] != "call" {
            return;
        }
        let port = said["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let call = DubboCall {
            at: said["at"].as_u64().unwrap_or_default(),
            took: Duration::from_micros(said["micros"].as_u64().unwrap_or_default()),
            answer: port.ok_or_else(|| said["error"].as_str().unwrap_or_default().to_string()),
        };
        self.all.lock().push(call);
        self.grown.notify_waiters();
    }

    fn settled(&self, wanted: &BTreeSet<u16>) -> bool {
        let all = self.all.lock();
        let Some(last) = all.len().checked_sub(LAST).map(|from| &all[from..]) else {
            return false;
        };
        let answered: BTreeSet<u16> = last.iter().filter_map(|call| call.answer.clone().ok()).collect();
        answered == *wanted && last.iter().all(|call| call.answer.is_ok() != wanted.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_until_the_next_answer() {
        let call = |at, good: bool| DubboCall {
            at,
            took: Duration::ZERO,
            answer: if good { Ok(1) } else { Err(String::new()) },
        };
        let report =
            |calls: &[(u64, bool)]| DubboReport { calls: calls.iter().map(|(at, good)| call(*at, *good)).collect() };
        let longest = |calls: &[(u64, bool)]| report(calls).longest_outage().as_millis();
        assert_eq!(longest(&[(0, true), (500, true)]), 0);
        assert_eq!(longest(&[(0, true), (50, false), (100, false), (150, true), (900, true)]), 100);
        assert_eq!(longest(&[(0, false), (50, false)]), 50);
    }
}
