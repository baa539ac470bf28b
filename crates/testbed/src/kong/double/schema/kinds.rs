//! The fields of services, routes, upstreams and targets, with Kong's defaults.

use super::words;
use super::{KongEntity, KongField, KongRule};
use crate::kong::double::address;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// All fields of a kind.
pub fn fields(kind: KongEntity) -> &'static [KongField] {
    static SERVICES: LazyLock<Vec<KongField>> = LazyLock::new(services);
    static ROUTES: LazyLock<Vec<KongField>> = LazyLock::new(routes);
    static UPSTREAMS: LazyLock<Vec<KongField>> = LazyLock::new(upstreams);
    static TARGETS: LazyLock<Vec<KongField>> = LazyLock::new(targets);
    match kind {
        KongEntity::Services => &SERVICES,
        KongEntity::Routes => &ROUTES,
        KongEntity::Upstreams => &UPSTREAMS,
        KongEntity::Targets => &TARGETS,
    }
}

const PROTOCOLS: &[&str] = &["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp", "ws", "wss"];
const TIMEOUT: KongRule = KongRule::Integer(1, 2_147_483_646);
const HASH: &[&str] = &["none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"];

fn new(name: &'static str, rule: KongRule) -> KongField {
    KongField::new(name, rule)
}

fn list(rule: KongRule) -> KongRule {
    KongRule::List(Box::new(rule))
}

fn set(rule: KongRule) -> KongRule {
    KongRule::Set(Box::new(rule))
}

fn tags() -> KongField {
    new("tags", set(KongRule::Text(words::tag)))
}

/// What the server fills in.
fn stamped() -> [KongField; 3] {
    let time = || KongRule::Number(0.0, f64::MAX);
    [new("id", KongRule::Text(words::uuid)), new("created_at", time()), new("updated_at", time())]
}

fn all(own: Vec<KongField>) -> Vec<KongField> {
    stamped().into_iter().chain(own).collect()
}

fn services() -> Vec<KongField> {
    all(vec![
        new("name", KongRule::Text(words::name)),
        new("retries", KongRule::Integer(0, 32_767)).or(5),
        new("protocol", KongRule::OneOf(PROTOCOLS)).required().or("http"),
        new("host", KongRule::Text(address::host)).required(),
        new("port", KongRule::Integer(0, 65_535)).required().or(80),
        new("path", KongRule::Text(words::path)),
        new("connect_timeout", TIMEOUT).or(60_000),
        new("write_timeout", TIMEOUT).or(60_000),
        new("read_timeout", TIMEOUT).or(60_000),
        tags(),
        new("client_certificate", KongRule::Foreign),
        new("tls_verify", KongRule::Bool),
        new("tls_verify_depth", KongRule::Integer(0, 64)),
        new("ca_certificates", list(KongRule::Text(words::uuid))),
        new("enabled", KongRule::Bool).required().or(true),
    ])
}

fn routes() -> Vec<KongField> {
    let ends = || {
        list(KongRule::Record(vec![
            new("ip", KongRule::Text(words::filled)),
            new("port", KongRule::Integer(0, 65_535)),
        ]))
    };
    all(vec![
        new("name", KongRule::Text(words::name)),
        new("protocols", set(KongRule::OneOf(PROTOCOLS))).required().or(json!(["http", "https"])),
        new("https_redirect_status_code", KongRule::Code(&[426, 301, 302, 307, 308])).required().or(426),
        new("strip_path", KongRule::Bool).required().or(true),
        new("preserve_host", KongRule::Bool).required().or(false),
        new("request_buffering", KongRule::Bool).required().or(true),
        new("response_buffering", KongRule::Bool).required().or(true),
        tags(),
        new("service", KongRule::Foreign),
        new("snis", set(KongRule::Text(address::wildcard_host))),
        new("sources", ends()),
        new("destinations", ends()),
        new("methods", set(KongRule::Text(words::method))),
        new("hosts", list(KongRule::Text(address::wildcard_host))),
        new("paths", list(KongRule::Text(words::route_path))),
        new("headers", KongRule::Headers),
        new("regex_priority", KongRule::Integer(i64::MIN, i64::MAX)).or(0),
        new("path_handling", KongRule::OneOf(&["v0", "v1"])).or("v0"),
    ])
}

fn targets() -> Vec<KongField> {
    all(vec![
        new("upstream", KongRule::Foreign).required(),
        new("target", KongRule::Text(|text| address::target(text).map(drop))).required(),
        new("weight", KongRule::Integer(0, 65_535)).or(100),
        tags(),
    ])
}

fn upstreams() -> Vec<KongField> {
    let hash = |name| new(name, KongRule::OneOf(HASH)).or("none");
    let param = |name| new(name, KongRule::Text(words::filled));
    let algorithms = &["consistent-hashing", "least-connections", "round-robin", "latency"];
    all(vec![
        new("name", KongRule::Text(address::upstream_name)).required(),
        new("algorithm", KongRule::OneOf(algorithms)).or("round-robin"),
        hash("hash_on"),
        hash("hash_fallback"),
        new("hash_on_header", KongRule::Text(words::header)),
        new("hash_fallback_header", KongRule::Text(words::header)),
        new("hash_on_cookie", KongRule::Text(words::filled)),
        new("hash_on_cookie_path", KongRule::Text(words::path)).or("/"),
        param("hash_on_query_arg"),
        param("hash_fallback_query_arg"),
        param("hash_on_uri_capture"),
        param("hash_fallback_uri_capture"),
        new("slots", KongRule::Integer(10, 65_536)).or(10_000),
        record("healthchecks", healthchecks()),
        tags(),
        new("host_header", KongRule::Text(address::host_with_port)),
        new("client_certificate", KongRule::Foreign),
        new("use_srv_name", KongRule::Bool).or(false),
    ])
}

/// A record whose default is that of its fields.
fn record(name: &'static str, fields: Vec<KongField>) -> KongField {
    let default: Value =
        Value::Object(fields.iter().map(|field| (field.name.to_owned(), field.default.clone())).collect());
    new(name, KongRule::Record(fields)).or(default)
}

fn healthchecks() -> Vec<KongField> {
    let kind = || new("type", KongRule::OneOf(&["tcp", "http", "https", "grpc", "grpcs"])).or("http");
    let seconds = |name, default: u32| new(name, KongRule::Number(0.0, 65_535.0)).or(default);
    let count = |name| new(name, KongRule::Integer(0, 255)).or(0);
    let statuses = |codes: &[u16]| new("http_statuses", list(KongRule::Integer(100, 999))).or(json!(codes));
    let failures = || vec![count("tcp_failures"), count("timeouts"), count("http_failures")];
    let mut failing = vec![seconds("interval", 0), statuses(&[429, 404, 500, 501, 502, 503, 504, 505])];
    failing.extend(failures());
    let active = vec![
        kind(),
        seconds("timeout", 1),
        new("concurrency", KongRule::Integer(1, 2_147_483_648)).or(10),
        new("http_path", KongRule::Text(words::path)).or("/"),
        new("https_sni", KongRule::Text(address::host)),
        new("https_verify_certificate", KongRule::Bool).required().or(true),
        new("headers", KongRule::Headers),
        record("healthy", vec![seconds("interval", 0), statuses(&[200, 302]), count("successes")]),
        record("unhealthy", failing),
    ];
    let good: Vec<u16> = (200..=208).chain([226]).chain(300..=308).collect();
    let mut passing = vec![statuses(&[429, 500, 503])];
    passing.extend(failures());
    let passive =
        vec![kind(), record("healthy", vec![statuses(&good), count("successes")]), record("unhealthy", passing)];
    vec![record("active", active), record("passive", passive), new("threshold", KongRule::Number(0.0, 100.0)).or(0)]
}
