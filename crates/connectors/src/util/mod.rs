//! What several kinds use: back-off, TLS, tasks that are restarted.

pub(crate) mod backoff;
mod keep_running;
pub(crate) mod tls;

pub use keep_running::keep_running;
