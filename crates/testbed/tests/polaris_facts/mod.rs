//! The facts, by what they are about.

pub mod console;
pub mod discovery;
pub mod place;
pub mod upkeep;
