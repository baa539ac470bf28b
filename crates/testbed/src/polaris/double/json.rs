//! Messages as JSON: what the server says names every field, also those that are not set.

use std::collections::HashMap;

use causeway_proto::polaris::{HealthCheck, HeartbeatHealthCheck, Instance, Location, Namespace, Service};
use serde_json::{Map, Value, json};

use super::schema;

/// An instance of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedInstance {
    pub it: Instance,
    /// Whether it says something about metadata: an empty map replaces what is there.
    pub has_metadata: bool,
}

/// A service of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedService {
    pub it: Service,
    /// The same.
    pub has_metadata: bool,
}

fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn number(map: &Map<String, Value>, key: &str) -> Option<u32> {
    map.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}

fn flag(map: &Map<String, Value>, key: &str) -> Option<bool> {
    map.get(key).and_then(Value::as_bool)
}

fn texts(map: &Map<String, Value>, key: &str) -> HashMap<String, String> {
    let all = map.get(key).and_then(Value::as_object).into_iter().flatten();
    all.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// An instance of a request. Errors are the server's words.
pub fn read_instance(value: &Value) -> Result<AskedInstance, String> {
    let map = schema::INSTANCE.read(value)?;
    let location = map.get("location").and_then(Value::as_object);
    let location = location.map(|one| Location {
        region: text(one, "region"),
        zone: text(one, "zone"),
        campus: text(one, "campus"),
    });
    let check = map.get("health_check").and_then(Value::as_object);
    let health_check = check.map(|one| HealthCheck {
        r#type: number(one, "type").unwrap_or_default() as i32,
        heartbeat: one
            .get("heartbeat")
            .and_then(Value::as_object)
            .map(|one| HeartbeatHealthCheck { ttl: number(one, "ttl") }),
    });
    let it = Instance {
        id: text(&map, "id"),
        service: text(&map, "service"),
        namespace: text(&map, "namespace"),
        vpc_id: text(&map, "vpc_id"),
        host: text(&map, "host"),
        port: number(&map, "port"),
        protocol: text(&map, "protocol"),
        version: text(&map, "version"),
        priority: number(&map, "priority"),
        weight: number(&map, "weight"),
        enable_health_check: flag(&map, "enable_health_check"),
        health_check,
        healthy: flag(&map, "healthy"),
        isolate: flag(&map, "isolate"),
        location,
        metadata: texts(&map, "metadata"),
        logic_set: text(&map, "logic_set"),
        ctime: text(&map, "ctime"),
        mtime: text(&map, "mtime"),
        revision: text(&map, "revision"),
        service_token: text(&map, "service_token"),
    };
    Ok(AskedInstance { it, has_metadata: map.contains_key("metadata") })
}

pub fn read_service(value: &Value) -> Result<AskedService, String> {
    let map = schema::SERVICE.read(value)?;
    Ok(AskedService { it: service_of(&map), has_metadata: map.contains_key("metadata") })
}

pub fn service_of(map: &Map<String, Value>) -> Service {
    Service {
        name: text(map, "name"),
        namespace: text(map, "namespace"),
        metadata: texts(map, "metadata"),
        ports: text(map, "ports"),
        business: text(map, "business"),
        department: text(map, "department"),
        comment: text(map, "comment"),
        owners: text(map, "owners"),
        token: text(map, "token"),
        ctime: text(map, "ctime"),
        mtime: text(map, "mtime"),
        revision: text(map, "revision"),
        id: text(map, "id"),
    }
}

pub fn read_namespace(value: &Value) -> Result<Namespace, String> {
    let map = schema::NAMESPACE.read(value)?;
    Ok(Namespace {
        name: text(&map, "name"),
        comment: text(&map, "comment"),
        owners: text(&map, "owners"),
        token: text(&map, "token"),
        ctime: text(&map, "ctime"),
        mtime: text(&map, "mtime"),
    })
}

pub fn instance(one: &Instance) -> Value {
    let check = one.health_check.as_ref().map(|check| {
        let kind = if check.r#type == 1 { "HEARTBEAT" } else { "UNKNOWN" };
        json!({"type": kind, "heartbeat": check.heartbeat.map(|beat| json!({"ttl": beat.ttl}))})
    });
    let location = one.location.as_ref();
    let location = location.map(|one| json!({"region": one.region, "zone": one.zone, "campus": one.campus}));
    json!({
        "id": one.id, "service": one.service, "namespace": one.namespace, "vpc_id": one.vpc_id, "host": one.host,
        "port": one.port, "protocol": one.protocol, "version": one.version, "priority": one.priority,
        "weight": one.weight, "enableHealthCheck": one.enable_health_check, "healthCheck": check,
        "healthy": one.healthy, "isolate": one.isolate, "location": location, "metadata": one.metadata,
        "logic_set": one.logic_set, "ctime": one.ctime, "mtime": one.mtime, "revision": one.revision,
        "service_token": one.service_token,
    })
}

/// `counts`: all instances and the healthy ones, where the server tells.
pub fn service(one: &Service, counts: Option<(usize, usize)>) -> Value {
    let listed = one.ctime.is_some();
    json!({
        "name": one.name, "namespace": one.namespace, "metadata": one.metadata, "ports": one.ports,
        "business": one.business, "department": one.department, "cmdb_mod1": listed.then_some(""),
        "cmdb_mod2": listed.then_some(""), "cmdb_mod3": listed.then_some(""), "comment": one.comment,
        "owners": one.owners, "token": one.token, "ctime": one.ctime, "mtime": one.mtime, "revision": one.revision,
        "platform_id": listed.then_some(""), "total_instance_count": counts.map(|(all, _)| all),
        "healthy_instance_count": counts.map(|(_, healthy)| healthy), "user_ids": [], "group_ids": [],
        "remove_user_ids": [], "remove_group_ids": [], "id": one.id, "editable": listed.then_some(true),
        "export_to": [], "deleteable": listed.then_some(true),
    })
}

/// `counts`: services, healthy instances and all instances, where the server tells.
pub fn namespace(one: &Namespace, counts: Option<(usize, usize, usize)>) -> Value {
    json!({
        "name": one.name, "comment": one.comment, "owners": one.owners, "token": one.token, "ctime": one.ctime,
        "mtime": one.mtime, "total_service_count": counts.map(|(services, _, _)| services),
        "total_health_instance_count": counts.map(|(_, healthy, _)| healthy),
        "total_instance_count": counts.map(|(_, _, all)| all), "user_ids": [], "group_ids": [],
        "remove_user_ids": [], "remove_group_ids": [], "id": counts.and(one.name.as_ref()),
        "editable": counts.map(|_| true), "service_export_to": [], "metadata": {}, "deleteable": counts.map(|_| true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_reads_back() {
        let said = json!({
            "id": "i", "service": "s", "namespace": "n", "host": "127.0.0.1", "port": 80, "protocol": "http",
            "version": "1", "priority": 2, "weight": 50, "enableHealthCheck": true,
            "healthCheck": {"type": "HEARTBEAT", "heartbeat": {"ttl": 5}}, "healthy": true, "isolate": false,
            "location": {"region": "r", "zone": "z", "campus": "c"}, "metadata": {"a": "b"}, "vpc_id": "v",
        });
        let read = read_instance(&said).unwrap();
        assert!(read.has_metadata);
        let shown = instance(&read.it);
        assert_eq!(read_instance(&shown).unwrap().it, read.it);
        // Every field of it is named, also those that are not set.
        assert_eq!(shown.as_object().unwrap().len(), 21);
        assert!(shown["revision"].is_null() && !read_instance(&json!({})).unwrap().has_metadata);
    }
}
