//! A service as Dubbo names it in flat registries: `category:interface:version:group`.

use crate::zookeeper::Category;
use causeway_core::Metadata;
use std::fmt;

/// The parameters of a URL that are part of its service's name.
pub(super) const VERSION: &str = "version";
pub(super) const GROUP: &str = "group";

/// The parts of a name.
pub(super) struct DubboServiceName<'a> {
    pub category: &'a str,
    pub interface: &'a str,
    pub version: &'a str,
    pub group: &'a str,
}

impl fmt::Display for DubboServiceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.category, self.interface, self.version, self.group)
    }
}

impl<'a> DubboServiceName<'a> {
    /// The parts of a name. What the metadata say of version and group tells where the interface ends, should a part hold
    /// a colon.
    pub fn of(name: &'a str, metadata: &Metadata) -> Option<Self> {
        let (category, rest) = name.split_once(':')?;
        let part = |key| metadata.get(key).unwrap_or_default();
        let (version, group) = (part(VERSION), part(GROUP));
        let known = rest.strip_suffix(group).and_then(|rest| rest.strip_suffix(':'));
        let known = known.and_then(|rest| rest.strip_suffix(version)).and_then(|rest| rest.strip_suffix(':'));
        let (interface, version, group) = match known {
            Some(interface) => {
                let tail = &rest[interface.len() + 1..];
                (interface, &tail[..version.len()], &tail[version.len() + 1..])
            }
            None => {
                let (rest, group) = rest.rsplit_once(':')?;
                let (interface, version) = rest.rsplit_once(':')?;
                (interface, version, group)
            }
        };
        (!category.is_empty() && !interface.is_empty()).then_some(Self { category, interface, version, group })
    }
}

/// Whether this is the name of a service of Dubbo's.
pub(super) fn is_service_name(name: &str, metadata: &Metadata) -> bool {
    let known = |name: DubboServiceName<'_>| Category::ALL.iter().any(|one| one.word() == name.category);
    DubboServiceName::of(name, metadata).is_some_and(known)
}
