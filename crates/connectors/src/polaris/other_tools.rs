//! Whose copy an instance is that another tool has written.

use causeway_core::OwnerId;
use std::collections::HashMap;

/// The key in which polaris-sync says where a copy came from.
const POLARIS_SYNC: &str = "__sync__";

/// The owner that a copy of another tool counts as; `None`: it is no such copy.
pub(super) fn owner(metadata: &HashMap<String, String>) -> Option<OwnerId> {
    let said = |key: &str| metadata.get(key).filter(|value| !value.is_empty());
    // No word of an owner holds what separates them.
    let plain = |text: &String| text.replace(['/', ';', ','], "_");
    let by_sync_tool =
        said("sync.instance.tag").is_some() || (said("sourceClusterId").is_some() && said("syncSource").is_some());
    match said(POLARIS_SYNC) {
        Some(source) => Some(OwnerId::new("polaris-sync", &plain(source))),
        None => by_sync_tool.then(|| OwnerId::new("nacos-sync", "copy")),
    }
}
