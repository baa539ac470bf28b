//! What single texts may be.

/// The name of a service or a route.
pub fn name(text: &str) -> Result<(), String> {
    let good = |one: char| !one.is_ascii() || one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | '_' | '~');
    if !text.is_empty() && text.chars().all(good) {
        return Ok(());
    }
    Err(format!("invalid value '{text}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"))
}

pub fn tag(text: &str) -> Result<(), String> {
    let good = |one: char| !one.is_ascii() || ((' '..='~').contains(&one) && !matches!(one, ',' | '/'));
    if !text.is_empty() && text.chars().all(good) {
        return Ok(());
    }
    Err(format!("invalid tag '{text}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"))
}

pub fn filled(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("length must be at least 1".to_owned()) } else { Ok(()) }
}

pub fn uuid(text: &str) -> Result<(), String> {
    if super::is_uuid(text) { Ok(()) } else { Err("expected a valid UUID".to_owned()) }
}

pub fn method(text: &str) -> Result<(), String> {
    let good = !text.is_empty() && text.bytes().all(|one| one.is_ascii_uppercase());
    if good { Ok(()) } else { Err(format!("invalid value: {text}")) }
}

pub fn header(text: &str) -> Result<(), String> {
    let good = |one: u8| one.is_ascii_alphanumeric() || matches!(one, b'-' | b'_');
    if !text.is_empty() && text.bytes().all(good) {
        return Ok(());
    }
    Err(format!("bad header name '{text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"))
}

/// The path of a service or of a probe.
pub fn path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("should start with: /".to_owned());
    }
    if text.contains("//") {
        return Err("must not have empty segments".to_owned());
    }
    let good = |one: char| one.is_ascii_alphanumeric() || ".-_~/%:@!$&'()*+,;=".contains(one);
    if !text.chars().all(good) {
        return Err(format!("invalid path: '{text}' (characters outside of the reserved list of RFC 3986 found)"));
    }
    Ok(())
}

/// One of a route's paths: a prefix, or a regular expression behind `~`.
pub fn route_path(text: &str) -> Result<(), String> {
    if text.starts_with("~/") {
        return Ok(());
    }
    if !text.starts_with('/') {
        return Err("should start with: / (fixed path) or ~/ (regex path)".to_owned());
    }
    if text.contains("//") {
        return Err("must not have empty segments".to_owned());
    }
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('%') {
        let hex = bytes.get(at + 1..at + 3).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        if hex.is_none() {
            let end = bytes.len().min(at + 3);
            return Err(format!("invalid url-encoded value: '{}'", String::from_utf8_lossy(&bytes[at..end])));
        }
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("non-normalized path".to_owned());
    }
    Ok(())
}
