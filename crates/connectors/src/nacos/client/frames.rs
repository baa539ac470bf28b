//! gRPC requests and answers: a type name, headers and a JSON body.

use std::collections::HashMap;
use std::time::Duration;

use causeway_proto::Any;
use causeway_proto::nacos::{Metadata, Payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result, brief};
use super::number;
use super::wire::{ServiceInfo, ServiceKey, WireInstance};

/// Set in requests of the naming module.
const NAMING: &str = "naming";
/// Set in requests of the connection itself.
const INTERNAL: &str = "internal";

/// A request: its type name on the wire, and what is answered.
pub(super) trait Request: Serialize {
    /// Simple class name at the server.
    const TYPE: &'static str;
    /// Body of a successful answer.
    type Answer: DeserializeOwned;
    /// The service it speaks of, for signatures.
    fn service(&self) -> Option<String> {
        None
    }
}

/// An answer whose success is all there is to know.
#[derive(Debug, Deserialize)]
pub(super) struct Done {}

/// The fields that say which service a request is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target<'a> {
    namespace: &'a str,
    group_name: &'a str,
    service_name: &'a str,
    module: &'static str,
}

impl<'a> From<&'a ServiceKey> for Target<'a> {
    fn from(key: &'a ServiceKey) -> Self {
        Target { namespace: &key.namespace, group_name: &key.group, service_name: &key.service, module: NAMING }
    }
}

impl Target<'_> {
    fn grouped(&self) -> Option<String> {
        Some(format!("{}@@{}", self.group_name, self.service_name))
    }
}

/// Asks for the connection's id; allowed before set-up.
#[derive(Serialize)]
pub(super) struct ServerCheck {
    module: &'static str,
}

impl ServerCheck {
    pub(super) fn new() -> Self {
        ServerCheck { module: INTERNAL }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerChecked {
    #[serde(default, deserialize_with = "number::text")]
    pub(super) connection_id: String,
    #[serde(default)]
    pub(super) support_ability_negotiation: bool,
}

impl Request for ServerCheck {
    const TYPE: &'static str = "ServerCheckRequest";
    type Answer = ServerChecked;
}

/// Asks whether the connection is still registered.
#[derive(Serialize)]
pub(super) struct HealthCheck {
    module: &'static str,
}

impl HealthCheck {
    pub(super) fn new() -> Self {
        HealthCheck { module: INTERNAL }
    }
}

impl Request for HealthCheck {
    const TYPE: &'static str = "HealthCheckRequest";
    type Answer = Done;
}

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

/// Publishes a whole set: what this connection holds of the service afterwards.
#[derive(Serialize)]
pub(super) struct BatchInstances<'a> {
    #[serde(flatten)]
    target: Target<'a>,
    r#type: &'static str,
    instances: &'a [WireInstance],
}

impl<'a> BatchInstances<'a> {
    pub(super) fn new(key: &'a ServiceKey, instances: &'a [WireInstance]) -> Self {
        BatchInstances { target: key.into(), r#type: "batchRegisterInstance", instances }
    }
}

impl Request for BatchInstances<'_> {
    const TYPE: &'static str = "BatchInstanceRequest";
    type Answer = Done;
    fn service(&self) -> Option<String> {
        self.target.grouped()
    }
}

/// One instance, registered or deregistered.
#[derive(Serialize)]
pub(super) struct OneInstance<'a> {
    #[serde(flatten)]
    target: Target<'a>,
    r#type: &'static str,
    instance: &'a WireInstance,
}

impl<'a> OneInstance<'a> {
    pub(super) fn register(key: &'a ServiceKey, instance: &'a WireInstance) -> Self {
        OneInstance { target: key.into(), r#type: "registerInstance", instance }
    }

    pub(super) fn deregister(key: &'a ServiceKey, instance: &'a WireInstance) -> Self {
        OneInstance { target: key.into(), r#type: "deregisterInstance", instance }
    }
}

/// Of this connection; a deregistration removes all that the connection publishes of the service.
impl Request for OneInstance<'_> {
    const TYPE: &'static str = "InstanceRequest";
    type Answer = Done;
    fn service(&self) -> Option<String> {
        self.target.grouped()
    }
}

/// A persistent instance, kept by the server whatever happens to the connection.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Persistent<'a>(pub(super) OneInstance<'a>);

impl Request for Persistent<'_> {
    const TYPE: &'static str = "PersistentInstanceRequest";
    type Answer = Done;
    fn service(&self) -> Option<String> {
        self.0.target.grouped()
    }
}

/// Begins or ends pushes about one service.
#[derive(Serialize)]
pub(super) struct Subscribe<'a> {
    #[serde(flatten)]
    target: Target<'a>,
    subscribe: bool,
    clusters: &'static str,
}

impl<'a> Subscribe<'a> {
    pub(super) fn new(key: &'a ServiceKey, subscribe: bool) -> Self {
        Subscribe { target: key.into(), subscribe, clusters: "" }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WithService {
    #[serde(default)]
    pub(super) service_info: Option<ServiceInfo>,
}

impl Request for Subscribe<'_> {
    const TYPE: &'static str = "SubscribeServiceRequest";
    type Answer = WithService;
    fn service(&self) -> Option<String> {
        self.target.grouped()
    }
}

/// What a subscriber would be shown now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query<'a> {
    #[serde(flatten)]
    target: Target<'a>,
    cluster: &'static str,
    healthy_only: bool,
    udp_port: u16,
}

impl<'a> Query<'a> {
    pub(super) fn new(key: &'a ServiceKey) -> Self {
        Query { target: key.into(), cluster: "", healthy_only: false, udp_port: 0 }
    }
}

impl Request for Query<'_> {
    const TYPE: &'static str = "ServiceQueryRequest";
    type Answer = WithService;
    fn service(&self) -> Option<String> {
        self.target.grouped()
    }
}

/// What the server sends down the stream; fields of all its kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Push {
    #[serde(deserialize_with = "number::text")]
    pub(super) request_id: String,
    pub(super) service_info: Option<serde_json::Value>,
    #[serde(deserialize_with = "number::text")]
    pub(super) server_ip: String,
    #[serde(deserialize_with = "number::text")]
    pub(super) server_port: String,
}

/// The answer to a push.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ack<'a> {
    pub(super) request_id: &'a str,
    pub(super) result_code: i32,
    pub(super) error_code: i32,
    pub(super) success: bool,
}

/// Success in every `resultCode`.
pub(super) const OK: i32 = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Outcome {
    #[serde(deserialize_with = "number::integer")]
    result_code: i64,
    #[serde(deserialize_with = "number::integer")]
    error_code: i64,
    #[serde(deserialize_with = "number::text")]
    message: String,
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

/// The answer to `R`, or the error that the server put into it. A typed answer can hold an error
/// as well as an `ErrorResponse`: only the codes count.
pub(super) fn answer<R: Request>(payload: &Payload) -> std::result::Result<R::Answer, Refusal> {
    let (kind, body) = parts(payload);
    let outcome: Outcome = serde_json::from_slice(body)
        .map_err(|e| Refusal::of(Error::Protocol(format!("answer to {}: {kind}: {e}", R::TYPE))))?;
    if outcome.result_code != i64::from(OK) {
        return Err(refused(&outcome));
    }
    serde_json::from_slice(body)
        .map_err(|e| Refusal::of(Error::Protocol(format!("answer to {}: {kind}: {e}", R::TYPE))))
}

/// A refused request.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: Error,
    /// The server does not know this connection (any more): a new one is needed.
    pub(super) unregistered: bool,
}

impl Refusal {
    pub(super) fn of(error: Error) -> Self {
        Refusal { error, unregistered: false }
    }
}

/// How long to wait when the server says that it is over its threshold and not for how long.
const PATIENCE: Duration = Duration::from_secs(1);

fn refused(outcome: &Outcome) -> Refusal {
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
    Refusal { error, unregistered }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: Value) -> std::result::Result<Done, Refusal> {
        let payload = payload("InstanceResponse", HashMap::new(), "", &body).unwrap();
        answer::<HealthCheck>(&payload)
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
    fn a_batch_has_the_servers_shape() {
        let key = ServiceKey::new("", "", "s");
        let set = [WireInstance::new("127.0.0.1", 1)];
        let value = serde_json::to_value(BatchInstances::new(&key, &set)).unwrap();
        assert_eq!(value["namespace"], "public");
        assert_eq!(value["groupName"], "DEFAULT_GROUP");
        assert_eq!(value["type"], "batchRegisterInstance");
        assert_eq!(value["instances"][0]["clusterName"], "DEFAULT");
    }
}
