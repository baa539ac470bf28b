//! What two kinds share although neither owns it.

pub mod dubbo;
