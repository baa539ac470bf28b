//! Encryption at rest: AES-256-GCM, a fresh random nonce per value, bound to the place where the value stands.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::{Error, KEY_VARIABLE, Store};

const FILE: &str = "key";
/// The name of the value that tells whether a key is the right one.
pub(crate) const CHECK: &str = "key check";
/// First byte of everything sealed: how it was done.
const VERSION: u8 = 1;
const NONCE: usize = 12;
/// Below this, a text that is hashed into a key can be guessed.
const SHORT: usize = 16;

/// Where a key came from, in words for the operator.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// By the environment or the caller.
    Given,
    /// From the key file.
    File(PathBuf),
    /// From the database, where it is kept encrypted.
    Database,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => write!(f, "{KEY_VARIABLE}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Database => write!(f, "the database ({KEY_VARIABLE} is not set)"),
        }
    }
}

/// The key file, and what it held.
pub(crate) struct KeyFile {
    path: PathBuf,
    text: SecretString,
}

pub(crate) struct SealKey {
    cipher: Aes256Gcm,
    origin: Origin,
}

impl SealKey {
    /// 32 bytes in hex or base64, else the SHA-256 of the text.
    pub(crate) fn from_text(text: &SecretString, origin: Origin) -> Self {
        let text = text.expose_secret().trim();
        let engines = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
        let bytes = hex::decode(text)
            .ok()
            .into_iter()
            .chain(engines.iter().filter_map(|engine| engine.decode(text).ok()))
            .find_map(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .unwrap_or_else(|| {
                if text.len() < SHORT {
                    tracing::warn!("the key is shorter than {SHORT} characters and may be guessed");
                }
                Sha256::digest(text).into()
            });
        Self::from_bytes(bytes, origin)
    }

    pub(crate) fn from_bytes(bytes: [u8; 32], origin: Origin) -> Self {
        Self { cipher: Aes256Gcm::new(&bytes.into()), origin }
    }

    /// From the key file, made when missing.
    pub(crate) fn from_folder(folder: &Path) -> Result<(Self, KeyFile), Error> {
        let path = folder.join(FILE);
        let failed = |e| Error::file(&path, e);
        let text = match fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                return Err(Error::Key(format!("{} is empty: the key is lost", path.display())));
            }
            Ok(text) => {
                tighten(&path).map_err(failed)?;
                text
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let text = hex::encode(random::<32>()?);
                write_new(&path, &text).map_err(failed)?;
                text
            }
            Err(e) => return Err(failed(e)),
        };
        let text = SecretString::from(text);
        let key = Self::from_text(&text, Origin::File(path.clone()));
        Ok((key, KeyFile { path, text }))
    }

    /// `place` is part of the seal: a sealed value moved to another place does not open.
    pub(crate) fn seal(&self, place: &str, text: &SecretString) -> Result<Vec<u8>, Error> {
        let nonce = random::<NONCE>()?;
        let payload = Payload { msg: text.expose_secret().as_bytes(), aad: place.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| Error::Key(format!("cannot encrypt {place}")))?;
        let mut all = vec![VERSION];
        all.extend(nonce);
        all.extend(sealed);
        Ok(all)
    }

    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<SecretString, Error> {
        let refused = || Error::Key(format!("{place} cannot be decrypted with this key"));
        let (version, rest) = sealed.split_first().ok_or_else(refused)?;
        let (nonce, body) = rest.split_at_checked(NONCE).ok_or_else(refused)?;
        if *version != VERSION {
            return Err(Error::Key(format!("{place} was encrypted by a newer version")));
        }
        let payload = Payload { msg: body, aad: place.as_bytes() };
        let bytes = self.cipher.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| refused())?;
        let text = String::from_utf8(bytes).map_err(|_| refused())?;
        Ok(text.into())
    }
}

impl KeyFile {
    /// Writes it again when it was removed: without it the secrets would be lost with the process.
    pub(crate) fn restore(&self) -> Result<(), Error> {
        match self.path.exists() {
            true => Ok(()),
            false => write_new(&self.path, self.text.expose_secret()).map_err(|e| Error::file(&self.path, e)),
        }
    }
}

impl Store {
    /// Encrypts a secret that is kept outside the database, with the store's key. `place` is where it is kept, in words, and must be the
    /// same to open it. Returns text of hexadecimal digits.
    pub fn seal(&self, place: &str, secret: &SecretString) -> Result<String, Error> {
        Ok(hex::encode(self.key().seal(place, secret)?))
    }

    /// Decrypts what [`Store::seal`] has encrypted for this place.
    pub fn unseal(&self, place: &str, sealed: &str) -> Result<SecretString, Error> {
        self.key().open(place, &hex::decode(sealed).unwrap_or_default())
    }

    /// That the key is the one of the first start: a wrong one must not show first when a cluster is connected.
    pub(crate) async fn check_key(&self) -> Result<(), Error> {
        let key = self.key();
        let sealed = match self.kv(CHECK).await? {
            Some(sealed) => sealed,
            None => self.put_first_kv(CHECK, &hex::encode(key.seal(CHECK, &"causeway".into())?)).await?,
        };
        let opened = key.open(CHECK, &hex::decode(sealed).unwrap_or_default());
        opened.map(|_| ()).map_err(|_| {
            Error::Key(format!(
                "the key of {} is not the one that the secrets in {} were encrypted with: start with that key, which {KEY_VARIABLE} \
                 may hold",
                key.origin, self.0.place
            ))
        })
    }
}

impl Store {
    /// A small secret that was kept under `name`. Errors: it cannot be read, or not with this key.
    pub async fn secret(&self, name: &str) -> Result<Option<SecretString>, Error> {
        let Some(sealed) = self.kv(name).await? else { return Ok(None) };
        self.key().open(name, &hex::decode(sealed).unwrap_or_default()).map(Some)
    }

    /// Keeps a small secret under `name`, encrypted; it replaces the one before.
    pub async fn put_secret(&self, name: &str, secret: &SecretString) -> Result<(), Error> {
        self.put_kv(name, &hex::encode(self.key().seal(name, secret)?)).await
    }

    /// A random key of this data folder for fingerprints of settings that hold secrets; made at the first call, and kept
    /// encrypted.
    pub async fn fingerprint_key(&self) -> Result<SecretString, Error> {
        const PLACE: &str = "fingerprint key";
        if let Some(known) = self.secret(PLACE).await? {
            return Ok(known);
        }
        let made = SecretString::from(hex::encode(random::<32>()?));
        let kept = self.put_first_kv(PLACE, &hex::encode(self.key().seal(PLACE, &made)?)).await?;
        self.key().open(PLACE, &hex::decode(kept).unwrap_or_default())
    }
}

/// Random bytes for keys, tokens and ids.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::Key(format!("no random numbers: {e}")))?;
    Ok(bytes)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A key file that others may read was copied there by hand.
fn tighten(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "the key file was open to others; its mode is now 0600");
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SealKey {
        SealKey::from_text(&text.into(), Origin::Given)
    }

    #[test]
    fn hex_and_base64_of_the_same_bytes_are_the_same_key() {
        let bytes = [7; 32];
        let sealed = key(&hex::encode(bytes)).seal("a", &"word".into()).unwrap();
        for text in [STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)] {
            assert_eq!(key(&text).open("a", &sealed).unwrap().expose_secret(), "word");
        }
        assert!(key("any other text at all").open("a", &sealed).is_err());
    }

    #[test]
    fn a_sealed_value_opens_only_whole_and_in_its_place() {
        let key = key("some text that is long enough");
        let sealed = key.seal("here", &"word".into()).unwrap();
        assert_ne!(sealed, key.seal("here", &"word".into()).unwrap(), "the nonce is fresh");
        assert!(key.open("there", &sealed).is_err());
        for n in 0..sealed.len() {
            assert!(key.open("here", &sealed[..n]).is_err());
        }
        let mut other = sealed.clone();
        *other.last_mut().unwrap() ^= 1;
        let error = key.open("here", &other).unwrap_err().to_string();
        assert!(!error.contains("word"), "{error}");
    }
}
