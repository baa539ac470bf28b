//! The ZooKeeper wire client against real servers. What starts servers of its own is part of `./test --full` alone.

mod zk_client_cases;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use causeway_testbed::{Server, shared};
use libtest_mimic::{Arguments, Failed, Trial};
use zk_client_cases::{bench, calls, ensemble, life, rights, spread, tls, tree};

/// A test may take this long.
const LIMIT: Duration = Duration::from_secs(240);

fn block_on(case: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async { tokio::time::timeout(LIMIT, case).await });
    done.map_err(|_| anyhow!("not done within {LIMIT:?}"))?
}

/// On a server that others use at the same time.
fn with_shared<F: Future<Output = Result<()>>>(name: &str, case: impl FnOnce(String) -> F + Send + 'static) -> Trial {
    causeway_testbed::trial(name, &[Server::Zoo], move || {
        block_on(async { case(shared(Server::Zoo).context("no address")?).await })
    })
}

/// With servers of its own.
fn full<F: Future<Output = Result<()>>>(name: &str, case: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || block_on(case()).map_err(|error| Failed::from(format!("{error:#}"))))
        .with_ignored_flag(!causeway_testbed::full())
}

/// Only when it is asked for by name, with `--ignored`.
fn figures<F: Future<Output = Result<()>>>(name: &str, case: impl FnOnce() -> F + Send + 'static) -> Trial {
    full(name, case).with_ignored_flag(true)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let trials = vec![
        with_shared("calls", calls::calls),
        with_shared("transactions", calls::transactions),
        with_shared("many_at_once", calls::many),
        with_shared("chroot_and_dead_addresses", calls::chroot),
        with_shared("refused_before_it_harms", calls::too_long),
        with_shared("rights", rights::logins),
        with_shared("denied_child", rights::denied_child),
        with_shared("tree_follows", tree::follows),
        with_shared("tree_follows_with_single_watches", tree::follows_single),
        with_shared("tree_filters", tree::filters),
        with_shared("tree_survives_a_panic", tree::panics),
        with_shared("tree_of_a_burst", tree::burst),
        with_shared("session_goes_on_in_another_process", life::goes_on),
        with_shared("session_is_kept_before_anything_is_written", life::is_kept_first),
        with_shared("session_is_handed_over_in_one_process", life::followed),
        with_shared("session_expires", life::expires),
        with_shared("an_overfull_session_is_emptied_in_steps", spread::is_emptied),
        with_shared("an_idle_session_is_ended", spread::is_ended),
        with_shared("sessions_are_handed_over_while_they_are_filled", spread::handed_over),
        full("a_server_refuses_further_sessions", spread::refused),
        full("session_is_terminated", life::terminated),
        full("session_outlives_its_server", life::outlives),
        full("server_is_wiped", life::wiped),
        full("server_hangs", life::hangs),
        full("a_slow_reader_costs_no_memory", tree::slow_reader),
        full("tls", tls::tls),
        full("ensemble_fails_over", ensemble::fails_over),
        full("ensemble_loses_its_majority", ensemble::loses_its_majority),
        figures("figures_100k", bench::listing),
    ];
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit_code()
}
