//! The twenty points, each one test.

mod apply;
mod change;
mod denied;
mod load;
mod names;
mod native;
mod record;
mod reset;
mod upkeep;

use crate::{Corner, Kind, table};
use anyhow::{Context, Result};
use causeway_testbed::{Server, trial};
use libtest_mimic::Trial;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Longest time for one test; servers of one's own take half a minute to start.
const LIMIT: Duration = Duration::from_secs(300);

/// One for all tests, since they share providers and servers.
#[expect(clippy::expect_used, reason = "without a runtime there is no test")]
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
/// Tests with servers of their own go one after another: two cores start no two servers in time.
static RESTARTS: Mutex<()> = Mutex::const_new(());

/// Whether the long tests run too.
fn full() -> bool {
    std::env::var_os("CAUSEWAY_TEST_FULL").is_some_and(|value| !value.is_empty())
}

/// All points for one kind. Those with servers of their own stand together at the end.
pub fn trials<K: Kind>(kind: &K) -> Vec<Trial> {
    vec![
        shared(kind, "readme_says_what_is_lost", async |at| table::compare(at).await),
        shared(kind, "p01_first_item_is_a_complete_reset", async |at| reset::first_item(at).await),
        shared(kind, "p02_native_changes_are_seen_in_time", async |at| change::seen_in_time(at).await),
        shared(kind, "p04_empty_is_not_missing", async |at| reset::empty_is_not_missing(at).await),
        shared(kind, "p05_what_is_written_reads_back", async |at| record::reads_back(at).await),
        shared(kind, "p06_apply_twice_is_once", async |at| apply::twice_is_once(at).await),
        shared(kind, "p07_every_field_travels", async |at| change::every_field(at).await),
        shared(kind, "p08_foreign_siblings_are_untouched", async |at| apply::foreign_siblings(at).await),
        shared(kind, "p09_the_mark_survives", async |at| record::mark_survives(at).await),
        shared(kind, "p10_one_bad_record_of_ten", async |at| apply::one_bad_of_ten(at).await),
        shared(kind, "p11_namespaces_and_groups_do_not_mix", async |at| apply::no_mixing(at).await),
        shared(kind, "p12_still_there_after_one_expiry", async |at| upkeep::outlives_expiry(at, 1).await),
        shared(kind, "p12_still_there_after_three_expiries", async |at| upkeep::outlives_expiry(at, 3).await)
            .with_ignored_flag(!full()),
        shared(kind, "p13_adopted_without_a_gap", async |at| upkeep::adopted(at).await),
        shared(kind, "p14_a_thousand_services_in_few_calls", async |at| load::thousand_services(at).await),
        shared(kind, "p15_limits_hold_under_load", async |at| load::limits(at).await),
        shared(kind, "p18_metadata_of_exactly_the_limit", async |at| record::exact_limit(at).await),
        shared(kind, "p19_a_native_beside_ours", async |at| native::beside_ours(at).await),
        shared(kind, "p20_names_are_taken_as_given", async |at| names::as_given(at).await),
        own(kind, "p03_a_stopped_server_is_not_an_empty_one", async |at| reset::stopped_server(at).await),
        own(kind, "p16_a_wrong_password_is_denied", async |at| denied::wrong_password(at).await),
        own(kind, "p17_one_part_denied_or_away", async |at| denied::one_part(at).await),
    ]
}

fn shared<K: Kind>(
    kind: &K,
    name: &str,
    run: impl AsyncFnOnce(&Corner<K::Subject>) -> Result<()> + Send + 'static,
) -> Trial {
    let mine = kind.clone();
    test(kind.label(), kind.needs(), name, async move |title| {
        within_corner::<K>(mine.shared().await?, &title, run).await
    })
}

fn own<K: Kind>(
    kind: &K,
    name: &str,
    run: impl AsyncFnOnce(&Corner<K::Subject>) -> Result<()> + Send + 'static,
) -> Trial {
    let mine = kind.clone();
    test_alone(kind.label(), kind.needs(), name, async move |title| {
        let subject = mine.own().await.context("starting a server")?;
        within_corner::<K>(subject, &title, run).await
    })
}

async fn within_corner<K: Kind>(
    subject: K::Subject,
    title: &str,
    run: impl AsyncFnOnce(&Corner<K::Subject>) -> Result<()>,
) -> Result<()> {
    let corner = Corner::make(subject, title).await?;
    let (done, said) = timed(run(&corner)).await;
    corner.note(&said);
    let cleaned = corner.clean().await.context("cleaning up");
    done.and(cleaned)
}

/// A test on servers that all share. `run` gets its whole name.
pub(crate) fn test(
    label: &str,
    needs: &[Server],
    name: &str,
    run: impl AsyncFnOnce(String) -> Result<()> + Send + 'static,
) -> Trial {
    let name = format!("{label}::{name}");
    let title = name.clone();
    trial(&name, needs, move || RUNTIME.block_on(run(title)))
}

/// A test with servers of its own.
pub(crate) fn test_alone(
    label: &str,
    needs: &[Server],
    name: &str,
    run: impl AsyncFnOnce(String) -> Result<()> + Send + 'static,
) -> Trial {
    test(label, needs, &format!("restarts::{name}"), async move |title| {
        let _turn = RESTARTS.lock().await;
        run(title).await
    })
}

/// What became of a test within its limit, and words about it.
pub(crate) async fn timed(run: impl Future<Output = Result<()>>) -> (Result<()>, String) {
    let began = Instant::now();
    let done = timeout(LIMIT, run).await.unwrap_or_else(|_| Err(anyhow::anyhow!("not done within {LIMIT:?}")));
    let said = format!("{} in {:.1} s", if done.is_ok() { "held" } else { "broken" }, began.elapsed().as_secs_f64());
    (done, said)
}
