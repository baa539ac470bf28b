//! Publications and subscriptions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use causeway_connectors::nacos::client::{Error, ServiceAttributes};
use tokio::time::timeout;

use super::{key, set, standing, stands};
use crate::Target;

/// Two services of three, a replaced set, an empty set, a withdrawal.
pub async fn publishes(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let publisher = client.publisher("test", None);
    let keys = [key("first"), key("second")];
    let started = Instant::now();
    publisher.publish(&keys[0], set(3)).await?;
    let first = started.elapsed();
    let started = Instant::now();
    publisher.publish(&keys[1], set(3)).await?;
    eprintln!("first publish {first:?} with connecting, second {:?}", started.elapsed());
    for key in &keys {
        stands(&client, key, 3).await?;
        let there = standing(&client, key).await?;
        let mut sent = set(3);
        for one in &mut sent {
            one.service_name = format!("{}@@{}", key.group, key.name);
        }
        ensure!(there == sent, "read back {there:?}");
    }
    let mut other = set(5);
    other.remove(0);
    other[0].enabled = false;
    other[1].healthy = false;
    other[1].cluster_name = "c-2".into();
    publisher.publish(&keys[0], other).await?;
    stands(&client, &keys[0], 4).await?;
    let there = standing(&client, &keys[0]).await?;
    ensure!(!there[0].enabled && !there[1].healthy && there[1].cluster_name == "c-2");
    publisher.publish(&keys[0], Vec::new()).await?;
    stands(&client, &keys[0], 0).await?;
    publisher.publish(&keys[1], Vec::new()).await?;
    stands(&client, &keys[1], 0).await?;
    ensure!(publisher.desired(&keys[0]).is_none() && publisher.desired(&keys[1]).is_none());
    publisher.publish(&keys[1], set(2)).await?;
    stands(&client, &keys[1], 2).await?;
    publisher.close().await;
    let after = publisher.publish(&keys[1], set(1)).await;
    ensure!(matches!(after, Err(Error::Unavailable(_))), "{after:?}");
    Ok(())
}

/// A subscriber hears of what a publisher does.
pub async fn pushes(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let reader = client.reader();
    let publisher = client.publisher("test", None);
    let key = key("pushed");
    reader.subscribe(&key).await?;
    ensure!(timeout(Duration::from_secs(1), reader.next()).await? == key);
    ensure!(reader.query(&key).await?.hosts.is_empty());
    for count in [3_u16, 4, 0] {
        let started = Instant::now();
        publisher.publish(&key, set(count)).await?;
        loop {
            ensure!(timeout(Duration::from_secs(5), reader.next()).await? == key);
            if reader.query(&key).await?.hosts.len() == usize::from(count) {
                break;
            }
        }
        eprintln!("push of {count} after {:?}", started.elapsed());
    }
    reader.unsubscribe(&key).await?;
    publisher.publish(&key, set(1)).await?;
    let silent = timeout(Duration::from_secs(2), reader.next()).await;
    ensure!(silent.is_err(), "heard {silent:?}");
    publisher.close().await;
    reader.close().await;
    Ok(())
}

/// `close` is seen by the server at once.
pub async fn closes(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let publisher = client.publisher("test", None);
    let key = key("closed");
    publisher.publish(&key, set(3)).await?;
    stands(&client, &key, 3).await?;
    let started = Instant::now();
    publisher.close().await;
    let closing = started.elapsed();
    let gone = stands(&client, &key, 0).await?;
    eprintln!("closed in {closing:?}, gone after {gone:?}");
    ensure!(closing < Duration::from_secs(1));
    Ok(())
}

/// Persistent instances survive the connection.
pub async fn persistent(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let publisher = client.publisher("test", None);
    let key = key("persistent");
    let mut instances = set(2);
    for instance in &mut instances {
        instance.ephemeral = false;
        publisher.write_persistent(&key, instance, true).await?;
    }
    stands(&client, &key, 2).await?;
    publisher.close().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let there = standing(&client, &key).await?;
    ensure!(there.len() == 2 && there.iter().all(|i| !i.ephemeral), "{there:?}");
    let publisher = client.publisher("test", None);
    let mixed = publisher.publish(&key, set(1)).await;
    ensure!(matches!(mixed, Err(Error::Rejected(_))), "{mixed:?}");
    for instance in &instances {
        publisher.write_persistent(&key, instance, false).await?;
    }
    stands(&client, &key, 0).await?;
    publisher.close().await;
    Ok(())
}

/// Metadata of 1,024 characters passes, one more is refused, and what stood before still stands.
pub async fn refuses(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let publisher = client.publisher("test", None);
    let key = key("limits");
    let mut sized = set(2);
    sized[1].metadata.clear();
    sized[1].metadata.insert("k".repeat(24), "v".repeat(1000));
    publisher.publish(&key, sized.clone()).await?;
    stands(&client, &key, 2).await?;
    sized[1].metadata.insert("x", String::new());
    let refused = publisher.publish(&key, sized).await;
    ensure!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(standing(&client, &key).await?.len() == 2);
    publisher.publish(&key, set(1)).await?;
    publisher.close().await;
    Ok(())
}

/// The server names us by our connection id.
pub async fn publishers(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let (one, two) = (client.publisher("one", None), client.publisher("two", None));
    let key = key("named");
    let instances = set(1);
    one.publish(&key, instances.clone()).await?;
    two.publish(&key, instances.clone()).await?;
    stands(&client, &key, 1).await?;
    let named = client.publishers(&key, &instances[0].ip, instances[0].port).await?;
    let mut ids: Vec<_> = named.into_iter().map(|p| p.client_id).collect();
    ids.sort();
    let mut ours: Vec<_> = [one.connection_id(), two.connection_id()].into_iter().flatten().collect();
    ours.sort();
    ensure!(ids == ours, "{ids:?} are not {ours:?}");
    ensure!(client.publishers(&key, "127.9.9.9", 1).await?.is_empty());
    // And tells in how many services a connection has something.
    one.publish(&self::key("named-too"), set(3)).await?;
    ensure!(client.published(&ours[0]).await? + client.published(&ours[1]).await? == 3);
    ensure!(client.published("1_127.0.0.1_1").await? == 0, "of a connection that is not there");
    let mut changed = instances[0].clone();
    changed.enabled = false;
    changed.weight = 7.0;
    changed.metadata.insert("zone", "by hand");
    client.edit_instance(&key, &changed).await?;
    super::until("the operator's word", Duration::from_secs(10), || async {
        let there = standing(&client, &key).await?;
        Ok(there.len() == 1 && !there[0].enabled && there[0].weight == 7.0)
    })
    .await?;
    ensure!(standing(&client, &key).await?[0].metadata == instances[0].metadata, "metadata are not laid over");
    ensure!(
        client.attributes(&key).await?
            == ServiceAttributes {
                ephemeral: client.attributes(&key).await?.ephemeral,
                ..ServiceAttributes::default()
            }
    );
    one.close().await;
    two.close().await;
    Ok(())
}
