//! How commands on a node's own machine find it: a file in its data folder, which only the node's user can read.

use crate::failure::Failure;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const FILE: &str = "local.json";

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Content {
    url: String,
    /// Absent where none is needed. Another one at each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// The file of a running node.
pub struct LocalDoor {
    path: PathBuf,
    token: Option<SecretString>,
}

impl LocalDoor {
    /// Writes the file for a node that listens at `address`, with a new token where callers need one.
    pub fn open(folder: &Path, address: SocketAddr, needs_token: bool) -> io::Result<Self> {
        let token = match needs_token {
            true => Some(hex::encode(causeway_store::random::<24>().map_err(io::Error::other)?)),
            false => None,
        };
        let path = folder.join(FILE);
        let aside = folder.join(format!("{FILE}.new"));
        let content = serde_json::to_vec(&Content { url: url(address), token: token.clone() })?;
        // A file that somebody has made readable for others is not written into.
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(&content)?;
        std::fs::rename(&aside, &path)?;
        Ok(Self { path, token: token.map(SecretString::from) })
    }

    /// The token that the file holds.
    pub fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// Removes the file: the node ends. What a killed node leaves behind names a token that nobody takes any more.
    pub fn close(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(file = %self.path.display(), %error, "could not be removed");
        }
    }
}

/// Where the node of a data folder listens, and its token for commands on this machine.
pub fn find(folder: &Path) -> Result<(String, Option<SecretString>), Failure> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let failure = Failure::new(format!("cannot read {}: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::NotFound => {
                failure.help("--local takes the data folder of a node that runs on this machine")
            }
            io::ErrorKind::PermissionDenied => failure.help("run the command as the user that the node runs as"),
            _ => failure,
        }
    })?;
    let content: Content = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{} is not the file of a running node: {error}", path.display())))?;
    Ok((content.url, content.token.map(SecretString::from)))
}

/// The address as this machine reaches it.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_a_node_writes_its_own_user_reads() {
        let folder = tempfile::tempdir().unwrap();
        let door = LocalDoor::open(folder.path(), "0.0.0.0:8000".parse().unwrap(), true).unwrap();
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (url, token) = find(folder.path()).unwrap();
        let exposed = |token: Option<&SecretString>| token.unwrap().expose_secret().to_owned();
        assert_eq!((url.as_str(), exposed(token.as_ref())), ("http://127.0.0.1:8000", exposed(door.token())));
        // The next start has another token, and one on loopback has none.
        let next = LocalDoor::open(folder.path(), "[::]:8000".parse().unwrap(), true).unwrap();
        assert_ne!(exposed(next.token()), exposed(token.as_ref()));
        let open = LocalDoor::open(folder.path(), "127.0.0.1:1".parse().unwrap(), false).unwrap();
        assert!(matches!(find(folder.path()), Ok((url, None)) if url == "http://127.0.0.1:1"));
        open.close();
        assert!(
            matches!(find(folder.path()), Err(Failure::Said { help: Some(help), .. }) if help.contains("data folder"))
        );
    }
}
