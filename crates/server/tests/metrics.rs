//! What a node measures: each metric has a sample, and those of a task go with it.

#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

mod common;

use causeway_connectors::memory::Fault;
use causeway_server::Access;
use common::{Host, PATIENCE, key, pair, register};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TOKEN: &str = "0123456789abcdef";

/// Samples by their name and labels, as they are written.
type Samples = BTreeMap<String, f64>;

fn parse(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let sample = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    lines.map(|line| sample(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

async fn samples(host: &Host) -> Samples {
    let answer = host.http.get(format!("{}/metrics", host.url)).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    parse(&answer.text().await.unwrap())
}

async fn wait(host: &Host, what: &str, is: impl Fn(&Samples) -> bool) -> Samples {
    let began = Instant::now();
    loop {
        let samples = samples(host).await;
        if is(&samples) {
            return samples;
        }
        assert!(began.elapsed() < PATIENCE, "never {what}: {samples:#?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn at(samples: &Samples, name: &str) -> f64 {
    samples.get(name).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_does_is_measured_and_goes_with_it() {
    let (a, b, file) = pair("metrics");
    b.refuse_host("10.0.0.9");
    for n in 0..5 {
        register(&a, &key("public", &format!("a{n}")), 1000);
    }
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    host.in_step("both", 5).await;
    let way = r#"{task="both",cluster="dst",type="instance"}"#;
    let first = samples(&host).await;
    assert_eq!(at(&first, &format!("causeway_records{way}")), 5.0);
    assert_eq!(at(&first, r#"causeway_services{task="both",cluster="dst"}"#), 5.0);
    assert_eq!(at(&first, &format!("causeway_lag_seconds{way}")), 0.0);
    assert_eq!(at(&first, r#"causeway_task_state{task="both",state="in-step"}"#), 1.0);
    assert_eq!(at(&first, r#"causeway_cluster_up{cluster="src",kind="memory"}"#), 1.0);
    assert_eq!(at(&first, r#"causeway_cluster_services{cluster="src"}"#), 5.0);
    let count = format!("causeway_change_latency_seconds_count{way}");
    assert_eq!(at(&first, &count), 0.0, "the first reading is no change");
    let accepted = |write: &str| {
        format!(
            r#"causeway_writes_total{{task="both",cluster="dst",type="instance",write="{write}",outcome="accepted"}}"#
        )
    };
    assert_eq!((at(&first, &accepted("create")), at(&first, &accepted("delete"))), (5.0, 0.0));

    // Changes that the source tells of are timed, each service once.
    register(&a, &key("public", "new"), 1000);
    let after = wait(&host, "timed", |samples| at(samples, &count) == 1.0).await;
    let (sum, all) = (format!("causeway_change_latency_seconds_sum{way}"), accepted("create"));
    assert!(at(&after, &sum) > 0.0 && at(&after, &sum) < 5.0, "{after:#?}");
    assert_eq!(at(&after, &all), 6.0);
    let back = r#"causeway_change_latency_seconds_count{task="both",cluster="src",type="instance"}"#;
    assert_eq!(at(&after, back), 0.0, "a copy that comes back is no change");

    // What the destination refuses is told by its outcome, and is left alone for a reason.
    a.register(&key("public", "new"), "refused", causeway_core::Instance::new("10.0.0.9", 80));
    let refused =
        r#"causeway_writes_total{task="both",cluster="dst",type="instance",write="create",outcome="rejected"}"#;
    let skipped = r#"causeway_skipped_records{task="both",cluster="dst",reason="rejected"}"#;
    let told = wait(&host, "refused", |samples| at(samples, refused) > 0.0 && at(samples, skipped) == 1.0).await;
    assert_eq!(at(&told, &format!("causeway_lag_seconds{way}")), 0.0, "what is left alone is not late");

    // A destination that cannot be written: the change grows old, and arrives late.
    b.fail(Fault::Down);
    register(&a, &key("public", "late"), 1000);
    let lag = format!("causeway_lag_seconds{way}");
    let up = r#"causeway_cluster_up{cluster="dst",kind="memory"}"#;
    wait(&host, "late", |samples| at(samples, &lag) > 1.0 && samples.get(up) == Some(&0.0)).await;
    b.fail(Fault::None);
    let done = wait(&host, "there", |samples| at(samples, &lag) == 0.0 && at(samples, &all) >= 7.0).await;
    assert!(at(&done, &sum) > 1.0, "{done:#?}");
    assert_eq!(at(&done, &count), 2.0);

    // A series of a deleted task is gone.
    let (status, answer) = host.delete("/api/v1/tasks/both?drain=true").await;
    assert_eq!(status, 200, "{answer}");
    let left = samples(&host).await;
    let of_task: Vec<_> = left.keys().filter(|name| name.contains(r#"task="both""#)).collect();
    assert!(of_task.is_empty(), "{of_task:?}");
    assert_eq!(at(&left, "causeway_ready"), 1.0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_a_sample_and_both_forms_say_the_same() {
    let (a, b, file) = pair("metrics-all");
    b.refuse_host("10.0.0.9");
    a.register(&key("public", "refused"), "refused", causeway_core::Instance::new("10.0.0.9", 80));
    register(&a, &key("public", "a"), 1000);
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    host.apply(&file).await;
    wait(&host, "skipped", |samples| samples.keys().any(|name| name.starts_with("causeway_skipped_records"))).await;
    let answer = host.http.get(format!("{}/metrics", host.url)).send().await.unwrap().text().await.unwrap();
    let samples = parse(&answer);
    for line in answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        let has = |sample: &String| sample.starts_with(name);
        assert!(samples.keys().any(has), "{name} has no sample");
    }
    let open = host.http.get(format!("{}/metrics", host.url));
    let open = open.header("accept", "application/openmetrics-text; version=1.0.0,text/plain;q=0.5").send().await;
    let open = open.unwrap();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.headers()["content-type"], kind);
    let open = open.text().await.unwrap();
    assert!(open.ends_with("# EOF\n"), "{open}");
    // They write the bounds of histograms in different ways.
    let name = |sample: String| sample.split('{').next().unwrap_or_default().to_owned();
    let names = |samples: Samples| samples.into_keys().map(name).collect::<Vec<_>>();
    assert_eq!(names(parse(&open)), names(samples));
    host.stop().await;
}

/// Beyond loopback metrics need the token; on a port of their own they do not.
#[tokio::test(flavor = "multi_thread")]
async fn the_door_is_open_only_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let (access, _) = Access::prepare_with(&host.node, anywhere, Some(TOKEN.to_owned().into())).await.unwrap();
    // It listens on loopback and follows the rule for other addresses.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let node = host.node.clone();
    let mut serving = JoinSet::new();
    serving.spawn(async move { node.serve(listener, access).await });
    let get = |path: &str| host.http.get(format!("{url}{path}"));
    assert_eq!(get("/metrics").send().await.unwrap().status(), 401);
    assert_eq!(get("/metrics").bearer_auth("wrong").send().await.unwrap().status(), 401);
    assert_eq!(get("/metrics").bearer_auth(TOKEN).send().await.unwrap().status(), 200);
    for probe in ["/healthz", "/readyz"] {
        // As kubelet asks: by the pod's address, without a token.
        let answer = get(probe).header("host", "10.1.2.3:8000").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{probe}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let node = host.node.clone();
    serving.spawn(async move { node.serve_metrics(listener).await });
    let get = |path: &str| host.http.get(format!("{url}{path}"));
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(path).send().await.unwrap().status(), 200, "{path}");
    }
    for path in ["/api/v1/tasks", "/", "/api/v1/version"] {
        assert_eq!(get(path).send().await.unwrap().status(), 404, "{path}");
    }
    let foreign = get("/metrics").header("host", "evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403, "a web page's name for this machine");
    host.stop().await;
    while let Some(ended) = serving.join_next().await {
        ended.unwrap().unwrap();
    }
}
