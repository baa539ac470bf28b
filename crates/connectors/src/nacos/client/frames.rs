//! gRPC requests and answers: a type name, headers and a JSON body.

use std::collections::HashMap;

use causeway_core::ServiceKey;
use causeway_proto::Any;
use causeway_proto::nacos::{Metadata, Payload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::{Error, Result, brief};
use super::http::PATIENCE;
use super::lenient;
use super::wire::WireInstance;

/// Set in requests of the naming module.
const NAMING: &str = "naming";
/// Set in requests of the connection itself.
const INTERNAL: &str = "internal";

/// A request about one service. Except for a query, its answer only tells whether it succeeded.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceRequest<'a> {
    /// Simple class name at the server.
    #[serde(skip)]
    pub(super) kind: &'static str,
    #[serde(skip)]
    pub(super) key: &'a ServiceKey,
    namespace: &'a str,
    group_name: &'a str,
    service_name: &'a str,
    module: &'static str,
    #[serde(flatten)]
    body: RequestBody<'a>,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum RequestBody<'a> {
    Batch { r#type: &'static str, instances: &'a [WireInstance] },
    One { r#type: &'static str, instance: &'a WireInstance },
    Subscription { subscribe: bool, clusters: &'static str },
    Query { cluster: &'static str, healthy_only: bool, udp_port: u16 },
}

impl<'a> ServiceRequest<'a> {
    fn new(kind: &'static str, key: &'a ServiceKey, body: RequestBody<'a>) -> Self {
        let ServiceKey { namespace, group, name } = key;
        ServiceRequest { kind, key, namespace, group_name: group, service_name: name, module: NAMING, body }
    }

    /// Publishes a whole set: what this connection holds of the service afterwards.
    pub(super) fn batch(key: &'a ServiceKey, instances: &'a [WireInstance]) -> Self {
        Self::new("BatchInstanceRequest", key, RequestBody::Batch { r#type: "batchRegisterInstance", instances })
    }

    /// Removes all that this connection publishes of the service, whatever instance is named.
    pub(super) fn withdrawal(key: &'a ServiceKey, instance: &'a WireInstance) -> Self {
        Self::new("InstanceRequest", key, RequestBody::One { r#type: "deregisterInstance", instance })
    }

    /// Registers or deregisters a persistent instance, kept by the server whatever happens to the connection.
    pub(super) fn persistent(key: &'a ServiceKey, instance: &'a WireInstance, register: bool) -> Self {
        let r#type = if register { "registerInstance" } else { "deregisterInstance" };
        Self::new("PersistentInstanceRequest", key, RequestBody::One { r#type, instance })
    }

    /// Begins or ends pushes about the service.
    pub(super) fn subscription(key: &'a ServiceKey, subscribe: bool) -> Self {
        Self::new("SubscribeServiceRequest", key, RequestBody::Subscription { subscribe, clusters: "" })
    }

    /// Asks what a subscriber would be shown now.
    pub(super) fn query(key: &'a ServiceKey) -> Self {
        Self::new("ServiceQueryRequest", key, RequestBody::Query { cluster: "", healthy_only: false, udp_port: 0 })
    }
}

/// The body of a request of the connection itself.
#[derive(Serialize)]
pub(super) struct Check {
    module: &'static str,
}

pub(super) const CHECK: Check = Check { module: INTERNAL };
/// Asks for the connection's id; allowed before set-up.
pub(super) const SERVER_CHECK: &str = "ServerCheckRequest";
/// Asks whether the connection is still registered.
pub(super) const HEALTH_CHECK: &str = "HealthCheckRequest";

/// First message on the stream: makes the connection a client of the server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionSetup<'a> {
    pub(super) client_version: &'static str,
    pub(super) tenant: &'a str,
    pub(super) labels: HashMap<&'static str, &'a str>,
    /// Empty, yet present: only then does the server acknowledge the set-up.
    pub(super) ability_table: HashMap<String, bool>,
    pub(super) module: &'static str,
}

impl<'a> ConnectionSetup<'a> {
    pub(super) fn new(client_version: &'static str, app: &'a str) -> Self {
        let labels = HashMap::from([("source", "sdk"), ("module", NAMING), ("AppName", app)]);
        ConnectionSetup { client_version, tenant: "", labels, ability_table: HashMap::new(), module: INTERNAL }
    }
}

/// What the server sends down the stream; fields of all its kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Push {
    #[serde(deserialize_with = "lenient::text")]
    pub(super) request_id: String,
    pub(super) service_info: Option<PushedService>,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) server_ip: String,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) server_port: String,
}

/// The service that a push is about, without its namespace, which is not said.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PushedService {
    #[serde(deserialize_with = "lenient::text")]
    name: String,
    #[serde(deserialize_with = "lenient::text")]
    group_name: String,
}

impl PushedService {
    /// Group and service name, whichever way the server wrote them.
    pub(super) fn names(&self) -> (&str, &str) {
        self.name.split_once("@@").unwrap_or((&self.group_name, &self.name))
    }
}

/// The answer to a push.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ack<'a> {
    pub(super) request_id: &'a str,
    pub(super) result_code: i64,
    pub(super) error_code: i64,
    pub(super) success: bool,
}

/// Success in every `resultCode`.
pub(super) const OK: i64 = 200;

/// An answer; fields of all its kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GrpcAnswer {
    #[serde(deserialize_with = "lenient::integer")]
    result_code: i64,
    #[serde(deserialize_with = "lenient::integer")]
    error_code: i64,
    #[serde(deserialize_with = "lenient::text")]
    message: String,
    #[serde(deserialize_with = "lenient::text")]
    pub(super) connection_id: String,
    pub(super) support_ability_negotiation: bool,
    pub(super) service_info: Option<Box<RawValue>>,
}

/// An envelope round `body`.
pub(super) fn payload(
    kind: &str,
    headers: HashMap<String, String>,
    client_ip: &str,
    body: &impl Serialize,
) -> Result<Payload> {
    let value = serde_json::to_vec(body).map_err(|e| Error::Protocol(format!("writing {kind}: {e}")))?;
    Ok(Payload {
        metadata: Some(Metadata { r#type: kind.to_owned(), headers, client_ip: client_ip.to_owned() }),
        body: Some(Any { type_url: String::new(), value }),
    })
}

/// Type name and JSON of an envelope.
pub(super) fn parts(payload: &Payload) -> (&str, &[u8]) {
    let kind = payload.metadata.as_ref().map_or("", |m| m.r#type.as_str());
    let body = payload.body.as_ref().map_or(&[][..], |b| b.value.as_slice());
    (kind, body)
}

/// The answer to a request of this kind, or the error that the server put into it. A typed answer can hold an error as
/// well as an `ErrorResponse`: only the codes count.
pub(super) fn answer(asked: &str, payload: &Payload) -> std::result::Result<GrpcAnswer, GrpcRefusal> {
    let (kind, body) = parts(payload);
    let unreadable = |e| GrpcRefusal::of(Error::Protocol(format!("answer to {asked}: {kind}: {e}")));
    let answer: GrpcAnswer = serde_json::from_slice(body).map_err(unreadable)?;
    if answer.result_code == OK { Ok(answer) } else { Err(refused(&answer)) }
}

/// A refused request.
#[derive(Debug)]
pub(super) struct GrpcRefusal {
    pub(super) error: Error,
    /// The server does not know this connection (any more): a new one is needed.
    pub(super) unregistered: bool,
}

impl GrpcRefusal {
    pub(super) fn of(error: Error) -> Self {
        GrpcRefusal { error, unregistered: false }
    }
}

fn refused(outcome: &GrpcAnswer) -> GrpcRefusal {
    let text = format!("{} (code {})", brief(&outcome.message), outcome.error_code);
    let unregistered = matches!(outcome.error_code, 301 | -401);
    let error = match outcome.error_code {
        403 | 401 => Error::Denied(text),
        503 | -503 => Error::Throttled(PATIENCE),
        400 | -400 | 409 => Error::Rejected(text),
        404 | -404 => Error::NotFound(text),
        302 | 501 => Error::Protocol(text),
        // 300: still starting; 301, -401: connection unknown; 500: for instance no raft leader.
        _ => Error::Unavailable(text),
    };
    GrpcRefusal { error, unregistered }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: Value) -> std::result::Result<GrpcAnswer, GrpcRefusal> {
        let payload = payload("InstanceResponse", HashMap::new(), "", &body).unwrap();
        answer(HEALTH_CHECK, &payload)
    }

    #[test]
    fn a_typed_answer_can_be_an_error() {
        assert!(read(json!({"resultCode": 200, "errorCode": 0})).is_ok());
        let denied = read(json!({"resultCode": 500, "errorCode": 403, "message": "no"}));
        assert!(matches!(denied.unwrap_err().error, Error::Denied(_)));
        let gone = read(json!({"resultCode": 500, "errorCode": 301, "message": "x"})).unwrap_err();
        assert!(gone.unregistered && gone.error.is_transient());
        let busy = read(json!({"resultCode": 500, "errorCode": "503"})).unwrap_err();
        assert!(matches!(busy.error, Error::Throttled(_)));
        let bad = read(json!({"resultCode": 500, "errorCode": 400, "message": null})).unwrap_err();
        assert!(matches!(bad.error, Error::Rejected(_)));
        assert!(matches!(read(json!("text")).unwrap_err().error, Error::Protocol(_)));
    }

    #[test]
    fn requests_have_the_servers_shape() {
        let key = ServiceKey::new("public", "g", "s");
        let set = [WireInstance::new("127.0.0.1", 1)];
        let batch = serde_json::to_value(ServiceRequest::batch(&key, &set)).unwrap();
        let about = |value: &Value| ["namespace", "groupName", "serviceName", "module"].map(|name| value[name].clone());
        assert_eq!(about(&batch), ["public", "g", "s", "naming"]);
        assert_eq!(batch["type"], "batchRegisterInstance");
        assert_eq!(batch["instances"][0]["clusterName"], "DEFAULT");
        let query = serde_json::to_value(ServiceRequest::query(&key)).unwrap();
        assert_eq!((&query["healthyOnly"], &query["udpPort"]), (&json!(false), &json!(0)));
    }

    #[test]
    fn takes_names_apart() {
        let mut service = PushedService { name: "g@@s".into(), ..PushedService::default() };
        assert_eq!(service.names(), ("g", "s"));
        (service.name, service.group_name) = ("s".into(), "g2".into());
        assert_eq!(service.names(), ("g2", "s"));
    }
}
