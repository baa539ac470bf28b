//! Durations as they are written: `500ms`, `30s`, `5m`, `1h30m`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads numbers with units (`ms`, `s`, `m`, `h`, `d`), one after the other; at most 365 days. `None`: not of that form.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, millis) = UNITS.iter().find(|(unit, _)| *unit == &rest[..end])?;
        total = total.checked_add(number.checked_mul(*millis)?)?;
        rest = &rest[end..];
    }
    (total <= 365 * UNITS[0].1).then(|| Duration::from_millis(total))
}

/// Writes a duration in the largest unit that holds it without a fraction; anything below a millisecond is cut off.
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".into();
    }
    let (unit, size) = UNITS.iter().find(|(_, size)| millis.is_multiple_of(*size)).unwrap_or(&UNITS[4]);
    format!("{}{unit}", millis / size)
}

/// For `#[serde(with = …)]`.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).ok_or_else(|| serde::de::Error::custom("expected a duration such as `30s`"))
    }

    /// For a duration that may be absent.
    pub mod maybe {
        use std::time::Duration;

        use serde::Serializer;

        pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, millis) in
            [("30s", 30_000), ("500ms", 500), ("1h30m", 5_400_000), ("0s", 0), ("1d", 86_400_000), (" 5m ", 300_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.5s", "1 s", "1w", "99999999999999999999s", "366d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
        assert_eq!(format_duration(Duration::from_secs(120)), "2m");
        assert_eq!(format_duration(Duration::from_millis(1500)), "1500ms");
    }
}
