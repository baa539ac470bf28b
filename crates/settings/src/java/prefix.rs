//! The fixed text at the beginning of a pattern.

/// The text that everything that the pattern matches begins with; "" where that is not plain to see. `written` is a
/// pattern that can be used.
pub(crate) fn literal_prefix(written: &str) -> String {
    if offers_a_choice(written) {
        return String::new();
    }
    let mut prefix = String::new();
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        let (text, length) = match c {
            '\\' => match escaped(&rest[1..]) {
                Some((text, length)) => (text, 1 + length),
                None => break,
            },
            // The beginning of the text, or flags that change nothing here.
            '^' if prefix.is_empty() => ("", 1),
            '(' => match harmless_flags(rest) {
                Some(length) => ("", length),
                None => break,
            },
            // Once at least, and then who knows.
            '+' => break,
            '*' | '?' | '{' => {
                // The last character may be absent.
                prefix.pop();
                break;
            }
            '.' | '[' | ']' | '}' | '$' | '^' | ')' | '|' => break,
            _ => (&rest[..c.len_utf8()], c.len_utf8()),
        };
        prefix.push_str(text);
        rest = &rest[length..];
    }
    prefix
}

/// Whether there is an alternative outside of all groups, or a flag under which text does not stand for itself.
fn offers_a_choice(written: &str) -> bool {
    let (mut depth, mut class) = (0usize, 0usize);
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\\' => length += skipped(&rest[1..]),
            '[' => {
                class += 1;
                // A `]` right behind the bracket stands for itself.
                let inner = rest[1..].strip_prefix('^').unwrap_or(&rest[1..]);
                length = rest.len() - inner.len() + usize::from(inner.starts_with(']'));
            }
            ']' => class = class.saturating_sub(1),
            _ if class > 0 => {}
            '(' => {
                let kind = rest.strip_prefix("(?").and_then(|kind| kind.chars().next());
                let flags = kind.is_some_and(|kind| !matches!(kind, ':' | '=' | '!' | '>' | '<'));
                match harmless_flags(rest) {
                    Some(flags) => length = flags,
                    None if flags => return true,
                    None => depth += 1,
                }
            }
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return true,
            _ => {}
        }
        rest = &rest[length..];
    }
    false
}

/// The length of flags such as `(?s)` at the beginning of `rest`, where they leave letters what they are.
fn harmless_flags(rest: &str) -> Option<usize> {
    let (flags, _) = rest.strip_prefix("(?")?.split_once(')')?;
    flags.chars().all(|flag| matches!(flag, 's' | 'm' | 'd' | 'u' | '-')).then(|| "(?)".len() + flags.len())
}

/// What `rest`, behind a `\`, stands for, and its length. `None`: not for a fixed text.
fn escaped(rest: &str) -> Option<(&str, usize)> {
    let c = rest.chars().next()?;
    match c {
        'Q' => Some((quoted(rest), skipped(rest))),
        'E' => Some(("", 1)),
        c if c.is_ascii_alphanumeric() => None,
        c => Some((&rest[..c.len_utf8()], c.len_utf8())),
    }
}

/// How much of `rest`, behind a `\`, cannot be an operator.
fn skipped(rest: &str) -> usize {
    let second = |rest: &str| rest.chars().nth(1).map_or(0, char::len_utf8);
    match rest.chars().next() {
        None => 0,
        Some('Q') => {
            let body = quoted(rest).len();
            1 + body + if rest[1 + body..].is_empty() { 0 } else { "\\E".len() }
        }
        // `\c(` is a control character.
        Some('c') => 1 + second(rest),
        Some(c) => c.len_utf8(),
    }
}

/// The text behind `Q`, up to `\E` or the end.
fn quoted(rest: &str) -> &str {
    let body = &rest[1..];
    &body[..body.find("\\E").unwrap_or(body.len())]
}
