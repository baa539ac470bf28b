//! Reading `clusters`.

use std::collections::BTreeMap;

use crate::addresses;
use crate::kinds::KindWord;
use crate::model::{Cluster, PUBLIC, Tls};
use crate::read::{Draft, Fields, Reader, shown, written};
use crate::secret::Secret;
use crate::suggest::nearest;
use crate::tree::Node;

/// The keys of a cluster of any kind; a test holds them against the schema. Beside them stand the kinds' own blocks.
pub(crate) const CLUSTER_KEYS: [&str; 12] = [
    "clusterName",
    "clusterType",
    "connectKeyList",
    "namespace",
    "userName",
    "password",
    "ak",
    "sk",
    "token",
    "clusterId",
    "contextPath",
    "tls",
];
pub(crate) const TLS_KEYS: [&str; 5] = ["ca", "cert", "key", "serverName", "insecureSkipVerify"];

/// The most characters of a name.
pub const LONGEST_NAME: usize = 128;

/// Reads all clusters. A cluster with an error in it is there too, so that tasks find its name; its kind is empty
/// when that is what was wrong.
pub(crate) fn read(reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    // Where each name and each id stands first.
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let keys: Vec<&str> = CLUSTER_KEYS.into_iter().chain(reader.kinds.blocks().map(|(name, _)| name)).collect();
    for (node, path) in items {
        let Some(fields) = reader.fields(node, path, &keys) else { continue };
        let mut cluster = read_one(reader, &fields);
        cluster.written = written(node);
        addresses::keep_written(&mut cluster, &fields);
        let place = fields.place_of("clusterName");
        if let Some(line) = first(&mut names, &cluster.name, place.line) {
            let message = format!("two clusters have the name `{}`", cluster.name);
            reader.report(
                Draft::key_error(&fields, "clusterName", message)
                    .expected("a name that no other cluster has")
                    .help(format!("rename one of the two; the first is at line {line}")),
            );
        }
        let place = fields.place_of("clusterId");
        let id = cluster.cluster_id.as_deref().unwrap_or_default();
        if let Some(line) = first(&mut ids, id, place.line) {
            reader.report(
                Draft::key_error(&fields, "clusterId", "two clusters have this id")
                    .expected("an id that no other cluster has")
                    .help(format!("make the two one cluster, or change one id; the first is at line {line}")),
            );
        }
        clusters.push(cluster);
    }
    clusters
}

/// The line where a word stood before, if it did; an empty word is none.
fn first(seen: &mut BTreeMap<String, usize>, word: &str, line: usize) -> Option<usize> {
    if word.is_empty() {
        return None;
    }
    let before = seen.get(word).copied();
    seen.entry(word.to_owned()).or_insert(line);
    before
}

fn read_one(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Cluster {
    let name = reader.required(fields, "clusterName", "a name", "write `clusterName: src`, say");
    check_name(reader, fields, "clusterName", name.as_deref());
    let kind = kind(reader, fields);
    let mut cluster = Cluster {
        name: name.unwrap_or_default(),
        addresses: addresses::read(reader, fields, &kind),
        namespaces: namespaces(reader, fields, &kind),
        user: reader.text(fields, "userName", "a user's name"),
        password: reader.secret(fields, "password"),
        ak: reader.text(fields, "ak", "an access key"),
        sk: reader.secret(fields, "sk"),
        token: token(reader, fields, &kind),
        kind,
        cluster_id: reader.text(fields, "clusterId", "an id"),
        context_path: context_path(reader, fields),
        tls: tls(reader, fields),
        own: None,
        written: Default::default(),
    };
    if cluster.user.is_none()
        && let Some((user, password)) = addresses::login(reader, fields, &cluster.kind)
    {
        (cluster.user, cluster.password) = (Some(user), Some(password));
    }
    cluster.own = own(reader, fields, &cluster);
    check_name(reader, fields, "clusterId", cluster.cluster_id.as_deref());
    for (one, other) in [("userName", "password"), ("password", "userName"), ("ak", "sk"), ("sk", "ak")] {
        check_together(reader, fields, one, other);
    }
    cluster
}

/// The block of the cluster's kind; one of another kind is reported.
fn own(reader: &mut Reader<'_>, fields: &Fields<'_>, cluster: &Cluster) -> Option<serde_json::Value> {
    let kind = cluster.kind.as_str();
    // A kind that is not known is reported already.
    let others = reader.kinds.blocks().filter(|(name, _)| !kind.is_empty() && *name != kind);
    for (name, block) in others {
        if fields.get(name).is_none() {
            continue;
        }
        let upper = name.to_uppercase();
        reader.report(
            Draft::key_error(fields, name, format!("this cluster is no {} but of the kind {kind}", block.title))
                .expected(format!("this key only where `clusterType` is {upper}"))
                .help(format!("take it out, or write `clusterType: {upper}`")),
        );
    }
    reader.kinds.get(kind)?.read_block(reader, fields, cluster)
}

/// Names stand in tables, paths and logs: no control characters, no blanks at the ends, not endless.
pub(crate) fn check_name(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, name: Option<&str>) {
    let Some(name) = name else { return };
    let fits = name.trim() == name && !name.chars().any(char::is_control) && name.chars().count() <= LONGEST_NAME;
    if !fits {
        reader.report(
            Draft::key_error(fields, key, "this name cannot be used")
                .expected(format!("at most {LONGEST_NAME} characters, no line breaks, no blanks at either end"))
                .help("write a short plain name"),
        );
    }
}

fn kind(reader: &mut Reader<'_>, fields: &Fields<'_>) -> String {
    let usable = reader.kinds.usable().join(", ").to_uppercase();
    let expected = format!("one of {usable}");
    let example = reader.kinds.usable().first().map_or(String::new(), |kind| kind.to_uppercase());
    let help = format!("write `clusterType: {example}`, say");
    if reader.required(fields, "clusterType", &expected, &help).is_none() {
        return String::new();
    }
    let Some(scalar) = reader.scalar(fields, "clusterType", &expected) else { return String::new() };
    let kinds = reader.kinds;
    match kinds.find(&scalar.text) {
        KindWord::Usable(kind) => kind,
        KindWord::NotYet(_) => {
            reader.report(
                Draft::key_error(fields, "clusterType", format!("`{}` is not supported yet", shown(scalar)))
                    .expected(expected)
                    .help("take this cluster and its tasks out until a version that supports it"),
            );
            String::new()
        }
        KindWord::Unknown => {
            let help = match nearest(scalar.text.trim(), kinds.words()) {
                Some(word) => format!("did you mean `{}`?", word.to_uppercase()),
                None => format!("the kinds of cluster that are known: {usable}"),
            };
            let message = format!("`{}` is not a kind of cluster that is known", shown(scalar));
            reader.report(Draft::key_error(fields, "clusterType", message).expected(expected).help(help));
            String::new()
        }
    }
}

fn namespaces(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) -> Vec<String> {
    let expected = "names separated by commas, such as `public,test`";
    let Some(scalar) = reader.scalar(fields, "namespace", expected) else { return Vec::new() };
    let namespaces = split_namespaces(&scalar.text);
    let has = reader.kinds.get(kind).is_none_or(|kind| kind.facts().namespaces);
    if !has && !namespaces.is_empty() {
        reader.report(
            Draft::key_warning(fields, "namespace", "this kind of cluster has no namespaces; the key has no effect")
                .help("take it out"),
        );
        return Vec::new();
    }
    namespaces
}

fn token(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) -> Option<Secret> {
    let token = reader.secret(fields, "token");
    let has = reader.kinds.get(kind).is_none_or(|kind| kind.facts().token);
    if token.is_some() && !has {
        reader.report(
            Draft::warning(
                fields.place_of("token"),
                fields.at("token"),
                "this kind of cluster knows no tokens; the key has no effect",
            )
            .help("sign in with `userName` and `password`, where the kind does"),
        );
    }
    token
}

/// The entries of a comma-separated list; blanks, empty entries and repetitions are nothing.
pub(crate) fn split_namespaces(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|own| own == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// `""` as an id of its own is `public`.
pub(crate) fn normal_namespace(name: &str) -> String {
    if name.trim().is_empty() { PUBLIC.to_owned() } else { name.trim().to_owned() }
}

fn context_path(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let text = reader.text(fields, "contextPath", "a path, such as `/registry`")?;
    if text.chars().any(|c| c.is_whitespace() || matches!(c, '?' | '#')) || text.contains("://") {
        reader.report(
            Draft::key_error(fields, "contextPath", "this is not a path")
                .expected("a path, such as `/registry`")
                .help("write only what stands between the port and `/v1` or `/v3`"),
        );
        return None;
    }
    Some(format!("/{}", text.trim_matches('/')))
}

fn tls(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Tls> {
    let inner = reader.block(fields, "tls", &TLS_KEYS)?;
    let tls = Tls {
        ca: reader.text(&inner, "ca", "the path of a PEM file"),
        cert: reader.text(&inner, "cert", "the path of a PEM file"),
        key: reader.text(&inner, "key", "the path of a PEM file"),
        server_name: reader.text(&inner, "serverName", "a host name"),
        insecure_skip_verify: reader.flag(&inner, "insecureSkipVerify", false),
    };
    check_together(reader, &inner, "cert", "key");
    check_together(reader, &inner, "key", "cert");
    if tls.insecure_skip_verify {
        reader.report(
            Draft::key_warning(&inner, "insecureSkipVerify", "the server's certificate is not checked")
                .help("give the certificate authority with `ca` instead"),
        );
    }
    Some(tls)
}

/// Two keys that mean something only together: reports `one` without `other`.
fn check_together(reader: &mut Reader<'_>, fields: &Fields<'_>, one: &str, other: &str) {
    let there = |key: &str| {
        fields
            .get(key)
            .is_some_and(|node| !matches!(&node.value, crate::tree::Value::Scalar(s) if s.text.is_empty() && !s.broken))
    };
    if there(one) && !there(other) {
        reader.report(
            Draft::key_error(fields, one, format!("`{one}` stands here without `{other}`"))
                .expected(format!("both `{one}` and `{other}`, or neither"))
                .help(format!("add `{other}`, or take `{one}` out")),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_namespaces() {
        assert_eq!(split_namespaces(" public , test,,test,"), ["public", "test"]);
        assert!(split_namespaces("").is_empty());
    }
}
