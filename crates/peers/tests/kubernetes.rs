//! ConfigMaps as providers, on a real API server.

#![allow(clippy::unwrap_used)]

mod told;

use anyhow::{Context, Result, ensure};
use causeway_peers::providers::{KubernetesOptions, KubernetesProvider, PodAccount, Provider, Sighting};
use causeway_testbed::{KUBE_NOBODY, KUBE_TOKEN, Kube, KubeSetup, full, host, own_trial, share};
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use told::{SOON, Told};

/// One for all tests, which run one after the other.
static SERVER: Mutex<Option<Arc<Kube>>> = Mutex::new(None);
const NAME: &str = "polaris-sync-config";

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, share(trials()));
    drop(SERVER.lock().take());
    conclusion.exit();
}

fn trials() -> Vec<Trial> {
    let missing = host::kube();
    let test = |name: &str, run: fn() -> BoxFuture<'static, Result<()>>| {
        own_trial(name, &missing, move || tokio::runtime::Runtime::new()?.block_on(run()))
    };
    let long = |trial: Trial| if full() { trial } else { trial.with_ignored_flag(true) };
    vec![
        test("edits_and_deletions_are_told", || Box::pin(edits())),
        test("the_keys_that_are_shipped", || Box::pin(shipped_keys())),
        test("what_a_token_may_not_is_said", || Box::pin(rights())),
        test("whose_certificate_is_trusted", || Box::pin(trust())),
        test("a_server_that_is_killed_and_comes_back", || Box::pin(killed())),
        test("started_while_the_server_is_away", || Box::pin(started_early())),
        test("a_token_that_ends_is_read_again", || Box::pin(token_ends())),
        test("a_version_that_is_no_longer_known", || Box::pin(compacted())),
        test("the_files_for_kubernetes_are_taken", || Box::pin(shipped_files())),
        long(test("a_server_that_hangs", || Box::pin(hangs()))),
    ]
}

async fn server() -> Result<Arc<Kube>> {
    let there = SERVER.lock().clone();
    let Some(server) = there else {
        let started = Arc::new(Kube::start(KubeSetup::default()).await?);
        return Ok(SERVER.lock().insert(started).clone());
    };
    // As the test before may have left it.
    match server.pid() {
        Some(_) => server.resume()?,
        None => server.start_again().await?,
    }
    Ok(server)
}

/// A namespace of one's own, and a provider of one key in it, as one who may do everything.
struct Place {
    server: Arc<Kube>,
    namespace: String,
    options: KubernetesOptions,
    pod: PodAccount,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new(namespace: &str, keys: &[&str]) -> Result<Self> {
        let server = server().await?;
        server.api()?.create_namespace(namespace).await?;
        let options = KubernetesOptions {
            address: Some(server.addr()),
            token: Some(KUBE_TOKEN.into()),
            namespace: Some(namespace.into()),
            configmap: NAME.into(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            others: [("caFile".to_owned(), server.ca_file().display().to_string())].into(),
        };
        let folder = tempfile::tempdir()?;
        let pod = PodAccount { folder: folder.path().to_owned(), server: None };
        Ok(Self { server, namespace: namespace.into(), options, pod, folder })
    }

    fn provider(&self) -> KubernetesProvider {
        KubernetesProvider::in_pod(self.options.clone(), self.pod.clone())
    }

    fn told(&self) -> Told {
        Told::by(&self.provider())
    }

    async fn write(&self, data: Value) -> Result<()> {
        self.server.api()?.put_config_map(&self.namespace, NAME, &data).await.map(drop)
    }

    /// Lets a user, or a service account, do this with the one ConfigMap.
    async fn allow(&self, subject: Value, verbs: &[&str]) -> Result<()> {
        let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", self.namespace);
        let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [NAME], "verbs": verbs});
        let api = self.server.api()?;
        let role = json!({"metadata": {"name": "reader"}, "rules": [rule]});
        let there = api.ask(Method::POST, &format!("{roles}/roles"), Some(&role)).await?;
        if there.status == 409 {
            api.call(Method::PUT, &format!("{roles}/roles/reader"), Some(&role)).await?;
            return Ok(());
        }
        let group = "rbac.authorization.k8s.io";
        let binding = json!({"metadata": {"name": "reader"}, "subjects": [subject],
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"}});
        api.call(Method::POST, &format!("{roles}/rolebindings"), Some(&binding)).await.map(drop)
    }
}

async fn edits() -> Result<()> {
    let place = Place::new("edits", &["registry_watch.json"]).await?;
    ensure!(place.provider().place() == "ConfigMap edits/polaris-sync-config, key registry_watch.json");
    let mut told = place.told();
    told.missing(&["there is no ConfigMap edits/polaris-sync-config", &place.server.addr()]).await?;
    place.write(json!({"registry_watch.json": "one"})).await?;
    told.text("one").await?;
    let began = Instant::now();
    place.write(json!({"registry_watch.json": "{ nonsense"})).await?;
    told.text("{ nonsense").await?;
    ensure!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // What does not concern the key is no news.
    place.write(json!({"registry_watch.json": "{ nonsense", "other": "x"})).await?;
    told.nothing(Duration::from_secs(1)).await?;
    place.write(json!({"other": "x"})).await?;
    told.missing(&["has no key registry_watch.json", "its keys: other"]).await?;
    place.write(json!({"registry_watch.json": "two"})).await?;
    told.text("two").await?;
    place.server.api()?.delete_config_map("edits", NAME).await?;
    told.missing(&["there is no ConfigMap"]).await?;
    place.write(json!({"registry_watch.json": "three"})).await?;
    told.text("three").await
}

async fn shipped_keys() -> Result<()> {
    let place = Place::new("keys", &["registry_watch.json", "sync-registry.json"]).await?;
    place.write(json!({"sync-registry.json": "shipped", "sync-config.json": "no"})).await?;
    let mut told = place.told();
    told.text("shipped").await?;
    place.write(json!({"sync-registry.json": "shipped", "registry_watch.json": "default"})).await?;
    told.text("default").await
}

/// The path of an object that stands in a file, one key a line.
fn path_of(yaml: &str) -> Result<String> {
    let value = |key: &str| {
        let line = yaml.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "));
        line.with_context(|| format!("no {key} in {yaml}"))
    };
    let (kind, name) = (value("kind")?, value("name")?);
    let (group, kinds) = match kind {
        "Namespace" => return Ok(format!("/api/v1/namespaces/{name}")),
        "ConfigMap" => ("/api/v1", "configmaps"),
        "Service" => ("/api/v1", "services"),
        "ServiceAccount" => ("/api/v1", "serviceaccounts"),
        "Role" => ("/apis/rbac.authorization.k8s.io/v1", "roles"),
        "RoleBinding" => ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        "StatefulSet" => ("/apis/apps/v1", "statefulsets"),
        other => anyhow::bail!("no path for {other}"),
    };
    Ok(format!("{group}/namespaces/{}/{kinds}/{name}", value("namespace")?))
}

/// The server takes every object, and the account in them may read exactly the documents in them.
async fn shipped_files() -> Result<()> {
    let server = server().await?;
    let api = server.api()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes");
    let mut kinds = Vec::new();
    for file in ["polaris-sync-config.yaml", "polaris-sync.yaml"] {
        let text = std::fs::read_to_string(folder.join(file))?;
        for one in text.split("\n---\n") {
            let path = path_of(one)?;
            let taken = api.apply(&path, one).await?;
            ensure!(taken.status == 201, "{path}: {}: {}", taken.status, taken.body);
            kinds.push(taken.body["kind"].as_str().context("no kind")?.to_owned());
        }
    }
    let wanted = ["Namespace", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "Service", "StatefulSet"];
    ensure!(kinds == wanted, "{kinds:?}");
    // In a pod of that account, with nothing but the keys of polaris-sync.
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("token"), api.account_token("polaris-system", "polaris-sync").await?)?;
    std::fs::write(folder.path().join("namespace"), "polaris-system")?;
    std::fs::copy(server.ca_file(), folder.path().join("ca.crt"))?;
    let pod = PodAccount { folder: folder.path().to_owned(), server: Some(server.addr()) };
    for keys in [["registry_watch.json", "sync-registry.json"], ["config_watch.json", "sync-config.json"]] {
        let keys = keys.map(str::to_owned).to_vec();
        let options = KubernetesOptions { configmap: NAME.into(), keys, ..KubernetesOptions::default() };
        let mut told = Told::by(&KubernetesProvider::in_pod(options, pod.clone()));
        let Sighting::Text(text) = told.next(SOON).await? else { anyhow::bail!("no document") };
        let document: Value = serde_json::from_str(&text)?;
        ensure!(document["tasks"] == json!([]) && document["methods"][0]["type"] == "watch", "{document}");
    }
    let mut other =
        KubernetesOptions { configmap: "other".into(), keys: vec!["k".into()], ..KubernetesOptions::default() };
    other.namespace = Some("polaris-system".into());
    Told::by(&KubernetesProvider::in_pod(other, pod)).away(&["403"]).await
}

async fn rights() -> Result<()> {
    let mut place = Place::new("rights", &["k"]).await?;
    place.write(json!({"k": "one"})).await?;
    place.options.token = Some(KUBE_NOBODY.into());
    let mut told = place.told();
    told.away(&["403", "User \"nobody\"", "get, list and watch on ConfigMap rights/polaris-sync-config"]).await?;
    // One who may only read it, as polaris-sync did.
    place.allow(json!({"kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io"}), &["get"]).await?;
    told.text("one").await?;
    place.write(json!({"k": "two"})).await?;
    told.text("two").await?;
    // With the right to watch it, this one ConfigMap is enough.
    place.allow(Value::Null, &["get", "list", "watch"]).await?;
    let mut told = place.told();
    told.text("two").await?;
    let began = Instant::now();
    place.write(json!({"k": "three"})).await?;
    told.text("three").await?;
    ensure!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    place.options.token = Some("nonsense".into());
    place.told().away(&["401", "the token is wrong or has expired", "POLARIS_SYNC_CONFIG_K8S_TOKEN"]).await?;
    place.options.token = None;
    place.told().away(&["there is no token", "POLARIS_SYNC_CONFIG_K8S_TOKEN"]).await
}

async fn trust() -> Result<()> {
    let mut place = Place::new("trust", &["k"]).await?;
    place.write(json!({"k": "one"})).await?;
    let option = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    place.options.others = option("insecureSkipVerify", "true");
    place.told().text("one").await?;
    place.options.others.clear();
    place.told().away(&["https://", "`caFile`", "`insecureSkipVerify`"]).await?;
    // Another authority's.
    let other = rcgen_ca(place.folder.path().join("other.pem"))?;
    place.options.others = option("caFile", &other.display().to_string());
    place.told().away(&["certificate", "`caFile`"]).await?;
    // The one of the pod.
    place.options.others.clear();
    std::fs::copy(place.server.ca_file(), place.folder.path().join("ca.crt"))?;
    place.told().text("one").await
}

/// The certificate of an authority that has signed nothing.
fn rcgen_ca(path: PathBuf) -> Result<PathBuf> {
    let certified = rcgen::generate_simple_self_signed(vec!["other".to_owned()])?;
    std::fs::write(&path, certified.cert.pem())?;
    Ok(path)
}

async fn killed() -> Result<()> {
    let place = Place::new("killed", &["k"]).await?;
    place.write(json!({"k": "one"})).await?;
    let mut told = place.told();
    told.text("one").await?;
    place.server.kill9()?;
    told.away(&[&place.server.addr(), "does not answer"]).await?;
    place.server.start_again().await?;
    // That it is back is told, whatever stands there.
    told.text_at_last("one").await?;
    place.write(json!({"k": "two"})).await?;
    told.text("two").await?;
    // A change while we were cut off.
    place.server.kill9()?;
    place.server.start_again().await?;
    place.write(json!({"k": "three"})).await?;
    told.text_at_last("three").await
}

async fn started_early() -> Result<()> {
    let place = Place::new("early", &["k"]).await?;
    place.write(json!({"k": "one"})).await?;
    place.server.kill9()?;
    let mut told = place.told();
    told.away(&["does not answer"]).await?;
    told.nothing(Duration::from_secs(3)).await?;
    place.server.start_again().await?;
    told.text_at_last("one").await
}

async fn token_ends() -> Result<()> {
    let mut place = Place::new("tokens", &["k"]).await?;
    place.write(json!({"k": "one"})).await?;
    let subject = json!({"kind": "ServiceAccount", "name": "sync", "namespace": "tokens"});
    place.allow(subject, &["get", "list", "watch"]).await?;
    let api = place.server.api()?;
    let file = place.folder.path().join("token");
    std::fs::write(&file, api.account_token("tokens", "sync").await?)?;
    place.options.token = None;
    let mut told = place.told();
    told.text("one").await?;
    // The account is another one of the same name: its old token is worth nothing any more.
    api.delete_account("tokens", "sync").await?;
    let token = api.account_token("tokens", "sync").await?;
    place.server.kill9()?;
    place.server.start_again().await?;
    loop {
        let told = told.next(SOON).await?;
        let told = format!("{told:?}");
        ensure!(told.starts_with("Away"), "{told}");
        if told.contains("401") && told.contains(&file.display().to_string()) {
            break;
        }
    }
    std::fs::write(&file, token)?;
    told.text_at_last("one").await?;
    place.write(json!({"k": "two"})).await?;
    told.text("two").await
}

async fn compacted() -> Result<()> {
    let place = Place::new("compacted", &["k"]).await?;
    place.write(json!({"k": "one"})).await?;
    let mut told = place.told();
    told.text("one").await?;
    // The version that the watch would go on from is compacted away while the server is.
    place.server.kill9()?;
    let etcd = place.server.etcd().api()?;
    for n in 0..50 {
        etcd.put("/unrelated", &n.to_string()).await?;
    }
    let last = etcd.put("/unrelated", "last").await?;
    etcd.compact(last).await?;
    place.server.start_again().await?;
    place.write(json!({"k": "two"})).await?;
    told.text_at_last("two").await?;
    place.write(json!({"k": "three"})).await?;
    told.text("three").await
}

async fn hangs() -> Result<()> {
    let place = Place::new("hangs", &["k"]).await?;
    place.write(json!({"k": "one"})).await?;
    let mut told = place.told();
    told.text("one").await?;
    place.server.pause()?;
    told.away_within(Duration::from_secs(60), &["does not answer"]).await?;
    place.server.resume()?;
    told.text_at_last("one").await
}
