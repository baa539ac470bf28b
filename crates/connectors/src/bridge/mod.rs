//! What two kinds share although neither owns it.

pub mod dubbo;
pub mod other_tools;

pub use crate::file::prometheus::http_sd;
