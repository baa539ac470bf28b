//! What anybody sees of a service, by the vendor's own client.

use super::form::Form;
use anyhow::Result;
use causeway_core::{Instance, ServiceKey};
use causeway_testbed::{ZkClient, ZkEvent, ZkWatch};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Longer than any test.
const EVER: Duration = Duration::from_secs(600);

/// What the server says when a znode is not there, as a value.
pub fn gone_is<T>(gone: T, said: Result<T>) -> Result<T> {
    match said {
        Err(error) if format!("{error:#}").contains("NoNode") => Ok(gone),
        said => said,
    }
}

/// Reads services as anybody does.
pub struct List {
    pub form: Form,
    pub root: String,
    pub operator: ZkClient,
}

/// The znodes of a service by path.
type Nodes = BTreeMap<String, Instance>;

impl List {
    pub fn folder(&self, service: &ServiceKey) -> String {
        format!("{}{}", self.root, self.form.folder(&service.name))
    }

    pub async fn children(&self, folder: &str) -> Result<Vec<String>> {
        gone_is(Vec::new(), self.operator.children(folder).await)
    }

    /// What stands at a path in the folder of a service.
    async fn node(&self, service: &ServiceKey, path: &str) -> Result<Option<Instance>> {
        // What goes between two calls is gone.
        let Some(read) = gone_is(None, self.operator.get(path).await)? else { return Ok(None) };
        let name = path.rsplit_once('/').map_or("", |(_, name)| name);
        Ok(self.form.read(&service.name, name, &read.data.unwrap_or_default(), read.stat.owner != 0))
    }

    /// The znodes as they stood together after one transaction, and that transaction: they are read one by one, and again
    /// when one came or went meanwhile.
    pub async fn nodes(&self, service: &ServiceKey) -> Result<(Nodes, i64)> {
        let folder = self.folder(service);
        loop {
            let before = self.changed(service).await?;
            let mut nodes = Nodes::new();
            for name in self.children(&folder).await? {
                let path = format!("{folder}/{name}");
                let instance = self.node(service, &path).await?;
                nodes.extend(instance.map(|instance| (path, instance)));
            }
            if self.changed(service).await? == before {
                return Ok((nodes, before));
            }
        }
    }

    /// Every znode.
    pub async fn instances(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        Ok(sorted(&self.nodes(service).await?.0))
    }

    /// What consumers make of them.
    pub async fn seen(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        Ok(seen(self.form, &self.nodes(service).await?.0))
    }

    /// The transaction in which a znode of the service last came or went.
    async fn changed(&self, service: &ServiceKey) -> Result<i64> {
        let read = gone_is(None, self.operator.get(&self.folder(service)).await)?;
        Ok(read.map_or(0, |read| read.stat.pzxid))
    }
}

fn sorted(nodes: &Nodes) -> Vec<Instance> {
    let mut list: Vec<_> = nodes.values().cloned().collect();
    list.sort_by(|a, b| a.id.cmp(&b.id));
    list
}

/// To Dubbo's consumers two URLs of one address are one provider, as far as these tests go. Ours beside a native one has a
/// time stamp with zeros in front.
fn seen(form: Form, nodes: &Nodes) -> Vec<Instance> {
    let mut list = sorted(nodes);
    if form == Form::Dubbo {
        for one in &mut list {
            if one.metadata.get("timestamp").is_some_and(|text| text.starts_with("00000")) {
                one.metadata.remove("timestamp");
            }
        }
        list.dedup_by(|a, b| (&a.id.endpoint, &a.metadata) == (&b.id.endpoint, &b.metadata));
    }
    list
}

/// Sees a service as it stands after each single transaction: a gap between two of them, however short, is a list.
pub struct Subscriber {
    list: List,
    service: ServiceKey,
    watch: ZkWatch,
    nodes: Nodes,
    /// The last transaction that the first list holds.
    since: i64,
    /// All lists so far.
    pub lists: Arc<Mutex<Vec<Vec<Instance>>>>,
}

impl Subscriber {
    pub async fn start(list: List, service: &ServiceKey) -> Result<Self> {
        let watch = list.operator.watch(&list.folder(service)).await?;
        let (nodes, since) = list.nodes(service).await?;
        let lists = Arc::new(Mutex::new(vec![seen(list.form, &nodes)]));
        Ok(Self { list, service: service.clone(), watch, nodes, since, lists })
    }

    /// Follows the service until the test ends.
    pub async fn run(mut self) {
        let mut seen = 0;
        while self.watch.wait(EVER, |events| events.len() > seen).await.is_ok() {
            // A transaction's events come together, but for a moment.
            sleep(Duration::from_millis(10)).await;
            let events = self.watch.events();
            for step in events[seen..].chunk_by(|a, b| a.zxid == b.zxid && a.zxid > 0) {
                if self.take(step).await.is_err() {
                    return;
                }
            }
            seen = events.len();
        }
    }

    async fn take(&mut self, step: &[ZkEvent]) -> Result<()> {
        let folder = self.list.folder(&self.service);
        for event in step {
            let is_child = event.path.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/'));
            if !is_child || (event.kind != "NodeDataChanged" && event.zxid <= self.since) {
                continue;
            }
            self.nodes.remove(&event.path);
            let instance = match event.kind.as_str() {
                "NodeDeleted" => None,
                // The name says all, also of one that has gone again.
                _ if self.list.form == Form::Dubbo => {
                    let name = event.path.rsplit_once('/').map_or("", |(_, name)| name);
                    self.list.form.read(&self.service.name, name, &[], true)
                }
                _ => self.list.node(&self.service, &event.path).await?,
            };
            self.nodes.extend(instance.map(|instance| (event.path.clone(), instance)));
        }
        let list = seen(self.list.form, &self.nodes);
        self.lists.lock().push(list);
        Ok(())
    }
}
