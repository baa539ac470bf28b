//! What the node measures, for Prometheus.
//!
//! Nothing is kept here: the engines count while they work, and each request puts together what there is at that moment. So the
//! series of a task that is deleted are gone with it. One file for each subject; [`catalog`] names every metric. What nodes of one
//! install share, such as leases and their epochs, gets a file of its own beside these.

mod catalog;
mod clusters;
mod family;
mod process;
mod tasks;

use crate::node::Node;
use family::Snapshot;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

/// The form that Prometheus prefers.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics in one of the two text forms.
pub(crate) struct Exposition {
    pub content_type: &'static str,
    pub text: String,
}

impl Node {
    /// The metrics as they stand now: in the form of OpenMetrics where the `Accept` header names it, else in that of Prometheus.
    pub(crate) fn metrics(&self, accept: &str) -> Exposition {
        let mut registry = Registry::default();
        let families = [process::families(self), tasks::families(&self.inner), clusters::families(&self.inner)];
        registry.register_collector(Box::new(Snapshot(families.into_iter().flatten().collect())));
        let mut buffer = String::new();
        let open = accept.contains("application/openmetrics-text");
        let written = match open {
            true => text::encode(&mut buffer, &registry),
            false => prometheus_text::encode(&mut buffer, &registry),
        };
        if let Err(error) = written {
            tracing::error!("the metrics could not be written as text: {error}");
        }
        let content_type = if open { OPEN_METRICS } else { prometheus_text::CONTENT_TYPE };
        Exposition { content_type, text: buffer }
    }
}
