//! Reading the block `zookeeper` of a cluster.

use super::addresses::check_path;
use super::{AclChoice, Category, KEYS, KIND, Layout, NewServices, Settings};
use crate::zookeeper::client::paths::within;
use causeway_settings::{Cluster, Draft, Fields, Node, Reader};
use std::collections::BTreeSet;
use std::time::Duration;

/// Keys of a cluster that say nothing about a ZooKeeper.
const WITHOUT_EFFECT: [(&str, &str); 3] = [
    ("ak", "ZooKeeper knows users and passwords: `userName` and `password`"),
    ("sk", "ZooKeeper knows users and passwords: `userName` and `password`"),
    ("contextPath", "the path below which all others begin stands behind the last address: `host:2181/root`"),
];
const SHORTEST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(600);

/// What the block says; `None`: there is none.
pub(super) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, cluster: &Cluster) -> Option<Settings> {
    without_effect(reader, fields);
    let inner = reader.fields(fields.get(KIND)?, &fields.at(KIND), &KEYS)?;
    let default = Settings::default();
    let acls = [("open", AclChoice::Open), ("creator", AclChoice::Creator), ("copy", AclChoice::Copy)];
    let new = [NewServices::Spring, NewServices::Application, NewServices::Curator];
    let layouts =
        reader.words(&inner, "layouts", &Layout::ALL.map(|layout| (layout.word(), layout))).unwrap_or(default.layouts);
    let [dubbo_roots, service_roots, plain_roots] = roots(reader, &inner, &layouts);
    let read = Settings {
        dubbo_roots,
        service_roots,
        plain_roots,
        categories: reader
            .words(&inner, "categories", &Category::ALL.map(|category| (category.word(), category)))
            .unwrap_or(default.categories),
        new_services: reader
            .word(&inner, "newServices", &new.map(|new| (new.layout().word(), new)))
            .unwrap_or_default(),
        acl: reader.word(&inner, "acl", &acls).unwrap_or_default(),
        session_timeout: session_timeout(reader, &inner, default.session_timeout),
        layouts,
    };
    check(reader, &inner, &read);
    let signs_in = fields.get("userName").is_some() || cluster.tls.as_ref().is_some_and(|tls| tls.cert.is_some());
    if read.acl == AclChoice::Creator && !signs_in {
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
fn check(reader: &mut Reader<'_>, fields: &Fields<'_>, read: &Settings) {
    let key = "newServices";
    let layout = read.new_services.layout();
    // Who says nothing may choose the layouts freely: what has no form is not written then.
    if read.new_services != NewServices::default() && !read.layouts.contains(&layout) {
        let message = format!("services of the form `{}` are not among the `layouts`", layout.word());
        reader.report(
            Draft::error(fields.place_of(key), fields.at(key), message)
                .expected("one of the `layouts`: what is written must be read too")
                .help(format!("add `{}` to `layouts`, or choose another form", layout.word())),
        );
    }
    let key = "categories";
    if read.categories != Settings::default().categories && !read.layouts.contains(&Layout::Dubbo) {
        reader.report(
            Draft::warning(fields.place_of(key), fields.at(key), "this has no effect without the layout `dubbo`")
                .help("add `dubbo` to `layouts`, or take the key out"),
        );
    }
}

/// Dubbo's roots, those of services and the plain ones: none may lie in another.
fn roots(reader: &mut Reader<'_>, fields: &Fields<'_>, layouts: &BTreeSet<Layout>) -> [Vec<String>; 3] {
    let default = Settings::default();
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
