//! What people used before: doubles of other tools that publish as those did, faults included.

mod nacos_sync;
mod polaris_sync;

pub use nacos_sync::{NacosSync, NacosSyncSetup};
pub use polaris_sync::PolarisSync;
