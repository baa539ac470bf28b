//! A port for tests: what was asked, what is to fail, and who may do what. No real server has one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::calls::{PolarisCounts, PolarisFault};
use super::state::PolarisState;

/// A change of tokens. What is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenChange {
    /// The administrator's from now on. The one that was is none any more.
    pub admin: Option<String>,
    /// Those that are switched off: all that are.
    pub disabled: Option<BTreeSet<String>>,
    /// All users besides the administrator: their tokens, and the namespaces that each may use.
    pub users: Option<BTreeMap<String, BTreeSet<String>>>,
}

pub fn router(state: Arc<PolarisState>) -> Router {
    Router::new()
        .route("/counts", get(counts).delete(count_again))
        .route("/faults", put(faults))
        .route("/tokens", put(tokens))
        .route("/streams/drop", post(drop_streams))
        .with_state(state)
}

async fn counts(State(state): State<Arc<PolarisState>>) -> Json<PolarisCounts> {
    Json(state.calls.counts())
}

async fn count_again(State(state): State<Arc<PolarisState>>) {
    state.calls.count_again();
}

async fn faults(State(state): State<Arc<PolarisState>>, Json(all): Json<Vec<PolarisFault>>) {
    state.calls.set_faults(all);
}

async fn tokens(State(state): State<Arc<PolarisState>>, Json(change): Json<TokenChange>) {
    let mut tokens = state.tokens.lock();
    if let Some(admin) = change.admin {
        tokens.reset(&admin);
    }
    tokens.disabled = change.disabled.unwrap_or_else(|| std::mem::take(&mut tokens.disabled));
    tokens.users = change.users.unwrap_or_else(|| std::mem::take(&mut tokens.users));
}

async fn drop_streams(State(state): State<Arc<PolarisState>>) {
    state.drop_streams();
}
