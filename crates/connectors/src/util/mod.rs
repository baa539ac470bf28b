//! What several kinds use.

pub(crate) mod backoff;
pub(crate) mod blocking;
#[cfg(test)]
pub(crate) mod fake_request;
pub(crate) mod http;
mod keep_running;
pub(crate) mod lease;
#[cfg_attr(not(test), expect(dead_code, reason = "the first kind that can only be listed whole uses all of it"))]
pub(crate) mod poll;
pub mod tls;

pub use keep_running::keep_running;
