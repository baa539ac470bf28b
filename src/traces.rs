//! OpenTelemetry traces over OTLP (HTTP with protobuf), where `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set. Without them nothing of this runs.

use async_trait::async_trait;
use bytes::Bytes;
use causeway_server::{NOTHING, OUTCOME, TRACES};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanProcessor};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
/// How long one request may take, beside the exporter's own limit for all tries.
const REQUEST: Duration = Duration::from_secs(10);
/// How long an ending node waits until its last spans are sent.
const LAST: Duration = Duration::from_secs(2);

/// What sends traces; nothing where that is not configured.
pub struct Traces {
    provider: Option<SdkTracerProvider>,
    /// Why they are configured and not sent.
    pub warning: Option<String>,
}

impl Traces {
    /// As the environment says. Call it within a tokio runtime.
    pub fn from_environment() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        let is = |name: &str, value: &str| set(name).is_some_and(|text| text.trim().eq_ignore_ascii_case(value));
        let off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
        let Some(endpoint) = ENDPOINTS.into_iter().find_map(set).filter(|_| !off) else {
            return Self { provider: None, warning: None };
        };
        let warned = |why: String| Self { provider: None, warning: Some(format!("no traces are sent: {why}")) };
        match PROTOCOLS.into_iter().find_map(set) {
            Some(protocol) if protocol.trim() != "http/protobuf" => {
                let help =
                    "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the endpoint's port for it, usually 4318";
                return warned(format!("the protocol {protocol} is not supported; {help}"));
            }
            _ => {}
        }
        match provider(&endpoint) {
            Ok(provider) => Self { provider: Some(provider), warning: None },
            Err(why) => warned(why),
        }
    }

    /// What listens to the spans.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync>(&self) -> Option<impl Layer<S> + use<S>> {
        let tracer = self.provider.as_ref()?.tracer("causeway");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        Some(layer.with_filter(Targets::new().with_target(TRACES, LevelFilter::TRACE)))
    }

    /// Sends what is left.
    pub async fn end(self) {
        if let Some(provider) = self.provider {
            // It waits in its own thread.
            let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST));
            if !matches!(tokio::time::timeout(LAST, ended).await, Ok(Ok(Ok(())))) {
                tracing::warn!("the last traces were not sent in time");
            }
        }
    }
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, String> {
    let http = reqwest::Client::builder().timeout(REQUEST).build().map_err(|error| error.to_string())?;
    let client = Client { http, runtime: Handle::current(), endpoint: bare(endpoint), failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    let exporter = exporter.with_protocol(opentelemetry_otlp::Protocol::HttpBinary);
    let exporter = exporter.build().map_err(|error| error.to_string())?;
    let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = if named { resource } else { resource.with_service_name("causeway") };
    let processor = WithoutIdle(BatchSpanProcessor::builder(exporter).build());
    Ok(SdkTracerProvider::builder().with_resource(resource.build()).with_span_processor(processor).build())
}

/// An address without the user and password that may stand in it.
fn bare(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
        None => endpoint.to_owned(),
    }
}

/// Leaves out what came to nothing: most looks at a scope find nothing to write.
#[derive(Debug)]
struct WithoutIdle(BatchSpanProcessor);

impl SpanProcessor for WithoutIdle {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let idle = span.attributes.iter().any(|one| one.key.as_str() == OUTCOME && one.value.as_str() == NOTHING);
        if !idle {
            self.0.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Sends requests within the node's runtime: the exporter has a thread of its own without one.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    endpoint: String,
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let answer = http.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                *headers = answer.headers().clone();
            }
            Ok::<_, HttpError>(response.body(answer.bytes().await?)?)
        });
        let answer = sent.await.unwrap_or_else(|error| Err(error.into()));
        let problem = match &answer {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("HTTP {}", response.status())),
            Err(error) => Some(reason(&**error)),
        };
        // Once, and not for each try.
        match (problem, &self.endpoint) {
            (Some(why), endpoint) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%endpoint, "traces cannot be sent: {why}");
            }
            (None, endpoint) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!(%endpoint, "traces are sent again");
            }
            _ => {}
        }
        answer
    }
}

/// The innermost cause, which names no address with a password in it.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(bare("http://127.0.0.1:4318"), "http://127.0.0.1:4318");
        assert_eq!(bare("https://user:p@ss@collector:4318/v1"), "https://collector:4318/v1");
    }
}
