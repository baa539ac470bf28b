//! The records that are copied, and the words for where they stand.

mod entry;
mod ids;
mod instance;
mod mark;
mod set;

pub use entry::{Aside, Body, Content, Digest, Entry, EntryKey, Pair, Side, Stamp};
pub use ids::{ClusterId, OwnerId, Part};
pub use instance::{Endpoint, Instance, InstanceId, Payload, ServiceKey};
pub use mark::Mark;
pub use set::{Attributes, Held, Set};
