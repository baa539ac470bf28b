//! One function a route: takes the request apart and asks the node.

use super::answer::{InBody, InPath, InQuery, Refusal};
use crate::api;
use crate::error::Error;
use crate::node::Node;
use crate::tasks::Deletion;
use crate::views::ServiceFilter;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use causeway_store::EventFilter;
use serde::Deserialize;
use std::time::Duration;

type Answer<T> = Result<Json<T>, Refusal>;

/// How long work on the settings may take before the answer is a time-out. The work continues.
const WORK: Duration = Duration::from_secs(60);
/// How long a dry run or a comparison may take: both sides may have to be read whole. Each call to a cluster has a limit of its
/// own, after which what was not answered is named; this is beyond all of them together.
pub(super) const WHOLE: Duration = Duration::from_secs(600);
/// The longest wait for a drain that may be asked for, in seconds.
const MAX_WAIT: u64 = 300;
const WAIT: u64 = 30;

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Answer<T> {
    let slow = || Error::Slow { what: "no answer in time; what was begun goes on".into(), help: String::new() };
    Ok(Json(tokio::time::timeout(limit, work).await.map_err(|_| slow())??))
}

pub(super) async fn ready(State(node): State<Node>) -> Response {
    let ready = node.ready();
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}

pub(super) async fn metrics(State(node): State<Node>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let exposition = node.metrics(accept);
    ([(header::CONTENT_TYPE, exposition.content_type)], exposition.text).into_response()
}

pub(super) async fn version(State(node): State<Node>) -> Json<api::Version> {
    Json(node.version())
}

pub(super) async fn clusters(State(node): State<Node>) -> Json<Vec<api::Cluster>> {
    Json(node.clusters())
}

pub(super) async fn http_sd(State(node): State<Node>, InPath(name): InPath<String>) -> Result<Response, Refusal> {
    let targets = node.http_sd(&name)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], targets).into_response())
}

pub(super) async fn documents(State(node): State<Node>) -> Json<Vec<api::Document>> {
    Json(node.documents())
}

pub(super) async fn tasks(State(node): State<Node>) -> Json<Vec<api::Task>> {
    Json(node.tasks())
}

pub(super) async fn task(State(node): State<Node>, InPath(name): InPath<String>) -> Answer<api::Task> {
    Ok(Json(node.task(&name)?))
}

pub(super) async fn diff(State(node): State<Node>, InPath(name): InPath<String>) -> Answer<api::TaskPlan> {
    Ok(Json(node.diff(&name).await?))
}

pub(super) async fn verify(State(node): State<Node>, InPath(name): InPath<String>) -> Answer<api::Verification> {
    within(WHOLE, node.verify(&name)).await
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ConflictsQuery {
    task: Option<String>,
}

pub(super) async fn conflicts(
    State(node): State<Node>,
    InQuery(query): InQuery<ConflictsQuery>,
) -> Answer<Vec<api::Conflict>> {
    Ok(Json(node.conflicts(query.task.as_deref())?))
}

pub(super) async fn resolve(
    State(node): State<Node>,
    InPath(name): InPath<String>,
    InBody(request): InBody<api::Resolve>,
) -> Answer<api::Task> {
    Ok(Json(node.resolve(&name, &request)?))
}

pub(super) async fn services(State(node): State<Node>, InQuery(filter): InQuery<ServiceFilter>) -> Response {
    let (services, count) = node.services(&filter);
    ([("x-total-count", count.to_string())], Json(services)).into_response()
}

pub(super) async fn events(State(node): State<Node>, InQuery(filter): InQuery<EventFilter>) -> Answer<Vec<api::Event>> {
    within(WORK, node.events(filter)).await
}

pub(super) async fn apply(
    State(node): State<Node>,
    InBody(request): InBody<api::ApplyRequest>,
) -> Answer<api::Applied> {
    within(WORK, node.apply(request)).await
}

pub(super) async fn plan(State(node): State<Node>, InBody(request): InBody<api::PlanRequest>) -> Answer<api::Planned> {
    within(WHOLE, node.plan(request)).await
}

pub(super) async fn pause(State(node): State<Node>, InPath(name): InPath<String>) -> Answer<api::Task> {
    within(WORK, node.pause(&name)).await
}

pub(super) async fn resume(State(node): State<Node>, InPath(name): InPath<String>) -> Answer<api::Task> {
    within(WORK, node.resume(&name)).await
}

pub(super) async fn release(State(node): State<Node>, InPath(name): InPath<String>) -> Answer<api::Released> {
    within(WORK, node.release(&name)).await
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DrainQuery {
    preview: bool,
    theirs: bool,
}

pub(super) async fn drain(
    State(node): State<Node>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<DrainQuery>,
) -> Answer<api::Drain> {
    match query.theirs {
        true => within(WORK, node.drain_theirs(&name, query.preview)).await,
        false => within(WORK, node.drain(&name, query.preview)).await,
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeleteQuery {
    drain: bool,
    keep: bool,
    timeout: Option<u64>,
}

pub(super) async fn delete(
    State(node): State<Node>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<DeleteQuery>,
) -> Answer<api::Deleted> {
    let DeleteQuery { drain, keep, timeout } = query;
    let wait = Duration::from_secs(timeout.unwrap_or(WAIT).min(MAX_WAIT));
    within(wait + WORK / 4, node.delete(&name, Deletion { drain, keep, wait })).await
}
