//! Writing settings back in the form of the file.

use hmac::{Hmac, Mac};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::env::escape;
use crate::model::{Cluster, Settings, Task};

/// What happens to secrets whose values stand in the file. References are written in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are left out: for showing.
    Omitted,
    /// They are written: for a store that encrypts what it gets.
    Kept,
}

impl Cluster {
    /// The cluster with the keys of the file. References stay references; what has its default is absent or the default.
    /// YAML or JSON made of it reads as the same cluster.
    pub fn to_value(&self, secrets: Secrets) -> Value {
        let mut value = escaped(self);
        if let (Some(own), Some(fields)) = (&self.own, value.as_object_mut()) {
            fields.insert(self.kind.clone(), escaped(own));
        }
        for (key, secret) in [("password", &self.password), ("sk", &self.sk), ("token", &self.token)] {
            let text = match secret {
                Some(secret) => match secret.reference() {
                    Some(reference) => reference.to_owned(),
                    None if secrets == Secrets::Kept => escape(secret.expose()),
                    None => continue,
                },
                None => continue,
            };
            put(&mut value, &format!("/{key}"), text);
        }
        for (pointer, text) in &self.written {
            match (pointer.as_str(), value.as_object_mut()) {
                // One text that stands for all of them.
                ("/connectKeyList", Some(fields)) => {
                    fields.insert("connectKeyList".into(), serde_json::json!([text]));
                }
                _ => put(&mut value, pointer, text.clone()),
            }
        }
        value
    }
}

impl Task {
    /// The task with the keys of the file. References stay references.
    pub fn to_value(&self) -> Value {
        let mut value = escaped(self);
        for (pointer, text) in &self.written {
            put(&mut value, pointer, text.clone());
        }
        value
    }
}

impl Settings {
    /// The whole with the keys of the file, clusters and tasks in their order.
    pub fn to_value(&self, secrets: Secrets) -> Value {
        let clusters: Vec<Value> = self.clusters.iter().map(|cluster| cluster.to_value(secrets)).collect();
        let tasks: Vec<Value> = self.tasks.iter().map(Task::to_value).collect();
        serde_json::json!({ "clusters": clusters, "tasks": tasks })
    }

    /// The same as YAML: the file in its canonical form, without comments.
    pub fn to_yaml(&self, secrets: Secrets) -> String {
        // JSON values have text keys and finite numbers only, so that nothing of them cannot be YAML.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(&self.to_value(secrets), options)
            .unwrap_or_else(|_| self.to_value(secrets).to_string())
    }

    /// The same for the same content, whatever its order of keys, comments and blanks: hex of an HMAC-SHA-256 with
    /// `key`. Passwords that stand in the file go in, hence the key: keep it with the store's own, never beside the
    /// result. What references stand for does not go in.
    pub fn fingerprint(&self, key: &[u8]) -> String {
        fingerprint(&self.to_value(Secrets::Kept), key)
    }
}

fn fingerprint(value: &Value, key: &[u8]) -> String {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of every length") };
    mac.update(value.to_string().as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn escaped(value: &impl Serialize) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::String(text) => *text = escape(text),
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::Object(entries) => entries.values_mut().for_each(walk),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(value).unwrap_or_else(|_| Value::Object(Map::new()));
    walk(&mut value);
    value
}

/// Sets what a pointer names; an object's missing key is added, a missing parent is nothing.
fn put(value: &mut Value, pointer: &str, text: String) {
    let Some((parent, token)) = pointer.rsplit_once('/') else { return };
    let key = token.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(entries)) => {
            entries.insert(key, Value::String(text));
        }
        Some(Value::Array(items)) => {
            if let Some(slot) = key.parse::<usize>().ok().and_then(|n| items.get_mut(n)) {
                *slot = Value::String(text);
            }
        }
        _ => {}
    }
}
