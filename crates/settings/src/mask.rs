//! The file's text with the values of secrets blotted out, byte for byte, for the lines that errors quote.

use crate::tree::{Node, Value};

/// Every secret's value becomes stars; references stay. The length in bytes and all line ends stay too.
pub(crate) fn mask(text: &str, root: Option<&Node>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if let Some(root) = root {
        from_tree(text, root, false, &mut bytes);
    }
    // What is not in the tree: a text that does not parse, a key that stands twice.
    from_lines(text, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a key's value is to be hidden; wrongly written keys count too.
pub fn is_secret_key(key: &str) -> bool {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let parts = ["passw", "pwd", "secret", "token", "credential", "privatekey"];
    parts.iter().any(|part| plain.contains(part))
        || plain == "sk"
        || plain == "pass"
        || ["password", "accesstoken"].iter().any(|word| strsim::jaro_winkler(word, &plain) >= 0.88)
}

fn is_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${env:").or_else(|| text.strip_prefix("${file:"));
    inner.is_some_and(|rest| rest.find('}') == Some(rest.len() - 1))
}

fn blot(bytes: &mut [u8], from: usize, to: usize) {
    for byte in &mut bytes[from..to] {
        if !matches!(byte, b'\n' | b'\r' | b' ' | b'\t') {
            *byte = b'*';
        }
    }
}

fn from_tree(text: &str, node: &Node, hidden: bool, bytes: &mut [u8]) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(_) if hidden => {
            let raw = text.get(node.place.start..node.place.end).unwrap_or_default();
            if !is_reference(raw.trim_matches(['"', '\''])) {
                blot(bytes, node.place.start, node.place.end);
            }
        }
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| from_tree(text, item, hidden, bytes)),
        Value::Map(entries) => {
            entries.iter().for_each(|(key, value)| from_tree(text, value, hidden || is_secret_key(&key.text), bytes));
        }
    }
}

fn from_lines(text: &str, bytes: &mut [u8]) {
    let mut start = 0;
    // The indentation of a secret's key whose value may go on in the next lines.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let ends = !line.trim().is_empty() && indent <= open.unwrap_or(0) && line.contains(':');
        if open.is_some() && !ends {
            blot(bytes, start, start + line.len());
        } else {
            open = None;
            if let Some((colon, rest)) = secret_value(line) {
                let value = rest.trim();
                if !is_reference(value.trim_matches(['"', '\'']).trim()) {
                    blot(bytes, start + colon + 1, start + line.len());
                    let whole = value.len() > 1 && value.starts_with(['"', '\'']) && value.ends_with(&value[..1]);
                    open = (value.is_empty() || (value.starts_with(['"', '\'', '|', '>']) && !whole)).then_some(indent);
                }
            }
        }
        sign_in(line, start, bytes);
        start += line.len();
    }
}

/// The first secret-like `key:` of a line: where its colon is, and what follows.
fn secret_value(line: &str) -> Option<(usize, &str)> {
    line.match_indices(':').find_map(|(colon, _)| {
        let before = line[..colon].trim_end().trim_end_matches(['"', '\'']);
        let from = before.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').map_or(0, |at| at + 1);
        let word = before.get(from..).unwrap_or_default();
        // `${env:PASSWORD}` names a variable, it holds nothing.
        is_secret_key(word).then(|| (colon, &line[colon + 1..]))
    })
}

/// `scheme://user:password@host`
fn sign_in(line: &str, start: usize, bytes: &mut [u8]) {
    for (at, _) in line.match_indices("://") {
        let from = at + 3;
        let end = line[from..].find([' ', '/', '"', '\'', '\n']).map_or(line.len(), |n| from + n);
        if let Some(sign) = line[from..end].rfind('@') {
            blot(bytes, start + from, start + from + sign);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_hidden_by_their_lines_alone() {
        for (text, want) in [
            ("password: a b", "password: * *"),
            ("- {user: x, \"pass_word\": \"a\"}", "- {user: x, \"pass_word\": ****"),
            ("pasword: abc", "pasword: ***"),
            ("password: ${env:A}", "password: ${env:A}"),
            ("sk: \"a\n  b\nx: y", "sk: **\n  *\nx: y"),
            ("sk: |\n  a: b\nx: y", "sk: *\n  ** *\nx: y"),
            ("- http://u:p@host/x", "- http://***@host/x"),
            ("clusterName: src", "clusterName: src"),
            ("connectKeyList: a", "connectKeyList: a"),
        ] {
            assert_eq!(mask(text, None), want);
        }
    }
}
