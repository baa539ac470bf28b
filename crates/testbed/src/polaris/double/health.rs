//! Heartbeats, and instances that lack them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_proto::polaris::Instance;
use jiff::Timestamp;
use tokio::time::sleep;

use super::answers::OneAnswer;
use super::checks;
use super::codes::AnswerCode;
use super::state::PolarisState;

/// How often new instances are taken into the checks.
const DISPATCH: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(200);
/// So many TTLs without a heartbeat are too many.
const PATIENCE: u32 = 3;
/// The longest time between two checks of an instance, in seconds.
const LONGEST: u32 = 30;
/// So many heartbeats of an instance that nobody knows are taken, since it may not have come to the cache yet.
const UNKNOWN: u32 = 3;

struct HeartRecord {
    second: i64,
    /// While nobody knows the instance.
    count: u32,
}

struct NextCheck {
    at: Instant,
    ttl: u32,
}

/// Who beats, and when who is looked at.
pub struct Heartbeats {
    records: BTreeMap<String, HeartRecord>,
    checks: BTreeMap<String, NextCheck>,
    /// Heartbeats from before the start are not known: nobody is unhealthy for want of one until this is so long ago.
    started: Instant,
    dispatched: Instant,
}

/// Seconds since 1970.
fn second() -> i64 {
    Timestamp::now().as_second()
}

fn pause(ttl: u32) -> Duration {
    let random = getrandom::u32().unwrap_or_default() % 1_000;
    Duration::from_secs((ttl * PATIENCE).min(LONGEST).into()) + Duration::from_millis(random.into())
}

impl Heartbeats {
    pub fn new(now: Instant) -> Self {
        Self { records: BTreeMap::new(), checks: BTreeMap::new(), started: now, dispatched: now }
    }

    pub fn forget(&mut self, id: &str) {
        self.records.remove(id);
    }
}

impl PolarisState {
    /// A heartbeat. One for an instance that is not in the cache is taken, too, up to four times.
    pub fn beat(&self, asked: &Instance) -> OneAnswer {
        let id = match checks::beaten(asked) {
            Ok(id) => id,
            Err(code) => return OneAnswer::instance(code, asked.clone()),
        };
        let known = self.cache().instances.contains_key(&id);
        let mut beats = self.beats.lock();
        let before = beats.records.get(&id).map_or(0, |record| record.count);
        let count = if known { 0 } else { before.saturating_add(1) };
        beats.records.insert(id, HeartRecord { second: second(), count });
        let code = if !known && before > UNKNOWN { AnswerCode::NOT_FOUND } else { AnswerCode::SUCCESS };
        OneAnswer::instance(code, asked.clone())
    }

    /// Looks at whoever is due, for ever.
    pub async fn keep_checking(self: Arc<Self>) {
        loop {
            sleep(LOOK).await;
            self.dispatch(Instant::now());
            for (id, healthy, last) in self.due(Instant::now()) {
                // A journal that cannot be written ends nothing here.
                drop(self.write(|records| records.set_health(&id, healthy, last)));
            }
        }
    }

    fn dispatch(&self, now: Instant) {
        let cache = self.cache();
        let mut beats = self.beats.lock();
        if now < beats.dispatched + DISPATCH {
            return;
        }
        beats.dispatched = now;
        let checked = |id: &str| cache.instances.get(id).and_then(|one| one.ttl());
        beats.checks.retain(|id, _| checked(id).is_some());
        for (id, ttl) in cache.instances.iter().filter_map(|(id, one)| Some((id, one.ttl()?))) {
            let check = beats.checks.entry(id.clone()).or_insert_with(|| NextCheck { at: now + pause(ttl), ttl });
            check.ttl = ttl;
        }
    }

    /// Whose health changes, and the second of its last heartbeat.
    fn due(&self, now: Instant) -> Vec<(String, bool, i64)> {
        let cache = self.cache();
        let mut beats = self.beats.lock();
        let Heartbeats { records, checks, started, .. } = &mut *beats;
        let mut changes = Vec::new();
        for (id, check) in checks.iter_mut().filter(|(_, check)| check.at <= now) {
            check.at = now + pause(check.ttl);
            let Some(there) = cache.instances.get(id) else { continue };
            let patience = i64::from(check.ttl * PATIENCE);
            if (now - *started).as_secs() as i64 <= patience {
                continue;
            }
            let last = records.get(id).map_or(0, |record| record.second);
            let healthy = second() - last < patience;
            if there.it.healthy != Some(healthy) {
                changes.push((id.clone(), healthy, last));
            }
        }
        changes
    }
}
