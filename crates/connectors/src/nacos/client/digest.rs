//! One look at a whole namespace of a 1.x server: what has changed.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::NacosClient;
use super::admin::Version;
use super::error::{Error, Result};
use super::http::Call;
use super::wire::ServiceKey;

/// Services asked for at first; with more there, all are asked for again.
const PAGE: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    service_name: String,
    group_name: String,
    #[serde(borrow)]
    cluster_map: &'a RawValue,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

impl NacosClient {
    /// A fingerprint of every service of a namespace, in one request. It changes with addresses, weight, enabled,
    /// health and metadata of the instances and with the service's own metadata; not with the protect threshold, nor
    /// when an instance becomes persistent. Only 1.x and 2.x.
    pub async fn fingerprints(&self, namespace: &str) -> Result<Vec<(ServiceKey, u64)>> {
        let mut size = PAGE;
        loop {
            let call = Call::get("/v1/ns/catalog/services")
                .with("namespaceId", namespace)
                .with("withInstances", "true")
                .with("pageNo", "1")
                .with("pageSize", size.to_string());
            let found = read(namespace, &self.core.call(call).await?.text()?)?;
            if found.len() < size {
                return Ok(found);
            }
            size *= 4;
        }
    }

    /// Makes sure of a token where a user is set. Errors: `Denied`, `Unavailable`.
    pub async fn sign_in(&self) -> Result<()> {
        self.core.token().await.map(drop)
    }

    /// The servers' version as far as it has been told.
    pub fn known_version(&self) -> Option<Version> {
        self.core.known_version()
    }

    /// Which of the addresses answered the last HTTP request: another one may know other things.
    pub fn http_server(&self) -> usize {
        self.core.http_server()
    }
}

fn read(namespace: &str, body: &str) -> Result<Vec<(ServiceKey, u64)>> {
    let unreadable = |e: serde_json::Error| Error::Protocol(format!("the services of {namespace}: {e}"));
    let all: Vec<Detail<'_>> = serde_json::from_str(body).map_err(unreadable)?;
    Ok(all
        .iter()
        .map(|one| {
            let mut hasher = DefaultHasher::new();
            one.cluster_map.get().hash(&mut hasher);
            one.metadata.map(RawValue::get).hash(&mut hasher);
            (ServiceKey::new(namespace, &one.group_name, &one.service_name), hasher.finish())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(weight: &str, metadata: &str) -> String {
        format!(
            r#"[{{"serviceName":"s","groupName":"g","clusterMap":{{"DEFAULT":{{"hosts":[{{"ip":"h","weight":{weight}}}]}}}},"metadata":{metadata}}}]"#
        )
    }

    #[test]
    fn a_change_is_seen() {
        let of = |weight, metadata| read("n", &body(weight, metadata)).unwrap();
        assert_eq!(of("1.0", "{}"), of("1.0", "{}"));
        assert_ne!(of("1.0", "{}"), of("0.5", "{}"));
        assert_ne!(of("1.0", "{}"), of("1.0", r#"{"a":"b"}"#));
        assert_eq!(of("1.0", "null")[0].0, ServiceKey::new("n", "g", "s"));
        assert!(read("n", "<html>").is_err());
    }
}
