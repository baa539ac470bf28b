//! The records that are copied, and the words for where they stand.

mod entry;
mod ids;
mod instance;
mod intern;
mod mark;
mod metadata;
mod set;

pub use entry::{Aside, Body, Content, Digest, Entry, EntryKey, Pair, Side, Stamp};
pub use ids::{ClusterId, OwnerId, Part};
pub use instance::{Endpoint, Instance, InstanceData, InstanceId, Payload, ServiceKey};
pub use intern::intern;
pub use mark::Mark;
pub use metadata::Metadata;
pub use set::{Attributes, Held, Set};
