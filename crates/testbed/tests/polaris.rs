//! The double of Polaris, held against what was measured of a real server of 1.19. `CAUSEWAY_TEST_REAL_POLARIS=http:grpc:token`
//! (three words, the ports of 127.0.0.1 first) holds a real one against the same facts.
#![allow(clippy::unwrap_used)]

mod polaris_facts;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use polaris_facts::{console, discovery, place::Place, upkeep};
use std::future::Future;
use std::pin::Pin;

type Fact = fn(Place) -> Pin<Box<dyn Future<Output = Result<()>>>>;

macro_rules! facts {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$((concat!(stringify!($module), "::", stringify!($name)), (|place| Box::pin($module::$name(place))) as Fact)),*]
    };
}

fn main() {
    let facts = facts![
        console::sign_in,
        console::tokens,
        console::namespaces_and_services,
        console::records_of_instances,
        console::one_bad_record_refuses_the_list,
        console::lists_have_a_hundred_rows,
        console::what_json_may_say,
        console::updates_merge,
        console::ids,
        console::hosts,
        discovery::first_unknown_then_there,
        discovery::revisions,
        discovery::late_removals,
        discovery::internal_keys,
        discovery::services_of_a_namespace,
        discovery::over_grpc,
        upkeep::no_heartbeat,
        upkeep::heartbeats_of_unknown_instances,
        upkeep::a_restart_keeps_everything,
        upkeep::calls_fail_as_told,
    ];
    let trials = facts.into_iter().map(|(name, fact)| {
        let own = name.ends_with("a_restart_keeps_everything") || name.ends_with("calls_fail_as_told");
        let run = move || {
            let runtime = tokio::runtime::Runtime::new()?;
            let done = runtime.block_on(async { fact(Place::new(name).await?).await });
            done.map_err(|error| Failed::from(format!("{error:#}")))
        };
        // A real server has no port for tests.
        Trial::test(name, run).with_ignored_flag(own && Place::is_real())
    });
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials.collect())).exit();
}
