//! Two ZooKeeper servers, what stands in them, and settings for them.

use anyhow::{Result, ensure};
use causeway_testbed::{ZkClient, ZkConnect, ZkDoor, ZkTree, ZkWatch, ZooKeeper, ZooOptions};
use std::collections::BTreeMap;
use std::time::Duration;

/// Two servers, and a Java client on each.
pub struct Zoo {
    pub a: ZooKeeper,
    pub b: ZooKeeper,
    pub door: ZkDoor,
    pub at_a: ZkClient,
    pub at_b: ZkClient,
}

impl Zoo {
    /// Sessions last as long as the servers let them: `session_ms` at most.
    pub async fn start(session_ms: u32) -> Result<Self> {
        let options = || ZooOptions { max_session_ms: session_ms, super_user: true, ..ZooOptions::default() };
        let (a, b) = tokio::join!(ZooKeeper::start(options()), ZooKeeper::start(options()));
        let (a, b) = (a?, b?);
        let door = ZkDoor::start().await?;
        let at_a = door.connect("a", &ZkConnect::to(&a.addr())).await?;
        let at_b = door.connect("b", &ZkConnect::to(&b.addr())).await?;
        Ok(Self { a, b, door, at_a, at_b })
    }

    /// A client of its own on A, so that its ephemeral nodes go with it.
    pub async fn provider(&self, name: &str) -> Result<ZkClient> {
        self.door.connect(name, &ZkConnect::to(&self.a.addr())).await
    }

    /// Everything that happens on B below `root` from now on, to a client of its own.
    pub async fn watch_b(&self, name: &str, root: &str) -> Result<ZkWatch> {
        self.door.connect(name, &ZkConnect::to(&self.b.addr())).await?.watch(root).await
    }
}

/// One task between two ZooKeeper clusters, with more lines for it.
pub fn settings(a: &str, b: &str, kind: &str, mode: &str, more: &str) -> String {
    format!(
        "clusters:\n  - {{clusterName: src, connectKeyList: [\"{a}\"], clusterType: ZK}}\n  \
         - {{clusterName: dst, connectKeyList: [\"{b}\"], clusterType: ZOOKEEPER}}\ntasks:\n  \
         - source: src\n    destination: dst\n    type: {kind}\n    mode: {mode}\n    settle: 2s\n{more}"
    )
}

/// A Dubbo provider's znode, as Dubbo 3.3 writes it.
pub fn provider_node(interface: &str, host: &str, port: u16, more: &str) -> (String, String) {
    let url = format!(
        "dubbo://{host}:{port}/{interface}?application=lab&deprecated=false&dubbo=2.0.2&dynamic=true&generic=false\
         &interface={interface}&methods=hello,who{more}&side=provider&timestamp=1795308602008"
    );
    let name: String = url
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'*' => (byte as char).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    (format!("/dubbo/{interface}/providers"), name)
}

/// A Spring Cloud provider's znode.
pub fn spring_node(name: &str, id: &str, port: u16) -> (String, String) {
    let data = format!(
        "{{\"name\":\"{name}\",\"id\":\"{id}\",\"address\":\"127.0.0.1\",\"port\":{port},\"sslPort\":null,\"payload\":\
         {{\"@class\":\"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance\",\"id\":\"{name}\",\"name\":\
         \"{name}\",\"metadata\":{{\"zone\":\"z1\",\"instance_status\":\"UP\"}}}},\"registrationTimeUTC\":1795308830991,\
         \"serviceType\":\"DYNAMIC\",\"uriSpec\":{{\"parts\":[{{\"value\":\"scheme\",\"variable\":true}},{{\"value\":\
         \"://\",\"variable\":false}},{{\"value\":\"address\",\"variable\":true}},{{\"value\":\":\",\"variable\":false}},\
         {{\"value\":\"port\",\"variable\":true}}]}}}}"
    );
    (format!("/services/{name}/{id}"), data)
}

/// The ephemeral nodes of a tree, with what they hold.
pub fn ephemerals(tree: &ZkTree) -> BTreeMap<String, String> {
    let all = tree.0.iter().filter(|(_, entry)| entry.ephemeral());
    all.map(|(path, entry)| (path.clone(), entry.data.clone())).collect()
}

/// Waits until both sides have the same ephemeral nodes below `root`, `count` of them.
pub async fn alike(zoo: &Zoo, root: &str, count: usize, limit: Duration) -> Result<Duration> {
    let began = std::time::Instant::now();
    loop {
        let (a, b) = (ephemerals(&zoo.at_a.walk(root).await?), ephemerals(&zoo.at_b.walk(root).await?));
        if a == b && a.len() == count {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < limit, "not alike within {limit:?}, {count} wanted:\n{a:#?}\n{b:#?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
