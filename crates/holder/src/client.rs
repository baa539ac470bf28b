//! The node's side.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::Shutdown;

use crate::MAX_KEPT;
use crate::process::{Launch, folder};
use crate::wire::{self, MAX_LABEL, MAX_TAG, Packet, Reply, Request};

/// The longest that a call waits for a holder that does not take packets; after it the holder counts as lost.
const SEND: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_secs(1);
/// Between attempts to get a holder back.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A socket that an earlier run of the node left in the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedSocket {
    /// The earlier run's word for it.
    pub tag: String,
    /// What that run wrote on it (such as the server's id of the connection); empty when it wrote nothing.
    pub label: String,
}

/// The node's connection to its holder. Thread-safe; no call waits longer than about 0.1 s (`release_old`: 1 s), and ordinarily
/// none waits at all.
///
/// When the holder dies, a new one is started in the background and given all sockets again. For that the node has a duplicate
/// of each socket too, which changes nothing for the caller: a kept connection ends only with [`Holder::drop_kept`].
///
/// Dropping it is like a crash of the node: the holder keeps what it has for the linger time.
pub struct Holder {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Rung when the holder is given up, for the thread that waits between two attempts.
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<OwnedFd>>,
    kept: BTreeMap<String, KeptSocket>,
    inherited: Vec<InheritedSocket>,
    /// `release_old` was called: a holder that we meet again after a break hears it again.
    released: bool,
    /// `leave` was called, or the holder was dropped.
    leaving: bool,
}

struct KeptSocket {
    fd: OwnedFd,
    label: String,
}

impl Holder {
    /// Finds the holder of the data folder, or starts one (`<exe> holder --data-dir …`, see [`crate::run_if_asked`]). Blocks for
    /// at most about two seconds with ordinary times, mostly for some milliseconds. On an error the node can work as ever, but
    /// its next restart will be seen.
    pub fn connect(data_dir: &Path, launch: Launch) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| io::Error::other(e.to_string()))?;
        let mut finder = Finder { dir: folder(data_dir)?, launch, run: hex::encode(random), children: Vec::new() };
        let connection = finder.find()?;
        let inherited = list(&connection)?;
        let state = State { connection: Some(Arc::new(connection)), inherited, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), stopped: Condvar::new() });
        let watched = Arc::clone(&shared);
        thread::Builder::new().name("holder-watch".to_owned()).spawn(move || {
            // A panic must not leave the next end of the holder unseen.
            while panic::catch_unwind(AssertUnwindSafe(|| watched.watch(&mut finder))).is_err() {
                thread::sleep(RETRY.1);
            }
        })?;
        Ok(Self { shared })
    }

    /// What earlier runs of the node left, as found at the start; empty after [`Holder::release_old`].
    pub fn inherited(&self) -> Vec<InheritedSocket> {
        self.shared.state.lock().inherited.clone()
    }

    /// Keeps a duplicate of `fd` under `tag` (at most 256 bytes, new for each connection; the same tag again replaces the
    /// first). An error says that the socket is not kept: too many, too long a tag, no descriptor left.
    pub fn keep(&self, tag: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let full = state.kept.len() >= MAX_KEPT && !state.kept.contains_key(tag);
        if full || tag.len() > MAX_TAG {
            let what = if full { "too many sockets to keep" } else { "tag too long" };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        if state.leaving {
            return Ok(());
        }
        let mine = KeptSocket { fd: fd.try_clone_to_owned()?, label: String::new() };
        state.send(&Request::Keep { tag: tag.to_owned() }, Some(fd));
        state.kept.insert(tag.to_owned(), mine);
        Ok(())
    }

    /// Writes something on a kept socket for the next run to read: at most 1,024 bytes, longer ones are cut. An unknown tag is
    /// nothing.
    pub fn label(&self, tag: &str, text: &str) {
        let text = &text[..text.floor_char_boundary(MAX_LABEL)];
        let mut state = self.shared.state.lock();
        if let Some(mine) = state.kept.get_mut(tag) {
            text.clone_into(&mut mine.label);
            state.send(&Request::Label { tag: tag.to_owned(), text: text.to_owned() }, None);
        }
    }

    /// Lets a socket go: with the caller's own descriptor closed, the connection ends. Nothing happens after
    /// [`Holder::leave`].
    pub fn drop_kept(&self, tag: &str) {
        let mut state = self.shared.state.lock();
        if !state.leaving && state.kept.remove(tag).is_some() {
            state.send(&Request::Drop { tag: tag.to_owned() }, None);
        }
    }

    /// Closes what earlier runs left, when everything is published on connections of this run. Returns how many that were.
    pub fn release_old(&self) -> io::Result<usize> {
        let mut state = self.shared.state.lock();
        state.released = true;
        let count = state.release().inspect_err(|_| state.hang_up())?;
        state.inherited.clear();
        Ok(count)
    }

    /// Before the process ends. `linger`: from now on nothing is let go, so that destructors withdraw nothing, and the holder
    /// keeps all for the linger time after the process has ended. Otherwise the holder closes its sockets at once and ends.
    pub fn leave(&self, linger: bool) {
        let mut state = self.shared.state.lock();
        state.leaving = true;
        if !linger {
            state.send(&Request::Bye, None);
            state.kept.clear();
        }
        self.shared.stopped.notify_all();
    }

    /// Whether a crash right now would be survived.
    pub fn is_connected(&self) -> bool {
        self.shared.state.lock().connection.is_some()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.leaving = true;
        state.hang_up();
        state.kept.clear();
        self.shared.stopped.notify_all();
    }
}

impl State {
    /// Sends if there is a holder. A failure ends the connection, and the watching thread sees that.
    fn send(&self, request: &Request, fd: Option<BorrowedFd<'_>>) {
        if let Some(connection) = &self.connection
            && wire::send(connection, request, fd).is_err()
        {
            self.hang_up();
        }
    }

    fn hang_up(&self) {
        if let Some(connection) = &self.connection {
            // Fails only when the other side has done it already.
            let _ended = rustix::net::shutdown(connection, Shutdown::Both);
        }
    }

    fn release(&self) -> io::Result<usize> {
        let Some(connection) = &self.connection else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        wire::send(connection, &Request::ReleaseOld, None)?;
        match wire::receive(connection, true)? {
            Packet::Message(Reply::Released { count }, _) => Ok(count),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Shared {
    /// Sees the holder's end, and gets another one.
    fn watch(&self, finder: &mut Finder) {
        loop {
            let connection = self.state.lock().connection.clone();
            if let Some(connection) = connection {
                let mut fds = [PollFd::new(&connection, PollFlags::RDHUP)];
                // An interrupted wait is simply done again: the connection is still there.
                let woken = poll(&mut fds, None);
                if matches!(woken, Err(rustix::io::Errno::INTR)) {
                    continue;
                }
            }
            {
                let mut state = self.state.lock();
                state.connection = None;
                if state.leaving {
                    return;
                }
            }
            tracing::warn!("the socket holder is gone; a restart would be seen until it is back");
            if !self.regain(finder) {
                return;
            }
            tracing::info!("the socket holder is back");
        }
    }

    /// False when the node leaves.
    fn regain(&self, finder: &mut Finder) -> bool {
        let mut pause = RETRY.0;
        loop {
            let found = finder.find();
            let mut state = self.state.lock();
            if state.leaving {
                return false;
            }
            match found.and_then(|connection| introduce(&mut state, connection)) {
                Ok(()) => return true,
                Err(e) => tracing::debug!("no socket holder: {e}"),
            }
            let _woken = self.stopped.wait_for(&mut state, pause);
            if state.leaving {
                return false;
            }
            pause = (pause * 2).min(RETRY.1);
        }
    }
}

/// Gives a newly found holder all that it should have.
fn introduce(state: &mut State, connection: OwnedFd) -> io::Result<()> {
    for (tag, mine) in &state.kept {
        wire::send(&connection, &Request::Keep { tag: tag.clone() }, Some(mine.fd.as_fd()))?;
        if !mine.label.is_empty() {
            let label = Request::Label { tag: tag.clone(), text: mine.label.clone() };
            wire::send(&connection, &label, None)?;
        }
    }
    state.connection = Some(Arc::new(connection));
    if state.released {
        let done = state.release();
        if done.is_err() {
            state.connection = None;
        }
        done?;
    }
    Ok(())
}

fn list(connection: &OwnedFd) -> io::Result<Vec<InheritedSocket>> {
    wire::send(connection, &Request::List, None)?;
    let mut all = Vec::new();
    loop {
        match wire::receive(connection, true)? {
            Packet::Message(Reply::Listed { entries, more }, _) => {
                all.extend(entries.into_iter().map(|(tag, label)| InheritedSocket { tag, label }));
                if !more {
                    return Ok(all);
                }
            }
            _ => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// Finds or starts a holder, as one run of the node.
struct Finder {
    dir: std::path::PathBuf,
    launch: Launch,
    run: String,
    /// Holders that we started, to be reaped when they end before us.
    children: Vec<Child>,
}

impl Finder {
    fn find(&mut self) -> io::Result<OwnedFd> {
        const BETWEEN_STARTS: Duration = Duration::from_millis(100);
        let begun = Instant::now();
        let mut started: Option<Instant> = None;
        loop {
            let error = match self.connect_once() {
                Ok(connection) => return Ok(connection),
                Err(e) => e,
            };
            if begun.elapsed() >= self.launch.patience || error.kind() == io::ErrorKind::PermissionDenied {
                return Err(error);
            }
            self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            // One that we started may have met the last moment of its predecessor, and ended.
            let nobody = error.kind() != io::ErrorKind::AddrInUse && self.children.is_empty();
            if nobody && started.is_none_or(|at| at.elapsed() >= BETWEEN_STARTS) {
                self.children.push(self.launch.spawn(&self.dir)?);
                started = Some(Instant::now());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn connect_once(&self) -> io::Result<OwnedFd> {
        let connection = wire::socket()?;
        wire::set_timeouts(&connection, self.launch.patience / 2)?;
        wire::with_address(&self.dir, |address| rustix::net::connect(&connection, address))?;
        wire::same_user(&connection)?;
        let hello = Request::Hello { version: wire::VERSION, run: self.run.clone() };
        wire::send(&connection, &hello, None)?;
        match wire::receive(&connection, true)? {
            Packet::Message(Reply::Welcome { .. }, _) => {}
            // Its process may be about to end: asked again while there is patience.
            Packet::Message(Reply::Refused { reason }, _) => {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
            }
            _ => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        wire::set_timeouts(&connection, SEND)?;
        rustix::net::sockopt::set_socket_timeout(&connection, rustix::net::sockopt::Timeout::Recv, Some(ANSWER))?;
        Ok(connection)
    }
}
