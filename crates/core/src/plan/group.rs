//! Groups of a service's instances: a kind that balances over them, such as a gateway, has a place for each group.

use super::map::fill;
use crate::model::{Instance, ServiceKey, intern};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind's word for «no group», which no name shows.
const DEFAULT_GROUP: &str = "DEFAULT_GROUP";

/// How one service becomes several scopes, one for each group of its instances.
///
/// A scope is `<namespace>/<group of instances>/<source>.<namespace>.<service>`, where the service is `<group>__<name>`, or
/// only its name in the default group. One that stands under a name of the destination's own is `<namespace>//<that name>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grouping {
    /// The source cluster's name.
    pub source: Arc<str>,
    /// The default namespace, and what names call it.
    pub public: Option<(Arc<str>, Arc<str>)>,
    /// All groups.
    pub groups: Vec<InstanceGroup>,
}

/// Those of a service's instances whose metadata have all of these pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstanceGroup {
    /// Its name.
    pub name: Arc<str>,
    /// Keys and values, compared exactly. None: every instance is in it.
    pub metadata: BTreeMap<String, String>,
    /// What it is called in the destination, where that is not made of names: a template as in
    /// [`Renaming::Template`](super::Renaming::Template).
    pub given: Option<String>,
}

impl InstanceGroup {
    /// The group of this name with all instances.
    pub fn all(name: &str) -> Self {
        Self { name: intern(name), ..Self::default() }
    }

    /// Whether an instance of the source is in it.
    pub fn has(&self, instance: &Instance) -> bool {
        self.metadata.iter().all(|(key, value)| instance.metadata.get(key) == Some(value))
    }
}

impl Grouping {
    /// The scope of each group of a service, which has the names that the task's settings give it.
    pub fn scopes<'g>(&'g self, service: &ServiceKey) -> impl Iterator<Item = (ServiceKey, &'g InstanceGroup)> {
        let name: Arc<str> = self.name(service).into();
        let namespace = &service.namespace;
        self.groups.iter().map(move |group| {
            let scope = match &group.given {
                Some(given) => ServiceKey::new(namespace, "", &fill(given, service)),
                None => ServiceKey { namespace: namespace.clone(), group: group.name.clone(), name: name.clone() },
            };
            (scope, group)
        })
    }

    fn name(&self, service: &ServiceKey) -> String {
        let ServiceKey { namespace, group, name } = service;
        let namespace = match &self.public {
            Some((public, word)) if public == namespace => word,
            _ => namespace,
        };
        let source = &self.source;
        match group.is_empty() || **group == *DEFAULT_GROUP {
            true => format!("{source}.{namespace}.{name}"),
            false => format!("{source}.{namespace}.{group}__{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouping() -> Grouping {
        let of = |name: &str, version: &str| InstanceGroup {
            metadata: [("version".to_owned(), version.to_owned())].into(),
            ..InstanceGroup::all(name)
        };
        let given = InstanceGroup { given: Some("old-{service}".into()), ..of("v3", "3") };
        Grouping {
            source: "src".into(),
            public: Some(("public".into(), "empty_ns".into())),
            groups: vec![InstanceGroup::all("default"), of("v1", "1"), given],
        }
    }

    #[test]
    fn names_are_made_of_the_source_and_its_names() {
        let grouping = grouping();
        let scopes = |namespace, group| {
            let service = ServiceKey::new(namespace, group, "com.acme.Pay");
            grouping.scopes(&service).map(|(scope, _)| scope.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            scopes("public", "DEFAULT_GROUP"),
            [
                "public/default/src.empty_ns.com.acme.Pay",
                "public/v1/src.empty_ns.com.acme.Pay",
                "public//old-com.acme.Pay"
            ]
        );
        assert_eq!(scopes("dev", "G")[0], "dev/default/src.dev.G__com.acme.Pay");
        assert_eq!(scopes("dev", "")[1], "dev/v1/src.dev.com.acme.Pay");
    }

    #[test]
    fn an_instance_is_in_a_group_when_all_pairs_are_equal() {
        let group = InstanceGroup {
            metadata: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "".to_owned())].into(),
            ..InstanceGroup::all("g")
        };
        let with = |pairs: &[(&str, &str)]| {
            Instance::new("127.0.0.1", 1).with(|one| one.metadata = pairs.iter().copied().collect())
        };
        for (pairs, is) in [
            (&[("a", "1"), ("b", ""), ("c", "2")][..], true),
            (&[("a", "1")], false),
            (&[("a", "1 "), ("b", "")], false),
            (&[], false),
        ] {
            assert_eq!(group.has(&with(pairs)), is, "{pairs:?}");
        }
        assert!(InstanceGroup::all("default").has(&with(&[])));
    }
}
