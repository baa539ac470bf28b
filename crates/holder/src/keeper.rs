//! The holder's loop: one thread, one `poll`, no reading of kept sockets.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SocketFlags;

use crate::MAX_KEPT;
use crate::process::ListeningSocket;
use crate::wire::{self, MAX_LABEL, MAX_TAG, Packet, Reply, Request};

/// How often the socket file is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A node says hello at once and reads our answers at once; one that does not is stuck.
const ANSWER: Duration = Duration::from_millis(500);
/// Packets taken from the node before the kept sockets are looked at again.
const ROUND: usize = 256;

struct Socket {
    fd: OwnedFd,
    label: String,
}

struct NodeConnection {
    connection: OwnedFd,
    pid: i32,
}

/// What is kept, for whom, and until when.
pub(crate) struct Keeper {
    linger: Duration,
    node: Option<NodeConnection>,
    /// The run whose sockets are "new"; all others are old.
    run: String,
    /// By run and tag.
    kept: BTreeMap<(String, String), Socket>,
    /// While no node is here: when it left, or when we began.
    alone_since: Instant,
    /// The node said that nothing is to be kept.
    dismissed: bool,
}

/// What `poll` found.
struct Polled {
    connecting: bool,
    node: bool,
    closed: Vec<(String, String)>,
}

impl Keeper {
    pub(crate) fn new(linger: Duration) -> Self {
        Self {
            linger,
            node: None,
            run: String::new(),
            kept: BTreeMap::new(),
            alone_since: Instant::now(),
            dismissed: false,
        }
    }

    /// Runs until there is nothing left to keep, or the socket file is gone.
    pub(crate) fn run(mut self, listening: &ListeningSocket) -> io::Result<()> {
        let mut looked = Instant::now();
        while !self.done() {
            if looked.elapsed() >= LOOK {
                if !listening.stands() {
                    break;
                }
                looked = Instant::now();
            }
            let seen = self.wait(listening)?;
            for key in seen.closed {
                self.kept.remove(&key);
            }
            // The end of the old node's connection comes before the new node's connection.
            if seen.node {
                self.serve();
            }
            if seen.connecting {
                self.admit(listening);
            }
        }
        Ok(())
    }

    fn done(&self) -> bool {
        if self.dismissed {
            return true;
        }
        let waited = self.alone_since.elapsed() >= self.linger;
        let nothing_left = !self.run.is_empty() && self.kept.is_empty();
        self.node.is_none() && (waited || nothing_left)
    }

    fn wait(&self, listening: &ListeningSocket) -> io::Result<Polled> {
        let mut timeout = LOOK;
        if self.node.is_none() {
            timeout = timeout.min(self.linger.saturating_sub(self.alone_since.elapsed()));
        }
        let mut fds = Vec::with_capacity(2 + self.kept.len());
        fds.push(PollFd::new(&listening.listener, PollFlags::IN));
        if let Some(node) = &self.node {
            fds.push(PollFd::new(&node.connection, PollFlags::IN));
        }
        let first = fds.len();
        // Only the end of a connection wakes us: what the server sends in between waits in the kernel, unread.
        fds.extend(self.kept.values().map(|s| PollFd::new(&s.fd, PollFlags::RDHUP)));
        let timeout = Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let hit = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok(Polled {
            connecting: hit(&fds[0]),
            node: first == 2 && hit(&fds[1]),
            closed: self.kept.keys().zip(&fds[first..]).filter(|(_, fd)| hit(fd)).map(|(key, _)| key.clone()).collect(),
        })
    }

    /// Everything the node has said so far, in order; its end comes last, after what it sent before it died.
    fn serve(&mut self) {
        for _ in 0..ROUND {
            let Some(node) = &self.node else { return };
            match wire::receive(&node.connection, false) {
                Ok(Packet::Message(request, fd)) => {
                    if self.obey(request, fd).is_err() {
                        return self.left();
                    }
                }
                Ok(Packet::Garbage) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Ok(Packet::End) | Err(_) => return self.left(),
            }
        }
    }

    fn left(&mut self) {
        self.node = None;
        self.alone_since = Instant::now();
    }

    fn obey(&mut self, request: Request, fd: Option<OwnedFd>) -> io::Result<()> {
        let mine = |tag: String| (self.run.clone(), tag);
        match request {
            Request::Keep { tag } => {
                let key = mine(tag);
                let room = self.kept.len() < MAX_KEPT || self.kept.contains_key(&key);
                if let Some(fd) = fd
                    && room
                    && key.1.len() <= MAX_TAG
                {
                    self.kept.insert(key, Socket { fd, label: String::new() });
                }
            }
            Request::Label { tag, text } => {
                if let Some(socket) = self.kept.get_mut(&mine(tag))
                    && text.len() <= MAX_LABEL
                {
                    socket.label = text;
                }
            }
            Request::Drop { tag } => {
                self.kept.remove(&mine(tag));
            }
            Request::List => return self.list(),
            Request::ReleaseOld => {
                let before = self.kept.len();
                let run = &self.run;
                self.kept.retain(|(of, _), _| of == run);
                return self.answer(&Reply::Released { count: before - self.kept.len() });
            }
            Request::Bye => self.dismissed = true,
            Request::Hello { .. } | Request::Unknown => {}
        }
        Ok(())
    }

    fn list(&self) -> io::Result<()> {
        let old: Vec<_> = self
            .kept
            .iter()
            .filter(|((run, _), _)| *run != self.run)
            .map(|((_, tag), socket)| (tag.clone(), socket.label.clone()))
            .collect();
        let mut pages = old.chunks(wire::PAGE).peekable();
        if pages.peek().is_none() {
            return self.answer(&Reply::Listed { entries: Vec::new(), more: false });
        }
        while let Some(page) = pages.next() {
            let more = pages.peek().is_some();
            self.answer(&Reply::Listed { entries: page.to_vec(), more })?;
        }
        Ok(())
    }

    fn answer(&self, reply: &Reply) -> io::Result<()> {
        match &self.node {
            Some(node) => wire::send(&node.connection, reply, None),
            None => Ok(()),
        }
    }

    /// Lets a process of our own user in, if no node is here. Anything else is turned away, and is no reason to end.
    fn admit(&mut self, listening: &ListeningSocket) {
        let Ok(connection) = rustix::net::accept_with(&listening.listener, SocketFlags::CLOEXEC) else {
            return;
        };
        // Refused by silence: the stranger sees the end of the connection.
        let Ok(pid) = wire::same_user(&connection) else { return };
        if wire::set_timeouts(connection.as_fd(), ANSWER).is_err() {
            return;
        }
        let Ok(Packet::Message(Request::Hello { version, run }, _)) = wire::receive(&connection, true) else {
            return;
        };
        let refusal = match &self.node {
            Some(node) => Some(format!("the holder serves process {} already", node.pid)),
            None if version != wire::VERSION => Some(format!("the holder speaks version {}", wire::VERSION)),
            None if run.is_empty() || run.len() > MAX_TAG => Some("a run needs a name".to_owned()),
            None => None,
        };
        if let Some(reason) = refusal {
            // Not heard: then the other side is gone, which is as well.
            let _unheard = wire::send(&connection, &Reply::Refused { reason }, None);
            return;
        }
        if wire::send(&connection, &Reply::Welcome { version: wire::VERSION }, None).is_ok() {
            self.run = run;
            self.node = Some(NodeConnection { connection, pid });
        }
    }
}
