//! What clients register and discover.

use super::place::{Place, told};
use anyhow::{Context, Result, ensure};
use causeway_proto::polaris::discover_request::DiscoverRequestType;
use causeway_proto::polaris::polaris_grpc_client::PolarisGrpcClient;
use causeway_proto::polaris::{DiscoverRequest, DiscoverResponse, Instance, Service};
use causeway_testbed::PolarisRow;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const SHORTLY: Duration = Duration::from_secs(3);

/// 400202 until the cache has it, up to 1.5 s.
pub async fn first_unknown_then_there(at: Place) -> Result<()> {
    let none = at.discover("web", "").await?;
    ensure!(none["code"] == 400_202 && none["info"] == "not found resource" && none["type"] == "INSTANCE", "{none}");
    at.api.register_as_client(&at.space, "web", &PolarisRow::new("127.0.0.1", 80)).await?;
    let (said, took) = at.until("web", "", SHORTLY, |said| said["code"] == 200_000).await?;
    ensure!(took < Duration::from_millis(1_700), "{took:?}");
    ensure!(told(&said) == 1 && said["service"]["revision"].as_str().is_some_and(|text| text.len() == 40), "{said}");
    ensure!(said["service"]["name"] == "web" && said["aliasFor"]["name"] == "web", "{said}");
    ensure!(said["instances"][0]["service_token"].is_null(), "a token is shown: {said}");
    let unnamed = at.ask(Method::POST, "/v1/Discover", &json!({"type": "INSTANCE", "service": {}})).await?;
    ensure!(unnamed["code"] == 400_120, "{unnamed}");
    for kind in ["NAMESPACES", "UNKNOWN", "CLUSTER"] {
        let said = at.ask(Method::POST, "/v1/Discover", &json!({"type": kind, "service": {"name": "web"}})).await?;
        ensure!(said["code"] == 400_004, "{kind}: {said}");
    }
    Ok(())
}

/// The same revision is answered 200001, with nothing: that is no empty list. All empty services have one revision.
pub async fn revisions(at: Place) -> Result<()> {
    let rows = [80, 81].map(|port| PolarisRow::new("127.0.0.1", port));
    at.api.register(&at.space, "web", &rows).await?;
    let (first, _) = at.until("web", "", SHORTLY, |said| told(said) == 2).await?;
    let revision = first["service"]["revision"].as_str().context("no revision")?.to_owned();
    let same = at.discover("web", &revision).await?;
    ensure!(same["code"] == 200_001 && same["info"] == "discover data is no change" && told(&same) == 0, "{same}");
    let heavier = PolarisRow { weight: 7, ..rows[0].clone() };
    at.api.update(&at.space, "web", &[heavier]).await?;
    let (next, _) = at.until("web", &revision, SHORTLY, |said| said["code"] == 200_000).await?;
    ensure!(told(&next) == 2 && next["service"]["revision"] != revision.as_str(), "{next}");
    at.api.deregister(&at.space, "web", &rows).await?;
    let (empty, _) = at.until("web", "", SHORTLY, |said| said["code"] == 200_000 && told(said) == 0).await?;
    // printf '' | sha1sum
    ensure!(empty["service"]["revision"] == "da39a3ee5e6b4b0d3255bfef95601890afd80709", "{empty}");
    let healthy = json!({"type": "INSTANCE", "service": {"namespace": at.space, "name": "web"}, "Filter": {"OnlyHealthyInstance": true}});
    ensure!(at.code(Method::POST, "/v1/Discover", &healthy).await? == 200_000);
    Ok(())
}

/// What is removed later than some seconds after its last change goes on being shown, to clients and in lists: nobody can change
/// it any more. One that was changed just before goes, and one that comes back is there again.
pub async fn late_removals(at: Place) -> Result<()> {
    let rows = [80, 81].map(|port| PolarisRow::new("127.0.0.1", port));
    at.api.register(&at.space, "web", &rows).await?;
    at.until("web", "", SHORTLY, |said| told(said) == 2).await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    at.api.remove(&at.space, "web", &rows[..1]).await?;
    tokio::time::sleep(SHORTLY).await;
    let said = at.discover("web", "").await?;
    ensure!(told(&said) == 2, "removed, and gone: {said}");
    ensure!(at.rows("web").await?.len() == 2, "removed, and not in the list");
    let change = json!([{"namespace": at.space, "service": "web", "host": "127.0.0.1", "port": 80, "isolate": true}]);
    ensure!(at.code(Method::PUT, "/naming/v1/instances", &change).await? == 400_303);
    at.api.deregister(&at.space, "web", &rows[1..]).await?;
    let of = |said: &Value| said["instances"][0]["port"].as_u64();
    at.until("web", "", SHORTLY, |said| told(said) == 1 && of(said) == Some(80)).await?;
    let back = PolarisRow { weight: 7, ..rows[0].clone() };
    at.api.register(&at.space, "web", &[back]).await?;
    at.until("web", "", SHORTLY, |said| said["instances"][0]["weight"] == 7).await?;
    at.api.remove(&at.space, "web", &rows[..1]).await?;
    at.until("web", "", SHORTLY, |said| told(said) == 0).await?;
    Ok(())
}

/// What is shown to clients has the instance's own fields among its metadata, over what its provider says there; the
/// console shows none of these keys, whoever wrote them.
pub async fn internal_keys(at: Place) -> Result<()> {
    let mut row = PolarisRow::new("127.0.0.1", 80).with("zone", "mine").with("other", "mine").with("version", "mine");
    (row.protocol, row.version) = ("http".into(), "2".into());
    row.location = Some(["r", "z", ""].map(str::to_owned));
    let bare = PolarisRow::new("127.0.0.1", 81).with("zone", "mine");
    at.api.register(&at.space, "web", &[row, bare]).await?;
    let (said, _) = at.until("web", "", SHORTLY, |said| told(said) == 2).await?;
    let all = said["instances"].as_array().context("no instances")?;
    let of = |port: u64| all.iter().find(|one| one["port"] == port).map(|one| &one["metadata"]);
    let all = json!({"protocol": "http", "version": "2", "region": "r", "zone": "z", "campus": "", "other": "mine"});
    ensure!(of(80) == Some(&all), "{said}");
    ensure!(of(81) == Some(&json!({"zone": "mine"})), "without a location: {said}");
    for row in at.shows("web", 2).await? {
        let wanted = if row["port"] == 80 { json!({"other": "mine"}) } else { json!({}) };
        ensure!(row["metadata"] == wanted, "in the console: {row}");
    }
    Ok(())
}

pub async fn services_of_a_namespace(at: Place) -> Result<()> {
    let ask = async |revision: &str| {
        let service = json!({"namespace": at.space, "revision": revision});
        at.ask(Method::POST, "/v1/Discover", &json!({"type": "SERVICES", "service": service})).await
    };
    let names = |said: &Value| {
        let all = said["services"].as_array().into_iter().flatten();
        let mut names: Vec<_> = all.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    };
    let none = ask("").await?;
    ensure!(none["code"] == 200_000 && names(&none).is_empty() && none["service"]["revision"] == "", "{none}");
    for name in ["web", "shop"] {
        at.api.create_service(&at.space, name).await?;
    }
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let said = ask("").await?;
    let revision = said["service"]["revision"].as_str().context("no revision")?;
    ensure!(names(&said) == ["shop", "web"] && revision.len() == 40, "{said}");
    ensure!(ask(revision).await?["code"] == 200_001);
    // Instances do not touch it.
    at.api.register(&at.space, "web", &[PolarisRow::new("127.0.0.1", 80)]).await?;
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    ensure!(ask(revision).await?["code"] == 200_001);
    Ok(())
}

fn text(word: &str) -> Option<String> {
    Some(word.to_owned())
}

pub async fn over_grpc(at: Place) -> Result<()> {
    let mut client = PolarisGrpcClient::connect(format!("http://{}", at.grpc)).await?;
    let mut one = Instance {
        namespace: text(&at.space),
        service: text("web"),
        host: text("127.0.0.1"),
        port: Some(80),
        ..Instance::default()
    };
    one.metadata.insert("a".into(), "b".into());
    let said = client.register_instance(one.clone()).await?.into_inner();
    ensure!(said.code == Some(200_000) && said.instance.is_some_and(|one| one.id.is_some()), "{:?}", said.info);
    let said = client.register_instance(Instance { port: None, ..one.clone() }).await?.into_inner();
    ensure!(said.code == Some(400_132), "{said:?}");

    let ask = async |asked: Vec<Service>| -> Result<Vec<DiscoverResponse>> {
        let asked = asked.into_iter().map(|service| {
            let kind = DiscoverRequestType::Instance.into();
            DiscoverRequest { r#type: kind, service: Some(service) }
        });
        let mut client = PolarisGrpcClient::connect(format!("http://{}", at.grpc)).await?;
        let mut answers = client.discover(stream::iter(asked.collect::<Vec<_>>())).await?.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.push(answer);
        }
        Ok(all)
    };
    let web = Service { namespace: text(&at.space), name: text("web"), ..Service::default() };
    at.until("web", "", SHORTLY, |said| said["code"] == 200_000).await?;
    let none = Service { name: text("none"), ..web.clone() };
    let said = ask(vec![web.clone(), none, web.clone()]).await?;
    let codes: Vec<_> = said.iter().map(|one| one.code.unwrap_or_default()).collect();
    ensure!(codes == [200_000, 400_202, 200_000], "{codes:?}");
    ensure!(said[0].instances.len() == 1 && said[0].instances[0].metadata["a"] == "b", "{:?}", said[0]);
    ensure!(said[1].service.as_ref().and_then(|one| one.name.as_deref()) == Some("none"), "{:?}", said[1]);
    let revision = said[0].service.clone().and_then(|one| one.revision);
    let said = ask(vec![Service { revision, ..web.clone() }]).await?;
    ensure!(said[0].code == Some(200_001) && said[0].instances.is_empty(), "{said:?}");

    let beat = client.heartbeat(one.clone()).await?.into_inner();
    ensure!(beat.code == Some(200_000), "{beat:?}");
    let gone = client.deregister_instance(one).await?.into_inner();
    ensure!(gone.code == Some(200_000), "{gone:?}");
    let (said, _) = at.until("web", "", SHORTLY, |said| told(said) == 0).await?;
    ensure!(said["code"] == 200_000, "{said}");
    Ok(())
}
