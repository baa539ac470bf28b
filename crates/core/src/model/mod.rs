//! The records that are copied, and the words for where they stand.

mod entry;
mod fingerprint;
mod ids;
mod instance;
mod intern;
mod mark;
mod metadata;
mod set;
mod shape;

pub use entry::{Aside, Body, Content, Digest, Entry, EntryKey, Pair, Side, Stamp};
pub use fingerprint::Fingerprint;
pub use ids::{ClusterId, OwnerId, Part};
pub use instance::{Endpoint, Instance, InstanceData, InstanceId, Payload, ServiceKey, folded};
pub use intern::intern;
pub use mark::Mark;
pub use metadata::Metadata;
pub use set::{Attributes, Occupants, Set};
pub use shape::NameShape;

use std::cmp::Ordering;
use std::sync::Arc;

/// Compares the names of two keys, level by level. Most keys share all but the last, and many a key is compared with its own
/// copy.
fn compare_names(a: [&Arc<str>; 3], b: [&Arc<str>; 3]) -> Ordering {
    let compare = |(a, b): (&Arc<str>, &Arc<str>)| if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) };
    a.into_iter().zip(b).map(compare).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Frees texts, metadata, marks and instances that were shared and that nobody uses any more. To be called once a minute; at
/// rest it costs nothing.
pub fn tidy() {
    instance::INSTANCES.tidy();
    mark::MARKS.tidy();
    // Last: the others hold texts.
    intern::TEXTS.tidy();
}
