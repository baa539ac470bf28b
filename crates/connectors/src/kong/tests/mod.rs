//! Writing, reading and keeping things right, against a small Admin API.

mod declared;
mod reading;
mod writing;

use super::fake::Fake;
use super::gateway::Gateway;
use super::names::Place;
use super::services::KongServices;
use super::settings::KongOptions;
use causeway_core::{
    Change, ClusterId, Error, Everything, Instance, Mark, OwnerId, Part, Removal, Selector, ServiceKey, Set, Sink,
    Source,
};
use causeway_settings::PUBLIC;
use serde_json::{Value, json};
use std::sync::Arc;

fn scope(group: &str) -> ServiceKey {
    ServiceKey::new(PUBLIC, group, "s.n.orders")
}

fn copy(port: u16) -> Instance {
    let mark = Mark::new(OwnerId::new("i", "task"), vec![ClusterId::of("src")]);
    Instance::new("10.0.0.1", port).with_mark(Some(mark))
}

fn delete(port: u16, why: Removal) -> Change {
    Change::Delete { record: copy(port), owner: OwnerId::new("i", "task"), why }
}

fn services(gateway: &Arc<Gateway>) -> KongServices {
    KongServices::new(gateway.clone())
}

async fn apply(services: &KongServices, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
    let outcomes = services.apply(scope, changes).await;
    assert_eq!(outcomes.len(), changes.len());
    outcomes
}

async fn ok(services: &KongServices, scope: &ServiceKey, changes: &[Change]) {
    for outcome in apply(services, scope, changes).await {
        outcome.unwrap();
    }
}

async fn read(services: &KongServices) -> Vec<Set> {
    let all: Selector = Arc::new(Everything);
    services.read(&Part::new(PUBLIC), &all).await.unwrap()
}

/// Methods and paths alone.
fn paths(writes: &[String]) -> Vec<String> {
    writes.iter().map(|write| write.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn targets(config: &Value, upstream: &str) -> Vec<String> {
    let all = config["upstreams"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == upstream);
    let targets = one.and_then(|one| one["targets"].as_array()).cloned().unwrap_or_default();
    targets.iter().map(|one| format!("{}={}", one["target"].as_str().unwrap(), one["weight"])).collect()
}
