//! How the names of a registry can be narrower than others', as those of other kinds are.

use causeway_core::{Instance, Part, ServiceKey};
use std::collections::BTreeMap;

/// How the registry's names are narrower than others', as those of other kinds are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// It has no namespaces: everything stands in `public`.
    pub one_part: bool,
    /// It has no groups: everything stands in `DEFAULT_GROUP`.
    pub one_group: bool,
    /// Names are host names in lower case.
    pub host_names: bool,
    /// Only healthy, enabled instances stand there.
    pub only_serving: bool,
}

impl Names {
    pub(super) fn of(&self, wanted: &ServiceKey) -> Result<ServiceKey, String> {
        let mut name = wanted.name.to_string();
        if self.host_names {
            name.make_ascii_lowercase();
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
                return Err(format!("{name:?} is no host name: letters, digits, points and hyphens are taken"));
            }
        }
        let part = self.part(&wanted.part());
        let group = if self.one_group { "DEFAULT_GROUP" } else { &wanted.group };
        Ok(ServiceKey::new(&part.0, group, &name))
    }

    /// Why nothing can stand under this name as it is.
    pub(super) fn check(&self, scope: &ServiceKey) -> Result<(), String> {
        match self.of(scope)? == *scope {
            true => Ok(()),
            false => Err(format!("{scope} has no place here under this name")),
        }
    }

    /// What is lost by them.
    pub(super) fn losses(&self) -> BTreeMap<&'static str, &'static str> {
        let services = [
            "punctuation in service names",
            "unicode in service names",
            "Chinese service names",
            "blanks in service names",
        ];
        let groups = ["punctuation in groups", "unicode in groups", "services without a group"];
        let names =
            services.into_iter().filter(|_| self.host_names).map(|what| (what, "names are host names in lower case"));
        names.chain(groups.into_iter().filter(|_| self.one_group).map(|what| (what, "there are no groups"))).collect()
    }

    pub(super) fn part(&self, wanted: &Part) -> Part {
        if self.one_part { Part::new("public") } else { wanted.clone() }
    }

    pub(super) fn stands(&self, record: &Instance) -> bool {
        !self.only_serving || (record.healthy && record.enabled)
    }
}
