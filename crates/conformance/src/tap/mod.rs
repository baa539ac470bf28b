//! Wires that count calls: relays in front of a server, one for each protocol.

pub mod cable;
pub mod http;
pub mod nacos;
pub mod zookeeper;

use anyhow::{Context, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What went over the wire.
#[derive(Default)]
pub struct Counts {
    calls: AtomicUsize,
    open: AtomicUsize,
    peak: AtomicUsize,
}

impl Counts {
    /// Requests.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Most requests without an answer at one time, of those whose answers are told apart.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A request whose answer is not looked for.
    fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn began(&self) {
        self.called();
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(open, Ordering::Relaxed);
    }

    fn ended(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Passes bytes on, after a look at them.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut look: impl FnMut(&[u8]),
) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        let bytes = buffer.get(..count).context("more than asked for")?;
        if bytes.is_empty() {
            return Ok(to.shutdown().await?);
        }
        look(bytes);
        to.write_all(bytes).await?;
    }
}
