//! Nacos 1.x through the connector's ports: copies kept by heart beats, services followed by polls.

mod nacos_ports;
mod nacos_v1_cases;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use causeway_testbed::{Server, shared};
use libtest_mimic::{Arguments, Failed, Trial};

const LIMIT: Duration = Duration::from_secs(240);

fn run<F: Future<Output = Result<()>>>(case: impl FnOnce() -> F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async { tokio::time::timeout(LIMIT, case()).await });
    done.map_err(|_| anyhow!("not done within {LIMIT:?}"))?
}

/// On a server that other tests use too.
fn on_shared<F: Future<Output = Result<()>>>(name: &str, case: impl FnOnce(String) -> F + Send + 'static) -> Trial {
    let name = format!("nacos1::{name}");
    causeway_testbed::trial(&name, &[Server::Nacos1], move || {
        let address = shared(Server::Nacos1).context("no address")?;
        run(|| case(address))
    })
}

/// On servers of its own, which take a while to start.
fn on_own<F: Future<Output = Result<()>>>(name: &str, case: impl FnOnce() -> F + Send + 'static) -> Trial {
    let trial = Trial::test(format!("nacos1::restarts::{name}"), move || {
        run(case).map_err(|error| Failed::from(format!("{error:#}")))
    });
    trial.with_ignored_flag(!causeway_testbed::full())
}

fn main() -> ExitCode {
    use nacos_v1_cases::{restarts, shared};
    let trials = vec![
        on_shared("a_provider_that_moves_here_is_not_touched", shared::cut_over),
        on_shared("a_native_is_never_written_over", shared::native_first),
        on_shared("a_mark_that_was_wiped_comes_back", shared::wiped_mark),
        on_shared("a_removed_copy_comes_back", shared::removed),
        on_shared("health_travels_and_stays", shared::health),
        on_shared("changes_of_300_services_are_seen", shared::seen),
        on_own("server_killed_and_back", restarts::killed),
        on_own("server_upgraded_to_2_5", restarts::upgraded),
        on_own("kept_by_beats_500_by_10", restarts::many),
    ];
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials)).exit_code()
}
