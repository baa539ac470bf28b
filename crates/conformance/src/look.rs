//! Looking again and again: servers show changes late.

use crate::{Session, Subject};
use anyhow::{Result, anyhow, bail};
use causeway_core::{Change, Error, Instance, Interest, Part, Selector, ServiceKey, Set};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// These parts, named by the operator, and all in them.
pub struct Only(pub BTreeSet<Arc<str>>);

impl Only {
    /// As a watch wants it.
    pub fn parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Selector {
        Arc::new(Self(parts.into_iter().map(Arc::from).collect()))
    }
}

impl Interest for Only {
    fn part(&self, part: &Part, _: Option<&str>) -> bool {
        self.0.contains(&part.0)
    }
    fn named(&self) -> BTreeSet<Arc<str>> {
        self.0.clone()
    }
    fn scope(&self, _: &ServiceKey) -> bool {
        true
    }
}

/// Looks every 50 ms until what is seen passes `test`, and gives it. The error shows the last look.
pub async fn until<T: Debug, F: Future<Output = Result<T>>>(
    limit: Duration,
    what: &str,
    look: impl Fn() -> F,
    test: impl Fn(&T) -> bool,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = look().await;
        match seen {
            Ok(seen) if test(&seen) => return Ok(seen),
            seen if Instant::now() > end => bail!("not within {limit:?}: {what}; last seen {seen:?}"),
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One service as a session of ours reads it; empty when it is not there.
pub async fn read(session: &Session, service: &ServiceKey) -> Result<Set> {
    struct One(ServiceKey);
    impl Interest for One {
        fn part(&self, part: &Part, _: Option<&str>) -> bool {
            self.0.part() == *part
        }
        fn named(&self) -> BTreeSet<Arc<str>> {
            BTreeSet::from([self.0.namespace.clone()])
        }
        fn scope(&self, scope: &ServiceKey) -> bool {
            self.0 == *scope
        }
    }
    let select: Selector = Arc::new(One(service.clone()));
    let mut sets = session.read(&service.part(), &select).await?;
    Ok(sets.pop().unwrap_or_else(|| Set::empty(service.clone())))
}

/// The record as the kind holds it.
pub fn normal(session: &Session, service: &ServiceKey, record: Instance) -> Result<Instance> {
    session.normalize(service, record).map_err(|why| anyhow!("cannot be held: {why}"))
}

/// How often a write may find that somebody else was faster.
const CONFLICTS: usize = 5;

/// Applies changes that must all succeed; the first may be told to wait, or that something else stands there than was known.
pub async fn write(session: &Session, service: &ServiceKey, changes: &[Change]) -> Result<()> {
    let (mut outcomes, mut conflicts) = (session.apply(service, changes).await, 0);
    loop {
        match outcomes[..] {
            [Err(Error::Throttled(wait)), ..] => sleep(wait).await,
            [Err(Error::Conflict), ..] if conflicts < CONFLICTS => conflicts += 1,
            _ => break,
        }
        outcomes = session.apply(service, changes).await;
    }
    if outcomes.len() != changes.len() {
        bail!("{} outcomes for {} changes", outcomes.len(), changes.len());
    }
    match changes.iter().zip(outcomes).find_map(|(change, outcome)| Some((change, outcome.err()?))) {
        Some((change, error)) => bail!("{error} at {change:?}"),
        None => Ok(()),
    }
}

/// What was shown to subscribers of a service while something went on.
pub struct Shown {
    /// Different lists in a row, from looks every 20 ms.
    pub polled: Vec<Vec<Instance>>,
    /// What a subscriber was told.
    pub told: Vec<Vec<Instance>>,
    /// Number of looks.
    pub looks: usize,
}

impl Shown {
    /// All lists of either kind.
    pub fn lists(&self) -> impl Iterator<Item = &Vec<Instance>> {
        self.polled.iter().chain(&self.told)
    }
}

/// Does `body`, and looks every 20 ms at what subscribers of the service are shown meanwhile.
pub async fn shown_during<S: Subject, T>(
    subject: &S,
    service: &ServiceKey,
    body: impl Future<Output = Result<T>>,
) -> Result<(T, Shown)> {
    let told = subject.subscribe(service).await?;
    let (mut polled, mut looks): (Vec<Vec<Instance>>, _) = (Vec::new(), 0);
    let mut tick = interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let done = {
        let looking = async {
            loop {
                tick.tick().await;
                let mut list = subject.visible(service).await?;
                list.sort_by(|a, b| (&a.id, a.weight.to_bits()).cmp(&(&b.id, b.weight.to_bits())));
                looks += 1;
                if polled.last() != Some(&list) {
                    polled.push(list);
                }
            }
        };
        tokio::pin!(looking, body);
        tokio::select! {
            done = &mut body => done?,
            failed = &mut looking => return failed,
        }
    };
    Ok((done, Shown { polled, told: told(), looks }))
}
