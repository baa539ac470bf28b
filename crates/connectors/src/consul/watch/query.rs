//! A query that waits at the servers, asked again and again.

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

/// What one of the waiting queries has to say.
pub(super) enum News {
    Everything,
    Checks(Failing),
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

    /// Tells of every change, until it fails.
    pub async fn run<T: DeserializeOwned>(self, news: impl Fn(T) -> News) {
        let mut query = Blocking::resumed(self.index, PAUSE, BACKOFF);
        let (mut last, mut throttled) = (self.index, 0);
        let (client, path, filter) = (&self.reading.client, self.path, self.filter);
        loop {
            let ask = |index| async move {
                let answer = client.wait::<T>(path, filter, index).await?;
                Ok((answer.index, (answer.index, answer.content)))
            };
            let said = match query.next(ask).await {
                // The servers were put back to an earlier state, or are others: what they lack is not simply gone.
                Ok((index, _)) if index < last => News::Failed(Error::unavailable(
                    "the servers' index went backwards: they were restored or replaced",
                )),
                Ok((index, content)) => {
                    (last, throttled) = (index, 0);
                    news(content)
                }
                Err(Error::Throttled(wait)) if throttled < PATIENCE => {
                    throttled += 1;
                    sleep(wait).await;
                    continue;
                }
                Err(error) => News::Failed(error),
            };
            let ends = matches!(said, News::Failed(_));
            if self.tell.send(said).await.is_err() || ends {
                return;
            }
            sleep(SPACE).await;
        }
    }
}
