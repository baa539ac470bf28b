//! The door for tests: what the Admin API was asked for, and the faults it is to have. Nothing of it is Kong's.

use super::KongDouble;
use super::answer::KongAnswer;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// A fault of the Admin API.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KongFault {
    /// Of calls with this method; of all when absent.
    pub method: Option<String>,
    /// Of calls whose path begins so.
    pub path: String,
    /// They wait for so long.
    pub delay_ms: u64,
    /// Then they are answered with this status and not done; without one they are done.
    pub status: Option<u16>,
    /// They are done, and answered with `status` all the same.
    pub done: bool,
    /// So often; for ever when absent.
    pub times: Option<usize>,
}

/// What the proxy has passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KongTraffic {
    /// By the status of the answer.
    pub answers: BTreeMap<u16, usize>,
    /// By the target that answered.
    pub targets: BTreeMap<String, usize>,
    /// How often a target could not be reached, and another one was tried.
    pub retries: usize,
}

/// What the door keeps.
#[derive(Default)]
pub struct KongCounter {
    calls: Mutex<BTreeMap<String, usize>>,
    faults: Mutex<Vec<KongFault>>,
    hangs: watch::Sender<bool>,
    pub traffic: Mutex<KongTraffic>,
}

impl KongCounter {
    /// Notes a call, and waits as its faults say. Returns the fault that decides how it is answered.
    pub async fn called(&self, method: &str, path: &str) -> Option<KongFault> {
        *self.calls.lock().entry(format!("{method} {path}")).or_default() += 1;
        let mut hangs = self.hangs.subscribe();
        // The sender lives as long as this does.
        drop(hangs.wait_for(|hangs| !hangs).await);
        let fault = {
            let mut faults = self.faults.lock();
            let fits = |fault: &&mut KongFault| {
                fault.method.as_deref().is_none_or(|one| one == method) && path.starts_with(&fault.path)
            };
            let fault = faults.iter_mut().find(fits)?;
            if let Some(times) = &mut fault.times {
                *times = times.saturating_sub(1);
            }
            let found = fault.clone();
            faults.retain(|fault| fault.times != Some(0));
            found
        };
        sleep(Duration::from_millis(fault.delay_ms)).await;
        fault.status.is_some().then_some(fault)
    }
}

/// `GET|DELETE /calls`, `POST|DELETE /faults`, `POST|DELETE /hang`, `GET|DELETE /traffic`.
pub async fn answer(State(double): State<Arc<KongDouble>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let desk = &double.desk;
    let answer = match (head.method.as_str(), head.uri.path()) {
        ("GET", "/calls") => {
            let calls = desk.calls.lock();
            KongAnswer::ok(json!({"total": calls.values().sum::<usize>(), "calls": *calls}))
        }
        ("DELETE", "/calls") => {
            desk.calls.lock().clear();
            KongAnswer::no_content()
        }
        ("POST", "/faults") => {
            let bytes = to_bytes(body, 1 << 20).await.unwrap_or_default();
            match serde_json::from_slice::<KongFault>(&bytes) {
                Ok(fault) => {
                    desk.faults.lock().push(fault);
                    KongAnswer::no_content()
                }
                Err(error) => KongAnswer::message(StatusCode::BAD_REQUEST, &error.to_string()),
            }
        }
        ("DELETE", "/faults") => {
            desk.faults.lock().clear();
            KongAnswer::no_content()
        }
        ("POST", "/hang") => {
            desk.hangs.send_replace(true);
            KongAnswer::no_content()
        }
        ("DELETE", "/hang") => {
            desk.hangs.send_replace(false);
            KongAnswer::no_content()
        }
        ("GET", "/traffic") => KongAnswer::ok(json!(*desk.traffic.lock())),
        ("DELETE", "/traffic") => {
            *desk.traffic.lock() = KongTraffic::default();
            KongAnswer::no_content()
        }
        _ => KongAnswer::not_found(),
    };
    answer.into_response(None)
}
