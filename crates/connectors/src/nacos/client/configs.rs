//! Config entries, over HTTP.

use std::collections::BTreeSet;

use causeway_core::EntryKey;
use md5::{Digest, Md5};
use reqwest::Method;
use serde::Deserialize;

use super::NacosClient;
use super::admin::Generation;
use super::error::{Error, Result, or_default};
use super::http::{HttpCall, HttpReply};
use super::lenient;
use super::wire::PUBLIC;

/// The type that servers give an entry for which nobody has said one.
pub const DEFAULT_TYPE: &str = "text";
/// Entries of one page of 3.x, and of one that holds contents too. A server that gives fewer is asked for more pages of
/// what it gives.
const PAGE: usize = 10_000;
const WHOLE_PAGE: usize = 500;
/// How often a list that changes while its pages are read is read again before giving up.
const TRIES: usize = 4;
/// Of 1.x and 2.x.
const CONFIGS: &str = "/v1/cs/configs";

/// An entry as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawRow")]
pub struct ConfigRow {
    /// The config group.
    pub group: String,
    /// The data id.
    pub data_id: String,
    /// `text`, `yaml`, …
    pub kind: String,
    /// Of its content: 3.x tells it, 1.x tells the content.
    pub md5: Option<String>,
    /// The content's bytes, where the list has told the content.
    pub size: Option<usize>,
    /// When it was last changed, in milliseconds since 1970 (a database may keep whole seconds only): 2.x tells it.
    pub modified_ms: Option<i64>,
}

/// An entry with what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigDetail {
    /// What is in it.
    #[serde(default, deserialize_with = "lenient::text")]
    pub content: String,
    /// Of the content, as 32 hexadecimal digits.
    #[serde(default, deserialize_with = "lenient::text")]
    pub md5: String,
    /// `text`, `yaml`, …
    #[serde(default, rename = "type", deserialize_with = "lenient::text")]
    pub kind: String,
    /// When it was last changed, in milliseconds since 1970.
    #[serde(default, rename = "modifyTime", deserialize_with = "lenient::integer")]
    pub modified_ms: i64,
    /// An operator's words.
    #[serde(default, deserialize_with = "lenient::text")]
    pub desc: String,
    /// With commas between.
    #[serde(default, deserialize_with = "lenient::text")]
    pub config_tags: String,
    /// The application that it belongs to.
    #[serde(default, deserialize_with = "lenient::text")]
    pub app_name: String,
    /// How an application uses it.
    #[serde(default, rename = "use", deserialize_with = "lenient::text")]
    pub usage: String,
    /// How a change takes effect.
    #[serde(default, deserialize_with = "lenient::text")]
    pub effect: String,
    /// What the content must look like.
    #[serde(default, deserialize_with = "lenient::text")]
    pub schema: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRow {
    data_id: String,
    #[serde(alias = "groupName")]
    group: String,
    #[serde(default, rename = "type", deserialize_with = "lenient::text")]
    kind: String,
    #[serde(default)]
    md5: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default, deserialize_with = "lenient::some")]
    last_modified: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowPage {
    #[serde(deserialize_with = "lenient::integer")]
    total_count: i64,
    #[serde(default, deserialize_with = "lenient::list")]
    page_items: Vec<ConfigRow>,
}

/// The sum of a content by which servers compare it, as 32 hexadecimal digits.
pub fn md5(content: &str) -> String {
    hex::encode(Md5::digest(content))
}

/// Types are told in lists of some versions only where they were said.
fn kind(said: String) -> String {
    if said.is_empty() { DEFAULT_TYPE.to_owned() } else { said }
}

impl From<RawRow> for ConfigRow {
    fn from(raw: RawRow) -> Self {
        Self {
            md5: raw.md5.filter(|sum| !sum.is_empty()).or_else(|| raw.content.as_deref().map(md5)),
            size: raw.content.as_ref().map(String::len),
            modified_ms: raw.last_modified.filter(|time| *time > 0),
            kind: kind(raw.kind),
            group: raw.group,
            data_id: raw.data_id,
        }
    }
}

impl NacosClient {
    /// Every entry of a namespace, of every group, as cheaply as the server can tell. Complete, or an error. An unknown
    /// namespace reads as an empty one.
    pub async fn configs(&self, namespace: &str) -> Result<Vec<ConfigRow>> {
        if self.generation().await? == Generation::V2 {
            let call = HttpCall::get("/v1/cs/history/configs").with("tenant", tenant(namespace));
            let reply = self.core.call(call).await?;
            if reply.status.as_u16() != 404 {
                return reply.json();
            }
        }
        self.config_sums(namespace).await
    }

    /// The same, with a sum of every content: on 1.x and 2.x the contents themselves are sent.
    pub async fn config_sums(&self, namespace: &str) -> Result<Vec<ConfigRow>> {
        let generation = self.generation().await?;
        for _ in 0..TRIES {
            if let Some(rows) = self.config_pages_once(namespace, generation).await? {
                return Ok(rows);
            }
        }
        Err(Error::Unavailable(format!("the config entries of namespace {namespace} could not be read whole")))
    }

    /// `None`: the list has changed between its pages, which might have left something out.
    async fn config_pages_once(&self, namespace: &str, generation: Generation) -> Result<Option<Vec<ConfigRow>>> {
        let (path, first) = generation.pick(("/v3/admin/cs/config/list", PAGE), (CONFIGS, WHOLE_PAGE));
        let (mut rows, mut size, mut total) = (Vec::new(), first, None);
        let any = EntryKey::new(namespace, "", "");
        for page in 1.. {
            let call = about(HttpCall::get(path), &any, generation).with("search", "accurate").page(page, size);
            let found: RowPage = self.core.read(call).await?;
            let count = usize::try_from(found.total_count).unwrap_or(0);
            if *total.get_or_insert(count) != count {
                return Ok(None);
            }
            let got = found.page_items.len();
            rows.extend(found.page_items);
            if rows.len() >= count || got == 0 {
                break;
            }
            // A server may give less than it was asked for.
            size = size.min(got);
        }
        let names: BTreeSet<_> = rows.iter().map(|row| (&row.group, &row.data_id)).collect();
        Ok((Some(names.len()) == total).then_some(rows))
    }

    /// One entry, as the database holds it; `None`: there is none.
    pub async fn config(&self, key: &EntryKey) -> Result<Option<ConfigDetail>> {
        let call = self.config_call(Method::GET, key).await?;
        let call = if self.generation().await? == Generation::V3 { call } else { call.with("show", "all") };
        let reply = self.core.call(call).await?;
        if reply.status.is_success() && reply.body.is_empty() {
            return Ok(None);
        }
        let found = if reply.status.is_success() { reply.json() } else { Err(refused(&reply)) };
        let Some(mut found) = or_default::<Option<ConfigDetail>>(found.map(Some))? else { return Ok(None) };
        if found.md5.is_empty() {
            found.md5 = md5(&found.content);
        }
        found.kind = kind(found.kind);
        Ok(Some(found))
    }

    /// Makes or replaces an entry where a content with the sum `stands`, or nothing; with none, only where nothing does.
    /// Returns false when something else stands there; 1.x does not look. Of `detail` the sum and the time are not looked
    /// at; what is empty is left out.
    pub async fn publish_config(&self, key: &EntryKey, detail: &ConfigDetail, stands: Option<&str>) -> Result<bool> {
        let tags = self.generation().await?.pick("configTags", "config_tags");
        let mut call = self.config_call(Method::POST, key).await?.with("content", &detail.content);
        let more = [
            ("type", &detail.kind),
            ("desc", &detail.desc),
            (tags, &detail.config_tags),
            ("appName", &detail.app_name),
            ("use", &detail.usage),
            ("effect", &detail.effect),
            ("schema", &detail.schema),
        ];
        for (name, value) in more.into_iter().filter(|(_, value)| !value.is_empty()) {
            call = call.with(name, value);
        }
        // No content has the sum 0: what stands there refuses it.
        call.headers.push(("casMd5", stands.unwrap_or("0").to_owned()));
        let reply = self.core.call(call).await?;
        if !reply.status.is_success() {
            return refusal(&reply, detail.content.len());
        }
        let written: bool = reply.json()?;
        if written { Ok(true) } else { Err(Error::Unavailable("the server says that it has not written it".into())) }
    }

    /// Deletes an entry, whatever stands there; also fine when there is none.
    pub async fn delete_config(&self, key: &EntryKey) -> Result<()> {
        self.core.execute(self.config_call(Method::DELETE, key).await?).await
    }

    async fn config_call(&self, method: Method, key: &EntryKey) -> Result<HttpCall> {
        let generation = self.generation().await?;
        Ok(about(HttpCall::new(method, generation.pick("/v3/admin/cs/config", CONFIGS)), key, generation))
    }
}

/// 1.x and 2.x call the default namespace by no name.
fn tenant(namespace: &str) -> &str {
    if namespace == PUBLIC { "" } else { namespace }
}

/// Says which entry a call is about, in the way of the generation; an empty name means any.
fn about(call: HttpCall, key: &EntryKey, generation: Generation) -> HttpCall {
    let (namespace, group) =
        generation.pick((("namespaceId", &*key.namespace), "groupName"), (("tenant", tenant(&key.namespace)), "group"));
    call.with("dataId", &*key.name).with(namespace.0, namespace.1).with(group, &*key.group)
}

/// What an unsuccessful answer to a write means: false for one that something else stands there.
fn refusal(reply: &HttpReply, size: usize) -> Result<bool> {
    let says = |words: &[&str]| words.iter().any(|word| reply.body.contains(word));
    if says(&["Cas publish fail"]) {
        return Ok(false);
    }
    if says(&["is not present"]) {
        // A form that is too long reads as an empty one.
        return Err(Error::Rejected(format!("{size} bytes are more than the server takes in one form")));
    }
    Err(refused(reply))
}

/// 1.x reports a name or a content that is not allowed with status 500.
fn refused(reply: &HttpReply) -> Error {
    let words = ["content is blank", "invalid dataId", "invalid group", "invalid content"];
    match reply.error() {
        Error::Unavailable(text) if words.iter().any(|word| reply.body.contains(word)) => Error::Rejected(text),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    #[test]
    fn rows_are_read_as_each_version_writes_them() {
        let row = |text: &str| serde_json::from_str::<ConfigRow>(text).unwrap();
        let two = row(
            r#"{"id":"0","dataId":"a","group":"g","content":null,"md5":null,"tenant":"n","type":"yaml","lastModified":17}"#,
        );
        assert_eq!((two.kind.as_str(), two.md5, two.modified_ms), ("yaml", None, Some(17)));
        let three = row(r#"{"groupName":"g","dataId":"a","md5":"bf","type":"text","createTime":0,"modifyTime":0}"#);
        assert_eq!((three.md5.as_deref(), three.modified_ms, three.size), (Some("bf"), None, None));
        let one = row(r#"{"dataId":"a","group":"g","content":"ü","md5":null,"type":null}"#);
        assert_eq!((one.kind.as_str(), one.md5, one.size), ("text", Some(md5("ü")), Some(2)));
        assert_eq!(md5("prov-r2"), "2f1a0db45a273fe40d9ebaf3b3cca4db", "as a server told it");
    }

    #[test]
    fn refusals_are_sorted() {
        let of = |status: u16, body: &str| {
            refusal(&HttpReply { status: StatusCode::from_u16(status).unwrap(), body: body.into() }, 9)
        };
        assert_eq!(of(500, "caused: Cas publish fail, server md5 may have changed.;"), Ok(false));
        assert_eq!(of(500, r#"{"code":20005,"message":"resource conflict","data":"Cas publish fail, …"}"#), Ok(false));
        for body in [
            "caused: content is blank : ;",
            "caused: invalid dataId : a$b;",
            "caused: Required String parameter 'dataId' is not present;",
        ] {
            assert!(matches!(of(500, body), Err(Error::Rejected(_))), "{body}");
        }
        let illegal = "Param 'dataId' is illegal, illegal characters should not appear in the param.";
        assert!(matches!(of(400, illegal), Err(Error::Rejected(_))));
        assert!(matches!(of(500, "no leader"), Err(Error::Unavailable(_))));
    }
}
