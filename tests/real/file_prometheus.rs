//! Static services in files, written for a real Prometheus and served to it, over crashes of ours.

use crate::node::Node;
use crate::prometheus::Prometheus;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// Prometheus gathers news for 5 s before it takes them.
const SEEN: Duration = Duration::from_secs(20);

/// Every target of one job, with the labels that it was discovered with.
type Targets = BTreeMap<String, BTreeMap<String, String>>;

/// The job `file` reads `targets`, the job `http` asks `url`.
async fn start(targets: &Path, url: &str) -> Result<Prometheus> {
    let config = format!(
        "global: {{scrape_interval: 10m}}\nscrape_configs:\n- job_name: file\n  file_sd_configs: [{{files: ['{}'], \
         refresh_interval: 1s}}]\n- job_name: http\n  http_sd_configs: [{{url: '{url}', refresh_interval: 1s}}]\n",
        targets.display()
    );
    Prometheus::start(&config).await
}

/// Waits until both jobs list exactly these services' addresses.
async fn wait(prometheus: &Prometheus, what: &str, wanted: &[(&str, &str)]) -> Result<Targets> {
    let wanted: BTreeSet<_> =
        wanted.iter().map(|(service, address)| (service.to_string(), address.to_string())).collect();
    let until = Instant::now() + SEEN;
    loop {
        let (file, http) = (targets(&prometheus.url, "file").await?, targets(&prometheus.url, "http").await?);
        if services(&file) == wanted && services(&http) == wanted {
            return Ok(file);
        }
        ensure!(Instant::now() < until, "{what} is not seen: file {file:#?}, http {http:#?}\n{}", prometheus.log());
        sleep(Duration::from_millis(200)).await;
    }
}

async fn targets(prometheus: &str, job: &str) -> Result<Targets> {
    let answer = reqwest::get(format!("{prometheus}/api/v1/targets?state=active")).await?;
    let answer: Value = answer.json().await?;
    let active = answer["data"]["activeTargets"].as_array().context("no targets")?;
    let of = active.iter().filter(|target| target["scrapePool"] == job);
    of.map(|target| {
        let labels: BTreeMap<String, String> = serde_json::from_value(target["discoveredLabels"].clone())?;
        Ok((labels.get("__address__").cloned().unwrap_or_default(), labels))
    })
    .collect()
}

fn services(targets: &Targets) -> BTreeSet<(String, String)> {
    let of = |(address, labels): (&String, &BTreeMap<String, String>)| {
        (labels.get("__meta_causeway_service").cloned().unwrap_or_default(), address.clone())
    };
    targets.iter().map(of).collect()
}

pub async fn a_prometheus_lists_exactly_the_targets() -> Result<()> {
    let folder = TempDir::with_prefix("causeway-files-")?;
    let (sources, target) = (folder.path().join("services"), folder.path().join("targets.json"));
    std::fs::create_dir(&sources)?;
    // Nothing listens there; it is the lists that count.
    std::fs::write(
        sources.join("shop.yaml"),
        "services:\n- name: orders\n  namespace: dev\n  instances:\n  - address: 127.0.0.1:1\n    weight: 2\n    metadata: \
         {app.zone: a}\n  - {address: '127.0.0.1:2', enabled: false, healthy: false}\n- {name: stock, instances: [{address: 'h:9'}]}\n",
    )?;
    let carts = "services: [{name: carts, instances: [{address: '[::1]:3'}]}]\n";
    std::fs::write(sources.join("carts.yml"), carts)?;
    let node = Node::start().await?;
    node.apply(&format!(
        "clusters:\n- {{clusterName: static, clusterType: FILE, connectKeyList: ['{}']}}\n- {{clusterName: targets, clusterType: \
         FILE, connectKeyList: ['{}'], file: {{format: prometheus}}}}\ntasks:\n- {{source: static, destination: targets, settle: \
         2s}}\n",
        sources.display(),
        target.display()
    ))?;
    let http_sd = format!("{}/api/v1/clusters/static/http_sd", node.url());
    let early = reqwest::get(&http_sd).await?;
    ensure!(early.status() == 503, "a list before the source has settled: {} {}", early.status(), early.text().await?);
    let missing = reqwest::get(format!("{}/api/v1/clusters/none/http_sd", node.url())).await?;
    ensure!(missing.status() == 404, "{}", missing.status());

    let prometheus = start(&target, &http_sd).await?;
    let all = [("orders", "127.0.0.1:1"), ("orders", "127.0.0.1:2"), ("stock", "h:9"), ("carts", "[::1]:3")];
    let seen = wait(&prometheus, "every target", &all).await?;
    let labels = &seen["127.0.0.1:1"];
    let wanted = [
        ("namespace", "dev"),
        ("group", "DEFAULT_GROUP"),
        ("service", "orders"),
        ("weight", "2"),
        ("healthy", "true"),
        ("enabled", "true"),
        ("metadata_app_zone", "a"),
    ];
    for (key, value) in wanted {
        let label = labels.get(&format!("__meta_causeway_{key}")).map(String::as_str);
        ensure!(label == Some(value), "{key} is {label:?}: {labels:#?}");
    }
    ensure!(seen["127.0.0.1:2"]["__meta_causeway_enabled"] == "false");
    let answer = reqwest::get(&http_sd).await?;
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    ensure!(kind.as_deref() == Some("application/json"), "{kind:?}");

    // A change, a wrong file, which changes nothing, and a removal.
    let began = Instant::now();
    std::fs::write(sources.join("carts.yml"), carts.replace("]:3", "]:4"))?;
    let moved = [("orders", "127.0.0.1:1"), ("orders", "127.0.0.1:2"), ("stock", "h:9"), ("carts", "[::1]:4")];
    wait(&prometheus, "the change", &moved).await?;
    println!("a change was seen after {:.1?}", began.elapsed());
    std::fs::write(sources.join("carts.yml"), "services: [{name: carts, instances: [{addres: 'x:1'}]}]\n")?;
    let until = Instant::now() + Duration::from_secs(10);
    while !node.task()?["reason"].to_string().contains("carts.yml:1:") {
        ensure!(Instant::now() < until, "the wrong file is not told: {}", node.task()?);
        sleep(Duration::from_millis(200)).await;
    }
    ensure!(reqwest::get(&http_sd).await?.status() == 503, "a list of what cannot be read");
    sleep(Duration::from_secs(6)).await;
    wait(&prometheus, "the same", &moved).await?;
    std::fs::remove_file(sources.join("carts.yml"))?;
    // Its removal was not seen, since nothing could be read before: it waits for `settle` and a second look.
    wait(&prometheus, "the removal", &moved[..3]).await?;

    // A crash of ours, and a restart: neither job is ever without a target.
    let text = std::fs::read_to_string(&target)?;
    let stop = Arc::new(AtomicBool::new(false));
    let watch = {
        let (stop, url) = (stop.clone(), prometheus.url.clone());
        async move {
            let mut looks = 0;
            while !stop.load(Ordering::SeqCst) {
                for job in ["file", "http"] {
                    let targets = targets(&url, job).await?;
                    ensure!(targets.len() == 3, "{job} lists {targets:#?} while the node restarts");
                }
                looks += 1;
                sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(looks)
        }
    };
    let restart = async {
        let (data, port) = node.kill()?;
        sleep(Duration::from_secs(8)).await;
        let node = Node::on(data, port).await?;
        sleep(Duration::from_secs(8)).await;
        stop.store(true, Ordering::SeqCst);
        anyhow::Ok(node)
    };
    let (looks, node) = tokio::join!(watch, restart);
    let (looks, node) = (looks?, node?);
    ensure!(looks > 5, "{looks} looks");
    ensure!(std::fs::read_to_string(&target)? == text, "the restart has changed the file");
    let until = Instant::now() + SEEN;
    while node.task()?["state"] != "in-step" {
        ensure!(Instant::now() < until, "not in step after the restart: {}", node.task()?);
        sleep(Duration::from_millis(200)).await;
    }
    // And it goes on.
    std::fs::write(sources.join("more.yaml"), "services: [{name: more, instances: [{address: 'h:5'}]}]\n")?;
    let more = [&moved[..3], &[("more", "h:5")]].concat();
    wait(&prometheus, "a new service", &more).await?;
    Ok(())
}
