//! How other tools mark the copies that they make. Such a copy is never taken for a native record, and sending it back would make
//! two tools chase each other.

use causeway_core::{Mark, Metadata, OwnerId};

/// The installs that copies of these tools count as; their tasks are the tools' words for the cluster that was copied from.
const NACOS_SYNC: &str = "nacos-sync";
const POLARIS_SYNC: &str = "polaris-sync";

/// polaris-sync's one key: the name of the task's source, as its document has it.
const SYNC: &str = "__sync__";
/// nacos-sync's keys: the id that it gave the source, and the source's kind. The third one, which only copies from one Nacos to
/// another have, is that id and the task's version.
const SOURCE_ID: &str = "sourceClusterId";
const SOURCE_KIND: &str = "syncSource";
const TAG: &str = "sync.instance.tag";
/// The source of a copy that does not name it.
const UNNAMED: &str = "copy";

/// Whose copy a record with these metadata is; `None`: no tool's. One key of nacos-sync's alone may be a provider's own.
pub fn owner(metadata: &Metadata) -> Option<OwnerId> {
    owner_in(|key| metadata.get(key))
}

/// The same from pairs `key=value`, such as tags.
pub fn owner_by_tags(tags: &[String]) -> Option<OwnerId> {
    owner_in(|key| tags.iter().find_map(|tag| tag.strip_prefix(key)?.strip_prefix('=')))
}

/// The mark that a record with these metadata is read with: nobody knows which way it came.
pub fn mark(metadata: &Metadata) -> Option<Mark> {
    owner(metadata).map(bare)
}

/// A mark without a path.
pub fn bare(owner: OwnerId) -> Mark {
    Mark::new(owner, Vec::new())
}

/// Whether an owner is one of these tools.
pub fn is_other_tool(owner: &OwnerId) -> bool {
    [NACOS_SYNC, POLARIS_SYNC].contains(&&*owner.install)
}

/// The tool that a mark names.
pub fn tool_of(mark: Option<&Mark>) -> Option<&OwnerId> {
    mark.map(|mark| &mark.owner).filter(|owner| is_other_tool(owner))
}

/// The same from what stands under a key.
pub fn owner_in<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<OwnerId> {
    let said = |key: &str| get(key).filter(|value| !value.is_empty());
    if let Some(source) = said(SYNC) {
        return Some(OwnerId::new(POLARIS_SYNC, source));
    }
    match (said(SOURCE_ID), said(SOURCE_KIND), said(TAG)) {
        (Some(id), Some(_), _) | (Some(id), _, Some(_)) => Some(OwnerId::new(NACOS_SYNC, id)),
        (None, _, Some(tag)) => {
            let id = tag.split("@@").next().filter(|id| !id.is_empty());
            Some(OwnerId::new(NACOS_SYNC, id.unwrap_or(UNNAMED)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner_of(pairs: &[(&str, &str)]) -> Option<(String, String)> {
        let metadata: Metadata = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let tags: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(owner(&metadata), owner_by_tags(&tags), "{pairs:?}");
        owner(&metadata)
            .inspect(|owner| assert!(is_other_tool(owner)))
            .map(|owner| (owner.install.to_string(), owner.task.to_string()))
    }

    #[test]
    fn each_tools_copies_are_known_by_its_keys() {
        let of = |tool: &str, source: &str| Some((tool.to_owned(), source.to_owned()));
        assert_eq!(owner_of(&[("__sync__", "nacos-a"), ("zone", "a")]), of("polaris-sync", "nacos-a"));
        assert_eq!(owner_of(&[("sourceClusterId", "c1"), ("syncSource", "NACOS")]), of("nacos-sync", "c1"));
        let tagged = [("sourceClusterId", "c1"), ("sync.instance.tag", "c1@@null")];
        assert_eq!(owner_of(&tagged), of("nacos-sync", "c1"));
        assert_eq!(owner_of(&[("sync.instance.tag", "c2@@1.0")]), of("nacos-sync", "c2"));
        assert_eq!(owner_of(&[("sync.instance.tag", "@@")]), of("nacos-sync", "copy"));
    }

    #[test]
    fn what_a_provider_says_is_its_own() {
        for own in [
            &[][..],
            &[("sourceClusterId", "c1")],
            &[("syncSource", "NACOS")],
            &[("__sync__", "")],
            &[("sync.instance.tag", "")],
            &[("destClusterId", "c2")],
        ] {
            assert_eq!(owner_of(own), None, "{own:?}");
        }
    }
}
