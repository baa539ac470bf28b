//! The store's one wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 in UTC: the unit of all times in the store.
#[allow(clippy::disallowed_methods, reason = "the one clock module of this crate: events are dated for people")]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
