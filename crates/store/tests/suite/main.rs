//! One suite for every database that a store can stand in: what is put in comes out again. Then what only a shared one has: accounts, keys,
//! TLS, several nodes at once, and servers that go away.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod accounts;
mod both;
mod outages;
mod place;
mod several;
mod texts;

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use anyhow::Result;
use causeway_testbed::{host, own_trial};
use libtest_mimic::{Arguments, Trial};
use place::{Kind, Place};

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

type Case = fn(Place) -> Pin<Box<dyn Future<Output = Result<()>>>>;
type Test = fn() -> Pin<Box<dyn Future<Output = Result<()>>>>;

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        [$((stringify!($name), (|place| Box::pin($module::$name(place))) as Case)),*]
    };
}

macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        [$((concat!("mysql/", stringify!($name)), (|| Box::pin($module::$name())) as Test)),*]
    };
}

fn main() {
    let arguments = Arguments::from_args();
    let cases = cases![
        both::settings_survive_a_restart,
        both::an_edit_is_done_wholly_or_not_at_all,
        both::every_edit_raises_the_revision,
        both::of_two_edits_of_one_revision_the_second_fails,
        both::the_first_value_is_kept,
        both::the_ledger_comes_back_in_order,
        both::the_history_is_found_by_its_parts,
        both::a_quiet_database_is_written_at_once,
        both::a_hundred_thousand_updates,
        texts::names_are_told_apart_by_every_letter,
        texts::texts_may_be_long,
        texts::a_batch_may_be_large,
    ];
    let tests = tests![
        accounts::an_account_without_rights_is_told_what_to_run,
        accounts::a_missing_database_is_told_or_made,
        accounts::a_wrong_password_is_told_at_once,
        accounts::the_key_follows_the_password,
        accounts::a_key_of_the_environment_is_for_all,
        accounts::connections_are_encrypted_as_the_url_says,
        several::nodes_that_start_at_once_agree,
        several::edits_of_many_nodes_are_all_done,
        several::writers_in_each_others_way_all_get_through,
        several::a_newer_program_has_been_there,
        outages::a_crash_of_the_server_is_waited_for,
        outages::a_frozen_server_delays_nobody,
        outages::the_first_server_that_writes_is_used,
        outages::a_server_that_becomes_read_only_is_left,
        outages::a_connection_that_says_nothing_is_closed,
    ];
    let mut trials = Vec::new();
    for (name, case) in cases {
        trials.push(own_trial(&format!("sqlite/{name}"), &[], move || {
            RUNTIME.block_on(async { case(Place::new(Kind::Sqlite).await?).await })
        }));
        trials.push(own_trial(&format!("mysql/{name}"), &host::mariadb(), move || {
            RUNTIME.block_on(async { case(Place::new(Kind::MySql).await?).await })
        }));
    }
    trials.extend(
        tests.map(|(name, test)| own_trial(name, &host::mariadb(), move || RUNTIME.block_on(async { test().await }))),
    );
    let trials: Vec<Trial> = causeway_testbed::share(trials);
    let done = libtest_mimic::run(&arguments, trials);
    // A static is not dropped, and the server would be killed in the middle of something.
    RUNTIME.block_on(place::stop_server());
    done.exit();
}
