//! What only a file has: the key `file` of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Cluster;
use crate::read::{Draft, Fields, Reader};

/// The kind that has this.
pub(crate) const KIND: &str = "file";
/// The keys of the block; a test holds them against the schema.
#[cfg(test)]
pub(crate) const KEYS: [&str; 1] = ["format"];
const FORMATS: [(&str, FileFormat); 4] = [
    ("services", FileFormat::Services),
    ("prometheus", FileFormat::Prometheus),
    ("json", FileFormat::Json),
    ("yaml", FileFormat::Yaml),
];

/// What the file, or the folder of files, holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct File {
    /// The form of the file. `services`: YAML that somebody else writes, one file or a folder of them, read only;
    /// `prometheus`: a list of targets for `file_sd_configs`; `json` and `yaml`: as `services`, and can be written. Absent: by the
    /// path's ending, `json` or `yaml`, and `services` for any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FileFormat", extend("x-origin" = "ours", "examples" = ["prometheus"]))]
    pub format: Option<FileFormat>,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum FileFormat {
    /// Services in YAML that somebody else writes.
    Services,
    /// Prometheus' lists of targets.
    Prometheus,
    /// Services in JSON.
    Json,
    /// Services in YAML.
    Yaml,
}

/// What a cluster's settings say of its file; an error where the cluster is of another kind.
pub(crate) fn read(reader: &mut Reader<'_>, fields: &Fields<'_>, cluster: &Cluster) -> Option<File> {
    let node = fields.get("file")?;
    if !cluster.kind.is_empty() && cluster.kind != KIND {
        let message = format!("this cluster is no file but of the kind {}", cluster.kind);
        let draft = Draft::error(node.place, fields.at("file"), message);
        reader.report(
            draft
                .expected("this key only where `clusterType` is FILE")
                .help("take it out, or write `clusterType: FILE`"),
        );
        return None;
    }
    let inner = reader.fields(node, &fields.at("file"), &["format"])?;
    Some(File { format: reader.word(&inner, "format", &FORMATS) })
}

/// `Err`: how to put it right.
pub(crate) fn check_path(text: &str) -> Result<(), &'static str> {
    match text {
        _ if !text.starts_with('/') => Err("write the whole path, such as `/etc/causeway/services`"),
        _ if text.chars().any(char::is_control) => Err("take the line breaks out"),
        _ => Ok(()),
    }
}
