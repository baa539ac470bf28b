//! Sockets that outlive their owner, and a server that sends its client away.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use causeway_connectors::SocketKeeper;
use causeway_connectors::nacos::client::{Generation, Phase};
use parking_lot::Mutex;

use super::{key, set, standing, stands};
use crate::Target;

/// Holds duplicates in this very process.
#[derive(Default)]
struct Holder {
    kept: Mutex<BTreeMap<String, (OwnedFd, Option<String>)>>,
}

impl SocketKeeper for Holder {
    fn keep(&self, tag: &str, socket: BorrowedFd<'_>) {
        if let Ok(copy) = socket.try_clone_to_owned() {
            self.kept.lock().insert(tag.into(), (copy, None));
        }
    }

    fn label(&self, tag: &str, connection_id: &str) {
        if let Some((_, label)) = self.kept.lock().get_mut(tag) {
            *label = Some(connection_id.into());
        }
    }

    fn drop_kept(&self, tag: &str) {
        self.kept.lock().remove(tag);
    }
}

impl Holder {
    fn labels(&self) -> Vec<String> {
        let kept = self.kept.lock();
        kept.values().filter_map(|(_, l)| l.clone()).collect()
    }
}

/// A publisher that vanishes without a close is replaced by another; nobody sees a gap.
pub async fn survives(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let holder = Arc::new(Holder::default());
    let keeper: Arc<dyn SocketKeeper> = holder.clone();
    let key = key("kept");
    let first = client.publisher("first", Some(Arc::clone(&keeper)));
    first.publish(&key, set(3)).await?;
    stands(&client, &key, 3).await?;
    let id = first.connection_id().context("no id")?;
    ensure!(holder.labels() == std::slice::from_ref(&id));
    drop(first);
    for _ in 0..60 {
        ensure!(standing(&client, &key).await?.len() == 3, "a gap was seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = client.publisher("second", Some(keeper));
    second.publish(&key, set(3)).await?;
    // The first one's socket is let go.
    let old: Vec<_> = {
        let mut kept = holder.kept.lock();
        let tags: Vec<_> = kept.keys().filter(|t| t.starts_with("first/")).cloned().collect();
        tags.into_iter().filter_map(|t| kept.remove(&t)).collect()
    };
    ensure!(old.len() == 1);
    drop(old);
    for _ in 0..40 {
        ensure!(standing(&client, &key).await?.len() == 3, "a gap was seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let named = client.publishers(&key, "127.0.0.1", 7000).await?;
    ensure!(named.iter().all(|p| p.client_id != id), "{named:?}");
    second.close().await;
    ensure!(holder.labels().is_empty(), "close lets go");
    stands(&client, &key, 0).await?;
    // Closed for the server although somebody still holds the socket.
    let third = client.publisher("third", Some(Arc::clone(&holder) as Arc<dyn SocketKeeper>));
    third.publish(&key, set(1)).await?;
    stands(&client, &key, 1).await?;
    let copy = {
        let kept = holder.kept.lock();
        let (fd, _) = kept.values().next().context("not kept")?;
        std::net::TcpStream::from(fd.try_clone()?)
    };
    third.close().await;
    stands(&client, &key, 0).await?;
    ensure!(copy.shutdown(Shutdown::Both).is_err(), "already ended");
    Ok(())
}

/// The server's administrator sends the connection away: a new one takes over without a gap.
pub async fn moves(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let key = key("moved");
    let publisher = client.publisher("moved", None);
    publisher.publish(&key, set(2)).await?;
    stands(&client, &key, 2).await?;
    let id = publisher.connection_id().context("no id")?;
    let (method, path) = match client.version().await?.generation {
        Generation::V3 => (reqwest::Method::POST, "/v3/admin/core/loader/reloadClient"),
        _ => (reqwest::Method::GET, "/v2/core/loader/reloadClient"),
    };
    let url = format!("{}/nacos{path}", target.address.base());
    let asked = reqwest::Client::new().request(method, url).query(&[("connectionId", id.as_str())]).send().await?;
    let status = asked.status();
    let text = asked.text().await?;
    ensure!(status.is_success(), "{status}: {text}");
    let mut now = publisher.status();
    for _ in 0..60 {
        ensure!(standing(&client, &key).await?.len() == 2, "a gap was seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let moved = now.wait_for(|s| s.phase == Phase::Ready && s.generation == 2);
    let moved = tokio::time::timeout(Duration::from_secs(5), moved).await??.clone();
    ensure!(moved.connection_id.is_some_and(|new| new != id));
    publisher.close().await;
    stands(&client, &key, 0).await?;
    Ok(())
}
