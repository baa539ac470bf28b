//! The JSON Schema of the file, made from the types.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use crate::kinds::{Kind, Kinds};
use crate::model::Settings;

/// The schema of the settings file, with the blocks of these kinds. Besides the standard's words every key has `x-origin`:
/// `MSE` or `ours`.
pub fn schema(kinds: &Kinds) -> serde_json::Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let blocks: Vec<_> = kinds.blocks().map(|(name, block)| (name, block, (block.schema)(&mut generator))).collect();
    let mut schema = generator.into_root_schema_for::<Settings>().to_value();
    let keys = schema.pointer_mut("/definitions/Cluster/properties").and_then(serde_json::Value::as_object_mut);
    if let Some(keys) = keys {
        if let Some(kind) = keys.get_mut("clusterType") {
            let words: Vec<String> = kinds.all().map(words).collect();
            kind["description"] = format!("The kind of cluster, in any case: {}.", words.join(", ")).into();
            kind["examples"] = kinds.usable().iter().map(|name| name.to_uppercase()).collect();
        }
        keys.extend(blocks.into_iter().map(|(name, block, reference)| {
            let description = format!("{} Only for clusters of this kind.", block.about);
            let key = serde_json::json!({"x-origin": "ours", "description": description, "allOf": [reference]});
            (name.to_owned(), key)
        }));
    }
    schema
}

/// The word for a kind, and other words behind it in brackets.
fn words(kind: &'static dyn Kind) -> String {
    let aliases: String = kind.aliases().iter().map(|word| format!(" (or {})", word.to_uppercase())).collect();
    kind.name().to_uppercase() + &aliases
}

/// Editors offer the words as they are written here; every other case is valid too.
fn any_case(words: &[&str], default: &str) -> Schema {
    let letter = |c: char| format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase());
    let patterns: Vec<String> = words.iter().map(|word| word.chars().map(letter).collect()).collect();
    json_schema!({
        "type": "string",
        "anyOf": [{ "enum": words }, { "pattern": format!("^({})$", patterns.join("|")) }],
        "default": default,
    })
}

pub(crate) fn any_case_type(_: &mut SchemaGenerator) -> Schema {
    any_case(&["Service", "Config", "All"], "Service")
}

pub(crate) fn any_case_mode(_: &mut SchemaGenerator) -> Schema {
    any_case(&["Unidirectional", "Bidirectional"], "Unidirectional")
}

/// `namespace`: a list that is written as one text with commas.
pub(crate) fn comma_list<S: serde::Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clusters, groups, tasks};

    #[test]
    fn the_reader_knows_the_keys_of_the_schema() {
        let schema = schema(&Kinds::default());
        for (name, keys) in [
            ("", &crate::TOP_KEYS[..]),
            ("/definitions/Cluster", &clusters::CLUSTER_KEYS),
            ("/definitions/Tls", &clusters::TLS_KEYS),
            ("/definitions/Task", &tasks::TASK_KEYS),
            ("/definitions/Selection", &tasks::SELECT_KEYS),
            ("/definitions/Rule", &tasks::RULE_KEYS),
            ("/definitions/Renames", &tasks::MAP_KEYS),
            ("/definitions/MetadataRenames", &tasks::METADATA_KEYS),
            ("/definitions/Data", &tasks::DATA_KEYS),
            ("/definitions/MetadataGroup", &groups::GROUP_KEYS),
            ("/definitions/Guard", &tasks::GUARD_KEYS),
        ] {
            let definition = schema.pointer(name).unwrap();
            let properties = definition["properties"].as_object().unwrap();
            assert_eq!(properties.keys().collect::<Vec<_>>(), keys, "{name}");
            for (key, value) in properties {
                assert!(["MSE", "ours"].contains(&value["x-origin"].as_str().unwrap()), "{name} {key}");
                assert!(!value["description"].as_str().unwrap_or_default().is_empty(), "{name} {key}");
            }
            let described = name.is_empty() || crate::page::SECTIONS.iter().any(|(_, own, _)| name.ends_with(own));
            assert!(described, "{name} has no section in the page");
            assert_eq!(definition["additionalProperties"], false, "{name}");
        }
        assert_eq!(schema["definitions"].as_object().unwrap().len(), crate::page::SECTIONS.len());
    }
}
