//! Request signatures with an access key (the scheme of Alibaba's naming clients).
//!
//! A naming request carries `ak`, `data` and `signature`, where `data` is the time of day in
//! milliseconds, followed by `@@group@@service` when the request speaks of one service, and
//! `signature` is Base64(HMAC-SHA1(secret key, data)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

/// An access key and its secret key.
#[derive(Clone, Debug)]
pub struct AccessKeys {
    /// Names the key (`ak`); not secret.
    pub access: String,
    /// Signs (`sk`); never sent.
    pub secret: SecretString,
}

/// Signs a request about `service` (`group@@name`, or none) at `now_ms` since the epoch. Returns `data` and `signature`.
pub(super) fn sign(keys: &AccessKeys, service: Option<&str>, now_ms: u64) -> (String, String) {
    let data = match service {
        Some(service) if !service.is_empty() => format!("{now_ms}@@{service}"),
        _ => now_ms.to_string(),
    };
    let signature = hmac_sha1(keys.secret.expose_secret().as_bytes(), data.as_bytes());
    (data, signature)
}

fn hmac_sha1(key: &[u8], data: &[u8]) -> String {
    // HMAC takes keys of any length, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(data);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Milliseconds since 1970: the server compares a signature's age with its own clock.
#[expect(clippy::disallowed_methods, reason = "a signature carries the time of day; nothing else here reads it")]
pub(super) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> AccessKeys {
        AccessKeys { access: "ak".into(), secret: secret.to_owned().into() }
    }

    /// RFC 2202, test case 2, in Base64.
    #[test]
    fn hmac_is_the_standard_one() {
        assert_eq!(hmac_sha1(b"Jefe", b"what do ya want for nothing?"), "7/zfauXrL6LSdBbV8YTfnCWafHk=");
    }

    #[test]
    fn data_is_time_and_service() {
        let (data, signature) = sign(&keys("sk"), Some("g@@s"), 1_700_000_000_000);
        assert_eq!(data, "1700000000000@@g@@s");
        assert_eq!(signature, hmac_sha1(b"sk", b"1700000000000@@g@@s"), "the signature is over data");
        assert_eq!(sign(&keys("sk"), None, 5).0, "5");
        assert_eq!(sign(&keys("sk"), Some(""), 5).0, "5");
    }

    /// Made with the vendor's Java client 2.4.3 (its naming injector) for these keys.
    #[test]
    fn signs_as_the_vendors_client_does() {
        let keys = keys("Sk-0123456789abcdefABCDEF/+=");
        let table = [
            (1_795_320_263_075, "orders@@com.example.Order", "VRihAy3oL/plImhoC0v3AC6BvDg="),
            (1_795_320_263_203, "g2@@x", "/CrImoVjoSSTkGydJKt3jx1lNQs="),
            (1_700_000_000_000, "DEFAULT_GROUP@@bestellung-ü", "JZPXp8/tlxwLfZAbOCugk9fdu+o="),
            (1_700_000_000_000, "", "eWC/gg6kGUU4lHj9JsnCU/lX0ig="),
        ];
        for (time, service, signature) in table {
            assert_eq!(sign(&keys, Some(service), time).1, signature, "{service}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        assert!(!format!("{:?}", keys("very-secret")).contains("very-secret"));
    }
}
