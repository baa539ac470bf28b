//! docs/settings.md, made from the schema.

use serde_json::Value;

/// The page that describes every key: markdown.
pub fn page() -> String {
    let schema = crate::schema();
    let mut out = String::from(HEAD);
    section(&mut out, &schema, "The file", "");
    for (title, name, path) in SECTIONS {
        let definition = schema.pointer(&format!("/definitions/{name}")).cloned().unwrap_or_default();
        section(&mut out, &definition, title, path);
    }
    out.push_str(TAIL);
    out
}

/// Title, type and path of every section but the first; a test says when one is missing.
pub(crate) const SECTIONS: [(&str, &str, &str); 11] = [
    ("A cluster", "Cluster", "clusters[]."),
    ("TLS", "Tls", "clusters[].tls."),
    ("ZooKeeper", "ZooKeeper", "clusters[].zookeeper."),
    ("File", "File", "clusters[].file."),
    ("A task", "Task", "tasks[]."),
    ("What is copied", "Selection", "tasks[].select."),
    ("A rule", "Rule", "tasks[].select.include[]. and tasks[].select.exclude[]."),
    ("Renaming", "Renames", "tasks[].map."),
    ("Renaming metadata", "MetadataRenames", "tasks[].map.metadata."),
    ("Data", "Data", "tasks[].data."),
    ("The guard", "Guard", "tasks[].guard."),
];

fn section(out: &mut String, schema: &Value, title: &str, path: &str) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    out.push_str(&format!("\n## {title}\n\n{}\n", text(schema, "description")));
    if !path.is_empty() {
        out.push_str(&format!("\nKeys of `{}`:\n", path.trim_end_matches('.').replace(". and ", "` and `")));
    }
    out.push_str("\n| key | whose | type | default | example | meaning |\n| --- | --- | --- | --- | --- | --- |\n");
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|l| l.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (key, value) in properties {
        let default = match value.get("default") {
            _ if required.contains(&key.as_str()) => "*required*".into(),
            Some(default) if !default.is_null() && !is_long(default) => code(default),
            _ => String::new(),
        };
        let example = value.pointer("/examples/0").map(code).unwrap_or_default();
        let cells =
            [format!("`{key}`"), text(value, "x-origin"), kind(value), default, example, text(value, "description")];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

fn is_long(value: &Value) -> bool {
    value.as_object().is_some_and(|o| !o.is_empty()) || value.to_string().len() > 40
}

fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// The type of a value in words.
fn kind(value: &Value) -> String {
    let words = |list: &Value| {
        let words: Vec<String> = list.as_array().into_iter().flatten().map(code).collect();
        words.join(", ")
    };
    let reference = value.get("$ref").or_else(|| value.pointer("/allOf/0/$ref")).and_then(Value::as_str);
    if let Some(name) = reference.and_then(|r| r.rsplit('/').next()) {
        let title = SECTIONS.iter().find(|(_, own, _)| *own == name).map_or("keys", |(title, ..)| title);
        return format!("[keys](#{})", title.to_lowercase().replace(' ', "-"));
    }
    if let Some(list) = value.pointer("/anyOf/0/enum") {
        return words(list);
    }
    if let Some(list) = value.get("enum") {
        return words(list);
    }
    if let Some(options) = value.get("anyOf").or_else(|| value.get("oneOf")).and_then(Value::as_array) {
        let consts: Vec<String> = options.iter().filter_map(|o| o.get("const")).map(code).collect();
        if !consts.is_empty() {
            return consts.join(", ");
        }
        return options.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match value.get("type").and_then(Value::as_str) {
        Some("array") => format!("list of {}", value.get("items").map(kind).unwrap_or_default()),
        Some("object") => "table".into(),
        Some("string") => "text".into(),
        Some("boolean") => "`true`, `false`".into(),
        Some("integer" | "number") => "number".into(),
        _ => String::new(),
    }
}

const HEAD: &str = "# Settings

<!-- Made from the types in crates/settings; `UPDATE=1 cargo test -p causeway-settings` writes it again. -->

One YAML file says which clusters there are and what is copied between them. It is MSE Sync's file, unchanged; the keys
marked *ours* are additions, all of them optional. [settings.schema.json](settings.schema.json) lets editors complete
and check it; `causeway validate -f FILE` checks everything, and lists all errors at once with line and column.

```yaml
clusters:
  - clusterName: src
    clusterType: NACOS
    connectKeyList:
      - 10.0.0.1:8848
    namespace: public,test
    userName: nacos
    password: ${env:SRC_PASSWORD}
  - clusterName: dst
    clusterType: NACOS
    connectKeyList:
      - 10.0.1.1:8848
tasks:
  - source: src
    destination: dst
    type: Service
    mode: Bidirectional
    serviceMatchPattern: \".*\"
    autoScanAndAddService: true
```
";

const TAIL: &str = "
## References

Every value, or a part of it, can be taken from elsewhere: `${env:NAME}` is an environment variable of the process that
reads the file, `${file:/path}` a file's text (at most 64 KiB) without the line break at its end. One that is missing is
an error. `$${` stands for `${` itself. For `password` and `sk` the reference must be the whole value. References are
stored and shown as they are written, never what they stand for.

## TLS files

The files of `tls` are read when settings are applied and when the node starts. A file that is missing or holds no certificate
or key is refused by name, and nothing is changed. To use renewed certificates, apply the same settings again: clusters whose
files have changed are connected to anew. An open connection goes on with what it has read, also when a certificate expires
meanwhile; the next connection then fails, and the tasks of the cluster say so.

## Patterns

`serviceMatchPattern` and the patterns of rules have Java's syntax, with look-around, back-references, possessive
quantifiers, `\\Q…\\E` and classes such as `\\p{Alpha}`. A pattern matches the *whole* name, at the source, before any
renaming. Not supported: look-behind of varying length, the flag `(?U)`, Unicode blocks (`\\p{InGreek}`; use a script,
`\\p{IsGreek}`), `\\N`, `\\X` and `\\G`. With `(?i)`, letter case is Unicode's. A pattern that needs too many steps on a
name says neither yes nor no to it: such a service, instance or entry is left alone in both directions. It is not copied (nor
let through because an `exclude` did not match), and a copy that stands is neither changed nor removed until the pattern
decides. `get tasks` counts what was left alone so, `verify` and the events name the pattern and the name. Make the
repetitions of such a pattern unambiguous: `[^.]*` in place of nested `.*`.

With `type: Config`, `serviceMatchPattern` speaks of paths: of a znode's path below the chroot, of `group/dataId`
elsewhere. With `type: All` it speaks of services only; rules with `path` choose the configuration.

## Namespaces

A task's namespaces are those of its source, for both ways. The destination gets the same ones, with the same ids and
display names, created when missing. Blanks around commas are nothing; `public` and the empty id are the default
namespace. The destination of a two-way task names no namespaces, or the same.

Nacos also serves namespaces that nobody created. One that is named by its id and in which services stand takes part like
any other and is created at the destination; `get tasks` says that the source does not list it. An id that is listed nowhere
and has no services is reported as missing until the first provider appears in it. A word that is the display name of a
listed namespace is never taken for an id.

A kind without namespaces, such as ZooKeeper, has only `public`. From there everything goes to the one namespace that
the destination names, else to its `public`; a destination that names several is an error. The other way, the one
namespace that the source names becomes `public`; of several, or of all, only `public` itself fits, and the others are
shown as skipped. A two-way task goes back the same way, and nothing else of the other side takes part. The namespace
that copies go to by this rule is meant by its id. A task's `map: {namespace: …}` wins over all of it.

## Addresses of a ZooKeeper

They may end with a chroot, the same at all of them or one behind the last:
`[zk1:2181, zk2:2181/root]`. The servers' own form, `zk1:2181,zk2:2181/root` as the only entry, is read too. `userName`
and `password` sign in by the scheme `digest`.

## Durations

A number with a unit: `500ms`, `30s`, `5m`, `1h30m`, `2d`.
";
