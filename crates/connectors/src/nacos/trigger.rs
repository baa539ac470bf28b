//! What tells which services to look at again: pushes where the servers push, else polls.

use super::client::{Error as WireError, PushSubscriber, Status};
use super::poll::FingerprintPoller;
use causeway_core::ServiceKey;
use tokio::sync::watch;

/// Pushes of 2.x and 3.x, or polls of 1.x.
pub(super) enum Trigger {
    Push(PushSubscriber),
    Poll(FingerprintPoller),
}

impl Trigger {
    /// The state of the connection, and news of it. A new connection takes all certainty with it.
    pub fn status(&self) -> watch::Receiver<Status> {
        match self {
            Self::Push(subscriber) => subscriber.status(),
            Self::Poll(poller) => poller.status(),
        }
    }

    /// The next service to look at again.
    pub async fn next(&self) -> ServiceKey {
        match self {
            Self::Push(subscriber) => subscriber.next().await,
            Self::Poll(poller) => poller.next().await,
        }
    }

    /// Follows a service, which is to be looked at then, or does so no longer.
    pub async fn follow(&self, key: &ServiceKey, follow: bool) -> Result<(), WireError> {
        match self {
            Self::Push(subscriber) if follow => subscriber.subscribe(key).await,
            Self::Push(subscriber) => subscriber.unsubscribe(key).await,
            Self::Poll(poller) => {
                poller.follow(key, follow);
                Ok(())
            }
        }
    }
}
