//! A node in this process, over HTTP, with registries in memory.
#![allow(dead_code, reason = "not every test uses everything")]
#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

use causeway_connectors::memory::{Memory, MemoryPorts};
use causeway_core::{Instance, ServiceKey};
use causeway_server::api::{ApplyRequest, ErrorBody, Task};
use causeway_server::{Access, Node, Options};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A node that serves on loopback.
pub struct Host {
    pub node: Node,
    pub url: String,
    pub http: reqwest::Client,
    serving: JoinSet<()>,
}

impl Host {
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(dir, None).await
    }

    pub async fn start_with(dir: &Path, file: Option<&str>) -> Self {
        let file = file.map(|text| ("config.yaml".to_owned(), text.to_owned()));
        let options = Options { data_dir: dir.to_owned(), file, ..Options::default() };
        let node = Node::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (access, token) = Access::prepare(&node, address).await.unwrap();
        assert!(token.is_none());
        let mut serving = JoinSet::new();
        let serves = node.clone();
        serving.spawn(async move { serves.serve(listener, access).await.unwrap() });
        Self { node, url: format!("http://{address}"), http: reqwest::Client::new(), serving }
    }

    pub async fn stop(mut self) {
        self.node.stop().await;
        self.serving.join_next().await.unwrap().unwrap();
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// The status and the answer.
    pub async fn post(&self, path: &str, body: &impl serde::Serialize) -> (u16, Value) {
        answer(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        answer(self.http.delete(format!("{}{path}", self.url))).await
    }

    pub async fn apply(&self, text: &str) -> Value {
        let (status, answer) = self.try_apply(text, false, false).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    pub async fn try_apply(&self, text: &str, prune: bool, drain: bool) -> (u16, Value) {
        let request = ApplyRequest { file: "config.yaml".into(), text: text.into(), prune, drain };
        self.post("/api/v1/apply", &request).await
    }

    pub async fn task(&self, name: &str) -> Task {
        self.get(&format!("/api/v1/tasks/{name}")).await
    }

    pub async fn wait_for(&self, name: &str, what: &str, is: impl Fn(&Task) -> bool) -> Task {
        let began = Instant::now();
        loop {
            let task = self.task(name).await;
            if is(&task) {
                return task;
            }
            assert!(began.elapsed() < PATIENCE, "{name} never was {what}: {task:#?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until there is no such task.
    pub async fn wait_gone(&self, name: &str) {
        let began = Instant::now();
        while self.get::<Vec<Task>>("/api/v1/tasks").await.iter().any(|task| task.name == name) {
            assert!(began.elapsed() < PATIENCE, "{name} never ended");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub async fn in_step(&self, name: &str, instances: usize) -> Task {
        let done = |task: &Task| task.instances == instances && task.pending == 0 && task.state.as_str() != "failing";
        self.wait_for(name, &format!("in step with {instances}"), done).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

pub fn error(answer: &Value) -> ErrorBody {
    serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

pub fn key(namespace: &str, name: &str) -> ServiceKey {
    ServiceKey::new(namespace, "DEFAULT_GROUP", name)
}

pub fn register(memory: &Memory, scope: &ServiceKey, port: u16) {
    memory.register(scope, &format!("provider-{port}"), Instance::new("127.0.0.1", port));
}

pub fn instances(memory: &Memory) -> usize {
    memory.services().iter().map(|scope| memory.list(scope).len()).sum()
}

/// How many sessions the registry has had, this look included.
pub fn sessions(memory: &Memory) -> u64 {
    MemoryPorts::open(memory).session()
}

/// Two registries that no other test has, and a file with a two-way task between them.
pub fn pair(name: &str) -> (Memory, Memory, String) {
    let [a, b] = [format!("{name}-a"), format!("{name}-b")];
    let file = format!(
        "clusters:\n- {{clusterName: src, clusterType: MEMORY, connectKeyList: [{a}]}}\n\
         - {{clusterName: dst, clusterType: MEMORY, connectKeyList: [{b}]}}\n\
         tasks:\n- {{name: both, source: src, destination: dst, mode: Bidirectional, settle: 1s}}\n"
    );
    (Memory::named(&a), Memory::named(&b), file)
}
