//! The schema and the page that are checked in are those of the types.

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
    let text = serde_json::to_string_pretty(&causeway_settings::schema()).unwrap();
    same("settings.schema.json", &format!("{text}\n"));
}

#[test]
fn the_page_is_up_to_date() {
    same("settings.md", &causeway_settings::page());
}
