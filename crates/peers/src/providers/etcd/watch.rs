//! What happens to a key of etcd, as its JSON form tells it.

use super::super::answers::Lines;
use super::client::EtcdError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Response;
use serde_json::Value;

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EtcdValue {
    /// `None`: there is no such key.
    pub value: Option<Vec<u8>>,
    /// The version of the whole store that was looked at.
    pub revision: i64,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EtcdEvent {
    /// The key was written or deleted.
    Changed(EtcdValue),
    /// The watch has ended: what came after its revision is no longer known, or the token is not.
    Ended(String),
}

/// What happens to a key.
#[derive(Debug)]
pub(super) struct EtcdWatch {
    lines: Lines,
    base: String,
}

impl EtcdWatch {
    pub(super) fn new(response: Response, base: String) -> Self {
        Self { lines: Lines::new(response), base }
    }

    /// The server that tells it.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The next events, the oldest first. Nothing is lost when this is dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Vec<EtcdEvent>, EtcdError> {
        match self.lines.next().await {
            Ok(Some(line)) => events(&line),
            Ok(None) => Err(EtcdError::Away(format!("{}: the watch ended", self.base))),
            Err(why) => Err(EtcdError::Away(format!("{}: the watch broke: {why}", self.base))),
        }
    }
}

fn events(line: &[u8]) -> Result<Vec<EtcdEvent>, EtcdError> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let line: Value =
        serde_json::from_slice(line).map_err(|e| EtcdError::Refused(format!("an event that is no JSON: {e}")))?;
    let result = &line["result"];
    if result["canceled"] == true || !line["error"].is_null() {
        let why = match number(&result["compact_revision"]) {
            0 => result["cancel_reason"]
                .as_str()
                .or(line["error"]["message"].as_str())
                .unwrap_or("no reason is told")
                .to_owned(),
            revision => format!("everything before revision {revision} was compacted"),
        };
        return Ok(vec![EtcdEvent::Ended(why)]);
    }
    let rows = result["events"].as_array().into_iter().flatten();
    let event = |row: &Value| {
        let value = match row["type"].as_str() {
            Some("DELETE") => None,
            _ => Some(bytes(&row["kv"]["value"])?),
        };
        Ok(EtcdEvent::Changed(EtcdValue { value, revision: number(&row["kv"]["mod_revision"]) }))
    };
    rows.map(event).collect()
}

/// 64-bit numbers are texts in JSON; those that are 0 are left out.
pub(super) fn number(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).or(value.as_i64()).unwrap_or_default()
}

/// Empty ones are left out.
pub(super) fn bytes(value: &Value) -> Result<Vec<u8>, EtcdError> {
    let decoded = BASE64.decode(value.as_str().unwrap_or_default());
    decoded.map_err(|e| EtcdError::Refused(format!("a value that is no Base64: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_watch() {
        let parse = |text: &str| events(text.as_bytes()).unwrap();
        assert_eq!(parse(r#"{"result":{"header":{"revision":"3"},"created":true}}"#), []);
        let changed = |value: Option<&str>, revision| {
            EtcdEvent::Changed(EtcdValue { value: value.map(|text| text.as_bytes().to_vec()), revision })
        };
        let put = r#"{"result":{"events":[{"kv":{"key":"aw==","mod_revision":"4","value":"aGk="}},{"kv":{"mod_revision":"5"}}]}}"#;
        assert_eq!(parse(put), [changed(Some("hi"), 4), changed(Some(""), 5)]);
        assert_eq!(parse(r#"{"result":{"events":[{"type":"DELETE","kv":{"mod_revision":"6"}}]}}"#), [changed(None, 6)]);
        let compacted = parse(r#"{"result":{"canceled":true,"compact_revision":"9"}}"#);
        assert!(matches!(&compacted[..], [EtcdEvent::Ended(why)] if why.contains("revision 9")), "{compacted:?}");
        let refused =
            parse(r#"{"result":{"created":true,"canceled":true,"cancel_reason":"etcdserver: permission denied"}}"#);
        assert!(matches!(&refused[..], [EtcdEvent::Ended(why)] if why.contains("permission denied")), "{refused:?}");
        assert!(matches!(&parse(r#"{"error":{"message":"gone"}}"#)[..], [EtcdEvent::Ended(why)] if why == "gone"));
        assert!(events(b"{").is_err() && parse("").is_empty());
    }
}
