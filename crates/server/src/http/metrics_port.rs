//! A port for Prometheus alone: `/metrics` without a token, and the two probes. It is there only when the operator asks for it.

use super::access::{Access, guard};
use super::answer::{Refusal, in_time};
use super::handlers;
use crate::node::Node;
use axum::routing::get;
use axum::{Router, middleware};
use tokio::net::TcpListener;

impl Node {
    /// Serves metrics and probes to everybody who reaches `listener`, until the node stops.
    pub async fn serve_metrics(&self, listener: TcpListener) -> std::io::Result<()> {
        let access = Access::open(listener.local_addr()?);
        let stop = self.inner.stop.clone();
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(handlers::ready))
            .route("/metrics", get(handlers::metrics))
            .fallback(async || Refusal::not_found())
            .method_not_allowed_fallback(async || Refusal::method())
            .layer(middleware::from_fn(in_time))
            .layer(middleware::from_fn_with_state(access, guard))
            .with_state(self.clone());
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
