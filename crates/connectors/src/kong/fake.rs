//! A small Admin API for tests, over a document.

use super::api::Api;
use super::client::{Body, Client};
use super::document::Document;
use super::gateway::Gateway;
use super::settings::KongOptions;
use crate::Connect;
use crate::util::fake_request;
use causeway_core::Error;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the fake says and has heard.
#[derive(Default)]
pub(super) struct FakeState {
    pub document: Document,
    /// Method, path and body of each request, without those that only read.
    pub writes: Vec<String>,
    /// Method, path and query of each request.
    pub seen: Vec<String>,
    pub heads: Vec<String>,
    /// Most entities of a page, whatever is asked for.
    pub page: usize,
    /// It has no database.
    pub is_dbless: bool,
    /// Answered to requests whose method and path begin so, in place of everything else.
    pub faults: Vec<(String, u16, Value)>,
}

/// Ends with its last handle.
pub(super) struct Fake {
    pub address: String,
    pub state: Arc<Mutex<FakeState>>,
    _task: JoinSet<()>,
}

impl Fake {
    /// One that has these entities.
    pub async fn start(config: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let document = Document::read(&config.to_string()).unwrap();
        let state = Arc::new(Mutex::new(FakeState { document, page: 1_000, ..FakeState::default() }));
        let (mut task, shared) = (JoinSet::new(), state.clone());
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let state = shared.clone();
                open.spawn(async move { serve(socket, &state).await });
            }
        });
        Self { address, state, _task: task }
    }

    pub fn client(&self, options: &KongOptions) -> Client {
        let token = Some("hunter2".to_owned().into());
        let connect = Connect { addresses: vec![self.address.clone()], token, ..Connect::default() };
        Client::new(&connect, options).unwrap()
    }

    pub fn gateway(&self, options: &KongOptions) -> Arc<Gateway> {
        Arc::new(Gateway::new(self.client(options), options.clone(), "i".into(), false))
    }

    /// The requests that change something since this was last asked.
    pub fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().writes)
    }

    /// The configuration as it stands.
    pub fn config(&self) -> Value {
        self.state.lock().document.write()
    }

    /// Changes the configuration behind our back.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state.lock();
        let mut config = state.document.write();
        change(&mut config);
        state.document = Document::read(&config.to_string()).unwrap();
    }
}

async fn serve(mut socket: TcpStream, state: &Mutex<FakeState>) {
    let Some((head, body)) = fake_request::read_whole(&mut socket).await else { return };
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let (method, url) = line.split_once(' ').unwrap_or_default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut document = {
        let mut state = state.lock();
        state.seen.push(line.clone());
        state.heads.push(head.clone());
        if method != "GET" {
            state.writes.push(format!("{method} {path} {body}").trim_end().to_owned());
        }
        state.document.clone()
    };
    let fault = state.lock().faults.iter().find(|(begin, ..)| line.starts_with(begin)).cloned();
    let (status, answer) = match fault {
        Some((_, status, answer)) => (status, answer),
        None => {
            let (page, is_dbless) = {
                let state = state.lock();
                (state.page, state.is_dbless)
            };
            let answer = answer(&mut document, method, path, query, &body, page, is_dbless).await;
            state.lock().document = document;
            answer
        }
    };
    let text = answer.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
    drop(socket.write_all(format!("{head}{text}").as_bytes()).await);
}

async fn answer(
    mut document: &mut Document,
    method: &str,
    path: &str,
    query: &str,
    body: &str,
    page: usize,
    is_dbless: bool,
) -> (u16, Value) {
    let api = &mut document;
    let body: Body = serde_json::from_str(body).unwrap_or_default();
    let get = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")));
    let done = match (method, path) {
        ("GET", "/") => {
            let database = if is_dbless { "off" } else { "postgres" };
            Ok((200, json!({"version": "3.9.3", "configuration": {"database": database}})))
        }
        ("POST", "/config") if is_dbless => {
            let text = body.get("config").and_then(Value::as_str).unwrap_or_default();
            match text.contains("256.0.0.1") {
                true => Ok((
                    400,
                    json!({"code": 14, "name": "invalid declarative configuration", "message": "declarative config is invalid"}),
                )),
                false => {
                    **api = Document::read(text).unwrap();
                    Ok((201, json!({})))
                }
            }
        }
        (method, _) if is_dbless && method != "GET" => {
            Ok((405, json!({"code": 12, "message": "cannot create or update entities when not using a database"})))
        }
        ("GET", "/status") => {
            Ok((200, json!({"configuration_hash": format!("{:?}", document.write().to_string().len())})))
        }
        // As soon as anything carries no tag.
        ("GET", path) if path.starts_with("/tags/") && is_dbless => {
            Ok((500, json!({"message": "An unexpected error occurred"})))
        }
        ("GET", "/routes") if is_dbless && get("tags").is_some() => {
            Ok((500, json!({"message": "An unexpected error occurred"})))
        }
        ("GET", path) if path.starts_with("/tags/") => Ok((200, json!({"data": [], "offset": null}))),
        ("GET", "/routes") => Ok((200, json!({"data": [], "offset": null}))),
        ("GET", _) => match api.list::<Value>(path).await {
            Ok(all) => {
                let size = get("size").and_then(|size| size.parse().ok()).unwrap_or(100).min(page);
                let from = get("offset").and_then(|offset| offset.parse().ok()).unwrap_or(0);
                let tag = get("tags").map(|tag| tag.replace("%3A", ":"));
                let has = |one: &Value| {
                    tag.as_ref().is_none_or(|tag| one["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag))))
                };
                let all: Vec<_> = all.into_iter().filter(has).collect();
                let next = (from + size < all.len()).then(|| (from + size).to_string());
                let data: Vec<_> = all.into_iter().skip(from).take(size).collect();
                Ok((200, json!({"data": data, "next": next.as_ref().map(|_| path), "offset": next})))
            }
            Err(_) => api.get::<Value>(path).await.map(|one| match one {
                Some(one) => (200, one),
                None => (404, json!({"code": 6, "message": "Not found"})),
            }),
        },
        ("POST", _) => api.post::<Value>(path, &body).await.map(|one| (201, one)),
        ("PATCH", _) => api.patch::<Value>(path, &body).await.map(|one| (200, one)),
        ("DELETE", _) => api.delete(path).await.map(|()| (204, Value::Null)),
        _ => Ok((405, json!({"message": "Method not allowed"}))),
    };
    done.unwrap_or_else(|error| match error {
        Error::Conflict => {
            (409, json!({"code": 5, "name": "unique constraint violation", "message": "UNIQUE violation", "fields": {}}))
        }
        Error::Missing(_) => (404, json!({"code": 6, "name": "not found", "message": "Not found"})),
        Error::Blocked(_) => (400, json!({"code": 4, "name": "foreign key violation", "message": "an existing 'routes' entity references this"})),
        error => (400, json!({"code": 2, "message": error.to_string()})),
    })
}
