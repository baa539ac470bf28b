//! A server for tests that answers HTTP as it is told to.

use super::client::Client;
use super::reading::Reading;
use super::settings::PolarisOptions;
use crate::Connect;
use crate::util::fake_request;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is answered to a request: the status is the code's.
type Answer = dyn Fn(&str, &str) -> Value + Send + Sync;

/// Ends with its last handle. Nobody listens at its gRPC port.
pub(super) struct Fake {
    address: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
    _task: JoinSet<()>,
}

impl Fake {
    /// Answers each request by what `answer` makes of its method and path with parameters, such as `GET /v1/x?a=b`, and of its body.
    pub async fn start(answer: impl Fn(&str, &str) -> Value + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let (mut task, noted) = (JoinSet::new(), Arc::clone(&seen));
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                open.spawn(async move { serve(socket, &noted, &*answer).await });
            }
        });
        Self { address, seen, _task: task }
    }

    /// The requests so far that begin so: method and path with parameters, and body.
    pub fn seen(&self, begin: &str) -> Vec<(String, String)> {
        self.seen.lock().iter().filter(|(line, _)| line.starts_with(begin)).cloned().collect()
    }

    pub fn client(&self, token: Option<&str>) -> Arc<Client> {
        client(&[self], token)
    }

    pub fn reading(&self, options: PolarisOptions) -> Arc<Reading> {
        Self::reading_of(&[self], options)
    }

    /// Of a cluster of several servers.
    pub fn reading_of(fakes: &[&Self], options: PolarisOptions) -> Arc<Reading> {
        Arc::new(Reading::new(client(fakes, Some("t")), options, Vec::new()))
    }
}

fn client(fakes: &[&Fake], token: Option<&str>) -> Arc<Client> {
    let token = token.map(|token| token.to_owned().into());
    let mut addresses: Vec<_> = fakes.iter().map(|fake| fake.address.clone()).collect();
    addresses.push("grpc://127.0.0.1:1".to_owned());
    let connect = Connect { addresses, token, ..Connect::default() };
    Arc::new(Client::new(&connect).unwrap())
}

async fn serve(mut socket: TcpStream, noted: &Mutex<Vec<(String, String)>>, answer: &Answer) {
    let Some((line, body)) = fake_request::read(&mut socket).await else { return };
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let said = answer(&line, &body);
    noted.lock().push((line, body));
    let status = said["code"].as_u64().unwrap_or(200_000) / 1_000;
    let said = said.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", said.len());
    drop(socket.write_all(format!("{head}{said}").as_bytes()).await);
}
