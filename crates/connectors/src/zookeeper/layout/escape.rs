//! How URLs are made names of znodes. Dubbo says `java.net.URLEncoder`; those who write Dubbo's trees in other languages
//! use what theirs has.

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

/// Escapes in one way; there is no other way than those below [`WAYS`].
pub(super) fn escape(text: &str, way: usize) -> String {
    let style = STYLES.get(way).unwrap_or(&STYLES[0]);
    let mut out = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || style.safe.contains(c) {
            out.push(c);
        } else if style.plus && c == ' ' {
            out.push('+');
        } else {
            let hex = if style.small { b"0123456789abcdef" } else { b"0123456789ABCDEF" };
            out.extend(['%', char::from(hex[usize::from(byte >> 4)]), char::from(hex[usize::from(byte & 15)])]);
        }
    }
    out
}

/// Reads an escaped name as Dubbo does: `+` is a blank, `%XX` a byte of UTF-8. `None` where that is broken.
pub(super) fn read(text: &str) -> Option<String> {
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8(unescape(&bytes, b'%')?).ok()
}

/// Undoes escapes of two hexadecimal digits after `mark`; `None` where one is broken.
pub(super) fn unescape(text: &[u8], mark: u8) -> Option<Vec<u8>> {
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
            out.push(byte);
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
            assert_eq!(read(&escape(text, way)).as_deref(), Some(text));
        }
        for broken in ["%", "%4", "%G1", "%FF"] {
            assert_eq!(read(broken), None);
        }
    }
}
