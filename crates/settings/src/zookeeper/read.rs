//! Reading the key `zookeeper` of a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Acl, Category, KEYS, KIND, LAYOUTS, Layout, NewServices, ZooKeeper};
use crate::model::Cluster;
use crate::read::{Draft, Fields, Reader};
use crate::tree::Node;

const KEY: &str = "zookeeper";
/// Keys of a cluster that say nothing about a ZooKeeper.
const WITHOUT_EFFECT: [(&str, &str); 3] = [
    ("ak", "ZooKeeper knows users and passwords: `userName` and `password`"),
    ("sk", "ZooKeeper knows users and passwords: `userName` and `password`"),
    ("contextPath", "the path below which all others begin stands behind the last address: `host:2181/root`"),
];
const SHORTEST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(600);

/// What a cluster's settings say of its ZooKeeper; an error where the cluster is of another kind.
pub(crate) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, cluster: &Cluster) -> Option<ZooKeeper> {
    let kind = cluster.kind.as_str();
    if kind == KIND {
        without_effect(reader, fields);
    }
    let node = fields.get(KEY)?;
    // A kind that is not known is reported already.
    if !kind.is_empty() && kind != KIND {
        reader.report(
            Draft::error(node.place, fields.at(KEY), format!("this cluster is no ZooKeeper but of the kind {kind}"))
                .expected("this key only where `clusterType` is ZOOKEEPER")
                .help("take it out, or write `clusterType: ZOOKEEPER`"),
        );
        return None;
    }
    let inner = reader.fields(node, &fields.at(KEY), &KEYS)?;
    let default = ZooKeeper::default();
    let categories = [Category::Providers, Category::Consumers, Category::Routers, Category::Configurators];
    let acls = [("open", Acl::Open), ("creator", Acl::Creator), ("copy", Acl::Copy)];
    let new = [NewServices::Spring, NewServices::Application, NewServices::Curator];
    let layouts = reader.words(&inner, "layouts", &LAYOUTS).unwrap_or(default.layouts);
    let [dubbo_roots, service_roots, plain_roots] = roots(reader, &inner, &layouts);
    let read = ZooKeeper {
        dubbo_roots,
        service_roots,
        plain_roots,
        categories: reader
            .words(&inner, "categories", &categories.map(|category| (category.word(), category)))
            .unwrap_or(default.categories),
        new_services: reader.word(&inner, "newServices", &new.map(|new| (word(new.layout()), new))).unwrap_or_default(),
        acl: reader.word(&inner, "acl", &acls).unwrap_or_default(),
        session_timeout: session_timeout(reader, &inner, default.session_timeout),
        layouts,
    };
    check(reader, &inner, &read);
    let signs_in = fields.get("userName").is_some() || cluster.tls.as_ref().is_some_and(|tls| tls.cert.is_some());
    if read.acl == Acl::Creator && !signs_in {
        reader.report(
            Draft::error(
                inner.place_of("acl"),
                inner.at("acl"),
                "nobody signs in, so that there is no creator to name",
            )
            .expected("`creator` only together with `userName` or a certificate of our own")
            .help("add `userName` and `password` to the cluster, or write `acl: open`"),
        );
    }
    Some(read)
}

fn word(layout: Layout) -> &'static str {
    LAYOUTS.iter().find(|(_, own)| *own == layout).map_or("", |(word, _)| word)
}

fn without_effect(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    for (key, help) in WITHOUT_EFFECT.into_iter().filter(|(key, _)| fields.get(key).is_some()) {
        let draft = Draft::warning(fields.place_of(key), fields.at(key), "this has no effect on a ZooKeeper");
        reader.report(draft.help(help));
    }
}

fn session_timeout(reader: &mut Reader<'_>, fields: &Fields<'_>, default: Duration) -> Duration {
    let key = "sessionTimeout";
    let timeout = reader.duration(fields, key, default);
    if (SHORTEST..=LONGEST).contains(&timeout) {
        return timeout;
    }
    let message = if timeout < SHORTEST { "this is too short" } else { "this is too long" };
    reader.report(
        Draft::error(fields.place_of(key), fields.at(key), message)
            .expected("from 4s to 10m")
            .help("take it out for 40s, which most servers allow"),
    );
    default
}

/// What holds between the keys of the block.
fn check(reader: &mut Reader<'_>, fields: &Fields<'_>, read: &ZooKeeper) {
    let key = "newServices";
    let layout = read.new_services.layout();
    // Who says nothing may choose the layouts freely: what has no form is not written then.
    if read.new_services != NewServices::default() && !read.layouts.contains(&layout) {
        let message = format!("services of the form `{}` are not among the `layouts`", word(layout));
        reader.report(
            Draft::error(fields.place_of(key), fields.at(key), message)
                .expected("one of the `layouts`: what is written must be read too")
                .help(format!("add `{}` to `layouts`, or choose another form", word(layout))),
        );
    }
    let key = "categories";
    if read.categories != ZooKeeper::default().categories && !read.layouts.contains(&Layout::Dubbo) {
        reader.report(
            Draft::warning(fields.place_of(key), fields.at(key), "this has no effect without the layout `dubbo`")
                .help("add `dubbo` to `layouts`, or take the key out"),
        );
    }
}

/// Dubbo's roots, those of services and the plain ones: none may lie in another.
fn roots(reader: &mut Reader<'_>, fields: &Fields<'_>, layouts: &BTreeSet<Layout>) -> [Vec<String>; 3] {
    let default = ZooKeeper::default();
    let lists: [(&'static str, Vec<String>, &[Layout]); 3] = [
        ("dubboRoots", default.dubbo_roots, &[Layout::Dubbo, Layout::Application]),
        ("serviceRoots", default.service_roots, &[Layout::Application, Layout::Spring, Layout::Curator]),
        ("plainRoots", default.plain_roots, &[Layout::Plain]),
    ];
    let used = |own: &[Layout]| own.iter().any(|layout| layouts.contains(layout));
    let absent = lists.iter().filter(|(key, _, own)| fields.get(key).is_none() && used(own));
    let mut seen: Vec<(String, &str)> =
        absent.flat_map(|(key, roots, _)| roots.iter().map(|root| (root.clone(), *key))).collect();
    lists.map(|(key, default, own)| {
        let Some(node) = fields.get(key) else { return default };
        let mut roots = Vec::new();
        for (node, path) in reader.list(fields, key, "paths") {
            let Some(root) = root(reader, node, &path) else { continue };
            if used(own) {
                apart(reader, &mut seen, (key, &root), node, &path);
            }
            roots.push(root);
        }
        if !used(own) && !roots.is_empty() && roots != default {
            let draft = Draft::warning(node.place, fields.at(key), "this has no effect with these `layouts`");
            reader.report(draft.help("add the layout that stands there, or take the key out"));
        }
        roots
    })
}

fn root(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<String> {
    let expected = "a path such as `/dubbo`";
    let scalar = reader.one(node, path, expected)?;
    match check_path(&scalar.text) {
        Ok(()) => Some(scalar.text.clone()),
        Err(help) => {
            let draft = Draft::error(node.place, path, "this path cannot be used");
            reader.report(draft.expected(expected).help(help));
            None
        }
    }
}

fn apart(
    reader: &mut Reader<'_>,
    seen: &mut Vec<(String, &'static str)>,
    (key, root): (&'static str, &str),
    node: &Node,
    path: &str,
) {
    let within =
        |root: &str, other: &str| root.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let Some((_, list)) = seen.iter().find(|(other, _)| within(root, other) || within(other, root)) else {
        return seen.push((root.to_owned(), key));
    };
    // The paths are not repeated: they may come from a reference.
    let message = format!("this root and one of `{list}` are the same, or one lies within the other");
    reader.report(
        Draft::error(node.place, path, message)
            .expected("roots that are apart, so that every node belongs to one of them")
            .help(format!("take one of the two out; `{list}: []` stands for none")),
    );
}

/// Whether it is the absolute path of a node that a root or a chroot can be. `Err`: how to put it right.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Err("begin it with `/`") };
    if rest.is_empty() {
        return Err("name a node below `/`");
    }
    if rest.ends_with('/') {
        return Err("take the `/` at its end away");
    }
    for segment in rest.split('/') {
        match segment {
            "" => return Err("write one `/` between two names"),
            "." | ".." => return Err("`.` and `..` have no meaning in ZooKeeper: write the whole path"),
            _ => {}
        }
    }
    // What the servers refuse in a path.
    let refused = |c: char| c.is_control() || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}');
    if path.contains(refused) {
        return Err("take the control characters out");
    }
    if rest == "zookeeper" || rest.starts_with("zookeeper/") {
        return Err("`/zookeeper` is the servers' own: name another node");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in ["/a", "/dubbo/x", "/.a/..b", "/a b", "/公开", "/zookeepers", "/a/zookeeper"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "/", "/a/", "//a", "/a//b", "/a/.", "/../a", "/a\n", "/zookeeper", "/zookeeper/quota"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
    }
}
