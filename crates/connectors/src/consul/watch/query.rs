//! A query that waits at the servers, asked again and again.

use super::super::client::WAIT;
use super::super::reading::{Failing, Reading};
use super::{BACKOFF, PATIENCE};
use crate::util::blocking::Blocking;
use causeway_core::Error;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// The least time between two answers of a query that say nothing new.
const PAUSE: Duration = Duration::from_millis(200);
/// Between an answer and the next query: what changes meanwhile is one answer.
const SPACE: Duration = Duration::from_millis(100);

/// What one of the waiting queries has to say, with its index.
pub(super) enum News {
    /// Something was registered or taken away.
    Everything(u64),
    /// The checks that do not pass now.
    Checks(u64, Failing),
    /// The query has ended. Never [`Error::Throttled`], which is no outage.
    Failed(Error),
}

/// One query that waits at the servers for a change.
pub(super) struct Query {
    reading: Arc<Reading>,
    path: &'static str,
    filter: (&'static str, &'static str),
    tell: mpsc::Sender<News>,
    /// Of the last answer.
    index: u64,
}

impl Query {
    pub fn new(
        reading: Arc<Reading>,
        path: &'static str,
        filter: (&'static str, &'static str),
        tell: mpsc::Sender<News>,
    ) -> Self {
        Self { reading, path, filter, tell, index: 0 }
    }

    /// What stands there now.
    pub async fn first<T: DeserializeOwned>(mut self) -> Result<(Self, T), Error> {
        let answer = self.reading.client.wait(self.path, self.filter, 0).await?;
        self.index = answer.index;
        Ok((self, answer.content))
    }

    /// The index of the last answer.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Tells of every change, until it fails.
    pub async fn run<T: DeserializeOwned>(self, news: impl Fn(u64, T) -> News) {
        let mut query = Blocking::resumed(self.index, WAIT, PAUSE, BACKOFF);
        let mut throttled = 0;
        let (client, path, filter) = (&self.reading.client, self.path, self.filter);
        loop {
            let ask = |index| async move {
                let answer = client.wait::<T>(path, filter, index).await?;
                Ok((answer.index, (answer.index, answer.content)))
            };
            let answer = query.next(ask).await;
            let said = match answer {
                // The servers were put back to an earlier state, or are others: what they lack is not simply gone.
                Ok(_) if !query.follows() => News::Failed(Error::unavailable(
                    "the servers' index does not follow from what it was: they were restored or replaced",
                )),
                Ok((index, content)) => {
                    throttled = 0;
                    news(index, content)
                }
                Err(Error::Throttled(wait)) if throttled < PATIENCE => {
                    throttled += 1;
                    sleep(wait).await;
                    continue;
                }
                Err(error) => News::Failed(ended(error)),
            };
            let ends = matches!(said, News::Failed(_));
            if self.tell.send(said).await.is_err() || ends {
                return;
            }
            sleep(SPACE).await;
        }
    }
}

/// Why a query has ended. One that is throttled for long is an outage like any other: nobody waits for changes any more.
pub(super) fn ended(error: Error) -> Error {
    match error {
        Error::Throttled(_) => Error::unavailable("the servers have put off a query that waits for changes too often"),
        error => error,
    }
}
