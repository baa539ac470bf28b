//! Namespaces that no list shows: used and never created, deleted in the console, lost with a wiped server.

use crate::estate::{instances, own, pause, seconds, service, total, until};
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{
    Backdoor, Instance, Nacos, NacosVersion, OpenApi, Options, Poller, Server, ServiceName, shared,
};
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinSet;

/// One end of a task: a shared server where they run, else one of the test's own.
struct End {
    api: OpenApi,
    addr: String,
    _own: Option<Nacos>,
}

impl End {
    async fn of(server: Server) -> Result<Self> {
        let version = server.nacos().context("no Nacos")?;
        let own = match shared(server) {
            Some(_) => None,
            None => Some(Nacos::start(version, Options::default()).await?),
        };
        let addr = shared(server).or(own.as_ref().map(Nacos::addr)).context("no server")?;
        let api = OpenApi::connect(version, &format!("http://{addr}/nacos"), None)?;
        Ok(Self { api, addr, _own: own })
    }

    /// Whether the console shows the namespace.
    async fn lists(&self, namespace: &str) -> Result<bool> {
        Ok(self.api.namespaces().await?.contains_key(namespace))
    }
}

/// An id that no other run on the same servers has used: what is registered in a namespace stays when that goes.
fn fresh(word: &str) -> String {
    format!("{word}-{:x}", std::process::id())
}

fn clusters(n: usize, namespace: &str, a: &str, b: &str) -> String {
    format!(
        "  - {{clusterName: src{n}, connectKeyList: [\"{a}\"], clusterType: NACOS, namespace: \"public,{namespace}\"}}\n  \
         - {{clusterName: dst{n}, connectKeyList: [\"{b}\"], clusterType: NACOS}}\n"
    )
}

fn task(n: usize) -> String {
    // Other tests use `public` of the shared servers.
    format!(
        "  - {{source: src{n}, destination: dst{n}, type: Service, mode: Bidirectional, \
         serviceMatchPattern: \"unlisted-.*\"}}\n"
    )
}

/// A field of the task between `src<n>` and `dst<n>`.
fn told(node: &Node, n: usize, field: &str) -> Result<String> {
    let tasks: Value = serde_json::from_str(&node.ok(&["get", "tasks", "-o", "json"])?)?;
    let name = format!("src{n}");
    let task = tasks.as_array().and_then(|tasks| tasks.iter().find(|task| task["source"] == name.as_str()));
    Ok(task.context("no task")?[field].as_str().unwrap_or_default().to_owned())
}

async fn stands(api: &OpenApi, service: &ServiceName, count: usize) -> Result<bool> {
    Ok(api.visible(service).await?.len() == count)
}

/// Providers of one end, with the heart beats of those that registered over HTTP.
struct Providers<'a> {
    end: &'a End,
    who: &'a Backdoor,
    client: String,
    beats: JoinSet<()>,
}

impl<'a> Providers<'a> {
    async fn of(end: &'a End, who: &'a Backdoor, namespace: &str, n: usize) -> Result<Self> {
        let client = format!("{namespace}-{n}");
        if end.api.version() != NacosVersion::V1_4 {
            who.connect(&client, &end.addr, namespace).await?;
        }
        Ok(Self { end, who, client, beats: JoinSet::new() })
    }

    async fn over_http(&mut self, service: &ServiceName, instance: &Instance) -> Result<()> {
        self.end.api.register(service, instance).await?;
        let (api, service, instance) = (self.end.api.clone(), service.clone(), instance.clone());
        self.beats.spawn(async move {
            loop {
                drop(api.beat(&service, &instance).await);
                pause(3).await;
            }
        });
        Ok(())
    }

    /// Exactly these, by the Java client; over HTTP on 1.4, which that client does not speak to.
    async fn publish(&mut self, service: &ServiceName, instances: &[Instance]) -> Result<()> {
        if self.end.api.version() != NacosVersion::V1_4 {
            return self.who.batch_register(&self.client, service, instances).await;
        }
        let before = self.end.api.all(service).await?;
        for instance in instances.iter().filter(|one| !before.iter().any(|known| known.port == one.port)) {
            self.over_http(service, instance).await?;
        }
        for gone in before.iter().filter(|known| !instances.iter().any(|one| known.port == one.port)) {
            self.end.api.deregister(service, gone).await?;
        }
        Ok(())
    }
}

pub async fn used_and_never_created() -> Result<()> {
    let mut ends = Vec::new();
    for server in [Server::Nacos1, Server::Nacos2, Server::Nacos3] {
        ends.push(End::of(server).await?);
    }
    let who = Backdoor::start().await?;
    let mut settings = ("clusters:\n".to_owned(), "tasks:\n".to_owned());
    let mut pairs = Vec::new();
    // From each version to the next one, and each pair in a namespace of its own.
    for (n, (a, b)) in ends.iter().zip(ends.iter().cycle().skip(1)).enumerate() {
        let namespace = fresh(&format!("nobody-{n}"));
        let service = |name: &str| ServiceName::new(&namespace, "G", name);
        let mut at_a = Providers::of(a, &who, &namespace, 0).await?;
        let mut at_b = Providers::of(b, &who, &namespace, 1).await?;
        at_a.over_http(&service("unlisted-http"), &Instance::new("127.0.0.20", 9000)).await?;
        at_a.publish(&service("unlisted-java"), &instances(3, 20_000)).await?;
        at_b.publish(&service("unlisted-back"), &instances(1, 21_000)).await?;
        settings.0 += &clusters(n, &namespace, &a.addr, &b.addr);
        settings.1 += &task(n);
        pairs.push((namespace, at_a, at_b));
    }
    let node = Node::start().await?;
    node.apply(&format!("{}{}", settings.0, settings.1))?;
    for (n, (namespace, at_a, at_b)) in pairs.iter_mut().enumerate() {
        let (a, b) = (at_a.end, at_b.end);
        let way = format!("{:?} to {:?}", a.api.version(), b.api.version());
        let service = |name: &str| ServiceName::new(namespace, "G", name);
        let took = until("both ways", seconds(15), async || {
            let there = stands(&b.api, &service("unlisted-http"), 1).await?
                && stands(&b.api, &service("unlisted-java"), 3).await?;
            Ok(there && stands(&a.api, &service("unlisted-back"), 1).await?)
        })
        .await
        .with_context(|| format!("{way}: {}", told(&node, n, "reason").unwrap_or_default()))?;
        eprintln!("{way}, a namespace that nobody created: {took:?}");
        until("it is created at the destination", seconds(8), async || b.lists(namespace).await).await?;
        until("the task says so", seconds(8), async || {
            let reason = told(&node, n, "reason")?;
            Ok(reason.contains(&format!("src{n} does not list")) && reason.contains(namespace.as_str()))
        })
        .await
        .with_context(|| format!("{way}: {}", told(&node, n, "reason").unwrap_or_default()))?;
        let state = async || Ok(told(&node, n, "state")? == "in-step");
        until("in step", seconds(8), state).await.with_context(|| told(&node, n, "state").unwrap_or_default())?;
        ensure!(!a.lists(namespace).await?, "{way}: nobody asked for it at the source");
        at_a.publish(&service("unlisted-java"), &instances(2, 20_000)).await?;
        until("one less", seconds(8), async || stands(&b.api, &service("unlisted-java"), 2).await).await?;
    }
    let (namespace, at_a, at_b) = &mut pairs[1];
    created_and_deleted(&node, at_a, at_b.end, &ServiceName::new(namespace, "G", "unlisted-java"), 1).await
}

/// The console's list changes under a running task: subscribers see nothing of it.
async fn created_and_deleted(
    node: &Node,
    at_a: &mut Providers<'_>,
    b: &End,
    service: &ServiceName,
    n: usize,
) -> Result<()> {
    let (a, namespace) = (at_a.end, &service.namespace);
    let poller = Poller::start(b.api.clone(), vec![service.clone()]);
    a.api.create_namespace(namespace, "Made later").await?;
    until("it is listed now", seconds(12), async || Ok(!told(node, n, "reason")?.contains("does not list"))).await?;
    b.api.delete_namespace(namespace).await?;
    let took = until("it is made again at the destination", seconds(20), async || b.lists(namespace).await)
        .await
        .with_context(|| node.log())?;
    eprintln!("deleted at the destination, made again: {took:?}");
    a.api.delete_namespace(namespace).await?;
    pause(4).await;
    let watched = poller.report().services.remove(service).context("not polled")?;
    ensure!(watched.fewest == Some(2) && watched.most == 2 && watched.gaps.is_empty(), "{watched:?}");
    drop(poller);
    at_a.publish(service, &instances(3, 20_000)).await?;
    until("changes go on", seconds(8), async || stands(&b.api, service, 3).await).await?;
    Ok(())
}

pub async fn named_and_empty_or_a_display_name() -> Result<()> {
    let (a, b) = (End::of(Server::Nacos2).await?, End::of(Server::Nacos3).await?);
    let (empty, word) = (fresh("empty"), fresh("display"));
    let titled = format!("{word}-id");
    a.api.create_namespace(&titled, &word).await?;
    let who = Backdoor::start().await?;
    for (client, namespace, port) in [("titled", &titled, 9000), ("word", &word, 9001)] {
        who.connect(client, &a.addr, namespace).await?;
        let service = ServiceName::new(namespace, "G", "unlisted-one");
        who.register(client, &service, &Instance::new("127.0.0.22", port)).await?;
    }
    let node = Node::start().await?;
    let (first, second) = (clusters(0, &empty, &a.addr, &b.addr), clusters(1, &word, &a.addr, &b.addr));
    node.apply(&format!("clusters:\n{first}{second}tasks:\n{}{}", task(0), task(1)))?;
    until("the display name's", seconds(15), async || {
        stands(&b.api, &ServiceName::new(&titled, "G", "unlisted-one"), 1).await
    })
    .await?;
    until("today's reason", seconds(15), async || {
        Ok(told(&node, 0, "reason")?.contains(&format!("src0 has no namespace {empty}")))
    })
    .await?;
    pause(5).await;
    ensure!(b.api.services(&word).await?.is_empty(), "a display name was taken for an id");
    ensure!(!b.lists(&word).await? && !b.lists(&empty).await?);
    who.connect("late", &a.addr, &empty).await?;
    let late = ServiceName::new(&empty, "G", "unlisted-late");
    who.register("late", &late, &Instance::new("127.0.0.22", 9002)).await?;
    let took = until("the first provider", seconds(8), async || stands(&b.api, &late, 1).await).await?;
    eprintln!("the first provider of a namespace that nobody created: {took:?}");
    until("the reason follows", seconds(8), async || Ok(told(&node, 0, "reason")?.contains("does not list"))).await?;
    Ok(())
}

pub async fn lost_with_a_wiped_server() -> Result<()> {
    // The Java client that brings its providers back by itself speaks no 1.4.
    for (version, run) in [(NacosVersion::V2_5, 0), (NacosVersion::V2_5, 1), (NacosVersion::V3_1, 0)] {
        wiped(version, run).await.with_context(|| format!("{version:?}, run {run}"))?;
    }
    Ok(())
}

async fn wiped(version: NacosVersion, run: u64) -> Result<()> {
    let (a, b) = own(version, NacosVersion::V2_5).await?;
    let (at_a, at_b) = (a.open_api().await?, b.open_api().await?);
    at_a.create_namespace("test", "Test").await?;
    let (at_home, away) = (Backdoor::start().await?, Backdoor::start().await?);
    let born_in_b = |n: usize| ServiceName::new("test", "DEFAULT_GROUP", &format!("born-in-b-{n}"));
    at_home.connect("p", &a.addr(), "test").await?;
    away.connect("p", &b.addr(), "test").await?;
    for n in 0..10 {
        at_home.batch_register("p", &service("test", n), &instances(2, 20_000)).await?;
        away.batch_register("p", &born_in_b(n), &instances(2, 21_000)).await?;
    }
    let node = Node::start().await?;
    node.apply(&format!(
        "clusters:\n{}tasks:\n{}",
        clusters(0, "test", &a.addr(), &b.addr()),
        task(0).replace("unlisted-.*", ".*")
    ))?;
    let from_b = async || -> Result<usize> {
        let mut sum = 0;
        for n in 0..10 {
            sum += at_a.visible(&born_in_b(n)).await.map(|all| all.len()).unwrap_or_default();
        }
        Ok(sum)
    };
    until("both ways", seconds(20), async || Ok(total(&at_b, "test", 10).await? == 20 && from_b().await? == 20))
        .await?;
    pause(35).await;
    let poller = Poller::start(at_b.clone(), (0..10).map(|n| service("test", n)).collect());
    a.stop().await?;
    // Providers that end while the server is away, and come back with it: their own client would do the same.
    pause(run * 5).await;
    a.wipe_and_start_again().await?;
    let took = until("our copies stand again", seconds(60), async || Ok(from_b().await? == 20)).await?;
    eprintln!("{version:?}: copies in a wiped server stand again after {took:?}");
    until("the namespace is made again", seconds(30), async || Ok(at_a.namespaces().await?.contains_key("test")))
        .await?;
    until("its providers are back", seconds(60), async || Ok(total(&at_a, "test", 10).await? == 20)).await?;
    let report = poller.report();
    ensure!(report.services.values().all(|one| one.fewest == Some(2) && one.gaps.is_empty()), "{report:?}");
    at_home.register("p", &service("test", 99), &instances(1, 22_000)[0]).await?;
    until("changes of the wiped side", seconds(10), async || stands(&at_b, &service("test", 99), 1).await).await?;
    away.register("p", &born_in_b(0), &instances(1, 21_000)[0]).await?;
    until("changes of the other", seconds(10), async || stands(&at_a, &born_in_b(0), 1).await).await?;
    at_home.deregister("p", &service("test", 99), &instances(1, 22_000)[0]).await?;
    until("an end", seconds(40), async || stands(&at_b, &service("test", 99), 0).await).await?;
    let began = std::time::Instant::now();
    node.ok(&["drain", "src0-dst0-service", "--yes"])?;
    until("the drain ends", Duration::from_secs(60), async || Ok(told(&node, 0, "state")? == "drained")).await?;
    eprintln!("{version:?}: drained after {:?}", began.elapsed());
    // Servers show a withdrawal half a second after they have accepted it.
    let none_left = async || Ok(from_b().await? == 0 && total(&at_b, "test", 10).await? == 0);
    let gone = until("nothing of ours is left", seconds(5), none_left).await;
    gone.with_context(|| node.log())?;
    ensure!(total(&at_a, "test", 10).await? == 20, "the natives are untouched");
    Ok(())
}
