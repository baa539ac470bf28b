//! A server for tests, which answers as it is told.

use crate::Connect;
use crate::eureka::client::EurekaClient;
use crate::util::fake_request;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// It ends when it is dropped.
pub(super) struct Fake {
    pub addr: String,
    _task: JoinSet<()>,
}

impl Fake {
    /// `answer` is given the method, the path below `/eureka` with its query, and the body.
    pub async fn start(mut answer: impl FnMut(&str, &str, &str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, mut task) = (listener.local_addr().unwrap().to_string(), JoinSet::new());
        task.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some((line, body)) = fake_request::read(&mut socket).await else { continue };
                let mut words = line.split_whitespace();
                let (method, target) = (words.next().unwrap(), words.next().unwrap().replace("%3A", ":"));
                let (status, body) = answer(method, target.strip_prefix("/eureka").unwrap(), &body);
                let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}", body.len());
                socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
            }
        });
        Self { addr, _task: task }
    }
}

/// A client of these servers.
pub(super) fn client(addresses: &[&str]) -> Arc<EurekaClient> {
    let addresses = addresses.iter().map(|addr| (*addr).to_owned()).collect();
    Arc::new(EurekaClient::new(&Connect { addresses, ..Connect::default() }).unwrap())
}
