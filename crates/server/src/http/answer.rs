//! Failures as answers, and the limits that every request has.

use crate::api::{ErrorBody, Failure};
use crate::error::Error;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// The longest that a request may take; a wait that the caller asked for is shorter. Work that was begun goes on.
const LONGEST: Duration = Duration::from_secs(610);

/// A failure with its status.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    failure: Box<Failure>,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let failure = Failure { code: code.to_owned(), message: message.into(), ..Failure::default() };
        Self { status, failure: Box::new(failure) }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.failure.help = help.into();
        self
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is no such path").help("the API is below /api/v1")
    }

    pub fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "bad-request", "this path does not take this method")
    }

    pub fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message).help(
            "send `Authorization: Bearer TOKEN`: the command line takes --token; the node showed it at its first start",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: *self.failure })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Settings(file, problems) => {
                let count = problems.errors().count();
                let errors = if count == 1 { "error" } else { "errors" };
                let message = format!("{file} has {count} {errors}; nothing of it was taken");
                let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-settings", message);
                refusal.failure.rendered = problems.render(false);
                refusal.failure.problems = problems.0;
                refusal
            }
            Error::Misfit(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-settings", text),
            Error::Missing(_) => Self::new(StatusCode::NOT_FOUND, "not-found", text),
            Error::Conflict { help, .. } => Self::new(StatusCode::CONFLICT, "conflict", text).help(help),
            Error::Cluster { .. } => Self::new(StatusCode::BAD_GATEWAY, "cluster-unavailable", text)
                .help("see whether its address, user and password are right, and whether it runs"),
            Error::Incomplete { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
                .help("keep the list that you have, and try again"),
            Error::Slow { help, .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", text).help(help),
            Error::Request(_) => Self::new(StatusCode::BAD_REQUEST, "bad-request", text),
            Error::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text),
            Error::Store(causeway_store::Error::Outdated { .. }) => Self::new(StatusCode::CONFLICT, "conflict", text)
                .help("look at the settings again, and repeat the change"),
            Error::Store(error) if error.is_temporary() => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
                    .help("try again; syncing goes on meanwhile")
            }
            Error::Store(_) | Error::Machine { .. } => {
                tracing::error!("{text}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text)
            }
        }
    }
}

macro_rules! from_rejections {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for Refusal {
            fn from(rejection: $rejection) -> Self {
                let status = rejection.status();
                let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "too-large" } else { "bad-request" };
                Self::new(status, code, rejection.body_text())
            }
        }
    )*};
}

from_rejections!(JsonRejection, QueryRejection, PathRejection);

/// A JSON body; a wrong one is a [`Refusal`].
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Refusal))]
pub(super) struct InBody<T>(pub T);

/// The part of the path that is a name.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Refusal))]
pub(super) struct InPath<T>(pub T);

/// What stands behind the `?`.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(super) struct InQuery<T>(pub T);

/// Returns within [`LONGEST`], even if a handler hangs.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let refusal =
                Refusal::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "no answer in time; what was begun goes on");
            refusal.into_response()
        }
    }
}
