//! What a provider tells, with a limit on every wait.

use anyhow::{Context, Result, bail, ensure};
use causeway_peers::providers::{Provider, Sighting};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::time::Duration;
use tokio::time::timeout;

/// Longer than the longest back-off.
pub const SOON: Duration = Duration::from_secs(15);

pub struct Told {
    watch: BoxStream<'static, Sighting>,
    /// The last text.
    text: Option<String>,
}

impl Told {
    pub fn by(provider: &dyn Provider) -> Self {
        Self { watch: provider.watch(), text: None }
    }

    pub async fn next(&mut self, limit: Duration) -> Result<Sighting> {
        let told = timeout(limit, self.watch.next()).await;
        let told = told.with_context(|| format!("nothing is told within {limit:?}"))?.context("the end")?;
        if let Sighting::Text(text) = &told {
            self.text = Some(text.to_string());
        }
        Ok(told)
    }

    /// The next thing told is this text.
    pub async fn text(&mut self, wanted: &str) -> Result<()> {
        let told = self.next(SOON).await?;
        ensure!(told == Sighting::Text(wanted.into()), "{told:?} instead of the text {wanted:?}");
        Ok(())
    }

    /// This text comes, perhaps after reasons for which it does not come yet, and after no other text than the last one.
    pub async fn text_at_last(&mut self, wanted: &str) -> Result<()> {
        let before = self.text.clone();
        loop {
            match self.next(SOON).await? {
                Sighting::Text(text) if &*text == wanted => return Ok(()),
                Sighting::Text(text) if Some(&*text) == before.as_deref() => {}
                Sighting::Away(_) => {}
                told => bail!("{told:?} instead of the text {wanted:?}"),
            }
        }
    }

    /// The next thing told is that there is nothing, in these words.
    pub async fn missing(&mut self, words: &[&str]) -> Result<()> {
        match self.next(SOON).await? {
            Sighting::Missing(why) if words.iter().all(|word| why.contains(word)) => Ok(()),
            told => bail!("{told:?} instead of one missing with {words:?}"),
        }
    }

    /// The next thing told is that the place is away, in these words.
    pub async fn away(&mut self, words: &[&str]) -> Result<()> {
        self.away_within(SOON, words).await
    }

    pub async fn away_within(&mut self, limit: Duration, words: &[&str]) -> Result<()> {
        match self.next(limit).await? {
            Sighting::Away(why) if words.iter().all(|word| why.contains(word)) => Ok(()),
            told => bail!("{told:?} instead of one away with {words:?}"),
        }
    }

    /// Nothing is told for so long.
    pub async fn nothing(&mut self, time: Duration) -> Result<()> {
        match timeout(time, self.watch.next()).await {
            Err(_) => Ok(()),
            Ok(told) => bail!("{told:?} instead of nothing"),
        }
    }
}
