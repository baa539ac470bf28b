//! What the server says about itself.

use super::KongDouble;
use super::answer::{KongAnswer, KongResult};
use super::store::DEFAULT_SPACE;
use serde_json::{Value, json};

/// `GET /`
pub fn root(double: &KongDouble) -> KongAnswer {
    let options = &double.options;
    let listens = |at: std::net::SocketAddr, ssl: bool| json!({"ip": at.ip().to_string(), "port": at.port(), "listener": at.to_string(), "ssl": ssl});
    let mut admin = vec![listens(options.admin, false)];
    admin.extend(options.admin_tls.map(|at| listens(at, true)));
    let edition = if options.workspace.is_empty() { "community" } else { "enterprise" };
    KongAnswer::ok(json!({
        "tagline": "Welcome to kong",
        "version": "3.9.3",
        "edition": edition,
        "hostname": "double",
        "node_id": double.node,
        "lua_version": "LuaJIT 2.1.0-20231117",
        "pids": {"master": std::process::id()},
        "timers": {"running": 0, "pending": 0},
        "plugins": {"available_on_server": {}, "enabled_in_cluster": []},
        "configuration": {
            "database": database(double),
            "router_flavor": "traditional_compatible",
            "role": "traditional",
            "worker_state_update_frequency": options.balancer_delay as f64 / 1_000.0,
            "admin_listeners": admin,
            "proxy_listeners": [listens(options.proxy, false)],
        },
    }))
}

fn database(double: &KongDouble) -> &'static str {
    if double.options.dbless { "off" } else { "postgres" }
}

/// `GET /status`
pub fn status(double: &KongDouble) -> KongAnswer {
    let own = match double.options.dbless {
        true => ("configuration_hash", Value::from(double.hash.lock().clone())),
        false => ("database", json!({"reachable": true})),
    };
    let mut body = json!({
        "memory": {"lua_shared_dicts": {}, "workers_lua_vms": []},
        "server": {
            "connections_accepted": 1, "connections_active": 1, "connections_handled": 1, "connections_reading": 0,
            "connections_waiting": 0, "connections_writing": 1, "total_requests": 1,
        },
    });
    if let Some(map) = body.as_object_mut() {
        map.insert(own.0.to_owned(), own.1);
    }
    KongAnswer::ok(body)
}

/// `GET /workspaces/{name}`, where there are any.
pub fn workspace(double: &KongDouble, name: &str) -> KongResult {
    let known = name == DEFAULT_SPACE || double.options.workspace.iter().any(|one| one == name);
    if !known {
        return Err(KongAnswer::not_found());
    }
    Ok(KongAnswer::ok(json!({"name": name, "id": uuid::Uuid::nil().to_string(), "comment": null})))
}
