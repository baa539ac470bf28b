//! The wire client against running servers.
//!
//! `CAUSEWAY_TEST_NACOS1`, `…2`, `…3` hold `host:port` of a server of that generation, without
//! authentication. Without it a test is ignored, or fails where `CI` is set.

mod nacos_client_cases;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use causeway_connectors::nacos::client::{Address, NacosClient, Options};
use libtest_mimic::{Arguments, Failed, Trial};

/// A test may take this long.
const LIMIT: Duration = Duration::from_secs(90);

/// The server under test.
pub struct Target {
    /// Its address.
    pub address: Address,
}

impl Target {
    /// A client with default options.
    pub fn client(&self) -> Result<NacosClient> {
        Ok(NacosClient::new(Options::new(vec![self.address.clone()]))?)
    }
}

fn trial<F, Fut>(generation: u8, name: &str, case: F) -> Trial
where
    F: FnOnce(Arc<Target>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let variable = format!("CAUSEWAY_TEST_NACOS{generation}");
    let given = std::env::var(&variable).ok();
    let missing = given.is_none();
    let title = format!("nacos{generation}::{name}");
    let trial = Trial::test(title, move || {
        let run = || -> Result<()> {
            let text = given.with_context(|| format!("{variable} is not set"))?;
            let address = text.parse()?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let target = Arc::new(Target { address });
            let done = runtime.block_on(async { tokio::time::timeout(LIMIT, case(target)).await });
            done.map_err(|_| anyhow!("not done within {LIMIT:?}"))?
        };
        run().map_err(|error| Failed::from(format!("{error:?}")))
    });
    trial.with_ignored_flag(missing && std::env::var_os("CI").is_none())
}

fn main() -> ExitCode {
    use nacos_client_cases as cases;
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for generation in [2, 3] {
        trials.push(trial(generation, "publishes_and_withdraws", cases::grpc::publishes));
        trials.push(trial(generation, "pushes_what_changes", cases::grpc::pushes));
        trials.push(trial(generation, "closing_ends_publications", cases::grpc::closes));
        trials.push(trial(generation, "keeps_persistent_ones", cases::grpc::persistent));
        trials.push(trial(generation, "refuses_bad_sets", cases::grpc::refuses));
        trials.push(trial(generation, "names_publishers", cases::grpc::publishers));
        trials.push(trial(generation, "survives_in_kept_sockets", cases::kept::survives));
        trials.push(trial(generation, "moves_when_told", cases::kept::moves));
        trials.push(trial(generation, "replays_after_a_cut", cases::cut::replays));
        trials.push(trial(generation, "replays_500_services", cases::cut::replays_many));
    }
    for generation in [1, 2, 3] {
        trials.push(trial(generation, "knows_its_version", cases::http::version(generation)));
        trials.push(trial(generation, "lists_namespaces", cases::http::namespaces));
        trials.push(trial(generation, "keeps_attributes", cases::http::attributes));
    }
    for generation in [1, 2] {
        trials.push(trial(generation, "registers_over_http", cases::http::registers));
    }
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit_code()
}
