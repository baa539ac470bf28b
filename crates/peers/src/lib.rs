//! Settings of other tools: their documents as a second form of the settings file, beside the YAML.
//!
//! [`environment`] says where documents are, [`providers`] tell their texts, and [`polaris_sync`] makes clusters and tasks of them.
//! [`java_options`] reads what deployments of MSE Sync hand to their Java machine.

pub mod environment;
pub mod java_options;
pub mod json;
pub mod polaris_sync;
mod problem_list;
pub mod providers;
