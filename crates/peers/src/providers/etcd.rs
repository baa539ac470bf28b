//! A key of etcd as a provider: read once, then watched.

mod client;
mod watch;

use super::{EtcdOptions, MAX_DOCUMENT, Provider, Sighting};
use causeway_connectors::Backoff;
use client::{EtcdClient, EtcdError};
use futures_core::stream::BoxStream;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use watch::{EtcdEvent, EtcdValue, EtcdWatch};

/// The wait after a first failure, and the longest one.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// A watch that went on for so long was a good one.
const STEADY: Duration = Duration::from_secs(5);
/// How often the key is read beside the watch, which says nothing when its server hangs or a right was taken away.
const PROBE: Duration = Duration::from_secs(20);

/// A key of etcd.
#[derive(Debug)]
pub struct EtcdProvider {
    options: EtcdOptions,
}

impl EtcdProvider {
    pub fn new(options: EtcdOptions) -> Self {
        Self { options }
    }
}

impl Provider for EtcdProvider {
    fn place(&self) -> String {
        format!("etcd key {}", self.options.data_id)
    }

    fn watch(&self) -> BoxStream<'static, Sighting> {
        let mut follow = Follow::new(self.options.clone());
        Box::pin(async_stream::stream! {
            let mut told = None;
            loop {
                let sighting = follow.next().await;
                if told.as_ref() != Some(&sighting) {
                    told = Some(sighting.clone());
                    yield sighting;
                }
            }
        })
    }
}

/// One key, followed.
struct Follow {
    options: EtcdOptions,
    /// Made anew after each failure: files of certificates may have been replaced.
    client: Option<EtcdClient>,
    /// The version of the store up to which everything is known; `None`: a look comes first.
    known: Option<i64>,
    watch: Option<(EtcdWatch, Instant)>,
    probe: Instant,
    /// To wait before the next step.
    pause: Option<Duration>,
    backoff: Backoff,
}

impl Follow {
    fn new(options: EtcdOptions) -> Self {
        Self {
            options,
            client: None,
            known: None,
            watch: None,
            probe: Instant::now(),
            pause: None,
            backoff: Backoff::new(AGAIN.0, AGAIN.1),
        }
    }

    async fn next(&mut self) -> Sighting {
        loop {
            match self.step().await {
                Ok(Some(sighting)) => return sighting,
                Ok(None) => {}
                Err(why) => {
                    (self.client, self.known, self.watch) = (None, None, None);
                    self.pause = Some(self.backoff.next());
                    return Sighting::Away(why);
                }
            }
        }
    }

    /// A look, or the next events of the watch. `None`: nothing new. Only a look fails: what ends a watch leads to one.
    async fn step(&mut self) -> Result<Option<Sighting>, String> {
        if let Some(pause) = self.pause.take() {
            sleep(pause).await;
        }
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(EtcdClient::new(&self.options).await?).clone(),
        };
        let Some(known) = self.known else { return self.look(&client).await.map(Some) };
        let (watch, began) = match &mut self.watch {
            Some(watch) => watch,
            None => match client.watch(&self.options.data_id, known + 1).await {
                Ok(watch) => self.watch.insert((watch, Instant::now())),
                Err(error) => {
                    client.pass_on();
                    self.look_again(&error.to_string());
                    return Ok(None);
                }
            },
        };
        let told = tokio::select! {
            told = watch.next() => told,
            () = sleep_until(self.probe) => {
                let told_by = watch.base().to_owned();
                let sighting = self.look(&client).await?;
                if client.base() != told_by {
                    self.watch = None;
                }
                return Ok(Some(sighting));
            }
        };
        if began.elapsed() >= STEADY {
            self.backoff.reset();
        }
        match told {
            Ok(events) => Ok(self.take(events)),
            Err(error) => {
                self.look_again(&error.to_string());
                Ok(None)
            }
        }
    }

    async fn look(&mut self, client: &EtcdClient) -> Result<Sighting, String> {
        let found = client.get(&self.options.data_id).await.map_err(|error: EtcdError| error.to_string())?;
        self.probe = Instant::now() + PROBE;
        self.known = Some(found.revision);
        Ok(self.sighting(&found))
    }

    /// What the newest of some events tells.
    fn take(&mut self, events: Vec<EtcdEvent>) -> Option<Sighting> {
        let mut newest = None;
        for event in events {
            match event {
                // A probe may have been ahead of the watch.
                EtcdEvent::Changed(value) if Some(value.revision) > self.known => {
                    self.known = Some(value.revision);
                    self.backoff.reset();
                    newest = Some(self.sighting(&value));
                }
                EtcdEvent::Changed(_) => {}
                EtcdEvent::Ended(why) => self.look_again(&why),
            }
        }
        newest
    }

    /// A look comes next, since there is no watch to go on with.
    fn look_again(&mut self, why: &str) {
        tracing::debug!("etcd key {}: {why}", self.options.data_id);
        (self.known, self.watch) = (None, None);
        self.pause = Some(self.backoff.next());
    }

    fn sighting(&self, found: &EtcdValue) -> Sighting {
        let name = format!("key {}", self.options.data_id);
        let Some(value) = &found.value else {
            return Sighting::Missing(format!("there is no {name} at {}", self.options.endpoints.join(", ")));
        };
        if value.len() > MAX_DOCUMENT {
            return Sighting::Away(format!("{name} is larger than {MAX_DOCUMENT} bytes"));
        }
        match std::str::from_utf8(value) {
            Ok(text) => Sighting::Text(text.into()),
            Err(_) => Sighting::Away(format!("{name} is not UTF-8 text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow() -> Follow {
        let endpoints = vec!["http://127.0.0.1:1".to_owned()];
        Follow::new(EtcdOptions { endpoints, data_id: "k".into(), ..EtcdOptions::default() })
    }

    fn changed(value: Option<&str>, revision: i64) -> EtcdEvent {
        EtcdEvent::Changed(EtcdValue { value: value.map(|text| text.as_bytes().to_vec()), revision })
    }

    #[test]
    fn only_what_is_newer_than_the_last_look_counts() {
        let mut follow = follow();
        follow.known = Some(5);
        assert_eq!(follow.take(vec![changed(Some("old"), 5)]), None);
        assert_eq!(follow.take(vec![changed(Some("a"), 6), changed(Some("b"), 7)]), Some(Sighting::Text("b".into())));
        let Some(Sighting::Missing(why)) = follow.take(vec![changed(None, 8)]) else { panic!("it was deleted") };
        assert_eq!(why, "there is no key k at http://127.0.0.1:1");
        assert_eq!(follow.take(vec![EtcdEvent::Ended("compacted".into())]), None);
        assert_eq!(follow.known, None);
    }

    #[test]
    fn values_that_are_no_document() {
        let sighting = |value: Vec<u8>| follow().sighting(&EtcdValue { value: Some(value), revision: 1 });
        assert_eq!(sighting(Vec::new()), Sighting::Text("".into()));
        assert!(matches!(sighting(vec![0xff]), Sighting::Away(why) if why.contains("UTF-8")));
        assert!(matches!(sighting(vec![b'x'; MAX_DOCUMENT + 1]), Sighting::Away(why) if why.contains("larger")));
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_told_once() {
        let provider = EtcdProvider::new(follow().options);
        let mut watch = provider.watch();
        let first = futures_util::StreamExt::next(&mut watch).await.unwrap();
        assert!(
            matches!(&first, Sighting::Away(why) if why.contains("127.0.0.1:1") && why.contains("refused")),
            "{first:?}"
        );
        let again = tokio::time::timeout(Duration::from_secs(2), futures_util::StreamExt::next(&mut watch)).await;
        assert!(again.is_err(), "{again:?}");
    }
}
