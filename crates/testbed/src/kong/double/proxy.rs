//! The proxy: takes requests by their routes to the targets of the service's upstream.

use super::KongDouble;
use super::address::{self, KongHostKind};
use super::answer::KongAnswer;
use super::balancer::KongWay;
use super::router::{KongAsked, KongMatch};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request};
use std::sync::Arc;
use std::time::Duration;

const LARGEST: usize = 64 << 20;

/// What belongs to one connection, and is not passed on.
const HOPS: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub async fn answer(State(double): State<Arc<KongDouble>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let mut response = match to_bytes(body, LARGEST).await {
        Ok(bytes) => double.pass(&head, bytes).await,
        Err(_) => Err((StatusCode::PAYLOAD_TOO_LARGE, "Payload too large")),
    }
    .unwrap_or_else(|(status, why)| {
        let body = serde_json::json!({"message": why, "request_id": id});
        KongAnswer::new(status, body).into_response(None)
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-kong-request-id", id);
    }
    *double.desk.traffic.lock().answers.entry(response.status().as_u16()).or_default() += 1;
    response
}

type KongPassed = Result<Response<Body>, (StatusCode, &'static str)>;

impl KongDouble {
    async fn pass(&self, head: &request::Parts, bytes: Bytes) -> KongPassed {
        let given = head.uri.host().or_else(|| head.headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
        let host = given.rsplit_once(':').map_or(given, |(host, _)| host);
        let asked = KongAsked { method: &head.method, host, path: head.uri.path(), headers: &head.headers };
        let none = (StatusCode::NOT_FOUND, "no Route matched with those values");
        let (found, prefix) = self.routing.find(&self.store, &asked).ok_or(none)?;
        let service = &found.service;
        let tries = service["retries"].as_u64().unwrap_or(5) + 1;
        let mut tried = Vec::new();
        for _ in 0..tries {
            let target = self.way(&found, &tried)?;
            match self.send(head, &bytes, &found, &prefix, &target).await {
                Ok(response) => {
                    *self.desk.traffic.lock().targets.entry(target).or_default() += 1;
                    return Ok(response);
                }
                // It was not reached, so nothing has happened there.
                Err(error) if error.is_connect() => {
                    self.desk.traffic.lock().retries += 1;
                    tried.push(target);
                }
                Err(error) if error.is_timeout() => {
                    return Err((StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out"));
                }
                Err(_) => break,
            }
        }
        Err((StatusCode::BAD_GATEWAY, "An invalid response was received from the upstream server"))
    }

    /// Where the next try goes to.
    fn way(&self, found: &KongMatch, tried: &[String]) -> Result<String, (StatusCode, &'static str)> {
        let unavailable = |why| Err((StatusCode::SERVICE_UNAVAILABLE, why));
        let host = found.service["host"].as_str().unwrap_or_default();
        match self.next_target(host, tried) {
            KongWay::Target(target) => Ok(target),
            KongWay::Nobody if tried.is_empty() => unavailable("failure to get a peer from the ring-balancer"),
            KongWay::Nobody => {
                Err((StatusCode::BAD_GATEWAY, "An invalid response was received from the upstream server"))
            }
            KongWay::Host => match address::parse(host) {
                Ok(parsed) if parsed.kind != KongHostKind::Name || host == "localhost" => {
                    Ok(format!("{host}:{}", found.service["port"]))
                }
                _ => unavailable("name resolution failed"),
            },
        }
    }

    async fn send(
        &self,
        head: &request::Parts,
        bytes: &Bytes,
        found: &KongMatch,
        prefix: &str,
        target: &str,
    ) -> Result<Response<Body>, reqwest::Error> {
        let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("http://{target}{}{query}", found.path(head.uri.path(), prefix));
        let mut headers = passed_on(&head.headers);
        // The client writes that of the body that it has.
        headers.remove(header::CONTENT_LENGTH);
        if !found.flag("preserve_host") {
            // The client writes that of the target.
            headers.remove(header::HOST);
        }
        // Without its port.
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.map(|host| host.rsplit_once(':').map_or(host, |(host, _)| host));
        if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
            headers.insert("x-forwarded-host", host);
        }
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        let limit = found.service["read_timeout"].as_u64().unwrap_or(60_000);
        let request = self.http.request(head.method.clone(), url).headers(headers).body(bytes.clone());
        let answer = request.timeout(Duration::from_millis(limit)).send().await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = passed_on(answer.headers());
        response.headers_mut().insert(header::VIA, HeaderValue::from_static("1.1 kong/3.9.3"));
        *response.body_mut() = Body::from_stream(answer.bytes_stream());
        Ok(response)
    }
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for name in &HOPS {
        passed.remove(name);
    }
    passed.remove("keep-alive");
    passed
}
