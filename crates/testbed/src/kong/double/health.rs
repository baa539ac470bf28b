//! What this node thinks of the targets' health. Nothing of it is stored, and no target is probed: only what was set by hand
//! counts.

use super::KongDouble;
use super::address::{self, KongHostKind};
use super::admin::KongCall;
use super::answer::{KongAnswer, KongResult};
use super::listing;
use super::schema::{KongEntity, KongRow};
use super::store::id;
use axum::http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Targets that were set unhealthy by hand.
#[derive(Default)]
pub struct KongHealth {
    unhealthy: Mutex<HashMap<String, bool>>,
}

impl KongHealth {
    pub fn is_unhealthy(&self, target: &str) -> bool {
        self.unhealthy.lock().get(target).is_some_and(|is| *is)
    }
}

/// Whether anything could ever make one of its targets unhealthy.
pub fn is_checked(upstream: &KongRow) -> bool {
    let checks = upstream.get("healthchecks").unwrap_or(&Value::Null);
    let counts = |part: &Value, names: &[&str]| names.iter().any(|name| part[name].as_f64().is_some_and(|n| n > 0.0));
    let bad = ["tcp_failures", "timeouts", "http_failures"];
    counts(&checks["active"]["healthy"], &["interval", "successes"])
        || counts(&checks["active"]["unhealthy"], &["interval"])
        || counts(&checks["passive"]["healthy"], &["successes"])
        || counts(&checks["passive"]["unhealthy"], &bad)
}

/// Whether a name can be resolved. No name server is asked: only this machine is known.
pub fn resolves(target: &str) -> bool {
    let known = |host: &address::KongHost| host.kind != KongHostKind::Name || host.host == "localhost";
    address::parse(target).as_ref().is_ok_and(known)
}

impl KongDouble {
    /// A new upstream has no balancer until a timer has made it.
    fn has_balancer(&self, upstream: &KongRow) -> bool {
        let delay = Duration::from_millis(self.options.balancer_delay);
        self.ring.age(id(upstream)).is_none_or(|age| age >= delay)
    }

    pub fn set_health(&self, upstream: &KongRow, target: &str, healthy: bool) -> KongResult<()> {
        let refuse = |why: &str| Err(KongAnswer::message(StatusCode::BAD_REQUEST, why));
        let name = upstream["name"].as_str().unwrap_or_default();
        if !self.has_balancer(upstream) {
            return refuse(&format!("Upstream {name} has no balancer"));
        }
        if !is_checked(upstream) {
            return refuse("no healthchecker found");
        }
        self.health.unhealthy.lock().insert(target.to_owned(), !healthy);
        Ok(())
    }

    /// `GET /upstreams/{upstream}/health`
    pub fn upstream_health(&self, call: &KongCall, upstream: &str) -> KongResult {
        let parent = self.rows(call, |rows| rows.found(KongEntity::Upstreams, upstream))?;
        let ready = self.has_balancer(&parent);
        let store = self.store.lock();
        let space = store.space(&call.space);
        let shown = |row: &KongRow| match ready {
            true => self.with_health(&parent, row),
            false => row.clone().into(),
        };
        let mut answer = if call.query.get("balancer_health") == Some("1") {
            let all: Vec<&KongRow> = space.table(KongEntity::Targets).of(id(&parent)).collect();
            let states: Vec<&str> = all.iter().map(|row| self.state(&parent, row)).collect();
            let overall = match states.iter().any(|state| matches!(*state, "HEALTHY" | "HEALTHCHECKS_OFF")) {
                _ if !is_checked(&parent) => "HEALTHCHECKS_OFF",
                true => "HEALTHY",
                false => "UNHEALTHY",
            };
            let data = if ready { json!({"health": overall, "id": id(&parent)}) } else { Value::Null };
            KongAnswer::ok(json!({"data": data, "next": null}))
        } else {
            let path = format!("/upstreams/{upstream}/health");
            listing::targets(space, id(&parent), &path, &call.query, shown)?
        };
        if let Some(Value::Object(map)) = &mut answer.body {
            map.insert("node_id".into(), self.node.clone().into());
        }
        Ok(answer)
    }

    fn state(&self, upstream: &KongRow, target: &KongRow) -> &'static str {
        if !resolves(target["target"].as_str().unwrap_or_default()) {
            "DNS_ERROR"
        } else if !is_checked(upstream) {
            "HEALTHCHECKS_OFF"
        } else if self.health.is_unhealthy(id(target)) {
            "UNHEALTHY"
        } else {
            "HEALTHY"
        }
    }

    fn with_health(&self, upstream: &KongRow, target: &KongRow) -> Value {
        let state = self.state(upstream, target);
        let mut row: Map<String, Value> = target.clone();
        row.insert("health".into(), state.into());
        let Ok(host) = address::parse(target["target"].as_str().unwrap_or_default()) else { return row.into() };
        let weight = &target["weight"];
        let one = json!({"ip": host.host, "port": host.port, "health": state, "weight": weight});
        let addresses = if state == "DNS_ERROR" { Vec::new() } else { vec![one] };
        let available = if state == "UNHEALTHY" { &Value::from(0) } else { weight };
        row.insert(
            "data".into(),
            json!({
                "host": host.host, "port": host.port, "dns": "A", "nodeWeight": weight, "addresses": addresses,
                "weight": {"total": weight, "available": available, "unavailable": 0},
            }),
        );
        row.into()
    }
}
