//! What a node says of itself: metrics that a real Prometheus scrapes, the dashboard and the rules that are made for them, and traces.

use crate::node::{Node, free_port};
use crate::prometheus::Prometheus;
use anyhow::{Context, Result, bail, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

const SEEN: Duration = Duration::from_secs(30);

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/observability").join(name)
}

/// Static services in a folder, copied into one file.
struct Estate {
    node: Node,
    sources: PathBuf,
    target: PathBuf,
    _folder: TempDir,
}

impl Estate {
    async fn start(variables: &[(&str, &str)]) -> Result<Self> {
        let folder = TempDir::with_prefix("causeway-files-")?;
        let (sources, target) = (folder.path().join("services"), folder.path().join("copies.json"));
        std::fs::create_dir(&sources)?;
        let estate = Self { node: Node::start_with(variables).await?, sources, target, _folder: folder };
        estate.write("orders", "h:1")?;
        estate.node.apply(&format!(
            "clusters:\n- {{clusterName: static, clusterType: FILE, connectKeyList: ['{}']}}\n- {{clusterName: copies, clusterType: \
             FILE, connectKeyList: ['{}']}}\ntasks:\n- {{name: shop, source: static, destination: copies, settle: 1s}}\n",
            estate.sources.display(),
            estate.target.display()
        ))?;
        estate.in_step().await?;
        Ok(estate)
    }

    fn write(&self, service: &str, address: &str) -> Result<()> {
        let text = format!("services: [{{name: {service}, instances: [{{address: '{address}'}}]}}]\n");
        let new = self.sources.join(".new");
        std::fs::write(&new, text)?;
        Ok(std::fs::rename(new, self.sources.join(format!("{service}.yaml")))?)
    }

    async fn in_step(&self) -> Result<()> {
        let until = Instant::now() + SEEN;
        while self.node.task()?["state"] != "in-step" {
            ensure!(Instant::now() < until, "not in step: {}\n{}", self.node.task()?, self.node.log());
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Changes a copy by hand; the task leaves it alone, and says why.
    fn edit_copy(&self) -> Result<()> {
        let mut copies: Value = serde_json::from_slice(&std::fs::read(&self.target)?)?;
        copies.pointer_mut("/services/0/instances/0").context("no instance")?["weight"] = 7.into();
        let new = self.target.with_extension("new");
        std::fs::write(&new, copies.to_string())?;
        Ok(std::fs::rename(new, &self.target)?)
    }

    async fn metrics(&self) -> Result<String> {
        Ok(reqwest::get(format!("{}/metrics", self.node.url())).await?.error_for_status()?.text().await?)
    }

    async fn wait_for(&self, sample: &str) -> Result<String> {
        let until = Instant::now() + SEEN;
        loop {
            let text = self.metrics().await?;
            if text.lines().any(|line| line == sample) {
                return Ok(text);
            }
            ensure!(Instant::now() < until, "never {sample}:\n{text}\n{}", self.node.log());
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Names of metrics of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_of_a_name(c));
    words.filter(|word| word.starts_with("causeway_")).map(str::to_owned).collect()
}

fn promtool(arguments: &[&str], input: &str) -> Result<()> {
    let mut tool = Command::new("promtool");
    let mut tool = tool.args(arguments).current_dir(deployed("")).stdin(Stdio::piped());
    tool = tool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tool.spawn().context("promtool")?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(output.status.success(), "promtool {arguments:?}: {} {said}", output.status);
    Ok(())
}

/// The alerts of the rules, each with its annotations.
fn alerts() -> Result<BTreeMap<String, Value>> {
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(deployed("alerts.yaml"))?)?;
    let rules = rules["groups"][0]["rules"].as_array().context("no rules")?;
    let of = |rule: &Value| Some((rule["alert"].as_str()?.to_owned(), rule.clone()));
    Ok(rules.iter().filter_map(of).collect())
}

pub async fn a_prometheus_scrapes_what_dashboard_and_rules_ask_for() -> Result<()> {
    let estate = Estate::start(&[]).await?;
    estate.write("stock", "h:2")?;
    let way = r#"{task="shop",cluster="copies",type="instance"}"#;
    estate.wait_for(&format!("causeway_change_latency_seconds_count{way} 1")).await?;
    estate.edit_copy()?;
    let text =
        estate.wait_for(r#"causeway_skipped_records{task="shop",cluster="copies",reason="overridden"} 1.0"#).await?;

    promtool(&["check", "metrics"], &text)?;
    promtool(&["check", "rules", "alerts.yaml"], "")?;
    promtool(&["test", "rules", "alerts.test.yaml"], "")?;
    let tested = std::fs::read_to_string(deployed("alerts.test.yaml"))?;
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/observability.md"))?;
    for (alert, rule) in alerts()? {
        ensure!(tested.contains(&format!("alertname=\"{alert}\"")), "{alert} is not tested");
        ensure!(page.contains(&format!("`{alert}`")), "{alert} is not in the docs");
        let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_default();
        ensure!(runbook.len() > 40, "{alert} does not say what to do");
    }

    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n- job_name: causeway\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        deployed("alerts.yaml").display(),
        estate.node.url().trim_start_matches("http://")
    );
    let prometheus = Prometheus::start(&config).await?;
    let until = Instant::now() + SEEN;
    while prometheus.ask("query", &[("query", "up == 1")]).await?["result"].as_array().is_none_or(Vec::is_empty) {
        let targets = prometheus.ask("targets", &[]).await?;
        ensure!(Instant::now() < until, "it is not scraped: {targets}\n{}", prometheus.log());
        sleep(Duration::from_millis(200)).await;
    }
    sleep(Duration::from_secs(2)).await;
    let known = prometheus.ask("label/__name__/values", &[]).await?;
    let known: BTreeSet<String> = serde_json::from_value(known)?;
    for file in ["grafana-dashboard.json", "alerts.yaml"] {
        let asked = names(&std::fs::read_to_string(deployed(file))?);
        ensure!(asked.len() > 10, "{file} asks for {asked:?}");
        let missing: Vec<_> = asked.difference(&known).collect();
        ensure!(missing.is_empty(), "{file} asks for {missing:?}, which a node does not have: {known:?}");
    }
    let rules = prometheus.ask("rules", &[("type", "alert")]).await?;
    let rules = rules["groups"][0]["rules"].as_array().context("no rules")?;
    ensure!(rules.len() == alerts()?.len(), "{rules:#?}");
    for rule in rules {
        ensure!(rule["health"] == "ok", "{rule}");
        ensure!(rule["state"] == "inactive", "a healthy node raises an alert: {rule}");
    }
    expressions_work(&prometheus).await?;

    // A source that is away is pending within seconds; a healthy one again is not.
    let away = estate.sources.with_extension("away");
    std::fs::rename(&estate.sources, &away)?;
    wait_for_alert(&prometheus, "CausewayClusterUnreachable", "pending").await?;
    wait_for_alert(&prometheus, "CausewayTaskFailing", "pending").await?;
    std::fs::rename(&away, &estate.sources)?;
    wait_for_alert(&prometheus, "CausewayTaskFailing", "inactive").await?;

    // The series of a deleted task are gone.
    estate.node.ok(&["delete", "shop", "--drain"])?;
    let left = estate.metrics().await?;
    ensure!(!left.contains("task=\"shop\""), "{left}");
    Ok(())
}

/// Every panel of the dashboard has a query that a Prometheus understands.
async fn expressions_work(prometheus: &Prometheus) -> Result<()> {
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(deployed("grafana-dashboard.json"))?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut asked = 0;
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let query = target["expr"].as_str().context("no query")?;
        let filled = query.replace("$__rate_interval", "1m").replace("$task", ".*").replace("$cluster", ".*");
        ensure!(!filled.contains('$'), "{query}");
        prometheus.ask("query", &[("query", &filled)]).await?;
        asked += 1;
    }
    ensure!(asked > 30, "{asked} queries");
    Ok(())
}

async fn wait_for_alert(prometheus: &Prometheus, alert: &str, state: &str) -> Result<()> {
    let until = Instant::now() + SEEN;
    loop {
        let groups = prometheus.ask("rules", &[("type", "alert")]).await?;
        let rules = groups["groups"][0]["rules"].as_array().context("no rules")?;
        let rule = rules.iter().find(|rule| rule["name"] == alert).context("no such rule")?;
        if rule["state"] == state {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{alert} is never {state}: {rule}");
        sleep(Duration::from_millis(300)).await;
    }
}

pub async fn metrics_have_a_port_of_their_own_and_logs_are_json() -> Result<()> {
    let open = format!("127.0.0.1:{}", free_port()?);
    let variables = [("CAUSEWAY_METRICS_LISTEN", &*open), ("CAUSEWAY_LOG_FORMAT", "json")];
    let estate = Estate::start(&variables).await?;
    let text = reqwest::get(format!("http://{open}/metrics")).await?.text().await?;
    ensure!(text.contains("causeway_records{task=\"shop\",cluster=\"copies\",type=\"instance\"} 1.0\n"), "{text}");
    promtool(&["check", "metrics"], &text)?;
    let api = reqwest::get(format!("http://{open}/api/v1/tasks")).await?;
    ensure!(api.status() == 404, "the API is on the metrics' port: {}", api.status());
    std::fs::rename(&estate.sources, estate.sources.with_extension("away"))?;
    estate.wait_for("causeway_cluster_up{cluster=\"static\",kind=\"file\"} 0.0").await?;
    let log = estate.node.whole_log();
    let lines = log.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let lines = lines.with_context(|| format!("not every line is JSON:\n{log}"))?;
    for line in &lines {
        let whole = ["timestamp", "level", "message", "target"].iter().all(|key| line[key].is_string());
        ensure!(whole, "{line}");
    }
    let told = lines.iter().any(|line| line["cluster"] == "static" && line["level"] == "WARN");
    ensure!(told, "the outage is not in the log with its cluster:\n{log}");
    Ok(())
}

/// Takes OTLP requests over HTTP, and keeps the spans.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<BTreeSet<String>>>,
}

impl Collector {
    async fn start() -> Result<(Self, String, JoinSet<()>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let collector = Self::default();
        let serves = collector.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let serves = serves.clone();
                connections.spawn(async move {
                    if let Err(error) = serves.serve(stream).await {
                        eprintln!("collector: {error:#}");
                    }
                });
            }
        });
        Ok((collector, url, serving))
    }

    async fn serve(&self, stream: TcpStream) -> Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head).await? == 0 {
                    return Ok(());
                }
            }
            let head = head.to_lowercase();
            ensure!(head.starts_with("post /v1/traces http/1.1"), "{head}");
            ensure!(head.contains("content-type: application/x-protobuf"), "{head}");
            ensure!(head.contains("x-key: secret"), "OTEL_EXPORTER_OTLP_HEADERS is not sent: {head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.context("no length")?.trim().parse()?];
            stream.read_exact(&mut body).await?;
            self.take(ExportTraceServiceRequest::decode(&*body)?);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        }
    }

    fn take(&self, request: ExportTraceServiceRequest) {
        for resource in request.resource_spans {
            let attributes = resource.resource.into_iter().flat_map(|resource| resource.attributes);
            let named = attributes.filter(|one| one.key == "service.name").map(|one| format!("{:?}", one.value));
            self.services.lock().unwrap_or_else(PoisonError::into_inner).extend(named);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
        }
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn attribute(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|one| one.key == key).and_then(|one| one.value.clone()?.value);
    match value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

pub async fn a_collector_gets_a_trace_of_each_service_that_is_written() -> Result<()> {
    let (collector, url, mut serving) = Collector::start().await?;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ];
    let estate = Estate::start(&variables).await?;
    estate.write("stock", "h:2")?;
    let until = Instant::now() + SEEN;
    let find = |spans: &[Span]| {
        spans.iter().find(|span| span.name == "scope" && attribute(span, "causeway.scope").contains("stock")).cloned()
    };
    let scope = loop {
        if let Some(scope) = find(&collector.spans()) {
            break scope;
        }
        ensure!(Instant::now() < until, "no trace of it: {:#?}\n{}", collector.spans(), estate.node.log());
        sleep(Duration::from_millis(100)).await;
    };
    let wanted = [("task", "shop"), ("cluster", "copies"), ("changes", "1"), ("outcome", "accepted")];
    for (key, value) in wanted {
        let is = attribute(&scope, &format!("causeway.{key}"));
        ensure!(is == value, "{key} is {is}: {scope:#?}");
    }
    sleep(Duration::from_secs(1)).await;
    let spans = collector.spans();
    let below: BTreeSet<_> =
        spans.iter().filter(|span| span.parent_span_id == scope.span_id).map(|span| span.name.clone()).collect();
    ensure!(below == BTreeSet::from(["plan".to_owned(), "write".to_owned()]), "{below:?}");
    ensure!(spans.iter().all(|span| attribute(span, "causeway.outcome") != "nothing"), "{spans:#?}");
    ensure!(spans.iter().all(|span| ["scope", "plan", "write"].contains(&&*span.name)), "{spans:#?}");
    let services = collector.services.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(services.len() == 1 && services.iter().all(|name| name.contains("\"causeway\"")), "{services:?}");
    let log = estate.node.whole_log();
    ensure!(!log.contains("scope{") && !log.contains("causeway::traces"), "spans stand in the log:\n{log}");

    // The last spans are sent at the end, and a collector that is away stops nothing.
    estate.write("carts", "h:3")?;
    sleep(Duration::from_secs(3)).await;
    serving.abort_all();
    let Estate { node, sources, .. } = estate;
    std::fs::write(sources.join("late.yaml"), "services: [{name: late, instances: [{address: 'h:4'}]}]\n")?;
    let until = Instant::now() + SEEN;
    while !node.whole_log().contains("traces cannot be sent") {
        ensure!(Instant::now() < until, "the collector's end is not told:\n{}", node.log());
        sleep(Duration::from_millis(200)).await;
    }
    if node.whole_log().contains("secret") {
        bail!("a header stands in the log:\n{}", node.log());
    }
    let began = Instant::now();
    node.stop()?;
    ensure!(began.elapsed() < Duration::from_secs(9), "the end waited for the collector: {:?}", began.elapsed());
    Ok(())
}
