//! A key of a ConfigMap as a provider: listed once, then watched.

mod client;
mod place;

pub use place::PodAccount;

use super::{KubernetesOptions, MAX_DOCUMENT, NoProvider, Provider, Sighting};
use causeway_connectors::Backoff;
use client::{KubeClient, KubeError, KubeEvent, KubeWatch};
use futures_core::stream::BoxStream;
use place::{ApiServer, api_server};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The wait after a first failure, and the longest one.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// A watch that went on for so long was a good one.
const STEADY: Duration = Duration::from_secs(5);
/// How often the ConfigMap is looked at where it may be read, and not watched.
const LOOK: Duration = Duration::from_secs(5);

/// A key of a ConfigMap.
#[derive(Debug)]
pub struct KubernetesProvider {
    options: KubernetesOptions,
    pod: PodAccount,
}

impl KubernetesProvider {
    /// What the options leave open comes from the pod that this process runs in.
    pub fn new(options: KubernetesOptions) -> Self {
        Self::in_pod(options, PodAccount::own())
    }

    /// The same, in a pod with this account.
    pub fn in_pod(options: KubernetesOptions, pod: PodAccount) -> Self {
        Self { options, pod }
    }
}

impl Provider for KubernetesProvider {
    fn place(&self) -> String {
        let KubernetesOptions { configmap, keys, namespace, .. } = &self.options;
        let server = api_server(&self.options, &self.pod).ok();
        let namespace = namespace.clone().or(server.map(|server| server.namespace));
        let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!("ConfigMap {namespace}{configmap}, key {}", keys.join(" or "))
    }

    fn watch(&self) -> BoxStream<'static, Sighting> {
        let server = match api_server(&self.options, &self.pod) {
            Ok(server) => server,
            Err(why) => return NoProvider::new(self.place(), why).watch(),
        };
        let mut follow = Follow::new(server, self.options.configmap.clone(), self.options.keys.clone());
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

/// One ConfigMap, followed.
struct Follow {
    server: ApiServer,
    configmap: String,
    keys: Vec<String>,
    /// Of all ConfigMaps of the namespace.
    path: String,
    selector: String,
    /// Made anew after each failure: the file of the authorities may have been replaced.
    client: Option<KubeClient>,
    /// To watch from; `None`: a look comes first.
    version: Option<String>,
    watch: Option<(KubeWatch, Instant)>,
    /// To wait before the next step.
    pause: Option<Duration>,
    backoff: Backoff,
    /// The key that was found last, and whether there is no right to watch: both are logged when they change.
    key: Option<String>,
    may_not_watch: bool,
}

impl Follow {
    fn new(server: ApiServer, configmap: String, keys: Vec<String>) -> Self {
        Self {
            path: format!("/api/v1/namespaces/{}/configmaps", server.namespace),
            selector: format!("metadata.name={configmap}"),
            server,
            configmap,
            keys,
            client: None,
            version: None,
            watch: None,
            pause: None,
            backoff: Backoff::new(AGAIN.0, AGAIN.1),
            key: None,
            may_not_watch: false,
        }
    }

    async fn next(&mut self) -> Sighting {
        loop {
            match self.step().await {
                Ok(Some(sighting)) => return sighting,
                Ok(None) => {}
                Err(error) => {
                    (self.client, self.version, self.watch) = (None, None, None);
                    self.pause = Some(self.backoff.next());
                    return Sighting::Away(self.words(&error));
                }
            }
        }
    }

    /// A look, or the next event of the watch. `None`: nothing new. Only a look fails: what ends a watch leads to one.
    async fn step(&mut self) -> Result<Option<Sighting>, KubeError> {
        if let Some(pause) = self.pause.take() {
            sleep(pause).await;
        }
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(KubeClient::new(&self.server).await?).clone(),
        };
        let Some(version) = self.version.clone() else { return self.look(&client).await.map(Some) };
        let (watch, began) = match &mut self.watch {
            Some(watch) => watch,
            None => match client.watch(&self.path, &[("fieldSelector", &self.selector)], &version).await {
                Ok(watch) => self.watch.insert((watch, Instant::now())),
                Err(error) => {
                    self.look_again(error);
                    return Ok(None);
                }
            },
        };
        let next = watch.next().await;
        if began.elapsed() >= STEADY || matches!(next, Ok(Some(_))) {
            self.backoff.reset();
        }
        match next {
            Ok(Some(event)) => {
                self.version = event.version().map(str::to_owned);
                Ok(match event {
                    KubeEvent::Stands(object) => Some(self.sighting(Some(&object))),
                    KubeEvent::Gone(_) => Some(self.sighting(None)),
                    KubeEvent::Bookmark(_) => None,
                })
            }
            // It goes on from the last version.
            Ok(None) => {
                let short = began.elapsed() < STEADY;
                self.watch = None;
                self.pause = short.then(|| self.backoff.next());
                Ok(None)
            }
            Err(error) => {
                self.look_again(error);
                Ok(None)
            }
        }
    }

    /// Lists the ConfigMap; where that is forbidden, reads it.
    async fn look(&mut self, client: &KubeClient) -> Result<Sighting, KubeError> {
        match client.get(&self.path, &[("fieldSelector", &self.selector)]).await {
            Ok(list) => {
                self.version = list["metadata"]["resourceVersion"].as_str().map(str::to_owned);
                if self.version.is_none() {
                    self.pause = Some(LOOK);
                }
                Ok(self.sighting(list["items"].get(0)))
            }
            Err(error @ KubeError::Forbidden(_)) => {
                let found = match client.get(&format!("{}/{}", self.path, self.configmap), &[]).await {
                    Ok(object) => Some(object),
                    Err(KubeError::NotFound(_)) => None,
                    Err(error) => return Err(error),
                };
                self.look_again(error);
                Ok(self.sighting(found.as_ref()))
            }
            Err(error) => Err(error),
        }
    }

    /// A look comes next, since there is no watch to go on with.
    fn look_again(&mut self, why: KubeError) {
        (self.version, self.watch) = (None, None);
        self.pause = Some(match why {
            KubeError::Forbidden(why) => {
                if !std::mem::replace(&mut self.may_not_watch, true) {
                    tracing::warn!("{why}: looking at it every {} s instead of watching it", LOOK.as_secs());
                }
                LOOK
            }
            why => {
                tracing::debug!("{why}");
                self.backoff.next()
            }
        });
    }

    fn sighting(&mut self, object: Option<&Value>) -> Sighting {
        let name = format!("ConfigMap {}/{}", self.server.namespace, self.configmap);
        let Some(object) = object else {
            return Sighting::Missing(format!("there is no {name} at {}", self.server.base));
        };
        let text = |key: &String| object["data"].get(key)?.as_str().map(|text| (key.clone(), text));
        match self.keys.iter().find_map(text) {
            Some((key, text)) if text.len() > MAX_DOCUMENT => {
                Sighting::Away(format!("key {key} of {name} is larger than {MAX_DOCUMENT} bytes"))
            }
            Some((key, text)) => {
                if self.key.as_ref() != Some(&key) && self.keys.first() != Some(&key) {
                    tracing::info!("{name} has no key {}: using its key {key}", self.keys[0]);
                }
                self.key = Some(key);
                Sighting::Text(text.into())
            }
            None => {
                let there: Vec<_> =
                    object["data"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
                let there = if there.is_empty() { "none".into() } else { there.join(", ") };
                Sighting::Missing(format!("{name} has no key {}; its keys: {there}", self.keys.join(" or ")))
            }
        }
    }

    fn words(&self, error: &KubeError) -> String {
        let (namespace, name) = (&self.server.namespace, &self.configmap);
        match error {
            KubeError::Forbidden(why) => format!(
                "{why}: give the owner of the token the rights get, list and watch on ConfigMap {namespace}/{name} (a Role and a \
                 RoleBinding; deploy/kubernetes/polaris-sync.yaml has both)"
            ),
            error => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn follow(keys: &[&str]) -> Follow {
        let options = KubernetesOptions {
            address: Some("http://127.0.0.1:1".into()),
            namespace: Some("ns".into()),
            configmap: "c".into(),
            ..KubernetesOptions::default()
        };
        let pod = PodAccount { folder: "/nonexistent".into(), server: None };
        let server = api_server(&options, &pod).unwrap();
        Follow::new(server, "c".into(), keys.iter().map(|key| (*key).to_owned()).collect())
    }

    #[test]
    fn the_first_key_that_is_there_counts() {
        let mut follow = follow(&["registry_watch.json", "sync-registry.json"]);
        let shipped = json!({"data": {"sync-registry.json": "a", "sync-config.json": "b"}});
        assert_eq!(follow.sighting(Some(&shipped)), Sighting::Text("a".into()));
        let both = json!({"data": {"sync-registry.json": "a", "registry_watch.json": "c"}});
        assert_eq!(follow.sighting(Some(&both)), Sighting::Text("c".into()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut follow = follow(&["k"]);
        let missing = |follow: &mut Follow, object: Option<Value>| match follow.sighting(object.as_ref()) {
            Sighting::Missing(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(&mut follow, None), "there is no ConfigMap ns/c at http://127.0.0.1:1");
        let why = missing(&mut follow, Some(json!({"data": {"a": "", "b": ""}})));
        assert_eq!(why, "ConfigMap ns/c has no key k; its keys: a, b");
        assert!(missing(&mut follow, Some(json!({}))).ends_with("its keys: none"));
        // An empty text is a text.
        assert_eq!(follow.sighting(Some(&json!({"data": {"k": ""}}))), Sighting::Text("".into()));
        let large = json!({"data": {"k": "x".repeat(MAX_DOCUMENT + 1)}});
        assert!(matches!(follow.sighting(Some(&large)), Sighting::Away(_)));
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_told_once() {
        let options = KubernetesOptions {
            address: Some("http://127.0.0.1:1".into()),
            namespace: Some("ns".into()),
            configmap: "c".into(),
            keys: vec!["k".into()],
            ..KubernetesOptions::default()
        };
        let pod = PodAccount { folder: "/nonexistent".into(), server: None };
        let provider = KubernetesProvider::in_pod(options, pod);
        assert_eq!(provider.place(), "ConfigMap ns/c, key k");
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
