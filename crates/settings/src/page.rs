//! docs/settings.md, made from the schema.

use serde_json::Value;

use crate::kinds::{Kind, Kinds};

/// The page that describes every key, with the blocks of these kinds: markdown.
pub fn page(kinds: &Kinds) -> String {
    let schema = crate::schema(kinds);
    let mut out = String::from(HEAD);
    let mut sections = SECTIONS.map(|(title, name, path)| (title, name.to_owned(), path.to_owned())).to_vec();
    let tasks = sections.iter().position(|(_, name, _)| name == "Task").unwrap_or_default();
    let blocks = kinds.blocks().filter_map(|(key, block)| {
        let property = schema.pointer(&format!("/definitions/Cluster/properties/{key}/allOf/0/$ref"))?;
        let name = property.as_str()?.rsplit('/').next()?.to_owned();
        Some((block.title, name, format!("clusters[].{key}.")))
    });
    sections.splice(tasks..tasks, blocks);
    section(&mut out, &schema, ("The file", ""), &sections);
    for (title, name, path) in &sections {
        let definition = schema.pointer(&format!("/definitions/{name}")).cloned().unwrap_or_default();
        section(&mut out, &definition, (title, path), &sections);
    }
    out.push_str(TAIL);
    kinds
        .all()
        .map(Kind::notes)
        .filter(|notes| !notes.is_empty())
        .for_each(|notes| out.push_str(&format!("\n{}\n", notes.trim())));
    out
}

/// Title, type and path of a section.
type Section = (&'static str, String, String);

/// Title, type and path of every section but the first and the kinds' own; a test says when one is missing.
pub(crate) const SECTIONS: [(&str, &str, &str); 10] = [
    ("A cluster", "Cluster", "clusters[]."),
    ("TLS", "Tls", "clusters[].tls."),
    ("A task", "Task", "tasks[]."),
    ("What is copied", "Selection", "tasks[].select."),
    ("A rule", "Rule", "tasks[].select.include[]. and tasks[].select.exclude[]."),
    ("Renaming", "Renames", "tasks[].map."),
    ("Renaming metadata", "MetadataRenames", "tasks[].map.metadata."),
    ("Data", "Data", "tasks[].data."),
    ("A group of instances", "MetadataGroup", "tasks[].groups[]."),
    ("The guard", "Guard", "tasks[].guard."),
];

fn section(out: &mut String, schema: &Value, (title, path): (&str, &str), sections: &[Section]) {
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
        let cells = [
            format!("`{key}`"),
            text(value, "x-origin"),
            kind(value, sections),
            default,
            example,
            text(value, "description"),
        ];
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
fn kind(value: &Value, sections: &[Section]) -> String {
    let words = |list: &Value| {
        let words: Vec<String> = list.as_array().into_iter().flatten().map(code).collect();
        words.join(", ")
    };
    let reference = value.get("$ref").or_else(|| value.pointer("/allOf/0/$ref")).and_then(Value::as_str);
    if let Some(name) = reference.and_then(|r| r.rsplit('/').next()) {
        let title = sections.iter().find(|(_, own, _)| own == name).map_or("keys", |(title, ..)| title);
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
        return options.iter().map(|option| kind(option, sections)).collect::<Vec<_>>().join(" or ");
    }
    match value.get("type").and_then(Value::as_str) {
        Some("array") => {
            format!("list of {}", value.get("items").map(|items| kind(items, sections)).unwrap_or_default())
        }
        Some("object") => "table".into(),
        Some("string") => "text".into(),
        Some("boolean") => "`true`, `false`".into(),
        Some("integer" | "number") => "number".into(),
        _ => String::new(),
    }
}

/// What stands before and behind the sections.
const HEAD: &str = include_str!("page/head.md");
const TAIL: &str = include_str!("page/tail.md");
