//! Who we are: a token that is renewed before its end, or signatures.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{Error, Result};
use super::http::{HttpCall, NacosHttp};
use super::lenient;
use super::sign::{AccessKeys, now_ms, sign};

/// Where a login is asked for, newest first: 3.x, then 1.x and 2.x.
const LOGIN_PATHS: [&str; 3] = ["/v3/auth/user/login", "/v1/auth/users/login", "/v1/auth/login"];
/// A refused login is not retried for this long: a wrong password must not cause a storm of logins.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// How long a server that lets everybody in, and refuses the login, is taken for such a one.
const OPEN_FOR: Duration = Duration::from_secs(60);

/// A token younger than this is not renewed because a request was refused: then the user lacks a
/// right, and a request that is denied repeatedly must not cause as many logins.
const YOUNG: Duration = Duration::from_secs(10);

/// True when a refusal says that the token is fine and the right is missing.
pub(super) fn lacks_right(text: &str) -> bool {
    text.contains("authorization failed")
}

/// A user of the cluster.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: SecretString,
}

struct Token {
    value: SecretString,
    made_at: Instant,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Default)]
struct LoginState {
    token: Option<Token>,
    refused: Option<(Instant, Error)>,
    /// The server checks no access until then, as far as is known.
    open_until: Option<Instant>,
    /// Index of the path that worked.
    path: Option<usize>,
}

/// Credentials of one cluster.
pub(super) struct Auth {
    login: Option<Login>,
    keys: Option<AccessKeys>,
    state: Mutex<LoginState>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedIn {
    access_token: SecretString,
    #[serde(default, deserialize_with = "lenient::integer")]
    token_ttl: i64,
}

impl Auth {
    pub(super) fn new(login: Option<Login>, keys: Option<AccessKeys>) -> Self {
        Auth { login, keys, state: Mutex::new(LoginState::default()) }
    }

    /// The current token, and another one than `stale` unless that is young; logs in when there is none or it is near its
    /// end. None without a user, and where a login is refused by a server that checks no access: the vendor's clients go on
    /// without one there.
    pub(super) async fn fresh(&self, http: &NacosHttp, stale: Option<&SecretString>) -> Result<Option<SecretString>> {
        let Some(login) = &self.login else {
            return Ok(None);
        };
        // Held across the login on purpose: one login serves all who wait.
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(token) = &state.token
            && now < token.renew_at
            && (stale.is_none_or(|s| s.expose_secret() != token.value.expose_secret())
                || now.duration_since(token.made_at) < YOUNG)
        {
            return Ok(Some(token.value.clone()));
        }
        if let Some((since, error)) = &state.refused
            && now.duration_since(*since) < REFUSED_FOR
        {
            return Err(error.clone());
        }
        if stale.is_none() && state.open_until.is_some_and(|until| now < until) {
            return Ok(None);
        }
        match log_in(http, login, &mut state.path).await {
            Ok(None) => {
                if state.open_until.is_none() {
                    tracing::warn!(
                        user = login.user,
                        "the login is refused, but the server checks no access: goes on without it"
                    );
                }
                (state.open_until, state.token, state.refused) = (Some(now + OPEN_FOR), None, None);
                Ok(None)
            }
            Ok(Some(token)) => {
                state.open_until = None;
                let value = token.value.clone();
                state.refused = None;
                state.token = Some(token);
                Ok(Some(value))
            }
            Err(error) => {
                if matches!(error, Error::Denied(_)) {
                    state.refused = Some((now, error.clone()));
                }
                // A token that still holds is better than none.
                match &state.token {
                    Some(token) if stale.is_none() && now < token.ends_at => Ok(Some(token.value.clone())),
                    _ => Err(error),
                }
            }
        }
    }

    /// Signature parameters of an HTTP request about `service`, or of a gRPC one as headers.
    pub(super) fn signature(&self, service: Option<&str>) -> Vec<(&'static str, String)> {
        let Some(keys) = &self.keys else {
            return Vec::new();
        };
        let (data, signature) = sign(keys, service, now_ms());
        vec![("ak", keys.access.clone()), ("data", data), ("signature", signature)]
    }

    /// Headers of a gRPC request about `service`.
    pub(super) fn headers(&self, token: Option<&SecretString>, service: Option<&str>) -> HashMap<String, String> {
        let mut headers: HashMap<String, String> =
            self.signature(service).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Some(token) = token {
            headers.insert("accessToken".into(), token.expose_secret().to_owned());
        }
        headers
    }
}

/// A new token; none where the login is refused by a server that checks no access.
async fn log_in(http: &NacosHttp, login: &Login, known: &mut Option<usize>) -> Result<Option<Token>> {
    let order = known.map_or(0..LOGIN_PATHS.len(), |path| path..path + 1);
    let mut last = Error::Protocol("no login path".into());
    for index in order {
        let call = HttpCall::new(Method::POST, LOGIN_PATHS[index])
            .with("username", &login.user)
            .with("password", login.password.expose_secret());
        let started = Instant::now();
        let reply = http.send(&call, None).await?;
        // 3.x answers a wrong password of a known user with a bare 500.
        if index == 0 && reply.status.as_u16() == 500 && is_ready(http).await {
            if is_open(http, index).await {
                return Ok(None);
            }
            return Err(Error::Denied("HTTP 500 to a login, though the server is ready: wrong password?".into()));
        }
        match reply.json::<LoggedIn>() {
            Ok(answer) => {
                *known = Some(index);
                // Some seconds at least, so that a server without a TTL is not asked all the time.
                let ttl = u64::try_from(answer.token_ttl).unwrap_or(0).max(5);
                return Ok(Some(Token {
                    value: answer.access_token,
                    made_at: started,
                    renew_at: started + Duration::from_millis(ttl * 800),
                    ends_at: started + Duration::from_secs(ttl),
                }));
            }
            // Not there: an older or newer server.
            Err(error @ (Error::Protocol(_) | Error::NotFound(_))) => last = error,
            // A server that does not know the user answers 500 (2.x) or 403.
            Err(_) if is_open(http, index).await => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    // The server may have been upgraded: look for the path again next time.
    *known = None;
    Err(last)
}

/// True when a 3.x server says that it is well.
async fn is_ready(http: &NacosHttp) -> bool {
    let call = HttpCall::get("/v3/admin/core/state/readiness");
    http.send(&call, None).await.is_ok_and(|reply| reply.text().is_ok())
}

/// Whether a server answers what needs a right to somebody who has not signed in. `login`: which login path it has.
async fn is_open(http: &NacosHttp, login: usize) -> bool {
    let path = if login == 0 { "/v3/admin/ns/service/list" } else { "/v1/ns/service/list" };
    let call = HttpCall::get(path).with("pageNo", "1").with("pageSize", "1");
    http.send(&call, None).await.is_ok_and(|reply| reply.text().is_ok())
}
