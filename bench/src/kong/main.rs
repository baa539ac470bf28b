//! What bringing 500 services of 10 instances from a file to a Kong takes: time, calls, and what is asked at rest.
//!
//! ```sh
//! cargo build --release -p causeway -p causeway-testbed && cargo run --release -p causeway-bench --bin kong -- [services] [latency]
//! ```
//! The Kong is the double, each of whose calls takes `latency` milliseconds at least (17, as measured on a real one). The bare
//! loop makes an upstream, a service and ten targets for each service, as many services at once as a Causeway writes. It
//! compares nothing, marks nothing and follows nothing.

use anyhow::{Result, ensure};
use causeway_bench::{LOOK, Node};
use causeway_testbed::{Kong, KongApi, KongSetup};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

const TARGETS: usize = 10;
/// Services that are written at once.
const AT_ONCE: usize = 16;
/// How long the node is left alone before it is measured at rest, and then measured.
const REST: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let services = arguments.next().map_or(Ok(500), |count| count.parse::<usize>())?;
    let latency = arguments.next().unwrap_or_else(|| "17".to_owned());
    let setup = KongSetup { more: vec!["--latency".to_owned(), latency.clone()], ..KongSetup::default() };
    let bare = {
        let kong = Kong::start(setup.clone()).await?;
        bare(&kong.api()?, services).await?
    };
    let kong = Kong::start(setup).await?;
    let (desk, folder) = (kong.desk()?, TempDir::with_prefix("causeway-bench-")?);
    let file = folder.path().join("services.json");
    std::fs::write(&file, document(services))?;
    let node = Node::start().await?;
    let empty = node.resident()?;
    desk.forget().await?;
    let began = Instant::now();
    node.apply(&format!(
        "clusters:\n  - {{clusterName: static, clusterType: FILE, connectKeyList: ['{}']}}\n  - {{clusterName: gateway, clusterType: \
         KONG, connectKeyList: ['{}']}}\ntasks:\n  - {{source: static, destination: gateway}}\n",
        file.display(),
        kong.addr()
    ))
    .await?;
    let wanted = services * (TARGETS + 2);
    while made(&desk.calls().await?) < wanted {
        ensure!(began.elapsed() < Duration::from_secs(600), "not all after ten minutes: {:?}", node.tasks().await?);
        sleep(LOOK).await;
    }
    let took = began.elapsed();
    println!(
        "{services} services of {TARGETS}, {latency} ms a call: {took:.1?} with {} calls, {} of which write; the bare loop {bare:.1?}, \
         share {:.2}",
        desk.total().await?,
        desk.writes().await?,
        bare.as_secs_f64() / took.as_secs_f64()
    );
    sleep(REST).await;
    desk.forget().await?;
    let before = node.processor()?;
    sleep(MEASURED).await;
    let rest = (node.processor()? - before).as_secs_f64() / MEASURED.as_secs_f64();
    println!(
        "at rest {} calls a minute, {} of which write; {:.0} MiB resident ({empty:.0} MiB when empty), {:.1} % of a core",
        desk.total().await?,
        desk.writes().await?,
        node.resident()?,
        rest * 100.0
    );
    Ok(())
}

fn document(services: usize) -> String {
    let instances: Vec<_> = (0..TARGETS).map(|n| json!({"address": format!("127.0.0.1:{}", 20_000 + n)})).collect();
    let service = |n| json!({"name": format!("svc-{n}"), "instances": instances});
    json!({"services": (0..services).map(service).collect::<Vec<_>>()}).to_string()
}

/// How many entities were made.
fn made(calls: &std::collections::BTreeMap<String, usize>) -> usize {
    calls.iter().filter(|(call, _)| call.starts_with("POST ") || call.starts_with("PUT ")).map(|(_, count)| count).sum()
}

async fn bare(api: &KongApi, services: usize) -> Result<Duration> {
    let began = Instant::now();
    let one = |n: usize| async move {
        let name = format!("static.public.svc-{n}");
        let upstream = format!("{name}.default");
        api.call(Method::POST, "/upstreams", Some(&json!({"name": upstream}))).await?;
        for port in 0..TARGETS {
            let target = json!({"target": format!("127.0.0.1:{}", 20_000 + port)});
            api.call(Method::POST, &format!("/upstreams/{upstream}/targets"), Some(&target)).await?;
        }
        api.call(Method::POST, "/services", Some(&json!({"name": name, "host": upstream}))).await
    };
    stream::iter((0..services).map(one)).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    Ok(began.elapsed())
}
