//! Keeps a node's TCP connections open while the node itself is away.
//!
//! Some registries drop everything a client published the moment its TCP connection ends. So a small
//! process of its own, the *holder*, keeps duplicates of the node's sockets: when the node crashes, is killed or is
//! replaced by a newer version, the connections stay open, the server waits, and subscribers see nothing. The next node
//! publishes everything on connections of its own, and then has the old ones closed ([`Holder::release_old`]).
//!
//! The holder never reads from or writes to a kept socket. It ends by itself: when the node is away for longer than the
//! linger time, when the node says so ([`Holder::leave`]), or when its data folder is gone.
//!
//! What a caller must know:
//! - Closing a connection for good takes two steps: close one's own descriptor *and* call [`Holder::drop_kept`].
//! - Only `close` is survived. `shutdown(2)`, a TLS close alert or an HTTP/2 GOAWAY written before the end is seen by the
//!   server. So an orderly stop first calls [`Holder::leave`] with `linger = true` (from then on nothing is dropped) and then
//!   leaves the process without closing its connections politely.
//! - A supervisor that kills the whole process group or control group kills the holder too (systemd: `KillMode=process`;
//!   a container ends with its first process).
//!
//! Linux only: it needs descriptor passing, peer credentials and `POLLRDHUP`.

mod client;
mod keeper;
mod process;
mod wire;

use std::time::Duration;

pub use client::{Holder, InheritedSocket};
pub use process::{Launch, run_holder, run_if_asked};

/// How long the sockets of a node that went away are kept.
///
/// The servers ask a connection that is silent for 20 s, and drop it some 2 s later: keeping it longer than that is of no use,
/// and a node that was stopped for good should not be shown as alive for longer than needed. A restart that is back within
/// 10 s, with time left to publish, must fit in.
pub const LINGER: Duration = Duration::from_secs(15);

/// The most sockets kept for one data folder; a bound, not a goal (a node has a few connections per cluster).
pub const MAX_KEPT: usize = 4096;
