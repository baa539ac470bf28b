//! What native providers hold, each in a session of its own, by the vendor's own client.

use super::form::{Form, ProviderZnode, with_id};
use anyhow::{Context, Result};
use causeway_core::{Instance, InstanceId, ServiceKey};
use causeway_testbed::{ZkClient, ZkConnect, ZkDoor, ZkNode};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The providers of one test.
pub struct Providers {
    door: Arc<ZkDoor>,
    connect: ZkConnect,
    form: Form,
    /// Who may do what with their znodes.
    acl: String,
    /// Begins the names of our clients in the shared Java process.
    tag: String,
    all: Mutex<BTreeMap<String, Provider>>,
}

struct Provider {
    client: ZkClient,
    /// Where each instance stands, and with what.
    held: BTreeMap<(ServiceKey, InstanceId), (String, Vec<u8>)>,
}

impl Providers {
    /// None yet.
    pub fn new(door: Arc<ZkDoor>, connect: ZkConnect, form: Form, acl: &str, tag: &str) -> Self {
        Self { door, connect, form, acl: acl.to_owned(), tag: tag.to_owned(), all: Mutex::default() }
    }

    /// `provider` holds exactly these from now on. One with nothing left ends its session.
    pub async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let mut all = self.all.lock().await;
        if !all.contains_key(provider) {
            let client = self.door.connect(&format!("{}/{provider}", self.tag), &self.connect).await?;
            all.insert(provider.to_owned(), Provider { client, held: BTreeMap::new() });
        }
        let one = all.get_mut(provider).context("no such provider")?;
        let wanted = |id: &InstanceId| instances.iter().any(|instance| instance.id == *id);
        if instances.is_empty() && one.held.keys().all(|(other, _)| other == service) {
            let gone = all.remove(provider).context("no such provider")?;
            return gone.client.close().await;
        }
        let gone: Vec<_> = one.held.keys().filter(|(other, id)| other == service && !wanted(id)).cloned().collect();
        for key in gone {
            if let Some((path, _)) = one.held.remove(&key) {
                one.client.delete(&path).await?;
            }
        }
        for instance in instances {
            self.hold(one, service, instance).await?;
        }
        Ok(())
    }

    async fn hold(&self, one: &mut Provider, service: &ServiceKey, instance: &Instance) -> Result<()> {
        let key = (service.clone(), instance.id.clone());
        let before = one.held.get(&key).cloned();
        let ProviderZnode { path, mut data } = self.form.write(&service.name, instance);
        let old = before.as_ref().map(|(path, _)| path.clone());
        let path = path
            .or_else(|| old.clone())
            .unwrap_or_else(|| format!("{}/{}", self.form.folder(&service.name), uuid::Uuid::new_v4()));
        if self.form == Form::Spring {
            data = path.rsplit_once('/').and_then(|(_, id)| with_id(&data, id)).context("no JSON")?;
        }
        match before {
            Some(before) if before == (path.clone(), data.clone()) => {}
            Some((old, _)) if old == path => {
                one.client.set(&path, &data).await?;
            }
            _ => {
                make_folders(&one.client, &path, &self.acl).await?;
                let node = if instance.ephemeral { ZkNode::ephemeral(&path, &data) } else { ZkNode::new(&path, &data) };
                let node = node.acl(&self.acl);
                match one.client.create_node(&node).await {
                    // As Dubbo does, which takes it for its own of an earlier session.
                    Err(error) if format!("{error:#}").contains("NodeExists") => {
                        one.client.delete(&path).await?;
                        one.client.create_node(&node).await?;
                    }
                    made => {
                        made?;
                    }
                }
                if let Some(old) = old {
                    one.client.delete(&old).await?;
                }
            }
        }
        one.held.insert(key, (path, data));
        Ok(())
    }

    /// Ends all sessions.
    pub async fn close(&self) -> Result<()> {
        for one in std::mem::take(&mut *self.all.lock().await).into_values() {
            one.client.close().await?;
        }
        Ok(())
    }
}

/// Makes what is missing above a path, with the data that Curator gives such znodes.
async fn make_folders(client: &ZkClient, path: &str, acl: &str) -> Result<()> {
    for (end, _) in path.match_indices('/').skip(1) {
        let made = client.create_node(&ZkNode::new(&path[..end], "127.0.0.1").acl(acl)).await;
        match made {
            Err(error) if !format!("{error:#}").contains("NodeExists") => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
