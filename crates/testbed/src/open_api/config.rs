//! Config entries.

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{Form, OpenApi};

/// Entries of a list's page.
const PAGE: usize = 200;

/// A config entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub group: String,
    /// The data id.
    pub id: String,
    pub content: String,
    /// `text`, `yaml`, …
    pub kind: String,
    pub description: String,
    /// With commas between.
    pub tags: String,
    pub md5: String,
}

impl OpenApi {
    fn config_path(&self) -> &'static str {
        if self.three() { "/v3/admin/cs/config" } else { "/v1/cs/configs" }
    }

    /// Namespace (`public` is the default one), group and data id.
    fn config_place(&self, namespace: &str, group: &str, id: &str) -> Form {
        let (space, of) = if self.three() { ("namespaceId", "groupName") } else { ("tenant", "group") };
        let namespace = if !self.three() && namespace == "public" { "" } else { namespace };
        vec![(space, namespace.into()), (of, group.into()), ("dataId", id.into())]
    }

    /// Creates or replaces an entry. `more`: such as `type`, `desc`, and `config_tags` (3.1: `configTags`).
    pub async fn publish_config(
        &self,
        namespace: &str,
        group: &str,
        id: &str,
        content: &str,
        more: &[(&'static str, &str)],
    ) -> Result<()> {
        let mut form = self.config_place(namespace, group, id);
        form.push(("content", content.into()));
        form.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        match self.ask(Method::POST, self.config_path(), &form).await? {
            Value::Bool(true) => Ok(()),
            other => bail!("publishing {id} was answered {other}"),
        }
    }

    /// `None` when there is no such entry.
    pub async fn config(&self, namespace: &str, group: &str, id: &str) -> Result<Option<Config>> {
        let mut form = self.config_place(namespace, group, id);
        if !self.three() {
            form.push(("show", "all".into()));
        }
        let (status, body) = self.call(Method::GET, self.config_path(), &form).await?;
        if status == StatusCode::NOT_FOUND || (status.is_success() && body.is_empty()) {
            return Ok(None);
        }
        if !status.is_success() {
            bail!("reading {id}: {status}: {}", body.trim());
        }
        let said: Value = serde_json::from_str(&body)?;
        config(if self.three() { &said["data"] } else { &said }).map(Some)
    }

    /// Also when there is none.
    pub async fn delete_config(&self, namespace: &str, group: &str, id: &str) -> Result<()> {
        self.ask(Method::DELETE, self.config_path(), &self.config_place(namespace, group, id)).await?;
        Ok(())
    }

    /// Every entry of a namespace.
    pub async fn configs(&self, namespace: &str) -> Result<Vec<Config>> {
        let mut out = Vec::new();
        for page in 1.. {
            let mut form = self.config_place(namespace, "", "");
            form.extend([
                ("search", "accurate".to_owned()),
                ("pageNo", page.to_string()),
                ("pageSize", PAGE.to_string()),
            ]);
            let path = if self.three() { "/v3/admin/cs/config/list" } else { "/v1/cs/configs" };
            let said = self.ask(Method::GET, path, &form).await?;
            let items = said["pageItems"].as_array().context("no list of entries")?;
            for item in items {
                let listed = config(item)?;
                // 3.1 lists no contents.
                let whole =
                    if self.three() { self.config(namespace, &listed.group, &listed.id).await? } else { Some(listed) };
                out.extend(whole);
            }
            if items.len() < PAGE {
                break;
            }
        }
        Ok(out)
    }
}

fn config(value: &Value) -> Result<Config> {
    let text =
        |keys: &[&str]| -> String { keys.iter().find_map(|key| value[*key].as_str()).unwrap_or_default().to_owned() };
    let id = value["dataId"].as_str().with_context(|| format!("an entry: {value}"))?;
    Ok(Config {
        group: text(&["groupName", "group"]),
        id: id.to_owned(),
        content: text(&["content"]),
        kind: text(&["type"]),
        description: text(&["desc"]),
        tags: text(&["configTags"]),
        md5: text(&["md5"]),
    })
}
