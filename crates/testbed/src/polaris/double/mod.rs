//! A strict double of a Polaris server, as a process of its own (`causeway-testbed double polaris`). No package carries the
//! real one.
//!
//! It behaves as a server of 1.19 with its boltdb store was seen to: codes and their words, jsonpb's ways with JSON, checks that
//! refuse a whole list for one bad record, lists of at most 100, ids, a cache that is refreshed once a second, revisions,
//! heartbeats and what comes of their lack. What is removed later than 5 s after its last change goes on being shown: here for
//! a minute, there often until a restart. It is stricter in one way: a field that it does not know is refused, as servers up
//! to 1.17 do. With `--stale-lists` the console's lists are as old as the cache, and with `--always-location` its store is
//! like MySQL, which notices every removal. There are no aliases of services, no rules and no configuration files.

mod answers;
mod batches;
mod cache;
mod calls;
mod checks;
mod codes;
mod control;
mod discover;
mod grpc;
mod health;
mod http;
mod json;
mod queries;
mod records;
mod rights;
mod schema;
mod services;
mod state;
mod writes;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use calls::{PolarisCounts, PolarisFault};
pub use control::TokenChange;
pub use state::PolarisRules;

use state::PolarisState;

/// Where the double listens.
#[derive(Clone, Copy, Debug)]
pub struct PolarisPorts {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    /// For tests: see [`crate::PolarisDoor`].
    pub control: SocketAddr,
}

/// Serves until it is dropped.
pub async fn serve(rules: PolarisRules, ports: PolarisPorts) -> Result<()> {
    let state = Arc::new(PolarisState::new(rules)?);
    let mut work = JoinSet::new();
    let routers = [
        (ports.http, http::router(state.clone())),
        (ports.grpc, grpc::router(state.clone())),
        (ports.control, control::router(state.clone())),
    ];
    for (address, router) in routers {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        // Small answers are not to wait for one another.
        let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
        work.spawn(async move { axum::serve(listener, router).await.map_err(anyhow::Error::from) });
    }
    work.spawn({
        let state = state.clone();
        async move {
            state.keep_cache().await;
            Ok(())
        }
    });
    work.spawn(async move {
        state.keep_checking().await;
        Ok(())
    });
    work.join_next().await.context("nothing to do")??
}
