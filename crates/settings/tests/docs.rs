//! The schema and the page that are checked in are those of the types.

use causeway_connectors::kinds;
use std::path::Path;

#[track_caller]
fn same(name: &str, want: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, want).expect("docs can be written");
    }
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(have == want, "docs/{name} is stale: run `UPDATE=1 cargo test -p causeway-settings --test docs`");
}

#[test]
fn the_schema_is_up_to_date() {
    let text = serde_json::to_string_pretty(&causeway_settings::schema(&kinds())).unwrap();
    same("settings.schema.json", &format!("{text}\n"));
}

#[test]
fn the_page_is_up_to_date() {
    same("settings.md", &causeway_settings::page(&kinds()));
}

#[test]
fn the_kinds_know_the_keys_of_their_blocks() {
    let schema = causeway_settings::schema(&kinds());
    for kind in kinds().all() {
        let Some(block) = kind.block() else { continue };
        let property = &schema["definitions"]["Cluster"]["properties"][kind.name()];
        let name = property["allOf"][0]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let definition = &schema["definitions"][name];
        let properties = definition["properties"].as_object().unwrap();
        assert_eq!(properties.keys().collect::<Vec<_>>(), block.keys, "{name}");
        assert!(
            properties.values().all(|value| value["x-origin"] == "ours" && value["description"].is_string()),
            "{name}"
        );
        assert_eq!(definition["additionalProperties"], false, "{name}");
    }
}
