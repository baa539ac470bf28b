//! One test for each ordered pair of layouts: services appear, a change of each field that both sides can hold travels, an
//! instance dies, and after a drain nothing of ours is left and nothing else was touched.

mod consul;
mod dubbo;
mod eureka;
mod kong;
mod nacos;
mod record;
mod spring;

use crate::Test;
use crate::estate::{pause, until};
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use record::{Field, Record, differences};
use std::time::Duration;

/// Services of each test, and instances of each service.
const SERVICES: u16 = 20;
const INSTANCES: u16 = 3;
/// Within this time everything is copied, on a machine with other tests at work.
const COPIED: Duration = Duration::from_secs(40);
const TRAVELLED: Duration = Duration::from_secs(15);

/// Which of two servers of a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

/// A place of one test's own in a registry, written and read through the vendor's own API.
trait Registry: Sized {
    /// What it can hold besides addresses and metadata.
    const FIELDS: &[Field];
    /// Every service is one of Dubbo's interfaces.
    const DUBBO: bool = false;

    /// `test`: lower-case letters and dashes, in the names of all that the test makes.
    async fn at(side: Side, test: &str) -> Result<Self>;
    /// The cluster's line in settings, under this name.
    fn cluster(&self, name: &str) -> String;
    /// Registers these records of one service, or replaces what is registered at their ports. Others stay.
    async fn put(&self, records: &[Record]) -> Result<()>;
    async fn remove(&self, record: &Record) -> Result<()>;
    /// All records in the place, foreign ones included.
    async fn all(&self) -> Result<Vec<Record>>;
}

macro_rules! pairs {
    ($($from:ident to $($to:ident)*;)*) => {
        vec![$($((
            concat!("pairs::", stringify!($from), "_to_", stringify!($to)),
            (|| Box::pin(copied::<$from::Place, $to::Place>(concat!("pair-", stringify!($from), "-", stringify!($to)))))
                as Test,
        )),*),*]
    };
}

/// The tests by name. Between Dubbo's and Spring Cloud's znodes there is nothing to copy, and from a gateway neither.
pub fn all() -> Vec<(&'static str, Test)> {
    pairs![
        nacos to nacos dubbo spring eureka consul kong;
        dubbo to nacos dubbo eureka consul kong;
        spring to nacos spring eureka consul kong;
        eureka to nacos dubbo spring eureka consul kong;
        consul to nacos dubbo spring eureka consul kong;
    ]
}

/// Ends what the tests share.
pub fn end() {
    nacos::end();
    eureka::end();
    consul::end();
    kong::end();
}

/// Waits until `place` holds `wanted` and nothing else; how long that took.
async fn holds(
    place: &impl Registry,
    what: &str,
    wanted: &[Record],
    fields: &[Field],
    limit: Duration,
) -> Result<Duration> {
    let took = until(what, limit, async || Ok(differences(wanted, &place.all().await?, fields).is_empty())).await;
    if took.is_err() {
        let found = differences(wanted, &place.all().await?, fields);
        let first: Vec<_> = found.iter().take(10).collect();
        return took.with_context(|| format!("{} differences: {first:#?}", found.len()));
    }
    took
}

async fn copied<From: Registry, To: Registry>(test: &'static str) -> Result<()> {
    let (from, to) = (From::at(Side::Source, test).await?, To::at(Side::Destination, test).await?);
    let both: Vec<_> = From::FIELDS.iter().filter(|field| To::FIELDS.contains(field)).copied().collect();
    let dubbo = From::DUBBO || To::DUBBO;
    let mut wanted: Vec<_> =
        (0..SERVICES).flat_map(|n| (0..INSTANCES).map(move |i| Record::new(test, n, 20_000 + i, dubbo))).collect();
    // One in a service of ours and one in a service of its own.
    let foreign = [Record::new(test, 0, 19_999, dubbo), Record::new(test, SERVICES, 19_999, dubbo)];
    for one in &foreign {
        to.put(std::slice::from_ref(one)).await?;
    }
    for records in wanted.chunk_by(|a, b| a.service == b.service) {
        from.put(records).await?;
    }
    let node = Node::start().await?;
    node.apply(&format!(
        "clusters:\n{}{}tasks:\n  - {{name: pair, source: from, destination: to, settle: 2s, \
         serviceMatchPattern: \"(?i).*{test}-.*\"}}\n",
        from.cluster("from"),
        to.cluster("to")
    ))?;
    let with_foreign = |wanted: &[Record]| [wanted, &foreign].concat();
    let told = |result: Result<Duration>| result.with_context(|| node.log());
    told(holds(&to, "all are copied", &with_foreign(&wanted), &both, COPIED).await)?;

    let mut times = Vec::new();
    for (n, field) in [Field::Metadata].iter().chain(&both).enumerate() {
        wanted[n].change(*field);
        from.put(&wanted[n..=n]).await?;
        let what = format!("a change of {field:?}");
        times.push(told(holds(&to, &what, &with_foreign(&wanted), &both, TRAVELLED).await)?);
    }
    eprintln!("{test}: changes seen after {times:?}");
    from.remove(&wanted.remove(7)).await?;
    told(holds(&to, "an instance dies", &with_foreign(&wanted), &both, TRAVELLED).await)?;

    node.ok(&["drain", "pair", "--yes"])?;
    told(holds(&to, "drained", &foreign, &both, TRAVELLED).await)?;
    pause(2).await;
    let left = differences(&foreign, &to.all().await?, &both);
    ensure!(left.is_empty(), "after the drain: {left:#?}");
    let source = differences(&wanted, &from.all().await?, From::FIELDS);
    ensure!(source.is_empty(), "at the source: {source:#?}");
    Ok(())
}
