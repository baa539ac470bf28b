//! What only HTTP does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use causeway_connectors::nacos::client::{Error, Generation, Namespace, ServiceAttributes, ServiceKey};
use futures_util::future::BoxFuture;

use super::{key, set, standing, stands, unique, until};
use crate::Target;

type Case = Box<dyn FnOnce(Arc<Target>) -> BoxFuture<'static, Result<()>> + Send>;

/// The version is the expected one.
pub fn version(number: u8) -> Case {
    Box::new(move |target| {
        Box::pin(async move {
            let expected = match number {
                1 => Generation::V1,
                2 => Generation::V2,
                _ => Generation::V3,
            };
            let found = target.client()?.version().await?;
            eprintln!("{found:?}");
            ensure!(found.generation == expected, "{found:?}");
            Ok(())
        })
    })
}

/// `public` is always there; a made one appears; made twice is refused.
pub async fn namespaces(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let id = format!("causeway-{}", unique());
    let namespace = Namespace { id: id.clone(), name: format!("name of {id}"), description: "made by a test".into() };
    client.create_namespace(&namespace).await?;
    let all = client.namespaces().await?;
    ensure!(all.iter().any(|n| n.id == "public"), "{all:?}");
    ensure!(all.iter().any(|n| n.id == id && n.name == namespace.name), "{all:?}");
    let again = client.create_namespace(&namespace).await;
    eprintln!("again: {again:?}");
    ensure!(again.is_err());
    ensure!(client.services(&id).await?.is_empty());
    ensure!(client.services("never-made").await?.is_empty());
    Ok(())
}

/// Metadata and threshold of a service are written, read, replaced.
pub async fn attributes(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let key = key("attributes");
    let unknown = client.attributes(&key).await;
    ensure!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
    let unknown = client.truth(&key).await;
    ensure!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
    let mut attributes = ServiceAttributes { protect_threshold: 0.7, ..ServiceAttributes::default() };
    attributes.metadata.insert("owner".into(), "ü & =%".into());
    client.create_service(&key, &attributes).await?;
    let read = client.attributes(&key).await?;
    ensure!(read.metadata == attributes.metadata, "{read:?}");
    ensure!(read.protect_threshold == 0.7, "{read:?}");
    let again = client.create_service(&key, &attributes).await;
    eprintln!("again: {again:?}");
    ensure!(again.is_err());
    attributes.metadata.clear();
    attributes.metadata.insert("other".into(), "1".into());
    attributes.protect_threshold = 0.25;
    client.update_service(&key, &attributes).await?;
    until("updated", Duration::from_secs(5), || async {
        let read = client.attributes(&key).await?;
        Ok(read.metadata == attributes.metadata && read.protect_threshold == 0.25)
    })
    .await?;
    let listed = client.services("public").await?;
    ensure!(listed.iter().any(|s| s.name == *key.name && s.group_name == *key.group));
    ensure!(client.truth(&key).await?.instances.is_empty());
    client.delete_service(&key).await?;
    until("deleted", Duration::from_secs(5), || async {
        Ok(matches!(client.attributes(&key).await, Err(Error::NotFound(_))))
    })
    .await?;
    let missing = client.update_service(&ServiceKey::new("public", "g", "never-made"), &attributes).await;
    eprintln!("update of none: {missing:?}");
    ensure!(missing.is_err());
    Ok(())
}

/// Register, list, beat, change, deregister.
pub async fn registers(target: Arc<Target>) -> Result<()> {
    let client = target.client()?;
    let key = key("http");
    let mut instances = set(2);
    instances[1].enabled = false;
    instances[1].cluster_name = "c-2".into();
    instances[1].metadata.insert("long", "ü".repeat(300));
    let early = client.beat_http(&key, &instances[0]).await?;
    ensure!(early.is_none(), "{early:?}");
    for instance in &instances {
        client.register_http(&key, instance).await?;
    }
    stands(&client, &key, 2).await?;
    let there = standing(&client, &key).await?;
    ensure!(there[0].weight == 0.5 && there[0].metadata == instances[0].metadata);
    ensure!(!there[1].enabled && there[1].metadata == instances[1].metadata);
    let beat = client.beat_http(&key, &instances[0]).await?;
    ensure!(beat == Some(Duration::from_secs(5)), "{beat:?}");
    instances[0].weight = 3.0;
    client.edit_instance(&key, &instances[0]).await?;
    until("weight", Duration::from_secs(10), || async {
        Ok(standing(&client, &key).await?.first().is_some_and(|i| i.weight == 3.0))
    })
    .await?;
    for instance in &instances {
        client.deregister_http(&key, instance).await?;
    }
    stands(&client, &key, 0).await?;
    Ok(())
}
