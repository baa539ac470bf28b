//! The points of config entries, each one test.

mod change;
mod denied;
mod fault;
mod listing;
mod load;
mod tree;
mod write;

use super::{DataCorner, DataKind, DataSubject};
use crate::points::{test, test_alone, timed};
use anyhow::{Context, Result};
use libtest_mimic::Trial;

/// All points for one kind. Those with servers of their own stand together at the end.
pub fn trials<K: DataKind>(kind: &K) -> Vec<Trial> {
    vec![
        shared(kind, "p01_the_first_listing_is_complete", async |at| listing::complete(at).await),
        shared(kind, "p02_comings_and_goings_are_told_in_time", async |at| change::told_in_time(at).await),
        shared(kind, "p03_attributes_alone_make_a_version", async |at| change::attributes_alone(at).await),
        shared(kind, "p04_a_body_is_of_its_version", async |at| change::of_its_version(at).await),
        shared(kind, "p05_reads_answer_for_each_in_order", async |at| listing::answers_for_each(at).await),
        shared(kind, "p06_what_is_written_reads_back", async |at| write::reads_back(at).await),
        shared(kind, "p07_whoever_was_quicker_wins", async |at| write::quicker_wins(at).await),
        shared(kind, "p08_of_two_writers_one_wins", async |at| write::one_wins(at).await),
        shared(kind, "p09_parents_before_children", async |at| tree::order(at).await),
        shared(kind, "p10_one_bad_write_of_many", async |at| write::one_bad_of_many(at).await),
        shared(kind, "p11_nothing_beside_the_selection", async |at| listing::selection(at).await),
        shared(kind, "p12_a_cut_is_not_an_empty_cluster", async |at| fault::cut(at).await),
        shared(kind, "p13_a_write_without_an_answer_is_unknown", async |at| fault::no_answer(at).await),
        shared(kind, "p14_one_change_among_many_is_cheap", async |at| load::one_of_many(at).await),
        own(kind, "p15_denied_is_not_empty", async |at| denied::denied(at).await),
        own(kind, "p16_a_stopped_server_is_not_an_empty_one", async |at| fault::stopped(at).await),
    ]
}

fn shared<K: DataKind>(
    kind: &K,
    name: &str,
    run: impl AsyncFnOnce(&DataCorner<K::Subject>) -> Result<()> + Send + 'static,
) -> Trial {
    let mine = kind.clone();
    test(kind.label(), kind.needs(), name, async move |title| within::<K>(mine.shared().await?, &title, run).await)
}

fn own<K: DataKind>(
    kind: &K,
    name: &str,
    run: impl AsyncFnOnce(&DataCorner<K::Subject>) -> Result<()> + Send + 'static,
) -> Trial {
    let mine = kind.clone();
    test_alone(kind.label(), kind.needs(), name, async move |title| {
        let subject = mine.own().await.context("starting a server")?;
        within::<K>(subject, &title, run).await
    })
}

async fn within<K: DataKind>(
    subject: K::Subject,
    title: &str,
    run: impl AsyncFnOnce(&DataCorner<K::Subject>) -> Result<()>,
) -> Result<()> {
    let corner = DataCorner::new(subject, title);
    let (done, said) = timed(run(&corner)).await;
    corner.note(&said);
    let cleaned = corner.subject.clean().await.context("cleaning up");
    done.and(cleaned)
}
