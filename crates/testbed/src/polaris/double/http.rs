//! The HTTP port: the console's calls and the clients'.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use causeway_proto::polaris::discover_response::DiscoverResponseType;
use causeway_proto::polaris::{Client, Instance};
use serde_json::Value;
use tokio::time::sleep;

use super::answers::{ListAnswer, ManyAnswers, OneAnswer};
use super::calls::{CallFate, OpenCall};
use super::codes::AnswerCode;
use super::discover;
use super::json::{self as words, AskedInstance};
use super::queries::{self, Parameters};
use super::rights::Rights;
use super::state::PolarisState;
use super::{batches, checks, schema};

/// Registrations are gathered for so long before they are written together.
const GATHERED: Duration = Duration::from_millis(32);
/// Who may sign in.
const USER: (&str, &str) = ("polaris", "polaris");

pub fn router(state: Arc<PolarisState>) -> Router {
    Router::new().fallback(answer).with_state(state)
}

/// What a call is answered.
enum HttpAnswer {
    One(OneAnswer),
    Many(ManyAnswers),
    List(ListAnswer),
    /// With its code.
    Json(AnswerCode, Value),
    Plain(StatusCode, &'static str),
}

async fn answer(State(state): State<Arc<PolarisState>>, request: Request) -> Response {
    let name = format!("{} {}", request.method(), request.uri().path());
    let (call, fate) = state.calls.begin(&name).await;
    let told = match fate {
        CallFate::Answered => tell(&state, request, &call).await,
        CallFate::Code(code) => HttpAnswer::One(OneAnswer::of(code)),
        CallFate::Status(status) => HttpAnswer::Plain(StatusCode::from_u16(status).unwrap_or_default(), ""),
    };
    let (code, body) = match told {
        HttpAnswer::One(one) => (one.code.unwrap_or(AnswerCode::EXCEPTION), one.json()),
        HttpAnswer::Many(many) => (many.code, many.json()),
        HttpAnswer::List(list) => (list.code, list.json()),
        HttpAnswer::Json(code, body) => (code, body),
        HttpAnswer::Plain(status, text) => {
            call.ends(u32::from(status.as_u16()) * 1_000);
            return (status, text).into_response();
        }
    };
    call.ends(code.0);
    // The server says no type, so that Go guesses one.
    let mut response = Response::new(Body::from(format!("{body:#}")));
    *response.status_mut() = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    if code != AnswerCode::SUCCESS {
        headers.insert("x-polaris-code", header::HeaderValue::from(code.0));
        headers.insert("x-polaris-message", header::HeaderValue::from_static(code.info()));
    }
    response
}

async fn tell(state: &Arc<PolarisState>, request: Request, call: &OpenCall<'_>) -> HttpAnswer {
    let (parts, body) = request.into_parts();
    let token = token(&parts.headers);
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    if parts.method == Method::GET {
        let Ok(Query(parameters)) = Query::<Parameters>::try_from_uri(&parts.uri) else {
            return HttpAnswer::Plain(StatusCode::BAD_REQUEST, "400: Bad Request");
        };
        return list(state, &path, &parameters, token.as_deref());
    }
    if !is_taken(&parts.method, &path) {
        return HttpAnswer::Plain(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
    }
    if !is_json(&parts.headers) {
        return HttpAnswer::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "415: Unsupported Media Type");
    }
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return HttpAnswer::Plain(StatusCode::BAD_REQUEST, "400: Bad Request");
    };
    let whole = || serde_json::from_slice::<Value>(&body).map_err(|error| error.to_string());
    match (parts.method, path.as_str()) {
        (Method::POST, "/core/v1/user/login") => HttpAnswer::One(sign_in(state, whole())),
        (Method::POST, path) if path.starts_with("/v1/") => client(state, path, token, whole()).await,
        (method, path) => {
            let Some(work) = batches::ConsoleWrite::of(&method, path) else {
                return HttpAnswer::Plain(StatusCode::NOT_FOUND, "404: Page Not Found");
            };
            let body = batches::elements(&body);
            call.brings(body.as_ref().map_or(0, Vec::len));
            if work.is_gathered() {
                sleep(GATHERED).await;
            }
            HttpAnswer::Many(batches::done(state, &work, body, token.as_deref()))
        }
    }
}

/// Whether a path takes this method; one that is nobody's takes all.
fn is_taken(method: &Method, path: &str) -> bool {
    let console = |method: Method| batches::ConsoleWrite::of(&method, path).is_some();
    let is_known = console(Method::POST) || console(Method::PUT);
    !is_known || batches::ConsoleWrite::of(method, path).is_some()
}

fn token(headers: &HeaderMap) -> Option<String> {
    headers.get("x-polaris-token").and_then(|token| token.to_str().ok()).map(str::to_owned)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
}

fn list(state: &PolarisState, path: &str, parameters: &Parameters, token: Option<&str>) -> HttpAnswer {
    let wrong = match path {
        "/naming/v1/instances" => queries::check_instances(parameters),
        "/naming/v1/services" => queries::check_services(parameters),
        _ => Ok(()),
    };
    if let Err(wrong) = wrong {
        return HttpAnswer::List(*wrong);
    }
    let rights = match state.tokens.lock().console(token) {
        Ok(rights) => rights,
        // Only of instances it says more.
        Err((code, why)) if path == "/naming/v1/instances" => return HttpAnswer::List(ListAnswer::with(code, why)),
        Err((code, _)) => return HttpAnswer::List(ListAnswer::of(code)),
    };
    // Discovery is then up to date as well: both have one cache.
    if !state.rules.stale_lists {
        state.refresh();
    }
    let (cache, most) = (state.cache(), state.rules.limit);
    match path {
        "/naming/v1/namespaces" | "/core/v1/namespaces" => {
            match queries::namespaces(&cache, parameters, &rights, most) {
                Some(list) => HttpAnswer::List(list),
                None => HttpAnswer::Plain(StatusCode::INTERNAL_SERVER_ERROR, ""),
            }
        }
        "/naming/v1/services" => HttpAnswer::List(queries::services(&cache, parameters, &rights, most)),
        "/naming/v1/services/all" => HttpAnswer::List(queries::all_services(&cache, parameters, &rights)),
        "/naming/v1/services/count" => HttpAnswer::List(ListAnswer::page("services", cache.services.len(), Vec::new())),
        "/naming/v1/instances" => HttpAnswer::List(queries::instances(&cache, parameters, most)),
        "/naming/v1/instances/count" => {
            HttpAnswer::List(ListAnswer::page("instances", cache.instances.len(), Vec::new()))
        }
        _ => HttpAnswer::Plain(StatusCode::NOT_FOUND, "404: Page Not Found"),
    }
}

fn sign_in(state: &PolarisState, body: Result<Value, String>) -> OneAnswer {
    let asked = match body.and_then(|body| schema::LOGIN.read(&body)) {
        Ok(asked) => asked,
        Err(why) => return OneAnswer::with(AnswerCode::PARSE, &why),
    };
    let said = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default();
    let owner = if said("owner").is_empty() { said("name") } else { said("owner") };
    if (owner, said("name")) != (USER.0, USER.0) {
        return OneAnswer::of(AnswerCode::NO_USER);
    }
    if said("password") != USER.1 {
        return OneAnswer::said(AnswerCode::NOT_ALLOWED, ":name or password is wrong");
    }
    OneAnswer::token(state.tokens.lock().admin.as_deref().unwrap_or("polaris-has-no-tokens-here"))
}

/// What clients call: one object each.
async fn client(
    state: &Arc<PolarisState>,
    path: &str,
    token: Option<String>,
    body: Result<Value, String>,
) -> HttpAnswer {
    let parse = |why: String| HttpAnswer::One(OneAnswer::with(AnswerCode::PARSE, &why));
    match path {
        "/v1/Discover" => {
            let asked = match body.and_then(|body| schema::DISCOVER.read(&body)) {
                Ok(asked) => asked,
                Err(why) => return parse(why),
            };
            let service = asked.get("service").and_then(Value::as_object).map(words::service_of);
            let healthy = asked.get("Filter").and_then(|filter| filter["OnlyHealthyInstance"].as_bool());
            let kind = asked.get("type").and_then(Value::as_i64).and_then(|kind| i32::try_from(kind).ok());
            let rights = state.tokens.lock().client(token.as_deref());
            let answer = match rights {
                Ok(rights) => state.discover(kind.unwrap_or_default(), service, healthy.unwrap_or_default(), &rights),
                Err((code, _)) => discover::answer(code, DiscoverResponseType::Unknown, None),
            };
            let code = AnswerCode(answer.code.unwrap_or_default());
            HttpAnswer::Json(code, discover::shown(&answer))
        }
        "/v1/ReportClient" => match body.and_then(|body| schema::CLIENT.read(&body)) {
            Ok(asked) => {
                let host = asked.get("host").and_then(Value::as_str).map(str::to_owned);
                HttpAnswer::One(OneAnswer::client(Client { host, ..Client::default() }))
            }
            Err(why) => parse(why),
        },
        "/v1/RegisterInstance" | "/v1/DeregisterInstance" | "/v1/Heartbeat" => {
            let AskedInstance { it, .. } = match body.and_then(|body| words::read_instance(&body)) {
                Ok(asked) => asked,
                Err(why) => return parse(why),
            };
            let one = match path {
                "/v1/RegisterInstance" => register(state, it, token).await,
                "/v1/DeregisterInstance" => deregister(state, it, token).await,
                _ => state.beat(&it),
            };
            HttpAnswer::One(one)
        }
        _ => HttpAnswer::Plain(StatusCode::NOT_FOUND, "404: Page Not Found"),
    }
}

fn rights(state: &PolarisState, it: &Instance, token: Option<String>) -> Result<Rights, Box<OneAnswer>> {
    let token = it.service_token.clone().filter(|token| !token.is_empty()).or(token);
    let rights = state.tokens.lock().client(token.as_deref());
    let rights = rights.and_then(|rights| rights.cover([it.namespace.as_deref()]).map(|()| rights));
    rights.map_err(|(code, why)| Box::new(OneAnswer::with(code, why)))
}

/// A client registers its instance.
pub async fn register(state: &PolarisState, mut it: Instance, token: Option<String>) -> OneAnswer {
    match checks::created(&it) {
        Ok(id) => it.id = Some(id),
        Err(code) => return OneAnswer::instance(code, it),
    }
    if let Err(denied) = rights(state, &it, token) {
        return *denied;
    }
    sleep(GATHERED).await;
    let done = state.write(|records| records.create_instance(&it));
    done.unwrap_or_else(|error| OneAnswer::with(AnswerCode::EXCEPTION, &error.to_string()))
}

/// A client takes its instance away.
pub async fn deregister(state: &PolarisState, mut it: Instance, token: Option<String>) -> OneAnswer {
    match checks::revised(&it) {
        Ok(id) => it.id = Some(id),
        Err(code) => return OneAnswer::instance(code, it),
    }
    if let Err(denied) = rights(state, &it, token) {
        return *denied;
    }
    sleep(GATHERED).await;
    state.beats.lock().forget(it.id.as_deref().unwrap_or_default());
    let done = state.write(|records| records.delete_instance(&it));
    done.unwrap_or_else(|error| OneAnswer::with(AnswerCode::EXCEPTION, &error.to_string()))
}
