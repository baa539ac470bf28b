//! The key of a database that several nodes share: random, and kept in that database, encrypted with a key that the database's password
//! gives (Argon2id). Whoever reads the tables without knowing the password cannot read the secrets.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::mysql::PASSWORD_BEFORE;
use crate::secret::{CHECK, Origin, SealKey, random};
use crate::{Error, KEY_VARIABLE, MySqlSettings};

/// The name that it is kept under.
const NAME: &str = "data key";

/// The key as it is kept; bytes are hexadecimal digits.
#[derive(Serialize, Deserialize)]
struct WrappedKey {
    /// How it was wrapped; 1: Argon2id and AES-256-GCM, and the fields below.
    version: u32,
    /// Argon2's cost in KiB.
    memory: u32,
    /// Argon2's passes.
    passes: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

/// The database's key. The first node makes it.
pub(crate) async fn of(backend: &dyn Backend, settings: &MySqlSettings) -> Result<SealKey, Error> {
    let kept = match backend.value(NAME).await? {
        Some(kept) => kept,
        // Another key would only be found to be wrong.
        None if backend.value(CHECK).await?.is_some() => {
            return Err(Error::Key(format!(
                "the secrets in the database {} were encrypted with a key that {KEY_VARIABLE} held, and it is not set now: set it to \
                 the same value on all nodes",
                settings.database()
            )));
        }
        None => {
            let new = wrap(random::<32>()?, settings.password()).await?;
            backend.put_first(NAME, &new).await?
        }
    };
    if let Some(key) = unwrap(&kept, settings.password()).await? {
        return Ok(SealKey::from_bytes(key, Origin::Database));
    }
    if let Some(before) = settings.password_before()
        && let Some(key) = unwrap(&kept, before).await?
    {
        backend.put_value(NAME, &wrap(key, settings.password()).await?).await?;
        tracing::info!("the key in the database is encrypted with the new password from now on");
        return Ok(SealKey::from_bytes(key, Origin::Database));
    }
    Err(Error::Key(format!(
        "the key in the database {} cannot be decrypted: it was encrypted with another MYSQL_PASSWORD. Set {PASSWORD_BEFORE} to the \
         password that was used before, on one node for one start: it encrypts the key with the new one. If that password is lost, so are the \
         secrets in the database: see \"When the password is changed\" in docs/store.md",
        settings.database()
    )))
}

async fn wrap(key: [u8; 32], password: &SecretString) -> Result<String, Error> {
    let (salt, nonce) = (random::<16>()?, random::<12>()?);
    let costs = Params::default();
    let (memory, passes) = (costs.m_cost(), costs.t_cost());
    let cipher = derive(password.clone(), salt.to_vec(), memory, passes).await?;
    let payload = Payload { msg: &key, aad: NAME.as_bytes() };
    let sealed = cipher.encrypt(Nonce::from_slice(&nonce), payload);
    let sealed = sealed.map_err(|_| Error::Key("cannot encrypt the key of the database".into()))?;
    let [salt, nonce, sealed] = [salt.to_vec(), nonce.to_vec(), sealed].map(hex::encode);
    let wrapped = WrappedKey { version: 1, memory, passes, salt, nonce, sealed };
    serde_json::to_string(&wrapped).map_err(|error| Error::Key(error.to_string()))
}

/// `None`: with another password.
async fn unwrap(kept: &str, password: &SecretString) -> Result<Option<[u8; 32]>, Error> {
    let damaged = || Error::Key(format!("the value `{NAME}` in the table causeway_kv is damaged"));
    let kept: WrappedKey = serde_json::from_str(kept).map_err(|_| damaged())?;
    if kept.version != 1 {
        return Err(Error::Key("the key in the database was encrypted by a newer version".into()));
    }
    let [salt, nonce, sealed] = [kept.salt, kept.nonce, kept.sealed].map(hex::decode);
    let (salt, nonce, sealed) =
        (salt.map_err(|_| damaged())?, nonce.map_err(|_| damaged())?, sealed.map_err(|_| damaged())?);
    if nonce.len() != 12 {
        return Err(damaged());
    }
    let cipher = derive(password.clone(), salt, kept.memory, kept.passes).await?;
    let payload = Payload { msg: &sealed, aad: NAME.as_bytes() };
    let Ok(key) = cipher.decrypt(Nonce::from_slice(&nonce), payload) else { return Ok(None) };
    Ok(Some(key.try_into().map_err(|_| damaged())?))
}

/// Slow on purpose, and so not among other work.
async fn derive(password: SecretString, salt: Vec<u8>, memory: u32, passes: u32) -> Result<Aes256Gcm, Error> {
    let work = move || {
        let mut key = [0; 32];
        let costs = Params::new(memory, passes, 1, Some(key.len()))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, costs);
        argon.hash_password_into(password.expose_secret().as_bytes(), &salt, &mut key)?;
        Ok(Aes256Gcm::new(&key.into()))
    };
    let failed = |why: String| Error::Key(format!("no key can be made from MYSQL_PASSWORD: {why}"));
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| failed(error.to_string()))?;
    done.map_err(|error: argon2::Error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_opens_with_its_password_only() {
        let (key, right, wrong) = ([7; 32], "right".into(), "wrong".into());
        let kept = wrap(key, &right).await.unwrap();
        assert!(!kept.contains("right") && !kept.contains(&hex::encode(key)));
        assert_ne!(kept, wrap(key, &right).await.unwrap(), "salt and nonce are fresh");
        assert_eq!(unwrap(&kept, &right).await.unwrap(), Some(key));
        assert_eq!(unwrap(&kept, &wrong).await.unwrap(), None);
        assert!(unwrap("{}", &right).await.is_err());
    }
}
