//! What tells which services to look at again: pushes where the servers push, else polls.

use super::client::{Error as WireError, Look, Reader, ServiceKey as WireKey, Status};
use super::poll::Poller;
use tokio::sync::watch;

/// Pushes of 2.x and 3.x, or polls of 1.x.
pub(super) enum Trigger {
    Push(Reader),
    Poll(Poller),
}

impl Trigger {
    /// The state of the connection, and news of it. A new connection takes all certainty with it.
    pub fn status(&self) -> watch::Receiver<Status> {
        match self {
            Self::Push(reader) => reader.status(),
            Self::Poll(poller) => poller.status(),
        }
    }

    /// The next service to look at again; none when it is closed.
    pub async fn next(&self) -> Option<Look> {
        match self {
            Self::Push(reader) => reader.next().await,
            Self::Poll(poller) => Some(poller.next().await),
        }
    }

    pub async fn subscribe(&self, key: &WireKey) -> Result<(), WireError> {
        match self {
            Self::Push(reader) => reader.subscribe(key).await,
            Self::Poll(poller) => {
                poller.subscribe(key);
                Ok(())
            }
        }
    }

    pub async fn unsubscribe(&self, key: &WireKey) -> Result<(), WireError> {
        match self {
            Self::Push(reader) => reader.unsubscribe(key).await,
            Self::Poll(poller) => {
                poller.unsubscribe(key);
                Ok(())
            }
        }
    }
}
