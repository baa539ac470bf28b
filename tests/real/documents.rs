//! The two examples of polaris-sync's users, in its own form: the node is started with the files, and nothing else is said to it.

use crate::estate::{seconds, shared_nacos, until};
use crate::node::{Node, free_port};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{
    Instance, Kong, KongSetup, POLARIS_TOKEN, Polaris, PolarisRow, PolarisSetup, Server, ServiceName,
};
use std::sync::Arc;
use tempfile::TempDir;

/// Two tasks with the slips that documents in the field have: a comma that is missing, and some that are too many.
const REGISTRIES: &str = r#"{
	"tasks": [
	    //there
		{
			"name": "there",
			"enable": true,
			"source": {
					"name": "nacos1", "type": "nacos",
					"addresses": [ "NACOS" ], //its address
					"user": "nacos", "password": "nacos"
			},
			"destination": {
					"name": "polaris1", "type": "polaris",
					"addresses": [
						"http://HTTP"  //over HTTP
						"grpc://GRPC"  //over gRPC
					],
					"token": "TOKEN"
			},
			"match": [ { "namespace": "empty_ns", "service": "nacos.test.4", } ]
		},
		//第二个任务
		{
			"name": "back",
			"enable": true,
			"source": { "name": "polaris1", "type": "polaris", "addresses": [ "HTTP" ], "token": "TOKEN" },
			"destination": {
					"name": "nacos1", "type": "nacos", "addresses": [ "NACOS" ], "user": "nacos", "password": "nacos"
			},
			"match": [ { "namespace": "empty_ns", "service": "nacos.test.4", } ]
		}
	],
	"methods": [ { "type": "watch", "enable": true }, { "type": "pull", "enable": true, "interval": "60s" } ],
	"health_check": { "enable": true },
	"report": { "interval" : "2s", "targets": [ { "type": "file", "enable": true } ] }
}
"#;

/// A gateway with two groups beside the default one.
const GATEWAY: &str = r#"{
	"tasks": [
	{
			"name": "polaris1",
			"enable": true,
			"source": { "name": "ins-3ad0f6e6", "type": "polaris", "addresses": [ "HTTP" ], "token": "TOKEN" },
			"destination": {
					"name": "kong", "type": "kong",
					"addresses": [
						"KONG"  //这里
					]
			},
			"match": [
				{
					"namespace": "default",
					"service": "test.service.3",
					"groups": [ //分组
						{ "name": "version-1", "metadata": { "version": "1.0.0" } },
						{ "name": "version-2", "metadata": { "version": "2.0.0" } }
					]
				}
			]
		}
	],
	"methods": [ { "type": "watch", "enable": true } ]
}
"#;

/// A node in a folder with these files below `conf`, as polaris-sync is started.
async fn started(files: &[(&str, &str)]) -> Result<Node> {
    let data = Arc::new(TempDir::with_prefix("causeway-test-")?);
    std::fs::create_dir(data.path().join("conf"))?;
    for (name, text) in files {
        std::fs::write(data.path().join("conf").join(name), text)?;
    }
    let port = free_port()?.to_string();
    Node::on_with(data, free_port()?, &[("SERVER_PORT", port.as_str())]).await
}

async fn polaris() -> Result<Polaris> {
    Polaris::start(PolarisSetup { auth: true, ..PolarisSetup::default() }).await
}

fn addressed(document: &str, polaris: &Polaris) -> String {
    let [http, grpc] = polaris.addresses();
    let bare = |url: &str| url.split_once("://").map_or(url, |(_, rest)| rest).to_owned();
    document
        .replace("HTTP\"", &format!("{}\"", bare(&http)))
        .replace("GRPC", &bare(&grpc))
        .replace("TOKEN", POLARIS_TOKEN)
}

/// Both ways between Nacos' public namespace and Polaris' default one: what is born on one side stands on the other.
pub async fn two_registries_both_ways() -> Result<()> {
    let (polaris, nacos) = (polaris().await?, shared_nacos(Server::Nacos2).await?);
    let api = polaris.api()?;
    let name = ServiceName::public("nacos.test.4");
    let native = Instance::new("127.0.0.1", 9_311).with("zone", "a");
    nacos.api.register(&name, &native).await?;
    api.register("default", "nacos.test.4", &[PolarisRow::new("127.0.0.1", 9_312).with("side", "polaris")]).await?;
    let document = addressed(REGISTRIES, &polaris).replace("NACOS", &nacos.address);
    let node = started(&[("sync-registry.json", &document)]).await?;
    let ports = async || {
        let mut there: Vec<_> = api.visible("default", "nacos.test.4").await?.into_iter().map(|row| row.port).collect();
        let mut here: Vec<_> = nacos.api.visible(&name).await?.into_iter().map(|one| one.port).collect();
        there.sort_unstable();
        here.sort_unstable();
        anyhow::Ok((there, here))
    };
    let both = async || {
        // Its provider has no client that beats.
        nacos.api.beat(&name, &native).await?;
        Ok(ports().await? == (vec![9_311, 9_312], vec![9_311, 9_312]))
    };
    let took = until("both on both sides", seconds(20), both).await.with_context(|| node.log())?;
    eprintln!("both ways after {took:?}");
    let namespaces = api.namespaces().await?;
    ensure!(namespaces.iter().all(|name| name != "empty_ns" && name != "public"), "made for it: {namespaces:?}");
    nacos.api.deregister(&name, &native).await?;
    let gone = async || Ok(ports().await? == (vec![9_312], vec![9_312]));
    until("one dies", seconds(10), gone).await.with_context(|| node.log())?;
    let log = node.whole_log();
    ensure!(!log.contains(POLARIS_TOKEN), "a secret is logged");
    // The interval of the report is what the document says.
    let reported = async || {
        let text = std::fs::read_to_string(node.folder().join("loggers/polaris-sync-stat.log")).unwrap_or_default();
        Ok(text.contains("nacos1") && text.contains("polaris1"))
    };
    until("the report is written", seconds(10), reported).await.map(drop).with_context(|| node.log())
}

/// One service and three upstreams, with the right targets. The file has the name that polaris-sync's users are told; which
/// document it holds is decided by what is in it.
pub async fn a_gateway_with_groups() -> Result<()> {
    let (polaris, kong) = (polaris().await?, Kong::start(KongSetup::default()).await?);
    let api = polaris.api()?;
    let row = |port: u16, version: &str| PolarisRow::new("127.0.0.1", port).with("version", version);
    // The third says its version as Polaris' own clients do, and not among its metadata.
    let third = PolarisRow { version: "2.0.0".into(), ..PolarisRow::new("127.0.0.1", 9_323) };
    let rows = [row(9_321, "1.0.0"), row(9_322, "1.0.0"), third, row(9_324, "3.0.0")];
    api.register("default", "test.service.3", &rows).await?;
    let document = addressed(GATEWAY, &polaris).replace("KONG", &kong.addr());
    let node = started(&[("sync-config.json", &document)]).await?;
    let gateway = kong.api()?;
    let service = "ins-3ad0f6e6.default.test.service.3";
    let ports = async |group: &str| {
        let targets = gateway.targets(&format!("{service}.{group}")).await.unwrap_or_default();
        targets.into_keys().filter_map(|target| target.rsplit_once(':')?.1.parse().ok()).collect::<Vec<u16>>()
    };
    let right = async || {
        Ok(ports("default").await == [9_321, 9_322, 9_323, 9_324]
            && ports("version-1").await == [9_321, 9_322]
            && ports("version-2").await == [9_323])
    };
    until("three upstreams with their targets", seconds(20), right).await.with_context(|| node.log())?;
    ensure!(gateway.names("services").await? == [service.to_owned()]);
    let upstreams = gateway.names("upstreams").await?;
    ensure!(upstreams.len() == 3, "{upstreams:?}");
    Ok(())
}
