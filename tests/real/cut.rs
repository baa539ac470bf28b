//! A network that can be cut: everything that goes through it falls silent, and nothing is closed.

use anyhow::Result;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A way to one server. Dropping it closes all connections.
pub struct Cut {
    addr: String,
    open: Arc<watch::Sender<bool>>,
    _work: JoinSet<()>,
}

impl Cut {
    pub async fn to(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?.to_string();
        let open = Arc::new(watch::channel(true).0);
        let (server, gate) = (server.to_owned(), open.clone());
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut pairs = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let (server, gate) = (server.clone(), gate.clone());
                pairs.spawn(async move {
                    if gate.subscribe().wait_for(|open| *open).await.is_ok()
                        && let Ok(far) = TcpStream::connect(&server).await
                    {
                        let (near_read, near_write) = near.into_split();
                        let (far_read, far_write) = far.into_split();
                        tokio::join!(
                            pass(near_read, far_write, gate.subscribe()),
                            pass(far_read, near_write, gate.subscribe())
                        );
                    }
                });
            }
        });
        Ok(Self { addr, open, _work: work })
    }

    pub fn addr(&self) -> String {
        self.addr.clone()
    }

    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut gate: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if gate.wait_for(|open| *open).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}
