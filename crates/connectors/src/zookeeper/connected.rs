//! Waiting for a connection: one that was just opened may take a moment.

use super::client::{Phase, Session, TreeListing, TreeNews, TreeOptions};
use causeway_core::Error;
use std::time::Duration;
use tokio::time::timeout;

/// How long a single look waits for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for a connection, however long that takes.
pub(super) async fn connected(session: &Session) -> Result<(), Error> {
    let mut status = session.status();
    let found = status.wait_for(|status| status.phase == Phase::Connected).await;
    found.map(drop).map_err(|_| Error::unavailable("the connection was closed"))
}

/// Waits for a connection, up to [`PATIENCE`]. Errors: why there is none.
pub(super) async fn connected_soon(session: &Session) -> Result<(), Error> {
    match timeout(PATIENCE, connected(session)).await {
        Ok(ended) => ended,
        Err(_) => {
            let why = session.status().borrow().error.clone();
            Err(why.map_or_else(|| Error::unavailable("no server answers"), Error::from))
        }
    }
}

/// Reads one tree once.
pub(super) async fn list_tree(session: &Session, options: TreeOptions) -> Result<TreeListing, Error> {
    connected_soon(session).await?;
    match session.tree(options)?.next().await {
        Some(TreeNews::Reset(listing)) => Ok(listing),
        Some(TreeNews::Lost(error)) => Err(error.into()),
        _ => Err(Error::unavailable("the connection was closed")),
    }
}
