//! The messages between node and holder: one JSON document per packet on a `SOCK_SEQPACKET` unix socket, with at most one
//! file descriptor beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Raised when a change would confuse the other side. A newer node may meet an older holder: both ignore fields they do not
/// know, and a holder answers a version that it cannot serve with `Refused`.
pub(crate) const VERSION: u32 = 1;
/// The socket's name in the data folder.
pub(crate) const SOCKET: &str = "holder.sock";
/// Bytes of a tag.
pub(crate) const MAX_TAG: usize = 256;
/// Bytes of a label.
pub(crate) const MAX_LABEL: usize = 1024;
/// Bytes of a packet: eight entries of the longest kind, each byte escaped, fit.
const MAX_PACKET: usize = 64 * 1024;
/// Entries per `Listed` packet.
pub(crate) const PAGE: usize = 8;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Request {
    /// First packet. `run` is one random word per process, so that a node that merely reconnects is not a new generation.
    Hello {
        version: u32,
        run: String,
    },
    /// Comes with a descriptor. The same tag again replaces the first.
    Keep {
        tag: String,
    },
    Label {
        tag: String,
        text: String,
    },
    Drop {
        tag: String,
    },
    /// What earlier runs left.
    List,
    ReleaseOld,
    /// The node ends and nothing is to be kept.
    Bye,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Reply {
    Welcome { version: u32 },
    Refused { reason: String },
    Listed { entries: Vec<(String, String)>, more: bool },
    Released { count: usize },
}

/// What came in.
pub(crate) enum Packet<T> {
    Message(T, Option<OwnedFd>),
    /// Not understood; its descriptor, if any, is closed.
    Garbage,
    End,
}

pub(crate) fn socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Calls `f` with the address of the socket in `dir`. A path too long for a socket address (108 bytes) goes by way of the open
/// folder in `/proc`.
pub(crate) fn with_address<T>(dir: &Path, f: impl FnOnce(&SocketAddrUnix) -> rustix::io::Result<T>) -> io::Result<T> {
    match SocketAddrUnix::new(dir.join(SOCKET)) {
        Ok(address) => Ok(f(&address)?),
        Err(rustix::io::Errno::NAMETOOLONG) => {
            let folder = std::fs::File::open(dir)?;
            let short = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
            Ok(f(&SocketAddrUnix::new(short)?)?)
        }
        Err(e) => Err(e.into()),
    }
}

/// Bounds every later send (and, on a fresh socket, connect) and receive.
pub(crate) fn set_timeouts(fd: impl AsFd, each: Duration) -> io::Result<()> {
    sockopt::set_socket_timeout(&fd, Timeout::Send, Some(each))?;
    Ok(sockopt::set_socket_timeout(&fd, Timeout::Recv, Some(each))?)
}

/// The other side's process id, when it runs as the same user as we do.
pub(crate) fn same_user(fd: impl AsFd) -> io::Result<i32> {
    let peer = sockopt::socket_peercred(fd)?;
    if peer.uid != rustix::process::geteuid() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{SOCKET} is used by another user (uid {})", peer.uid.as_raw()),
        ));
    }
    Ok(peer.pid.as_raw_nonzero().get())
}

pub(crate) fn send(fd: impl AsFd, message: &impl Serialize, carried: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_PACKET {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "packet too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = carried.map(|fd| [fd]);
    if let Some(fds) = &fds
        && !control.push(SendAncillaryMessage::ScmRights(fds))
    {
        return Err(io::Error::other("no room for the descriptor"));
    }
    let parts = [IoSlice::new(&bytes)];
    loop {
        match rustix::net::sendmsg(&fd, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// One packet. `wait` = false: `WouldBlock` when there is none; true: the same after the socket's time-out.
pub(crate) fn receive<T: DeserializeOwned>(fd: impl AsFd, wait: bool) -> io::Result<Packet<T>> {
    let mut bytes = vec![0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, !wait);
    let got = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(&fd, &mut parts, &mut control, flags) {
            Ok(got) => break got,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(Packet::End),
            Err(e) => return Err(e.into()),
        }
    };
    if got.bytes == 0 {
        return Ok(Packet::End); // neither side sends an empty packet
    }
    let mut carried = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            carried = carried.or(fds.last());
        }
    }
    if got.flags.contains(ReturnFlags::TRUNC) {
        return Ok(Packet::Garbage);
    }
    Ok(match serde_json::from_slice(&bytes[..got.bytes]) {
        Ok(message) => Packet::Message(message, carried),
        Err(_) => Packet::Garbage,
    })
}
