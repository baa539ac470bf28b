//! Waiting for a connection: one that was just opened may take a moment.

use super::client::{Phase, Session};
use super::convert;
use causeway_core::Error;
use std::time::Duration;
use tokio::time::timeout;

/// How long a single look waits for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until writes can be made.
pub(super) async fn writable(session: &Session) -> Result<(), Error> {
    until(session, |phase| phase == Phase::Connected).await
}

/// Waits until reads can be made. Errors: not within this time, and why.
pub(super) async fn readable_within(session: &Session, limit: Duration) -> Result<(), Error> {
    match timeout(limit, until(session, |phase| phase != Phase::Down)).await {
        Ok(ended) => ended,
        Err(_) => {
            let why = session.status().borrow().error.clone();
            Err(why.map_or_else(|| Error::unavailable("no server answers"), convert::error))
        }
    }
}

async fn until(session: &Session, up: impl Fn(Phase) -> bool) -> Result<(), Error> {
    let mut status = session.status();
    let found = status.wait_for(|status| up(status.phase)).await;
    found.map(drop).map_err(|_| Error::unavailable("the connection was closed"))
}
