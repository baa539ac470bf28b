//! Follows the services of a cluster whatever its servers speak, and across an upgrade from 1.x.

use super::poll::Poller;
use super::protocol::Mode;
use super::reading::Reading;
use super::trigger::Trigger;
use super::watch::Watch;
use super::{client::Error as WireError, convert};
use causeway_core::{Error, Lost, Selector, Update};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;

/// Between two questions for the version while nothing answers.
const AGAIN: Duration = Duration::from_secs(1);
/// While pushes are away, the version is asked this often: another one may come back.
const AWAY: Duration = Duration::from_secs(2);

/// One endless watch.
pub(super) struct Follow {
    reading: Reading,
    select: Selector,
    named: Vec<String>,
    mode: Arc<Mode>,
    news: Receiver<Option<bool>>,
    watch: Option<(bool, Watch)>,
    told: bool,
    away: bool,
}

impl Follow {
    pub fn new(reading: Reading, select: Selector, named: Vec<String>) -> Self {
        let mode = reading.publications.mode().clone();
        let news = mode.news();
        Self { reading, select, named, mode, news, watch: None, told: false, away: false }
    }

    /// The next thing to report. Never ends.
    pub async fn next(&mut self) -> Result<Update, Lost> {
        loop {
            let Some((http, watch)) = &mut self.watch else {
                match self.begin().await {
                    Ok(()) => continue,
                    Err(error) if !std::mem::replace(&mut self.told, true) => {
                        return Err(Lost { part: None, error: convert::error(error) });
                    }
                    Err(_) => sleep(AGAIN).await,
                }
                continue;
            };
            let away = self.away && !*http;
            tokio::select! {
                item = watch.next() => {
                    self.away = matches!(&item, Err(Lost { part: None, .. }));
                    return item;
                }
                changed = self.news.changed() => {
                    if changed.is_ok() && self.mode.is_http() != *http {
                        self.watch = None;
                        let text = "its servers are of another version now";
                        return Err(Lost { part: None, error: Error::unavailable(text) });
                    }
                }
                () = sleep(AWAY), if away => {
                    if let Err(error) = self.mode.ask_again().await {
                        tracing::debug!(%error, "the version is not told");
                    }
                }
            }
        }
    }

    async fn begin(&mut self) -> Result<(), WireError> {
        let http = self.reading.publications.ready().await?;
        let trigger = match http {
            true => Trigger::Poll(Poller::start(self.reading.client.clone(), self.mode.clone())),
            false => Trigger::Push(self.reading.client.reader()),
        };
        let watch = Watch::new(self.reading.clone(), self.select.clone(), self.named.clone(), trigger);
        (self.watch, self.told, self.away) = (Some((http, watch)), false, false);
        Ok(())
    }
}
