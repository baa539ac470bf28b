//! Starting the holder, and its life from inside: who it is, what it locks, when it ends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::keeper::Keeper;
use crate::{LINGER, MAX_KEPT, wire};

/// Locked by the living holder, with its process id inside; the socket file alone proves nothing, it outlives a crash.
const LOCK: &str = "holder.lock";

/// How to start a holder: `<exe> holder --data-dir <folder> --linger-ms <n>`.
#[derive(Clone, Debug)]
pub struct Launch {
    /// A program whose `main` begins with [`run_if_asked`]; for a node, `/proc/self/exe` starts the node's own version even when
    /// the file was replaced meanwhile.
    pub exe: PathBuf,
    /// How long sockets are kept after the node went away. [`LINGER`] but in tests.
    pub linger: Duration,
    /// How long a start may take before the node goes on without a holder.
    pub patience: Duration,
}

impl Launch {
    /// The program with the ordinary times: [`LINGER`], and one second of patience.
    pub fn new(exe: impl Into<PathBuf>) -> Self {
        Self { exe: exe.into(), linger: LINGER, patience: Duration::from_secs(1) }
    }

    /// Starts a holder without any tie to our terminal or our secrets: no environment, no standard streams; its own session it
    /// makes itself ([`run_holder`]).
    pub(crate) fn spawn(&self, dir: &Path) -> io::Result<Child> {
        Command::new(&self.exe)
            .arg("holder")
            .arg("--data-dir")
            .arg(dir)
            .arg("--linger-ms")
            .arg(self.linger.as_millis().to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// The data folder, made when missing (mode 0700), as an absolute path.
pub(crate) fn folder(dir: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::canonicalize(dir)
}

/// Runs the holder when the process was started as one, and says how it ended; `None` for any other command line. Call it first
/// thing in `main`, with `std::env::args_os()`, before any thread exists.
pub fn run_if_asked(args: impl IntoIterator<Item = OsString>) -> Option<io::Result<()>> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != "holder" {
        return None;
    }
    let mut dir = None;
    let mut linger = LINGER;
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_default();
        let number = || value.to_str().and_then(|v| v.parse().ok());
        match flag.to_str() {
            Some("--data-dir") => dir = Some(PathBuf::from(value)),
            Some("--linger-ms") if number().is_some() => {
                linger = Duration::from_millis(number().unwrap_or_default());
            }
            _ => return Some(Err(usage(&flag))),
        }
    }
    let Some(dir) = dir else { return Some(Err(usage(OsStr::new("")))) };
    Some(run_holder(&dir, linger))
}

fn usage(at: &OsStr) -> io::Error {
    let text = format!("{at:?}: holder takes --data-dir DIR and --linger-ms N");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Runs the holder of a data folder until there is nothing left to hold. Returns at once when another holder lives there. Ends,
/// too, when its socket file or the folder is removed. Makes the calling process a session of its own.
pub fn run_holder(data_dir: &Path, linger: Duration) -> io::Result<()> {
    // Fails only for the leader of a process group, that is when somebody started us by hand from a shell.
    let _own_session = rustix::process::setsid();
    raise_descriptor_limit();
    let dir = folder(data_dir)?;
    let mut lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())?;
    let listening = ListeningSocket::open(&dir, lock)?;
    Keeper::new(linger).run(&listening)
}

/// Twice as many as we keep is plenty; the usual soft limit of 1,024 is not.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let want = 2 * MAX_KEPT as u64;
    if limit.current.is_some_and(|now| now < want) {
        let current = Some(limit.maximum.map_or(want, |max| max.min(want)));
        // Refused: then fewer sockets can be kept, which is no reason to keep none.
        let _kept_fewer = setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    }
}

/// The listening socket and its file, which goes with it.
pub(crate) struct ListeningSocket {
    pub(crate) listener: OwnedFd,
    path: PathBuf,
    identity: (u64, u64),
    /// Last, so that the file is gone before the next holder may begin.
    _lock: File,
}

impl ListeningSocket {
    fn open(dir: &Path, lock: File) -> io::Result<Self> {
        let path = dir.join(wire::SOCKET);
        // We have the lock, so the process that made this file has ended.
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = wire::socket()?;
        wire::with_address(dir, |address| rustix::net::bind(&listener, address))?;
        // Until here the folder's mode protects it, and at all times the check of the peer's user.
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let found = fs::symlink_metadata(&path)?;
        rustix::net::listen(&listener, 8)?;
        Ok(Self { listener, path, identity: (found.dev(), found.ino()), _lock: lock })
    }

    /// Whether the socket file is still the one that we made. Without it no node can find us.
    pub(crate) fn stands(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        if self.stands() {
            // Left behind, it is stale, and the next holder removes it.
            let _stale = fs::remove_file(&self.path);
        }
    }
}
