//! The data folder and its lock.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::Error;

const LOCK: &str = "node.lock";

/// The folder as an absolute path, made when missing.
pub(crate) fn prepare(dir: &Path) -> Result<PathBuf, Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| fs::canonicalize(dir))
        .map_err(|e| Error::file(dir, e))
}

/// Which file it is, whatever its name: device and inode.
pub(crate) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Creates or opens a file that nobody else may read.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// One node per folder: a lock that ends with the process, however it ends.
pub(crate) struct NodeLock {
    _file: File,
    identity: (u64, u64),
}

impl NodeLock {
    pub(crate) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK);
        let failed = |e| Error::file(&path, e);
        let mut file = private(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Unreadable or just being written: the message is the poorer, not the lock.
                let _unread = file.read_to_string(&mut pid);
                let pid = pid.trim();
                let pid = if pid.is_empty() { "unknown" } else { pid }.to_owned();
                return Err(Error::Taken { folder: folder.to_owned(), pid });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        let identity = identity(&path).map_err(failed)?;
        Ok(Self { _file: file, identity })
    }

    /// Takes the lock again when its file was removed; an error when another node was faster.
    pub(crate) fn renew(&mut self, folder: &Path) -> Result<(), Error> {
        if identity(&folder.join(LOCK)).is_ok_and(|now| now == self.identity) {
            return Ok(());
        }
        *self = Self::take(folder)?;
        Ok(())
    }
}

/// [`Error::Taken`] when another node works in this folder. Makes no folder.
pub fn check_free(folder: &Path) -> Result<(), Error> {
    match folder.join(LOCK).exists() {
        true => NodeLock::take(folder).map(drop),
        false => Ok(()),
    }
}
