//! A file as a provider: looked at every half second, by its identity, time and length.
//!
//! The path is followed through every symbolic link at each look, so that a ConfigMap mount, which changes by a link to another folder, is
//! noticed as well as an editor that renames a new file over the old one. A watch of the kernel on the file would see neither of them.

use super::{MAX_DOCUMENT, Provider, Sighting};
use futures_core::stream::BoxStream;
use std::fs::Metadata;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often the file is looked at. A look is one `stat`.
const LOOK: Duration = Duration::from_millis(500);

/// A file.
#[derive(Debug)]
pub struct FileProvider {
    path: PathBuf,
}

impl FileProvider {
    /// A relative path is below the working directory.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

/// What tells one state of a file from another: device and inode, time of change and of status, length.
type Sign = (u64, u64, i64, i64, i64, i64, u64);

fn sign(found: &Metadata) -> Sign {
    let (dev, ino, size) = (found.dev(), found.ino(), found.size());
    (dev, ino, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec(), size)
}

impl Provider for FileProvider {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn watch(&self) -> BoxStream<'static, Sighting> {
        let path = self.path.clone();
        Box::pin(async_stream::stream! {
            let mut tick = tokio::time::interval(LOOK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut known, mut told) = (None, None);
            loop {
                tick.tick().await;
                let (path, before) = (path.clone(), known);
                let look = tokio::task::spawn_blocking(move || look(&path, before)).await;
                let sighting = match look {
                    Ok(Look::Same) => continue,
                    Ok(Look::Text(sign, text)) => {
                        known = Some(sign);
                        Sighting::Text(text.into())
                    }
                    Ok(Look::Failed(sighting)) => {
                        known = None;
                        sighting
                    }
                    Err(error) => Sighting::Away(format!("reading the file failed unexpectedly: {error}")),
                };
                if told.as_ref() != Some(&sighting) {
                    told = Some(sighting.clone());
                    yield sighting;
                }
            }
        })
    }
}

enum Look {
    Same,
    Text(Sign, String),
    Failed(Sighting),
}

fn look(path: &Path, before: Option<Sign>) -> Look {
    match read(path, before) {
        Ok(None) => Look::Same,
        Ok(Some((sign, text))) => Look::Text(sign, text),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Look::Failed(Sighting::Missing(format!("there is no file {}", path.display())))
        }
        Err(error) => Look::Failed(Sighting::Away(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// The text, unless the file is as it was.
fn read(path: &Path, before: Option<Sign>) -> io::Result<Option<(Sign, String)>> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    if before == Some(sign(&found)) {
        return Ok(None);
    }
    let file = std::fs::File::open(path)?;
    // Of the file that is read: the path may name another one by now.
    let opened = sign(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_DOCUMENT {
        return Err(io::Error::other(format!("it is larger than {MAX_DOCUMENT} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))?;
    Ok(Some((opened, text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use std::os::unix::fs::symlink;

    fn text(text: &str) -> Sighting {
        Sighting::Text(text.into())
    }

    async fn next(watch: &mut BoxStream<'static, Sighting>) -> Sighting {
        tokio::time::timeout(Duration::from_secs(2), watch.next()).await.expect("noticed in time").expect("it goes on")
    }

    #[tokio::test]
    async fn changes_of_a_file_are_noticed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("doc.json");
        let mut watch = FileProvider::new(path.clone()).watch();
        let Sighting::Missing(why) = next(&mut watch).await else { panic!("there is none yet") };
        assert!(why.contains("doc.json"), "{why}");
        std::fs::write(&path, "one").unwrap();
        assert_eq!(next(&mut watch).await, text("one"));
        // Of the same length, and renamed over it as editors do.
        let other = folder.path().join("doc.json.swp");
        std::fs::write(&other, "two").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(next(&mut watch).await, text("two"));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(next(&mut watch).await, Sighting::Missing(_)));
        std::fs::write(&path, [0xff]).unwrap();
        let Sighting::Away(why) = next(&mut watch).await else { panic!("it is no text") };
        assert!(why.contains("UTF-8"), "{why}");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(next(&mut watch).await, text("two"));
    }

    /// As a kubelet writes a ConfigMap: `..data` is a link to a folder with the date, and is replaced by another link.
    #[tokio::test]
    async fn a_swapped_symbolic_link_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, content: &str| {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("sync-registry.json"), content).unwrap();
        };
        write("..2026_01", "one");
        symlink("..2026_01", at("..data")).unwrap();
        symlink("..data/sync-registry.json", at("sync-registry.json")).unwrap();
        let mut watch = FileProvider::new(at("sync-registry.json")).watch();
        assert_eq!(next(&mut watch).await, text("one"));
        write("..2026_02", "two");
        symlink("..2026_02", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        std::fs::remove_dir_all(at("..2026_01")).unwrap();
        assert_eq!(next(&mut watch).await, text("two"));
    }
}
