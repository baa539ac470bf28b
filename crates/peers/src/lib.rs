//! Settings of other tools: their documents as a second form of the settings file, beside the YAML.
//!
//! [`providers`] tell the texts.

pub mod providers;
