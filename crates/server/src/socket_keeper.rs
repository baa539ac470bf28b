//! The socket holder behind the connectors' trait.

use causeway_connectors::SocketKeeper;
use causeway_holder::Holder;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Passes each new socket to the holder. A failure is only logged: the socket works without the holder.
pub(crate) struct HolderSockets(pub Arc<Holder>);

impl SocketKeeper for HolderSockets {
    fn keep(&self, tag: &str, socket: BorrowedFd<'_>) {
        if let Err(error) = self.0.keep(tag, socket) {
            tracing::warn!(%error, "a connection would not survive a crash of this node");
        }
    }

    fn label(&self, tag: &str, connection_id: &str) {
        self.0.label(tag, connection_id);
    }

    fn drop_kept(&self, tag: &str) {
        self.0.drop_kept(tag);
    }
}
