//! A node: engine, store and connectors put together, and the REST API that shows and changes it.

pub mod api;
