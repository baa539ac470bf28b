//! The files that clusters' settings name for TLS: read beside the runtime, and checked before anything is changed.

use crate::desired::Desired;
use crate::error::{Error, Result};
use causeway_connectors::{TlsFiles, TlsTexts};
use causeway_settings::{self as settings, Cluster};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A disk that does not answer for so long does not answer.
const DISK: Duration = Duration::from_secs(10);

/// What the files of each cluster with TLS hold, or why they cannot be used; by the cluster's name.
pub(crate) type Texts = BTreeMap<String, std::result::Result<TlsTexts, String>>;

/// Reads the files of these clusters.
pub(crate) async fn read<'a>(clusters: impl Iterator<Item = &'a Cluster>) -> Texts {
    let named = |cluster: &Cluster| Some((cluster.name.clone(), files(cluster.tls.as_ref()?)));
    let all: Vec<(String, TlsFiles)> = clusters.filter_map(named).collect();
    if all.is_empty() {
        return Texts::new();
    }
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let read = move || all.into_iter().map(|(name, files)| (name, files.read())).collect::<Texts>();
    match tokio::time::timeout(DISK, tokio::task::spawn_blocking(read)).await {
        Ok(Ok(texts)) => texts,
        Ok(Err(error)) => failed(names, &format!("reading its TLS files failed: {error}")),
        Err(_) => failed(names, &format!("its TLS files could not be read within {} s", DISK.as_secs())),
    }
}

/// Reads the files of the clusters that a desired needs connections to.
pub(crate) async fn read_needed(desired: &Desired) -> Texts {
    let needed = desired.needed();
    read(needed.iter().filter_map(|name| desired.clusters.get(*name)).map(|entry| &entry.settings)).await
}

/// Refuses clusters whose files cannot be used.
pub(crate) async fn check(clusters: &[Cluster]) -> Result<()> {
    let wrong =
        |(name, read): (String, std::result::Result<TlsTexts, String>)| Some(format!("{name}: {}", read.err()?));
    let wrong: Vec<_> = read(clusters.iter()).await.into_iter().filter_map(wrong).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Error::Misfit(format!("TLS files of clusters cannot be used: {}", wrong.join("; ")))),
    }
}

fn failed(names: Vec<String>, why: &str) -> Texts {
    names.into_iter().map(|name| (name, Err(why.to_owned()))).collect()
}

fn files(tls: &settings::Tls) -> TlsFiles {
    TlsFiles {
        ca: tls.ca.as_ref().map(PathBuf::from),
        identity: tls.cert.as_ref().zip(tls.key.as_ref()).map(|(cert, key)| (cert.into(), key.into())),
        server_name: tls.server_name.clone(),
        insecure: tls.insecure_skip_verify,
    }
}
