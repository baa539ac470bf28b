//! Probes of clusters, and the report file.

use crate::node::Inner;
use causeway_peers::polaris_sync::{ReportRow, TargetKind, report_block};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked at whether a probe or a report is due.
const LOOK: Duration = Duration::from_millis(200);
/// How long a cluster may take to answer a probe.
const PROBE: Duration = Duration::from_secs(5);
const FILE: &str = "polaris-sync-stat.log";
/// The size at which a report file is put aside, in bytes.
const LARGEST: u64 = 10 * 1024 * 1024;
/// How many files that were put aside are kept.
const KEPT: u32 = 7;

/// By the cluster's name: all calls, and those that failed.
type CallCounts = BTreeMap<Arc<str>, (u64, u64)>;

/// Calls to clusters since they were last reported.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<CallCounts>>);

impl Tally {
    pub fn add(&self, cluster: &str, succeeded: bool) {
        let mut counts = self.0.lock();
        if !counts.contains_key(cluster) {
            counts.insert(cluster.into(), (0, 0));
        }
        if let Some((total, failed)) = counts.get_mut(cluster) {
            *total += 1;
            *failed += u64::from(!succeeded);
        }
    }

    fn take(&self) -> CallCounts {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Asks every cluster of the documents for its namespaces, as often as they say.
pub(super) async fn probe(inner: Arc<Inner>) {
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let (probes, names) = {
            let state = inner.documents.state.lock();
            let names: BTreeSet<String> = state.converted.rows.iter().map(|row| row.name.clone()).collect();
            (state.converted.probes, names)
        };
        if !probes.enable || last.elapsed() < probes.interval {
            continue;
        }
        last = Instant::now();
        let sources: Vec<_> = {
            let connections = inner.connections.lock();
            let source = |name: String| Some((connections.of(&name)?.port.source(), name));
            names.into_iter().filter_map(source).collect()
        };
        // One that hangs holds up no other.
        let tally = &inner.scribe.tally;
        let asked = sources.iter().map(|(source, name)| async move {
            let answer = tokio::time::timeout(PROBE, source.parts()).await;
            tally.add(name, matches!(answer, Ok(Ok(_))));
        });
        futures_util::future::join_all(asked).await;
    }
}

/// Writes reports, as often as the documents say.
pub(super) async fn write(inner: Arc<Inner>) {
    let mut last = Instant::now();
    // Rows without any call in the last report.
    let mut quiet: BTreeSet<ReportRow> = BTreeSet::new();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let (report, rows, folder) = {
            let state = inner.documents.state.lock();
            (state.converted.report.clone(), state.converted.rows.clone(), state.log_folder.clone())
        };
        if last.elapsed() < report.interval {
            continue;
        }
        last = Instant::now();
        let mut counts = inner.scribe.tally.take();
        if !report.targets.iter().any(|target| target.enable && target.kind == TargetKind::File) {
            continue;
        }
        let counted: Vec<_> = rows
            .into_iter()
            .map(|row| {
                // A cluster with two product names is counted under the first.
                let (total, failed) = counts.remove(row.name.as_str()).unwrap_or_default();
                (row, total, failed)
            })
            .collect();
        let is_silent = |(row, total, _): &&(ReportRow, u64, u64)| *total == 0 && quiet.contains(row);
        let shown: Vec<_> = counted.iter().filter(|row| !is_silent(row)).cloned().collect();
        quiet = counted.into_iter().filter(|(_, total, _)| *total == 0).map(|(row, ..)| row).collect();
        let time = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let block = report_block(&time, &shown);
        if block.is_empty() {
            continue;
        }
        let path = folder.join(FILE);
        let written = tokio::task::spawn_blocking({
            let path = path.clone();
            move || append(&path, &block)
        });
        if let Err(error) = written.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::warn!("the report cannot be written to {}: {error}", path.display());
        }
    }
}

fn append(path: &Path, block: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if std::fs::metadata(path).is_ok_and(|found| found.len() >= LARGEST) {
        put_aside(path)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(block.as_bytes())
}

/// `x.log` becomes `x.log.1`, that `x.log.2`, and so on; the last one goes.
fn put_aside(path: &Path) -> io::Result<()> {
    let aside = |n: u32| PathBuf::from(format!("{}.{n}", path.display()));
    for n in (1..KEPT).rev().filter(|n| aside(*n).exists()) {
        std::fs::rename(aside(n), aside(n + 1))?;
    }
    std::fs::rename(path, aside(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_taken_once() {
        let tally = Tally::default();
        tally.add("a", true);
        tally.add("a", false);
        assert_eq!(tally.take(), [("a".into(), (2, 1))].into());
        assert!(tally.take().is_empty());
    }

    #[test]
    fn large_files_are_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs").join(FILE);
        for n in 0..=KEPT + 1 {
            append(&path, &format!("{n}\n")).unwrap();
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(LARGEST).unwrap();
        }
        append(&path, "last\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "last\n");
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files as u32, KEPT + 1);
    }
}
