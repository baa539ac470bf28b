//! The socket holder, as connectors want it.

use causeway_connectors::SocketKeeper;
use causeway_holder::Holder;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Gives each new socket to the holder. A failure is told and no more: the socket works all the same.
pub(crate) struct Keeper(pub Arc<Holder>);

impl SocketKeeper for Keeper {
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
