//! What two kinds share although neither owns it.

pub mod dubbo;

pub use crate::file::prometheus::http_sd;
