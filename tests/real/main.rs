//! The whole program against real Nacos servers, real providers and real subscribers.
//!
//! Everything is judged from outside: by the vendor's Java client and by the servers' own API. Two tests run at a time,
//! and those with very many records alone; those that stop servers have servers of their own.
#![allow(clippy::unwrap_used)]

mod archive;
mod consul;
mod cut;
mod cutover;
mod documents;
mod documents_away;
mod estate;
mod eureka;
mod eureka_load;
mod eureka_names;
mod eureka_spring;
mod file_prometheus;
mod guards;
mod kong;
mod kong_estate;
mod kong_faults;
mod kong_forms;
mod kong_load;
mod many;
mod mixed;
mod namespaces;
mod node;
mod observability;
mod operator;
mod pairs;
mod polaris;
mod polaris_estate;
mod polaris_faults;
mod prometheus;
mod refusals;
mod restart;
mod ring;
mod shared_store;
mod takeover;
mod takeover_polaris;
mod travel;
mod zk;
mod zk_access;
mod zk_application;
mod zk_changes;
mod zk_data;
mod zk_dubbo;
mod zk_estate;
mod zk_left_out;
mod zk_moves;
mod zk_services;
mod zk_sessions;
mod zk_spring;

use anyhow::Result;
use causeway_testbed::host;
use libtest_mimic::{Arguments, Failed, Trial};
use std::future::Future;
use std::pin::Pin;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Instant;

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

type Test = fn() -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// Runs in the short tier, or only with `./test --full`.
#[derive(Clone, Copy, PartialEq)]
enum Tier {
    Short,
    Full,
}

/// Tests that keep both processors busy: they hold [`BUSY`] to write, all others to read.
const ALONE: [&str; 5] = ["many::", "_mb_of_paths", "twenty_thousand", "five_thousand", "five_hundred"];
static BUSY: RwLock<()> = RwLock::new(());

fn is_alone(name: &str) -> bool {
    ALONE.iter().any(|part| name.contains(part))
}

/// What this machine lacks for a test.
fn needs(name: &str) -> Vec<String> {
    match name.split("::").next() {
        Some("archive") => host::archive(),
        Some("documents_away") => host::kube(),
        Some("file_prometheus" | "observability") => host::prometheus(),
        Some("shared_store") => host::mariadb(),
        Some("consul" | "ring") => [host::missing(), &host::go()].concat(),
        _ => host::missing().to_vec(),
    }
}

fn trial(name: &str, tier: Tier, test: Test) -> Trial {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let missing = needs(name);
    let away = !missing.is_empty() && !set("CI");
    let alone = is_alone(name);
    let run = move || match missing.is_empty() {
        true => {
            let _alone = alone.then(|| BUSY.write().unwrap_or_else(PoisonError::into_inner));
            let _beside = (!alone).then(|| BUSY.read().unwrap_or_else(PoisonError::into_inner));
            let began = Instant::now();
            let done = RUNTIME.block_on(test()).map_err(|error| Failed::from(format!("{error:#}")));
            eprint!("[{:.0} s] ", began.elapsed().as_secs_f64());
            done
        }
        false => Err(Failed::from(format!("missing on this machine: {}", missing.join(", ")))),
    };
    // Without the servers' needs a test is reported by name as ignored, never as passed; in CI it fails.
    Trial::test(name, run).with_ignored_flag(away || (tier == Tier::Full && !causeway_testbed::full()))
}

macro_rules! tests {
    ($($tier:ident $module:ident :: $name:ident),* $(,)?) => {
        vec![$(trial(concat!(stringify!($module), "::", stringify!($name)), Tier::$tier, || Box::pin($module::$name()))),*]
    };
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(2).min(2));
    let tests = tests![
        Short travel::the_vendors_example_from_2_to_3_and_back,
        Short travel::a_chain_passes_changes_on,
        Short travel::a_services_own_attributes_travel,
        Short travel::a_storm_on_one_service_is_few_writes,
        Short travel::a_task_says_why_it_finds_nothing,
        Short archive::starts_answers_and_stops,
        Short archive::in_the_form_of_mse_sync,
        Short documents::two_registries_both_ways,
        Short documents::a_gateway_with_groups,
        Short documents_away::in_a_config_map,
        Short documents_away::a_config_map_that_comes_later,
        Short documents_away::under_a_key_of_etcd,
        Short consul::both_ways_with_nacos,
        Short consul::a_check_turns_critical,
        Short consul::a_token_that_is_lost_empties_nothing,
        Short consul::a_provider_moves,
        Short consul::a_restart_of_ours_is_not_seen,
        Full consul::two_data_centres,
        Full consul::outages_lose_nothing,
        Short eureka::both_ways_with_nacos,
        Short eureka_names::names_that_differ_in_case,
        Short eureka_names::a_name_in_two_namespaces,
        Short eureka_spring::applications_of_eureka_and_consumers_of_nacos,
        Short ring::nothing_comes_round,
        Short eureka::a_provider_moves_from_one_to_another,
        Full eureka_load::a_server_that_preserves_itself,
        Full eureka_load::five_thousand_services_at_rest,
        Full eureka::an_old_list_is_no_difference,
        Full eureka::a_restarted_server_empties_nothing,
        Short polaris::the_vendors_example_both_ways,
        Short polaris::both_ways_with_nacos,
        Short polaris::removed_keys_and_isolation_travel,
        Short polaris::a_name_of_three_parts,
        Short polaris::a_provider_moves,
        Short polaris::a_provider_moves_to_polaris,
        Short polaris::a_restart_of_ours_is_not_seen,
        Short polaris_faults::a_token_that_is_lost_empties_nothing,
        Short polaris_faults::a_thousand_instances_go_in_chunks,
        Short polaris_faults::a_hung_server_stalls_nothing_else,
        Full polaris_faults::a_restarted_server_empties_nothing,
        Full polaris_faults::a_destination_that_forgot_gets_everything_again,
        Full polaris_faults::errors_are_no_empty_lists,
        Full polaris_faults::heartbeats_are_followed,
        Full polaris_faults::five_thousand_there_and_back,
        Short file_prometheus::a_prometheus_lists_exactly_the_targets,
        Short observability::a_prometheus_scrapes_what_dashboard_and_rules_ask_for,
        Short observability::metrics_have_a_port_of_their_own_and_logs_are_json,
        Short observability::a_collector_gets_a_trace_of_each_service_that_is_written,
        Short kong::a_service_has_an_upstream_for_each_group,
        Short kong::no_request_fails_while_instances_come_and_go,
        Short kong::what_others_made_survives,
        Short kong::an_existing_upstream_gets_targets_only,
        Short kong::an_emptied_source_is_held,
        Short kong_faults::a_hung_admin_api_stalls_nobody,
        Short kong_faults::a_wrong_token_is_told,
        Short kong_faults::writes_that_fail_are_repeated,
        Short kong_faults::without_a_database_others_stay,
        Full kong_faults::a_gateway_that_crashes_keeps_what_it_has,
        Short kong_forms::over_tls_into_a_workspace,
        Short kong_forms::a_file_that_a_gateway_loads,
        Short kong_load::more_targets_than_a_page_come_and_leave,
        Full kong_load::five_hundred_services_of_ten,
        Short zk_services::every_layout_travels_byte_for_byte_both_ways,
        Short zk_services::a_restart_of_ours_is_no_event,
        Short zk_changes::other_settings_of_a_running_cluster_are_no_event,
        Short zk_sessions::many_sessions_go_on_as_one,
        Full zk_sessions::an_ensemble_outlives_us_with_4_mb_of_paths,
        Full zk_sessions::an_ensemble_outlives_us_with_12_mb_of_paths,
        Full zk_sessions::one_server_outlives_us_with_12_mb_of_paths,
        Full zk_changes::copies_without_a_session_survive_crashes,
        Short zk_changes::a_session_is_kept_before_it_holds_anything,
        Short zk_data::twenty_thousand_nodes_both_ways,
        Short zk_data::conflicts_follow_the_tasks_policy,
        Short zk_left_out::only_what_the_server_numbered_is_left_out,
        Short zk_left_out::refused_entries_hold_up_nobody,
        Short zk_left_out::no_data_stays_no_data,
        Full zk_data::outages_lose_no_data,
        Full zk_data::a_server_that_is_put_back_wins_nothing,
        Full zk_services::outages_lose_nothing,
        Full zk_access::lists_travel_with_services,
        Full zk_services::marks_in_the_data_tell_installs_apart,
        Short zk_dubbo::by_interface,
        Full zk_dubbo::over_nacos_and_home_again,
        Full zk_dubbo::both_ways_with_nacos,
        Short zk_spring::a_discovery_client_lists_field_by_field,
        Full zk_spring::a_discovery_client_lists_over_nacos,
        Short zk_application::from_zookeeper_to_nacos,
        Full zk_application::from_zookeeper_to_zookeeper,
        Full zk_application::from_zookeeper_to_nacos_with_remote_metadata,
        Full zk_application::from_nacos_to_zookeeper,
        Full zk_application::from_nacos_to_zookeeper_with_remote_metadata,
        Full zk_application::both_ways_with_nacos,
        Full zk_moves::a_provider_moves_with_overlap,
        Full zk_moves::a_provider_moves,
        Full zk_moves::a_provider_moves_by_kill_9,
        Short operator::an_override_is_kept_and_does_not_travel,
        Short operator::an_override_travels_where_the_task_says_so,
        Short operator::a_blanked_mark_makes_no_zombie,
        Short operator::two_installs_and_a_drain,
        Short operator::two_installs_with_different_sources,
        Short operator::wrong_files_leave_the_running_tasks_alone,
        Short cutover::a_provider_moves_with_overlap,
        Short cutover::a_provider_moves_by_kill_9,
        Short takeover::from_nacos_sync_on_2_5,
        Short takeover::from_nacos_sync_on_1_4,
        Full takeover::from_nacos_sync_on_3_1,
        Short takeover::from_polaris_sync_on_nacos,
        Short takeover_polaris::both_ways,
        Short mixed::static_and_live_providers_stand_together,
        Short mixed::two_urls_at_one_address,
        Short refusals::a_refusal_that_passes,
        Full refusals::a_refusal_that_the_server_takes_back,
        Short refusals::health_is_the_destinations,
        Short refusals::heart_beat_keys_are_no_flapping,
        Full refusals::heart_beat_keys_for_a_minute,
        Short guards::a_service_scaled_down_follows,
        Short guards::most_services_gone_is_held_and_released,
        Short shared_store::three_nodes_that_start_at_once_make_one_set_of_tasks,
        Short shared_store::what_is_wrong_with_the_database_is_told,
        Short namespaces::used_and_never_created,
        Short namespaces::named_and_empty_or_a_display_name,
        Full namespaces::lost_with_a_wiped_server,
        Short restart::kill_9_of_our_node_is_not_seen,
        Full restart::a_wiped_source_empties_nothing,
        Full restart::five_thousand_instances_outlive_us,
        Full restart::five_hundred_providers_come_back_slowly,
        Full restart::a_restart_while_the_source_is_down,
        Full restart::the_destination_restarts,
        Full restart::a_hung_destination_holds_up_nobody,
        Full restart::a_server_of_three_is_killed,
        Short many::copies_on_many_connections_are_not_seen,
        Full many::a_connection_that_is_too_full_is_told,
        Full many::fourteen_thousand_reach_every_server,
        Full many::fourteen_thousand_reach_every_server_of_3_1,
    ];
    let pairs = pairs::all().into_iter().map(|(name, test)| trial(name, Tier::Short, test));
    let mut tests = causeway_testbed::share(tests.into_iter().chain(pairs).collect());
    tests.sort_by_key(|test| is_alone(test.name()));
    let conclusion = libtest_mimic::run(&arguments, tests);
    estate::end();
    pairs::end();
    zk_estate::end();
    conclusion.exit();
}
