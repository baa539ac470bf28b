//! Programs behind a proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Answers every request with its port.
#[derive(Debug)]
pub struct HttpBackend {
    port: u16,
    answered: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    work: JoinSet<()>,
}

impl HttpBackend {
    /// Serves on a free port of 127.0.0.1 until it is stopped or dropped.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (port, answered) = (listener.local_addr()?.port(), Arc::<AtomicUsize>::default());
        let (stop, stopped) = oneshot::channel();
        let (mut work, counted) = (JoinSet::new(), answered.clone());
        let answer = move || async move {
            counted.fetch_add(1, Ordering::Relaxed);
            port.to_string()
        };
        let serve = axum::serve(listener, Router::new().fallback(answer));
        let serve = serve.with_graceful_shutdown(async move { drop(stopped.await) });
        work.spawn(async move {
            // A listener that fails shows as failed requests.
            drop(serve.await);
        });
        Ok(Self { port, answered, stop: Some(stop), work })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many requests it has answered.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends as a program does that is asked to: answers what was asked, closes its connections, takes no new ones.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        while self.work.join_next().await.is_some() {}
    }
}
