//! HTTP to one cluster: its requests, and what its answers mean.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::address::Address;
use super::error::{Error, Result, brief};
use crate::util::http::{self, Limits};

/// How long a TCP connection may take to stand.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the answer of one server may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a list of everything may take.
const LONG: Duration = Duration::from_secs(30);
/// How long to wait when a server says that it is over its threshold and not for how long.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of an answer.
const BODY: usize = 256 << 20;

/// One request. Parameters go into the body of a POST or PUT, so that long metadata does not
/// hit the server's limit of header size; else into the query.
#[derive(Clone, Debug)]
pub(super) struct HttpCall {
    pub(super) method: Method,
    /// Path behind the context path, with a leading slash.
    pub(super) path: &'static str,
    pub(super) params: Vec<(&'static str, String)>,
    /// Headers of its own.
    pub(super) headers: Vec<(&'static str, String)>,
    /// `group@@service` that the request speaks of, for signatures.
    pub(super) service: Option<String>,
    /// How long the whole answer may take, where that grows with what the server holds.
    pub(super) limit: Option<Duration>,
}

impl HttpCall {
    pub(super) fn new(method: Method, path: &'static str) -> Self {
        HttpCall { method, path, params: Vec::new(), headers: Vec::new(), service: None, limit: None }
    }

    pub(super) fn get(path: &'static str) -> Self {
        HttpCall::new(Method::GET, path)
    }

    /// Of a list that may be long: a busy server takes its time for it.
    pub(super) fn long(mut self) -> Self {
        self.limit = Some(LONG);
        self
    }

    /// Of a page of a list; the first is 1.
    pub(super) fn page(self, number: usize, size: usize) -> Self {
        self.with("pageNo", number.to_string()).with("pageSize", size.to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.params.push((name, value.into()));
        self
    }
}

/// What a server answered, whatever its status.
#[derive(Clone, Debug)]
pub(super) struct HttpReply {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// The servers of one cluster over HTTP; the last one that answered is asked first.
pub(super) struct NacosHttp(http::Http);

impl NacosHttp {
    pub(super) fn new(tls: rustls::ClientConfig, addresses: &[Address], context: &str) -> Result<Self> {
        let bases = addresses.iter().map(|address| format!("{}/{}", address.base(), context.trim_matches('/')));
        let limits = Limits { connect: CONNECT, answer: ANSWER, body: BODY };
        let is_gateway_trouble = |reply: &http::Reply| matches!(reply.status.as_u16(), 502..=504);
        http::Http::new(tls, bases, limits, is_gateway_trouble).map(NacosHttp).map_err(Error::Rejected)
    }

    /// Sends `call`, with a token when given. Servers that cannot be reached, or that answer 502–504, are passed over.
    pub(super) async fn send(&self, call: &HttpCall, token: Option<&str>) -> Result<HttpReply> {
        let build = |client: &Client, base: &str| {
            let mut request = client.request(call.method.clone(), format!("{base}{}", call.path));
            request = match call.method {
                Method::POST | Method::PUT => request.form(&call.params),
                _ => request.query(&call.params),
            };
            for (name, value) in &call.headers {
                request = request.header(*name, value);
            }
            match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            }
        };
        let reply = self.0.send(call.limit, build).await.map_err(|error| match error {
            http::Error::Unavailable(why) => Error::Unavailable(why),
            http::Error::Unusable(why) => Error::Protocol(why),
        })?;
        Ok(HttpReply { status: reply.status, body: reply.text() })
    }

    /// Which of the addresses answered last.
    pub(super) fn preferred(&self) -> usize {
        self.0.preferred()
    }
}

/// `{code, message, data}` of 2.x and 3.x answers. Read without a tree of what is inside, which may be megabytes.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    code: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "also_null")]
    data: Option<&'a RawValue>,
}

/// A value of null is there, too.
fn also_null<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> std::result::Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(input).map(Some)
}

impl<'a> Envelope<'a> {
    fn of(body: &'a str) -> Option<Self> {
        if body.starts_with('{') { serde_json::from_str(body).ok() } else { None }
    }

    /// Whether the server says in it that it did what it was asked for.
    fn is_success(&self) -> bool {
        // The last two are a beat's own answers.
        self.code.get().parse::<i64>().map_or(true, |code| matches!(code, 0 | 200 | 10200 | 20404))
    }
}

impl HttpReply {
    /// The text of a successful answer.
    pub(super) fn text(self) -> Result<String> {
        self.envelope()?;
        Ok(self.body)
    }

    /// The JSON of a successful answer, without its envelope.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T> {
        let inner = self.envelope()?.and_then(|envelope| envelope.data).map_or(self.body.as_str(), RawValue::get);
        serde_json::from_str(inner).map_err(|e| Error::Protocol(format!("answer: {e}")))
    }

    /// The envelope of a successful answer, where it has one.
    fn envelope(&self) -> Result<Option<Envelope<'_>>> {
        let envelope = Envelope::of(&self.body);
        match self.status.is_success() && envelope.as_ref().is_none_or(Envelope::is_success) {
            true => Ok(envelope),
            false => Err(self.error()),
        }
    }

    /// What an unsuccessful answer means.
    pub(super) fn error(&self) -> Error {
        let value: Value = serde_json::from_str(&self.body).unwrap_or(Value::Null);
        let code = value.get("code").and_then(Value::as_i64);
        let text = self.reason(&value);
        // Only Nacos' own words say that a thing is not there: a proxy, a wrong context path
        // or a starting server answer 404 as well, and mean nothing by it.
        let names_it = code == Some(21008) || code == Some(22001) || code == Some(20004);
        if names_it || (value.get("path").is_none() && says_missing(&self.body)) {
            return Error::NotFound(text);
        }
        if self.status.as_u16() == 500 && self.body.contains("instance format invalid") {
            // 1.x reports a bad request so.
            return Error::Rejected(text);
        }
        match self.status.as_u16() {
            401 | 403 => Error::Denied(text),
            429 => Error::Throttled(PATIENCE),
            503 if self.body.contains("over") && self.body.contains("threshold") => Error::Throttled(PATIENCE),
            404 | 405 | 410 | 501 => Error::Protocol(text),
            400 | 409 | 413..=415 | 422 => Error::Rejected(text),
            // 200 with an error code of its own: the request was understood and refused.
            200..=299 => Error::Rejected(text),
            _ => Error::Unavailable(text),
        }
    }

    fn reason(&self, value: &Value) -> String {
        let field = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let words = match (field("message"), field("data")) {
            (Some(message), Some(data)) => format!("{message}: {data}"),
            (Some(one), None) | (None, Some(one)) => one.to_owned(),
            (None, None) => self.body.clone(),
        };
        format!("HTTP {}: {}", self.status.as_u16(), brief(&words))
    }
}

fn says_missing(body: &str) -> bool {
    body.contains("is not found!")
        || body.contains("service not found, namespace")
        || (body.contains("service ") && body.contains("@@") && body.contains(" not found!"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn reply(status: u16, body: &str) -> HttpReply {
        HttpReply { status: StatusCode::from_u16(status).unwrap(), body: body.into() }
    }

    #[test]
    fn only_nacos_own_words_mean_missing() {
        let missing = [
            reply(404, "service DEFAULT_GROUP@@nix is not found!"),
            reply(500, "caused: serivce DEFAULT_GROUP@@nix is not found!;"),
            reply(400, r#"{"code":21008,"message":"service not exist","data":"service not found, namespace: public"}"#),
            reply(404, r#"{"code":30000,"message":"server error","data":"cluster nope is not found!"}"#),
        ];
        for one in missing {
            assert!(matches!(one.error(), Error::NotFound(_)), "{one:?}");
        }
        let spring = reply(404, r#"{"status":404,"error":"Not Found","path":"/x"}"#);
        assert!(matches!(spring.error(), Error::Protocol(_)));
        let proxy = reply(404, "<html>404 page not found</html>");
        assert!(matches!(proxy.error(), Error::Protocol(_)));
    }

    #[test]
    fn a_success_may_hold_an_error() {
        let refused = reply(200, r#"{"code":21003,"message":"no","data":null}"#);
        assert!(matches!(refused.text(), Err(Error::Rejected(_))));
        let list: Vec<u8> = reply(200, r#"{"code":0,"message":"success","data":[1]}"#).json().unwrap();
        assert_eq!(list, [1]);
        let bare: Vec<u8> = reply(200, "[2]").json().unwrap();
        assert_eq!(bare, [2]);
        assert!(matches!(reply(200, r#"{"code":21003,"data":[1]}"#).json::<Vec<u8>>(), Err(Error::Rejected(_))));
        assert!(matches!(reply(200, r#"{"code":0,"data":null}"#).json::<Vec<u8>>(), Err(Error::Protocol(_))));
        let own: BTreeMap<String, u8> = reply(200, r#"{"data":3,"count":4}"#).json().unwrap();
        assert_eq!(own["count"], 4, "not an envelope");
    }

    #[test]
    fn errors_are_sorted_by_what_to_do() {
        assert!(matches!(reply(403, "token invalid!").error(), Error::Denied(_)));
        assert!(matches!(reply(500, "x").error(), Error::Unavailable(_)));
        assert!(matches!(reply(400, "x").error(), Error::Rejected(_)));
        let invalid = "caused: instance format invalid: Your weight is not correct;";
        assert!(matches!(reply(500, invalid).error(), Error::Rejected(_)));
        assert!(matches!(reply(410, "{}").error(), Error::Protocol(_)));
    }
}
