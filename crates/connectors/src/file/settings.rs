//! What the operator says of a file beside its path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the file, or the folder of files, holds. Only for clusters of the type `FILE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
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
