//! The port on which another tool answered health checks: `GET /sync/health`, and lists of namespaces and services.
//!
//! Health shows nothing, and everybody may ask for it. The lists follow the rule of the API: beyond loopback they need the token.

use super::access::Access;
use crate::node::Node;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long a cluster may take to say which namespaces it has.
const ANSWER: Duration = Duration::from_secs(5);
/// What a list begins with when it could be made.
const SUCCESS: u32 = 200_000;

impl Node {
    /// Serves the former tool's port until the node stops. `access` must be prepared for the listener's address.
    pub async fn serve_peer_port(&self, listener: TcpListener, access: Access) -> std::io::Result<()> {
        let stop = self.inner.stop.clone();
        let router = Router::new()
            .route("/sync/health", get(async || "pk ok"))
            .route("/sync/maintain/v1/namespaces", get(namespaces))
            .route("/sync/maintain/v1/services", get(services))
            .with_state((self.clone(), access));
        let serve = axum::serve(listener, router).with_graceful_shutdown({
            let stop = stop.clone();
            async move { stop.cancelled().await }
        });
        tokio::select! {
            ended = serve.into_future() => ended,
            // Nobody waits for these answers.
            () = stop.cancelled() => Ok(()),
        }
    }
}

/// Which end of which task, and which namespace of it.
#[derive(Deserialize)]
struct End {
    #[serde(default)]
    task: String,
    #[serde(default)]
    registry: String,
    #[serde(default)]
    namespace: String,
}

type Served = (Node, Access);

async fn namespaces(State((node, access)): State<Served>, headers: HeaderMap, Query(end): Query<End>) -> Response {
    if let Err(refusal) = access.check_headers(&headers) {
        return refusal.into_response();
    }
    let Some(source) = node.source_of(&end) else { return StatusCode::NOT_FOUND.into_response() };
    match tokio::time::timeout(ANSWER, source.parts()).await {
        Ok(Ok(parts)) => {
            let names = parts.keys().map(|part| json!({ "name": &*part.0 }));
            answer(json!({ "code": SUCCESS, "namespaces": names.collect::<Vec<_>>() }))
        }
        Ok(Err(error)) => away(&error.to_string()),
        Err(_) => away("no answer in time"),
    }
}

async fn services(State((node, access)): State<Served>, headers: HeaderMap, Query(end): Query<End>) -> Response {
    if let Err(refusal) = access.check_headers(&headers) {
        return refusal.into_response();
    }
    if node.source_of(&end).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let filter = crate::views::ServiceFilter {
        cluster: Some(end.registry.clone()),
        namespace: Some(end.namespace).filter(|namespace| !namespace.is_empty()),
        limit: Some(u32::MAX),
    };
    let (rows, _) = node.services(&filter);
    let name = |group: &str, name: &str| match group {
        "DEFAULT_GROUP" => name.to_owned(),
        group => format!("{group}__{name}"),
    };
    let rows = rows.iter().map(|row| json!({ "name": name(&row.group, &row.name), "namespace": row.namespace }));
    answer(json!({ "code": SUCCESS, "services": rows.collect::<Vec<_>>() }))
}

fn answer(body: Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn away(why: &str) -> Response {
    let body = json!({ "code": 500_000, "info": why });
    (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl Node {
    /// The cluster at an end of a task of a document.
    fn source_of(&self, end: &End) -> Option<std::sync::Arc<dyn causeway_core::Source>> {
        let desired = self.inner.desired();
        let task = desired.tasks.get(&end.task).filter(|task| desired.origin.has(task))?;
        task.ends().contains(&end.registry.as_str()).then_some(())?;
        Some(self.inner.connections.lock().of(&end.registry)?.port.source())
    }
}
