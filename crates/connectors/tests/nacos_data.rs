//! Config entries of real Nacos servers, through the port. Judged by the servers' own HTTP interface.

mod nacos_data_cases;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use causeway_connectors::nacos::NacosConnector;
use causeway_connectors::{Connect, Connector};
use causeway_core::{ClusterId, DataSink};
use causeway_testbed::{NacosVersion, OpenApi, Server, shared};
use libtest_mimic::{Arguments, Failed, Trial};
use nacos_data_cases as cases;

/// A test may take this long.
const LIMIT: Duration = Duration::from_secs(120);

/// A server under test: the vendor's way to its entries, and ours.
pub struct Target {
    pub api: OpenApi,
    pub port: Arc<dyn DataSink>,
}

/// Our way to the entries of the server at `address`.
pub fn open(address: &str) -> Result<Arc<dyn DataSink>> {
    open_with(Connect { addresses: vec![address.to_owned()], ..Connect::default() })
}

pub fn open_with(connect: Connect) -> Result<Arc<dyn DataSink>> {
    let ports = NacosConnector.open(ClusterId::of("under test"), connect)?;
    ports.data.and_then(|port| port.sink()).context("its entries cannot be written")
}

fn block_on(case: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async { tokio::time::timeout(LIMIT, case).await });
    done.map_err(|_| anyhow!("not done within {LIMIT:?}"))?
}

/// On servers of every version that others use at the same time.
fn with_shared<F: Future<Output = Result<()>> + 'static>(name: &str, case: fn(Target) -> F) -> Vec<Trial> {
    let on = |server: Server| {
        causeway_testbed::trial(&format!("{}::{name}", server.name()), &[server], move || {
            let address = shared(server).context("no address")?;
            let version = server.nacos().context("no Nacos")?;
            let base = format!("http://{address}/nacos");
            let target = Target { api: OpenApi::connect(version, &base, None)?, port: open(&address)? };
            block_on(case(target))
        })
    };
    [Server::Nacos1, Server::Nacos2, Server::Nacos3].map(on).into()
}

/// With servers of its own; only of `./test --full`.
fn full<F>(name: &str, version: NacosVersion, case: fn(NacosVersion) -> F) -> Trial
where
    F: Future<Output = Result<()>> + 'static,
{
    Trial::test(name, move || block_on(case(version)).map_err(|error| Failed::from(format!("{error:#}"))))
        .with_ignored_flag(!causeway_testbed::full())
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let trials = [
        with_shared("writes_what_it_reads", cases::writes),
        with_shared("refuses_what_cannot_be_held", cases::refuses),
        with_shared("tells_what_changes", cases::follows),
        with_shared("only_what_is_asked_for", cases::only),
        with_shared("lists_many", cases::many),
        vec![
            full("nacos2::outlives_its_server", NacosVersion::V2_5, cases::outlives),
            full("nacos3::outlives_its_server", NacosVersion::V3_1, cases::outlives),
            full("nacos2::says_what_is_denied", NacosVersion::V2_5, cases::denied),
            full("nacos3::says_what_is_denied", NacosVersion::V3_1, cases::denied),
        ],
    ];
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit_code()
}
