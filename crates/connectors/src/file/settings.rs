//! What the operator says of a file beside its path.

use causeway_settings::{Block, Cluster, Fields, Kind, KindFacts, Node, Reader, each};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The kind, which is also the key of its block.
const KIND: &str = "file";
const FORMATS: [(&str, FileFormat); 4] = [
    ("services", FileFormat::Services),
    ("prometheus", FileFormat::Prometheus),
    ("json", FileFormat::Json),
    ("yaml", FileFormat::Yaml),
];

/// What the file, or the folder of files, holds. Only for clusters of the type `FILE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "File")]
pub struct FileOptions {
    /// The form of the file. Absent: `json` for a path that ends in `.json`, `yaml` for one that ends in `.yaml` or `.yml`,
    /// and `services` for any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FileFormat", extend("x-origin" = "ours", "examples" = ["prometheus"]))]
    pub format: Option<FileFormat>,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum FileFormat {
    /// Services in YAML that somebody else writes: one file, or all `*.yaml` and `*.yml` of a folder. Read only.
    Services,
    /// Prometheus' file-based service discovery: a list of target groups in JSON. A destination.
    Prometheus,
    /// The form of `services` as JSON. A source or a destination.
    Json,
    /// The form of `services` as YAML. A source or a destination.
    Yaml,
}

impl FileOptions {
    /// The form that is meant for this path.
    pub fn format_of(&self, path: &Path) -> FileFormat {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        self.format.unwrap_or(match ending.as_deref() {
            Some("json") => FileFormat::Json,
            Some("yaml" | "yml") => FileFormat::Yaml,
            _ => FileFormat::Services,
        })
    }
}

impl Kind for super::FileConnector {
    fn name(&self) -> &'static str {
        KIND
    }

    fn facts(&self) -> KindFacts {
        KindFacts::SERVICES
    }

    fn addresses(&self, reader: &mut Reader<'_>, items: &[(&Node, String)]) -> Vec<String> {
        let expected = "the whole path of one file or folder, such as `/etc/causeway/services`";
        let one = |(node, path): &(&Node, String)| {
            each(reader, node, path, expected, &mut |text| match text {
                _ if items.len() > 1 => Err("make one cluster for each file"),
                _ if !text.starts_with('/') => Err("write the whole path, such as `/etc/causeway/services`"),
                _ if text.chars().any(char::is_control) => Err("take the line breaks out"),
                _ => Ok(text.to_owned()),
            })
        };
        items.iter().filter_map(one).collect()
    }

    fn block(&self) -> Option<Block> {
        Some(Block {
            title: "File",
            about: "What the file, or the folder of files, holds.",
            keys: &["format"],
            schema: |generator| generator.subschema_for::<FileOptions>(),
        })
    }

    fn read_block(&self, reader: &mut Reader<'_>, fields: &Fields<'_>, _: &Cluster) -> Option<serde_json::Value> {
        let inner = reader.block(fields, KIND, &["format"])?;
        serde_json::to_value(FileOptions { format: reader.word(&inner, "format", &FORMATS) }).ok()
    }
}
