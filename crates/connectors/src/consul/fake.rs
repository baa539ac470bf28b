//! A server for tests that answers as it is told to.

use super::client::Client;
use super::reading::Reading;
use super::settings::ConsulOptions;
use crate::Connect;
use crate::util::fake_request;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What is answered to a request, and when.
pub(super) struct Said {
    pub after: Duration,
    pub status: u16,
    /// The index of the answer.
    pub index: u64,
    pub body: String,
}

impl Said {
    /// At once, with index 1.
    pub fn now(status: u16, body: impl Into<String>) -> Self {
        Self { after: Duration::ZERO, status, index: 1, body: body.into() }
    }
}

/// Ends with its last handle.
pub(super) struct Fake {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Fake {
    /// Answers each request by what `answer` makes of its method and path with parameters, such as `GET /v1/x?index=0`.
    pub async fn start(answer: impl Fn(&str) -> Said + Send + Sync + 'static) -> Self {
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

    /// The requests so far: method, path with parameters, and body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    pub fn client(&self, options: &ConsulOptions, token: Option<&str>) -> Client {
        let token = token.map(|token| token.to_owned().into());
        let connect = Connect { addresses: vec![self.address.clone()], token, ..Connect::default() };
        Client::new(&connect, options).unwrap()
    }

    pub fn reading(&self) -> Arc<Reading> {
        let options = ConsulOptions::default();
        Arc::new(Reading::new(self.client(&options, None), options))
    }
}

async fn serve(mut socket: TcpStream, noted: &Mutex<Vec<String>>, answer: &(dyn Fn(&str) -> Said + Send + Sync)) {
    let Some((line, body)) = fake_request::read(&mut socket).await else { return };
    let line = line.trim_end_matches(" HTTP/1.1");
    noted.lock().push(format!("{line} {body}").trim_end().to_owned());
    let said = answer(line);
    sleep(said.after).await;
    let head = format!("HTTP/1.1 {} X\r\nx-consul-index: {}\r\nconnection: close\r\n", said.status, said.index);
    let answer = format!("{head}content-length: {}\r\n\r\n{}", said.body.len(), said.body);
    drop(socket.write_all(answer.as_bytes()).await);
}
