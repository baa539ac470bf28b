//! The REST API over HTTP. [`crate::api`] lists its routes.

mod access;
mod answer;
mod handlers;
mod metrics_port;
mod peer_port;

pub use access::{Access, TOKEN_VARIABLE};

use crate::node::Node;
use access::guard;
use answer::Refusal;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, post};
use std::time::Duration;
use tokio::net::TcpListener;

/// A body: a file of at most 4 MiB, as a JSON text.
const MAX_BODY: usize = 2 * causeway_settings::MAX_FILE;
/// How long a stopping node waits for answers that are under way.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

impl Node {
    /// Serves the API until the node stops. `access` must be [`Access::prepare`]d for the listener's address.
    pub async fn serve(&self, listener: TcpListener, access: Access) -> std::io::Result<()> {
        let stop = self.inner.stop.clone();
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        let serve = axum::serve(listener, router(self.clone(), access)).with_graceful_shutdown({
            let stop = stop.clone();
            async move { stop.cancelled().await }
        });
        tokio::select! {
            ended = serve.into_future() => ended,
            () = late => Ok(()),
        }
    }
}

fn router(node: Node, access: Access) -> Router {
    let api = Router::new()
        .route("/version", get(handlers::version))
        .route("/clusters", get(handlers::clusters))
        .route("/clusters/{name}/http_sd", get(handlers::http_sd))
        .route("/tasks", get(handlers::tasks))
        .route("/tasks/{name}", get(handlers::task))
        .route("/tasks/{name}", delete(handlers::delete))
        .route("/tasks/{name}/diff", get(handlers::diff))
        .route("/tasks/{name}/verify", get(handlers::verify))
        .route("/tasks/{name}/resolve", post(handlers::resolve))
        .route("/conflicts", get(handlers::conflicts))
        .route("/tasks/{name}/pause", post(handlers::pause))
        .route("/tasks/{name}/resume", post(handlers::resume))
        .route("/tasks/{name}/release", post(handlers::release))
        .route("/tasks/{name}/drain", post(handlers::drain))
        .route("/documents", get(handlers::documents))
        .route("/services", get(handlers::services))
        .route("/events", get(handlers::events))
        .route("/apply", post(handlers::apply))
        .route("/plan", post(handlers::plan));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(handlers::ready))
        .route("/metrics", get(handlers::metrics))
        .nest("/api/v1", api)
        .fallback(async || Refusal::not_found())
        .method_not_allowed_fallback(async || Refusal::method())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(answer::in_time))
        .layer(middleware::from_fn_with_state(access, guard))
        .with_state(node)
}
