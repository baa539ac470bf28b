//! Parts of URLs.

use super::answer::{KongError, KongResult};
use axum::http::Uri;

/// The segments of a path, decoded. A slash at the end makes none.
pub fn segments(uri: &Uri) -> Vec<String> {
    let path = uri.path().trim_matches('/');
    if path.is_empty() { Vec::new() } else { path.split('/').map(decode).collect() }
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as a part of a path or of a query.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A query. Of a parameter that comes twice only the first counts.
#[derive(Debug, Clone, Default)]
pub struct KongQuery(Vec<(String, String)>);

impl KongQuery {
    pub fn of(uri: &Uri) -> Self {
        Self(url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How many entries a page has at most.
    pub fn size(&self) -> KongResult<usize> {
        let Some(text) = self.get("size") else { return Ok(100) };
        let number: f64 = text.parse().map_err(|_| KongError::size("size must be a number"))?;
        if number.fract() != 0.0 || !(1.0..=1000.0).contains(&number) {
            return Err(KongError::size("size must be an integer between 1 and 1000").into());
        }
        Ok(number as usize)
    }

    /// The tags that are asked for, and whether one of them is enough.
    pub fn tags(&self) -> KongResult<Option<(Vec<String>, bool)>> {
        let Some(text) = self.get("tags") else { return Ok(None) };
        if text.is_empty() {
            return Err(KongError::option("tags", "cannot be null").into());
        }
        let any = text.contains('/');
        if any && text.contains(',') {
            return Err(KongError::option("tags", "invalid filter syntax").into());
        }
        let tags: Vec<String> = text.split([',', '/']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        if tags.len() > 5 {
            return Err(KongError::option("tags", "cannot query more than 5 tags").into());
        }
        Ok(Some((tags, any)))
    }
}
