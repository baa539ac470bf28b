//! How URLs are made names of znodes. Dubbo says `java.net.URLEncoder`; those who write Dubbo's trees in other languages
//! use what theirs has.

use std::sync::LazyLock;

/// One way of escaping. The name of Dubbo's own is the first.
struct Style {
    /// What stays beside letters and digits.
    safe: &'static str,
    /// Whether a blank is `+`, not `%20`.
    plus: bool,
    /// Whether hexadecimal digits are small letters.
    small: bool,
}

const STYLES: [Style; 5] = [
    Style { safe: "*-_.", plus: true, small: false },
    // Go's QueryEscape.
    Style { safe: "-_.~", plus: true, small: false },
    // encodeURIComponent.
    Style { safe: "-_.!~*'()", plus: false, small: false },
    // RFC 3986.
    Style { safe: "-_.~", plus: false, small: false },
    Style { safe: "*-_.", plus: true, small: true },
];

/// The number of ways there are; way 0 is Dubbo's own.
pub(super) const WAYS: usize = STYLES.len();

impl Style {
    /// What becomes of a byte: itself, `+`, or two digits.
    fn of(&self, byte: u8) -> Escaped {
        let hex = if self.small { b"0123456789abcdef" } else { b"0123456789ABCDEF" };
        match byte {
            b' ' if self.plus => Escaped::Plus,
            _ if byte.is_ascii_alphanumeric() || self.safe.as_bytes().contains(&byte) => Escaped::Not,
            _ => Escaped::Hex([b'%', hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]),
        }
    }
}

/// What one byte becomes.
#[derive(Clone, Copy)]
enum Escaped {
    Not,
    Plus,
    Hex([u8; 3]),
}

/// For each way and each byte: a large estate has tens of millions of them.
static TABLES: LazyLock<[[Escaped; 256]; WAYS]> =
    LazyLock::new(|| STYLES.map(|style| std::array::from_fn(|byte| style.of(u8::try_from(byte).unwrap_or_default()))));

fn table(way: usize) -> &'static [Escaped; 256] {
    TABLES.get(way).unwrap_or(&TABLES[0])
}

/// Escapes in one way; there is no other way than those below [`WAYS`].
pub(super) fn escape(text: &str, way: usize) -> String {
    let table = table(way);
    let mut out = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        match &table[usize::from(byte)] {
            Escaped::Not => out.push(char::from(byte)),
            Escaped::Plus => out.push('+'),
            Escaped::Hex(three) => out.extend(three.map(char::from)),
        }
    }
    out
}

/// Whether a text becomes this name in one way.
pub(super) fn is(text: &str, way: usize, name: &str) -> bool {
    let table = table(way);
    let mut rest = name.as_bytes();
    for byte in text.bytes() {
        let tail = match &table[usize::from(byte)] {
            Escaped::Not => rest.strip_prefix(&[byte]),
            Escaped::Plus => rest.strip_prefix(b"+"),
            Escaped::Hex(three) => rest.strip_prefix(three),
        };
        let Some(tail) = tail else { return false };
        rest = tail;
    }
    rest.is_empty()
}

/// Reads an escaped name as Dubbo does: `+` is a blank, `%XX` a byte of UTF-8. `None` where that is broken.
pub(super) fn read(text: &str) -> Option<String> {
    String::from_utf8(decode(text.as_bytes(), b'%', |byte| if byte == b'+' { b' ' } else { byte })?).ok()
}

/// Undoes escapes of two hexadecimal digits after `mark`; `None` where one is broken.
pub(super) fn unescape(text: &[u8], mark: u8) -> Option<Vec<u8>> {
    decode(text, mark, |byte| byte)
}

/// `plain` is what a byte outside of escapes stands for.
fn decode(text: &[u8], mark: u8, plain: impl Fn(u8) -> u8) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == mark {
            let (&[high, low], tail) = rest.split_first_chunk()?;
            out.push(digit(high)? * 16 + digit(low)?);
            rest = tail;
        } else {
            out.push(plain(byte));
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_javas() {
        let text = "dubbo://[::1]:1/a b?x=é~*-_.+'()";
        let java = "dubbo%3A%2F%2F%5B%3A%3A1%5D%3A1%2Fa+b%3Fx%3D%C3%A9%7E*-_.%2B%27%28%29";
        assert_eq!(escape(text, 0), java);
        for way in 0..WAYS {
            let name = escape(text, way);
            assert_eq!(read(&name).as_deref(), Some(text));
            assert!(is(text, way, &name) && !is(text, way, &name[1..]) && !is(text, way, &format!("{name}x")));
            assert_eq!(is(text, 0, &name), way == 0);
        }
        for broken in ["%", "%4", "%G1", "%FF"] {
            assert_eq!(read(broken), None);
        }
    }
}
