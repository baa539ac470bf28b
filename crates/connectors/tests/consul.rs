//! What the conformance suite does not ask of Consul's connector, on real servers.

#![allow(clippy::unwrap_used)]

use anyhow::{Context, Result, ensure};
use causeway_connectors::consul::ConsulOptions;
use causeway_connectors::{Connect, TlsFiles, connector};
use causeway_core::{
    Change, ClusterId, Error, Everything, Instance, Lost, Mark, OwnerId, Part, Port, Selector, ServiceKey, Sink, Update,
};
use causeway_testbed::{Consul, ConsulRow, ConsulSetup, Server, trial};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream::BoxStream};
use libtest_mimic::Arguments;
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

fn main() {
    let test = |name: &str, run: fn() -> BoxFuture<'static, Result<()>>| {
        trial(name, &[Server::Consul], move || tokio::runtime::Runtime::new()?.block_on(run()))
    };
    let trials = vec![
        test("tls_with_a_certificate_of_our_own", || Box::pin(tls())),
        test("what_the_settings_name_and_is_not_there", || Box::pin(refused())),
        test("healthy_instances_only", || Box::pin(healthy_only())),
        test("a_node_keeps_what_an_operator_wrote_there", || Box::pin(node_meta())),
        test("without_the_list_of_everything", || Box::pin(one_by_one())),
        test("an_index_that_goes_backwards_is_no_removal", || Box::pin(index_reset())),
        test("a_snapshot_that_is_restored_is_no_removal", || Box::pin(snapshot_restored())),
    ];
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials)).exit();
}

fn open(address: &str, options: &ConsulOptions, tls: Option<TlsFiles>) -> Result<Arc<dyn Sink>> {
    let tls = tls.map(|files| files.read()).transpose().map_err(anyhow::Error::msg)?;
    let block = Some(serde_json::to_value(options)?);
    let connect =
        Connect { install: "t1".into(), addresses: vec![address.to_owned()], tls, block, ..Connect::default() };
    let ports = connector("consul").context("no such kind")?.open(ClusterId::of("t"), connect)?;
    ports.services.as_ref().and_then(Port::sink).context("no services")
}

fn all() -> Selector {
    Arc::new(Everything)
}

fn public() -> Part {
    Part::new("public")
}

async fn next(watch: &mut BoxStream<'static, Result<Update, Lost>>) -> Result<Result<Update, Lost>> {
    timeout(SOON, watch.next()).await.context("nothing is told")?.context("the end")
}

/// How many instances each of the told services has.
fn told(update: Result<Update, Lost>) -> Result<Vec<(String, usize)>> {
    let count = |set: causeway_core::Set| (set.scope.name.to_string(), set.records.len());
    Ok(match update? {
        Update::Reset { sets, .. } => sets.into_iter().map(count).collect(),
        Update::Changed(set) => vec![count(set)],
        Update::Removed(scope) => vec![(scope.name.to_string(), 0)],
        Update::Attributes(..) => Vec::new(),
    })
}

fn copy(port: u16) -> Instance {
    let mark = Mark::new(OwnerId::new("t1", "task"), vec![ClusterId::of("a")]);
    Instance::new("127.0.0.1", port).with_mark(Some(mark))
}

async fn write(session: &Arc<dyn Sink>, name: &str, change: Change) -> Result<()> {
    let scope = ServiceKey::new("public", "DEFAULT_GROUP", name);
    for outcome in session.apply(&scope, &[change]).await {
        outcome?;
    }
    Ok(())
}

async fn tls() -> Result<()> {
    let server = Consul::start(ConsulSetup { tls: true, ..ConsulSetup::default() }).await?;
    let files = |identity: bool, name: Option<&str>| -> Result<TlsFiles> {
        Ok(TlsFiles {
            ca: Some(server.ca_file()),
            identity: if identity { Some(server.certificate()?) } else { None },
            server_name: name.map(str::to_owned),
            insecure: false,
        })
    };
    let look = async |tls: TlsFiles| -> Result<Result<usize, Error>> {
        let session = open(&server.tls_addr(), &ConsulOptions::default(), Some(tls))?;
        Ok(session.read(&public(), &all()).await.map(|sets| sets.len()))
    };
    server.api()?.register("n", &ConsulRow::new("web", "127.0.0.1", 80)).await?;
    ensure!(matches!(look(files(true, None)?).await?, Ok(1)));
    ensure!(matches!(look(files(true, Some("localhost"))?).await?, Ok(1)));
    let other = look(files(true, Some("server.dc1.consul"))?).await?;
    ensure!(matches!(other, Err(Error::Unavailable(_))), "{other:?}");
    let nobody = look(files(false, None)?).await?;
    ensure!(matches!(nobody, Err(Error::Unavailable(_))), "{nobody:?}");
    Ok(())
}

async fn refused() -> Result<()> {
    let server = Consul::start(ConsulSetup::default()).await?;
    let with = |options: ConsulOptions| open(&server.addr(), &options, None);
    for options in [
        ConsulOptions { namespace: Some("a".into()), ..ConsulOptions::default() },
        ConsulOptions { partition: Some("a".into()), ..ConsulOptions::default() },
    ] {
        let session = with(options)?;
        let why = session.parts().await.unwrap_err();
        ensure!(matches!(&why, Error::Denied(why) if why.contains("community edition")), "{why}");
        let lost = next(&mut session.watch(&all())).await?;
        ensure!(matches!(&lost, Err(Lost { error: Error::Denied(_), .. })), "{lost:?}");
    }
    let session = with(ConsulOptions { datacenter: Some("dc9".into()), ..ConsulOptions::default() })?;
    let why = session.read(&public(), &all()).await.unwrap_err();
    ensure!(matches!(&why, Error::Missing(why) if why.contains("dc9")), "{why}");
    let lost = next(&mut session.watch(&all())).await?;
    ensure!(matches!(&lost, Err(Lost { part: Some(_), error: Error::Missing(_) })), "{lost:?}");
    let there = with(ConsulOptions { datacenter: Some("dc1".into()), ..ConsulOptions::default() })?;
    ensure!(there.read(&public(), &all()).await?.is_empty());

    // Access control without a token.
    let server = Consul::start(ConsulSetup { acl: true, ..ConsulSetup::default() }).await?;
    server.api()?.register("n", &ConsulRow::new("web", "127.0.0.1", 80)).await?;
    let session = open(&server.addr(), &ConsulOptions::default(), None)?;
    let why = session.read(&public(), &all()).await.unwrap_err();
    ensure!(matches!(&why, Error::Denied(why) if why.contains("`token`")), "{why}");
    let lost = next(&mut session.watch(&all())).await?;
    ensure!(matches!(&lost, Err(Lost { error: Error::Denied(_), .. })), "{lost:?}");
    Ok(())
}

async fn healthy_only() -> Result<()> {
    let server = Consul::start(ConsulSetup::default()).await?;
    let api = server.api()?;
    let (mut ill, well) = (ConsulRow::new("web", "127.0.0.1", 80), ConsulRow::new("web", "127.0.0.1", 81));
    ill.healthy = false;
    api.register("a", &ill).await?;
    api.register("b", &well).await?;
    let session = open(&server.addr(), &ConsulOptions::default(), None)?;
    let mut watch = session.watch(&all());
    ensure!(told(next(&mut watch).await?)? == [("web".to_owned(), 1)]);
    ill.healthy = true;
    api.register("a", &ill).await?;
    ensure!(told(next(&mut watch).await?)? == [("web".to_owned(), 2)]);
    // The node fails, and all that stands on it.
    let failed = |status: &str| {
        json!({"Node": "a", "SkipNodeUpdate": true,
        "Check": {"Node": "a", "CheckID": "node", "Name": "node", "Status": status}})
    };
    api.call(Method::PUT, "/v1/catalog/register", Some(&failed("critical"))).await?;
    ensure!(told(next(&mut watch).await?)? == [("web".to_owned(), 1)]);
    api.call(Method::PUT, "/v1/catalog/register", Some(&failed("passing"))).await?;
    ensure!(told(next(&mut watch).await?)? == [("web".to_owned(), 2)]);
    // A copy counts in any health.
    let ours = copy(90).with(|one| one.healthy = false);
    write(&session, "ours", Change::Create(ours.clone())).await?;
    ensure!(told(next(&mut watch).await?)? == [("ours".to_owned(), 1)]);
    let row = api.all("ours").await?.pop().context("not there")?;
    ensure!(!row.1.healthy && row.0.starts_with("causeway-t1-"), "{row:?}");
    Ok(())
}

async fn node_meta() -> Result<()> {
    let server = Consul::start(ConsulSetup::default()).await?;
    let (api, session) = (server.api()?, open(&server.addr(), &ConsulOptions::default(), None)?);
    write(&session, "ours", Change::Create(copy(90))).await?;
    let node = api.all("ours").await?.pop().context("not there")?.0;
    let meta = async || -> Result<serde_json::Value> {
        let there = api.call(Method::GET, &format!("/v1/catalog/node/{node}"), None).await?;
        Ok(there["Node"]["Meta"].clone())
    };
    ensure!(meta().await?["external-node"] == "true", "{}", meta().await?);
    let edited = json!({"Node": node, "Address": "10.9.9.9", "NodeMeta": {"rack": "7"}});
    api.call(Method::PUT, "/v1/catalog/register", Some(&edited)).await?;
    // By the same session and by one that knows nothing of the node.
    write(&session, "ours", Change::Create(copy(91))).await?;
    write(&open(&server.addr(), &ConsulOptions::default(), None)?, "ours", Change::Create(copy(92))).await?;
    ensure!(api.all("ours").await?.len() == 3 && meta().await? == json!({"rack": "7"}), "{}", meta().await?);
    // Somebody takes the node away: it is made again.
    api.call(Method::PUT, "/v1/catalog/deregister", Some(&json!({"Node": node}))).await?;
    write(&session, "ours", Change::Create(copy(93))).await?;
    ensure!(api.all("ours").await?.len() == 1);
    Ok(())
}

/// A server, or a proxy before it, that does not serve `internal/`.
async fn one_by_one() -> Result<()> {
    let setup = ConsulSetup {
        settings: "http_config { block_endpoints = [\"/v1/internal\"] }\n".into(),
        ..ConsulSetup::default()
    };
    let server = Consul::start(setup).await?;
    let api = server.api()?;
    for n in 0..40 {
        api.register("a", &ConsulRow::new(&format!("web-{n}"), "127.0.0.1", 80)).await?;
    }
    let session = open(&server.addr(), &ConsulOptions::default(), None)?;
    let mut watch = session.watch(&all());
    ensure!(told(next(&mut watch).await?)?.len() == 40);
    api.register("a", &ConsulRow::new("web-7", "127.0.0.1", 81)).await?;
    ensure!(told(next(&mut watch).await?)? == [("web-7".to_owned(), 2)]);
    api.deregister("a", "web-8-127.0.0.1-80").await?;
    ensure!(told(next(&mut watch).await?)? == [("web-8".to_owned(), 0)]);
    Ok(())
}

async fn index_reset() -> Result<()> {
    let server = Consul::start(ConsulSetup::default()).await?;
    let api = server.api()?;
    for n in 0..30 {
        api.register("a", &ConsulRow::new(&format!("web-{n}"), "127.0.0.1", 80)).await?;
    }
    let session = open(&server.addr(), &ConsulOptions::default(), None)?;
    let mut watch = session.watch(&all());
    ensure!(told(next(&mut watch).await?)?.len() == 30);
    // All was in memory: the next one begins anew.
    server.kill9()?;
    server.start_again().await?;
    api.register("a", &ConsulRow::new("web-0", "127.0.0.1", 80)).await?;
    let lost = next(&mut watch).await?;
    ensure!(matches!(&lost, Err(Lost { error: Error::Unavailable(_), .. })), "{lost:?}");
    // What it lacks is told by a `Reset`, which is believed only after a while.
    let Ok(Update::Reset { .. }) = next(&mut watch).await? else { anyhow::bail!("no Reset after an outage") };
    let told = timeout(Duration::from_secs(2), watch.next()).await;
    ensure!(!matches!(&told, Ok(Some(Ok(Update::Removed(_))))), "{told:?}");
    Ok(())
}

async fn snapshot_restored() -> Result<()> {
    let server = Consul::start(ConsulSetup { persists: true, ..ConsulSetup::default() }).await?;
    let api = server.api()?;
    let register = async |range: std::ops::Range<u16>| -> Result<()> {
        for n in range {
            api.register("a", &ConsulRow::new(&format!("web-{n}"), "127.0.0.1", 80)).await?;
        }
        Ok(())
    };
    let (http, url) = (reqwest::Client::builder().no_proxy().build()?, format!("http://{}/v1/snapshot", server.addr()));
    register(0..3).await?;
    let snapshot = http.get(&url).send().await?.error_for_status()?.bytes().await?;
    register(3..9).await?;
    let session = open(&server.addr(), &ConsulOptions::default(), None)?;
    let mut watch = session.watch(&all());
    ensure!(told(next(&mut watch).await?)?.len() == 9);
    http.put(&url).body(snapshot).send().await?.error_for_status()?;
    // Whatever the servers' index was: this is higher than before.
    register(9..10).await?;
    let lost = next(&mut watch).await?;
    ensure!(matches!(&lost, Err(Lost { error: Error::Unavailable(_), .. })), "{lost:?}");
    loop {
        match next(&mut watch).await? {
            Ok(Update::Reset { sets, .. }) if sets.len() == 4 => return Ok(()),
            Ok(Update::Removed(scope)) => anyhow::bail!("{} was told as removed", scope.name),
            _ => {}
        }
    }
}
