//! Which version answers, and namespaces.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;

use super::NacosClient;
use super::error::{Error, Result};
use super::grpc::probe;
use super::http::HttpCall;
use super::wire::{Namespace, PUBLIC};

/// What a server can do, by its first number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// HTTP only.
    V1,
    /// gRPC, and the HTTP interfaces of 1.x.
    V2,
    /// gRPC, and HTTP interfaces of its own.
    V3,
}

impl Generation {
    /// What 3.x calls otherwise than its predecessors.
    pub(super) fn pick<T>(self, new: T, old: T) -> T {
        if self == Generation::V3 { new } else { old }
    }
}

/// A server's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedVersion {
    /// Decides which interfaces are used.
    pub generation: Generation,
    /// As the server writes it, for instance `2.5.0`; empty when it hides it.
    pub text: String,
}

impl NacosClient {
    /// The servers' version, asked once and remembered. Works without credentials.
    ///
    /// Errors: `Unavailable`; `Protocol` when something else than Nacos answers.
    pub async fn version(&self) -> Result<DetectedVersion> {
        if let Some(known) = self.known_version() {
            return Ok(known);
        }
        let found = self.detect().await?;
        *self.core.version.lock() = Some(found.clone());
        Ok(found)
    }

    pub(super) async fn generation(&self) -> Result<Generation> {
        Ok(self.version().await?.generation)
    }

    /// The servers' version as far as it has been told.
    pub fn known_version(&self) -> Option<DetectedVersion> {
        self.core.version.lock().clone()
    }

    /// Asks again at the next [`NacosClient::version`]: servers may be upgraded under us.
    pub fn forget_version(&self) {
        *self.core.version.lock() = None;
    }

    async fn detect(&self) -> Result<DetectedVersion> {
        let paths = ["/v3/admin/core/state", "/v1/console/server/state"];
        let mut is_nacos = false;
        for path in paths {
            let reply = self.core.http.send(&HttpCall::get(path), None).await?;
            match reply.status.as_u16() {
                // Nacos answers 404, 410 or (behind its own filter) 403 where a page is not.
                403 | 404 | 410 | 501 => is_nacos = true,
                500.. => return Err(reply.error()),
                _ => {}
            }
            let state = reply.json::<BTreeMap<String, Value>>().unwrap_or_default();
            if let Some(text) = state.get("version").and_then(Value::as_str) {
                return parse(text);
            }
        }
        if !is_nacos {
            return Err(Error::Protocol("no Nacos answers at the address and context path".into()));
        }
        // The pages are hidden (a managed cluster): what speaks gRPC and has no 3.x pages is 2.x.
        let generation = if probe(&self.core).await { Generation::V2 } else { Generation::V1 };
        Ok(DetectedVersion { generation, text: String::new() })
    }

    /// All namespaces, the default one (as `public`) included.
    ///
    /// Errors: `Denied` where our user may not list them (3.x asks for an administrator).
    pub async fn namespaces(&self) -> Result<Vec<Namespace>> {
        let path = self.generation().await?.pick("/v3/admin/core/namespace/list", "/v1/console/namespaces");
        let mut all: Vec<Namespace> = self.core.read(HttpCall::get(path)).await?;
        // Lists call the default one by no id.
        all.iter_mut().filter(|one| one.id.is_empty()).for_each(|one| PUBLIC.clone_into(&mut one.id));
        Ok(all)
    }

    /// Creates a namespace with the given id. Errors: `Rejected` when it exists or its id or
    /// name has characters that the server does not take.
    pub async fn create_namespace(&self, namespace: &Namespace) -> Result<()> {
        let (path, id_name) = self
            .generation()
            .await?
            .pick(("/v3/admin/core/namespace", "namespaceId"), ("/v1/console/namespaces", "customNamespaceId"));
        let call = HttpCall::new(Method::POST, path)
            .with(id_name, &namespace.id)
            .with("namespaceName", &namespace.name)
            .with("namespaceDesc", &namespace.description);
        match self.core.read(call).await? {
            Value::Bool(true) => Ok(()),
            _ => {
                let why = "was not created (it exists, or its id is not allowed)";
                Err(Error::Rejected(format!("namespace {} {why}", namespace.id)))
            }
        }
    }
}

fn parse(text: &str) -> Result<DetectedVersion> {
    let generation = match text.split('.').next() {
        Some("0" | "1") => Generation::V1,
        Some("2") => Generation::V2,
        Some(n) if n.parse::<u32>().is_ok_and(|n| n >= 3) => Generation::V3,
        _ => return Err(Error::Protocol(format!("unknown Nacos version {text:?}"))),
    };
    Ok(DetectedVersion { generation, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        let of = |text: &str| parse(text).map(|v| v.generation);
        assert_eq!(of("1.4.1"), Ok(Generation::V1));
        assert_eq!(of("2.5.0"), Ok(Generation::V2));
        assert_eq!(of("3.1.0-bugfix"), Ok(Generation::V3));
        assert!(of("").is_err());
        assert!(of("nginx").is_err());
    }
}
