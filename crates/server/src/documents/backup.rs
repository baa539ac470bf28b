//! The last document that was in use, kept beside its provider.

use super::slot::TroubleKind;
use crate::node::Inner;
use causeway_connectors::kinds;
use causeway_peers::polaris_sync::{Loaded, sealed, unsealed};
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

impl Inner {
    /// Keeps a document that is in use, with its secrets encrypted. What cannot be kept is told; nothing depends on it.
    pub(super) async fn keep_backup(&self, slot: &str, path: &Path, text: &str) {
        let kept = sealed(text, |secret| {
            let sealed = self.store.seal(&place(slot), &SecretString::from(secret.to_owned()));
            sealed.map_err(|error| error.to_string())
        });
        let path = path.to_owned();
        let shown = path.display().to_string();
        let written = match kept {
            Ok(kept) => {
                tokio::task::spawn_blocking(move || write(&path, &kept)).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(Ok(())) => tracing::debug!("a backup is kept in {shown}"),
            Ok(Err(error)) => tracing::warn!("no backup of the document can be kept in {shown}: {error}"),
            Err(error) => tracing::warn!("no backup of the document can be kept in {shown}: {error}"),
        }
    }

    /// At a start: where a provider has no document that can be used, and none has ever been in use here, the backup takes its place.
    pub(super) async fn use_backups(&self) {
        let origin = self.desired().origin.clone();
        let wanted: Vec<(usize, &'static str, PathBuf, String)> = {
            let state = self.documents.state.lock();
            let needs = state.slots.iter().enumerate().filter(|(_, slot)| slot.next().is_none());
            // The node's own database is newer than any backup.
            let needs = needs.filter(|(_, slot)| !origin.tasks.values().any(|of| of == slot.name));
            needs.map(|(n, slot)| (n, slot.name, slot.backup.clone(), slot.place.clone())).collect()
        };
        for (n, name, path, of) in wanted {
            let shown = path.display().to_string();
            let text = match tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await {
                Ok(Ok(text)) => text,
                Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                Ok(Err(error)) => {
                    tracing::error!("the backup {shown} cannot be read: {error}");
                    continue;
                }
                Err(error) => {
                    tracing::error!("reading the backup {shown} failed unexpectedly: {error}");
                    continue;
                }
            };
            let opened = unsealed(&text, |sealed| {
                let opened = self.store.unseal(&place(name), sealed).map_err(|error| error.to_string());
                opened.map(|secret| secret.expose_secret().to_owned())
            });
            let loaded =
                opened.and_then(|text| Loaded::read(&shown, &text, &kinds()).map_err(|problems| problems.to_string()));
            match loaded {
                Ok(loaded) => {
                    let mut state = self.documents.state.lock();
                    let Some(slot) = state.slots.get_mut(n) else { continue };
                    let why = slot.trouble.as_ref().map(|trouble| match trouble.kind {
                        TroubleKind::Invalid | TroubleKind::Refused => "cannot be used",
                        TroubleKind::Missing => "is not there",
                        TroubleKind::Away => "cannot be read",
                    });
                    tracing::warn!("{of} {}: its backup {shown} is used", why.unwrap_or("has not been read in time"));
                    slot.take_backup(loaded);
                }
                Err(error) => tracing::error!("the backup {shown} cannot be used: {error}"),
            }
        }
    }
}

/// What a secret of a backup is bound to.
fn place(slot: &str) -> String {
    format!("the backup of the {slot} document")
}

/// In one step: whoever reads it finds the former one or this one, whole.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_written_in_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf/registry/backup.json");
        for text in ["{\"tasks\": []}", "{}"] {
            write(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
