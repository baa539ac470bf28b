//! What several kinds use.

pub(crate) mod backoff;
pub(crate) mod http;
mod keep_running;
pub(crate) mod tls;

pub use keep_running::keep_running;
