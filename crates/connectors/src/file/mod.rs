//! Files: static services in YAML that are hot-reloaded, and services written into one file, for Prometheus or in the same
//! form as they are read.
//!
//! A file that is missing, half-written or wrong is an outage and changes nothing. A file is written whole or not at all, and
//! only where Causeway has made it.

mod contents;
mod disk;
mod plain;
pub(crate) mod prometheus;
mod services;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod watch;

pub use services::FilePorts;
pub use settings::{FileFormat, FileOptions};

use crate::{Connect, Connector};
use causeway_core::{ClusterId, Error, Port, Ports};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Opens the file or folder at the address.
pub struct FileConnector;

impl Connector for FileConnector {
    fn open(&self, _: ClusterId, connect: Connect) -> Result<Ports, Error> {
        let refuse = |text: String| Err(Error::Rejected(text));
        let [address] = connect.addresses.as_slice() else {
            return refuse("connectKeyList takes one path of a file or a folder; make one cluster for each".into());
        };
        let path = PathBuf::from(address);
        if !path.is_absolute() {
            return refuse(format!(
                "{address:?} is a relative path; write the whole one, such as /etc/causeway/services"
            ));
        }
        let options = connect.block.as_ref().and_then(|block| FileOptions::deserialize(block).ok()).unwrap_or_default();
        let form = options.format_of(&path);
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if form == FileFormat::Prometheus && !["json", "yml", "yaml"].contains(&ending) {
            return refuse(format!(
                "{address}: Prometheus reads only files that end in .json, .yml or .yaml; rename it"
            ));
        }
        // The form `services` refuses every write, with the words that tell the operator why.
        Ok(Ports { services: Some(Port::read_write(Arc::new(FilePorts::open(path, form)))), data: None })
    }
}
