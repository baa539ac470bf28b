//! Signing in, and making the administrator of a new server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use super::{Form, OpenApi};
use crate::nacos::NacosVersion;

/// The server reads its users every 15 s, so a new one cannot sign in before.
const KNOWN_AFTER: Duration = Duration::from_secs(40);

impl OpenApi {
    /// This interface with a token for `user`; tries for 40 s, as a new user is not known at once.
    pub async fn sign_in(&self, user: &str, password: &str) -> Result<Self> {
        let end = Instant::now() + KNOWN_AFTER;
        loop {
            match self.token(user, password).await {
                Ok(token) => {
                    return Ok(Self { token: Some(token), ..self.clone() });
                }
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => sleep(Duration::from_millis(250)).await,
            }
        }
    }

    /// One attempt to get a token.
    pub async fn token(&self, user: &str, password: &str) -> Result<String> {
        let form: Form = vec![("username", user.into()), ("password", password.into())];
        let (status, body) = self.call(Method::POST, "/v1/auth/login", &form).await?;
        if status != StatusCode::OK {
            bail!("signing in as {user}: {status}");
        }
        let said: Value = serde_json::from_str(&body).context("the answer to a login")?;
        let token = said["accessToken"].as_str().context("no accessToken in the answer to a login")?;
        Ok(token.into())
    }

    /// Gives a new server its administrator; fine when it has it. 1.4 is born with nacos/nacos, whose password this
    /// changes.
    pub(crate) async fn make_administrator(&self, user: &str, password: &str) -> Result<()> {
        if self.version == NacosVersion::V1_4 {
            // A server that was just started knows none of its users for some seconds: no refusal is final.
            let end = Instant::now() + KNOWN_AFTER;
            let token = loop {
                if self.token(user, password).await.is_ok() {
                    return Ok(());
                }
                match self.token("nacos", "nacos").await {
                    Ok(token) => break token,
                    Err(error) if Instant::now() > end => return Err(error),
                    Err(_) => sleep(Duration::from_millis(250)).await,
                }
            };
            let born = Self { token: Some(token), ..self.clone() };
            let form: Form = vec![("username", user.into()), ("newPassword", password.into())];
            let (status, _) = born.call(Method::PUT, "/v1/auth/users", &form).await?;
            if !status.is_success() {
                bail!("changing the administrator's password: {status}");
            }
            return Ok(());
        }
        let path = if self.three() { "/v3/auth/user/admin" } else { "/v1/auth/users/admin" };
        let form: Form = vec![("username", user.into()), ("password", password.into())];
        let (status, _) = self.call(Method::POST, path, &form).await?;
        // 409, as a status or in the body of a 200: there is one already.
        if !status.is_success() && status != StatusCode::CONFLICT {
            bail!("making the administrator: {status}");
        }
        Ok(())
    }

    /// Makes a user who may do `action` (`r`, `w` or `rw`) in one namespace and nothing else.
    pub async fn make_user(&self, user: &str, password: &str, namespace: &str, action: &str) -> Result<()> {
        let (users, roles, permissions) = if self.three() {
            ("/v3/auth/user", "/v3/auth/role", "/v3/auth/permission")
        } else {
            ("/v1/auth/users", "/v1/auth/roles", "/v1/auth/permissions")
        };
        let role = format!("role-{user}");
        let user: Form = vec![("username", user.into()), ("password", password.into())];
        self.ask(Method::POST, users, &user).await?;
        // A role is given only to a user whom the server has noticed.
        let binding: Form = vec![("username", user[0].1.clone()), ("role", role.clone())];
        let end = Instant::now() + KNOWN_AFTER;
        while let Err(error) = self.ask(Method::POST, roles, &binding).await {
            if Instant::now() > end {
                return Err(error);
            }
            sleep(Duration::from_millis(500)).await;
        }
        let permission: Form =
            vec![("role", role), ("resource", format!("{namespace}:*:*")), ("action", action.into())];
        while let Err(error) = self.ask(Method::POST, permissions, &permission).await {
            if Instant::now() > end {
                return Err(error);
            }
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}
