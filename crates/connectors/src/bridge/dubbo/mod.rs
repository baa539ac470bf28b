//! What consumers of Dubbo's application level need beside instances, as ZooKeeper and as Nacos hold it.
//!
//! | | znode | Nacos: group, data id |
//! | --- | --- | --- |
//! | which applications offer an interface | `<root>/mapping/<interface>` | `mapping`, the interface |
//! | what an application offers, where its metadata are remote | `<root>/metadata/<application>/<revision>` | the revision, the application |
//!
//! The contents are the same: names with commas between; JSON. In data ids Dubbo writes `___` for `$`.

mod companions;
mod namespace;
mod view;
mod watch;

pub use companions::{Companions, lists};
pub use view::Views;

use causeway_core::{Content, EntryInterest, EntryKey, Fingerprint};
use serde::Deserialize;

const MAPPING: &str = "mapping";
const METADATA: &str = "metadata";
/// An MD5 sum in hexadecimal digits.
const REVISION: usize = 32;

/// One root of Dubbo's in a ZooKeeper, such as `/dubbo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(pub String);

/// What an entry is about.
#[derive(Debug, PartialEq, Eq)]
enum DubboEntry<'a> {
    Mapping { interface: &'a str },
    Metadata { application: &'a str, revision: &'a str },
}

fn is_revision(text: &str) -> bool {
    text.len() == REVISION && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name as Dubbo writes it for Nacos, and back.
fn data_id(name: &str) -> String {
    name.replace('$', "___")
}

fn plain(id: &str) -> String {
    id.replace("___", "$")
}

impl Root {
    /// The steps of a path below the root.
    fn steps<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let below = path.strip_prefix(self.0.trim_end_matches('/'))?;
        Some(below.strip_prefix('/')?.split('/').collect())
    }

    /// What a znode is about; `None`: nothing that Nacos holds too. A name that would come back from there as another one
    /// stays where it is.
    fn name<'a>(&self, path: &'a str) -> Option<DubboEntry<'a>> {
        let comes_back = |name: &str| !name.is_empty() && plain(&data_id(name)) == name;
        match *self.steps(path)? {
            [MAPPING, interface] if comes_back(interface) => Some(DubboEntry::Mapping { interface }),
            [METADATA, application, revision] if comes_back(application) && is_revision(revision) => {
                Some(DubboEntry::Metadata { application, revision })
            }
            _ => None,
        }
    }

    /// The same entry in a namespace of a Nacos.
    fn to_nacos(&self, namespace: &str, key: &EntryKey) -> Option<EntryKey> {
        Some(match self.name(&key.name)? {
            DubboEntry::Mapping { interface } => EntryKey::new(namespace, MAPPING, &data_id(interface)),
            DubboEntry::Metadata { application, revision } => EntryKey::new(namespace, revision, &data_id(application)),
        })
    }

    /// The same entry in a ZooKeeper; `None`: it is no such entry.
    fn to_zookeeper(&self, key: &EntryKey) -> Option<EntryKey> {
        let (root, name) = (self.0.trim_end_matches('/'), plain(&key.name));
        let path = match &*key.group {
            MAPPING => format!("{root}/{MAPPING}/{name}"),
            revision if is_revision(revision) => format!("{root}/{METADATA}/{name}/{revision}"),
            _ => return None,
        };
        let path = EntryKey::path(&path);
        (self.to_nacos(&key.namespace, &path).as_ref() == Some(key)).then_some(path)
    }

    /// Errors: why Dubbo cannot have written this content. A group of that name may belong to others.
    fn check(&self, key: &EntryKey, content: &Content) -> Result<(), String> {
        let text = std::str::from_utf8(content.body.as_deref().unwrap_or_default()).unwrap_or_default();
        match self.name(&key.name) {
            Some(DubboEntry::Mapping { .. }) if !text.split(',').all(|name| is_application(name.trim())) => {
                Err("it is no list of applications".into())
            }
            Some(DubboEntry::Metadata { application, revision }) if !describes(text, application, revision) => {
                Err("it is not what an application offers".into())
            }
            _ => Ok(()),
        }
    }
}

fn is_application(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || "{}[]()<>=:;\"'/\\#".contains(c))
}

fn describes(text: &str, application: &str, revision: &str) -> bool {
    #[derive(Deserialize)]
    struct About {
        app: String,
        revision: String,
    }
    serde_json::from_str::<About>(text).is_ok_and(|about| about.app == application && about.revision == revision)
}

impl EntryInterest for Root {
    fn takes(&self, key: &EntryKey) -> bool {
        self.name(&key.name).is_some()
    }

    fn may_hold(&self, key: &EntryKey) -> bool {
        let path = key.name.trim_end_matches('/');
        let root = self.0.trim_end_matches('/');
        let above =
            path.is_empty() || root == path || root.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        above || self.steps(path).is_some_and(|steps| matches!(*steps, [MAPPING | METADATA] | [METADATA, _]))
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVISION: &str = "006642574a71850b4572cee65509cc48";

    #[test]
    fn entries_of_both_kinds_meet() {
        let root = Root("/dubbo".into());
        let metadata = format!("/dubbo/metadata/shop.pay/{REVISION}");
        let table = [
            ("/dubbo/mapping/lab.Greeter", "mapping", "lab.Greeter"),
            ("/dubbo/mapping/lab.Outer$Inner", "mapping", "lab.Outer___Inner"),
            (metadata.as_str(), REVISION, "shop.pay"),
        ];
        for (path, group, id) in table {
            let (here, there) = (EntryKey::path(path), EntryKey::new("dev", group, id));
            assert!(root.takes(&here));
            assert_eq!(root.to_nacos("dev", &here), Some(there.clone()));
            assert_eq!(root.to_zookeeper(&there), Some(here));
        }
    }

    #[test]
    fn nothing_else_takes_part() {
        let root = Root("/dubbo".into());
        for path in [
            "/dubbo/mapping",
            "/dubbo/mapping/",
            "/dubbo/mapping/a/b",
            "/dubbo/mapping/a___b",
            "/dubbo/metadata/lab.Greeter/1.0.0",
            "/dubbo/metadata/lab.Greeter/1.0.0/g1/provider/app",
            "/dubbo/metadata/app/0",
            "/dubbo/config/dubbo/a",
            "/dubbox/mapping/a",
            "/mapping/a",
        ] {
            assert!(!root.takes(&EntryKey::path(path)), "{path}");
        }
        for (group, id) in [("dubbo", "a:1.0.0:g1:provider:app"), ("DEFAULT_GROUP", "a"), ("mapping", "a/b")] {
            assert_eq!(root.to_zookeeper(&EntryKey::new("public", group, id)), None, "{group} {id}");
        }
    }

    #[test]
    fn only_what_may_hold_such_entries_is_listed() {
        let root = Root("/land/dubbo".into());
        let yes =
            ["/", "/land", "/land/dubbo", "/land/dubbo/mapping", "/land/dubbo/metadata", "/land/dubbo/metadata/app"];
        let no =
            ["/other", "/land/dub", "/land/dubbo/mapping/a", "/land/dubbo/metadata/app/1", "/land/dubbo/lab.Greeter"];
        for (paths, may) in [(&yes[..], true), (&no[..], false)] {
            for path in paths {
                assert_eq!(root.may_hold(&EntryKey::path(path)), may, "{path}");
            }
        }
    }

    #[test]
    fn somebody_elses_contents_are_told_apart() {
        let root = Root("/dubbo".into());
        let check = |path: &str, text: &str| root.check(&EntryKey::path(path), &Content::of(text)).is_ok();
        let mapping = "/dubbo/mapping/users.yaml";
        assert!(check(mapping, "app-one") && check(mapping, "app_one, shop.pay"));
        for text in ["", "a: 1\nb: 2", "a=1", "{}", "a,,b"] {
            assert!(!check(mapping, text), "{text}");
        }
        let metadata = format!("/dubbo/metadata/app/{REVISION}");
        assert!(check(&metadata, &format!(r#"{{"app":"app","revision":"{REVISION}","services":{{}}}}"#)));
        assert!(!check(&metadata, r#"{"app":"app","revision":"1"}"#) && !check(&metadata, "x"));
    }
}
