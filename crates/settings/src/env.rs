//! `${env:NAME}` and `${file:/path}` inside values, and where they are looked up.

use std::collections::BTreeMap;

/// Where references are looked up. Errors say why, and never hold a value.
pub trait Env {
    /// The variable's value; `Err` says why there is none.
    fn var(&self, name: &str) -> Result<String, String>;
    /// The file's text, at most [`MAX_REFERRED`] bytes of UTF-8; `Err` says why there is none.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// The largest file that a value may be taken from, in bytes.
pub const MAX_REFERRED: u64 = 64 * 1024;

/// The process's own environment and the machine's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn var(&self, name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => format!("the environment has no variable `{name}`"),
            std::env::VarError::NotUnicode(_) => format!("the variable `{name}` is not UTF-8 text"),
        })
    }

    fn file(&self, path: &str) -> Result<String, String> {
        use std::io::Read;
        let read = || {
            // A pipe or a device could block forever, or never end.
            if !std::fs::metadata(path)?.is_file() {
                return Err(std::io::Error::other("not a plain file"));
            }
            let mut bytes = Vec::new();
            std::fs::File::open(path)?.take(MAX_REFERRED + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| format!("the file `{path}` cannot be read: {error}"))?;
        if bytes.len() as u64 > MAX_REFERRED {
            return Err(format!("the file `{path}` is larger than {MAX_REFERRED} bytes"));
        }
        String::from_utf8(bytes).map_err(|_| format!("the file `{path}` is not UTF-8 text"))
    }
}

/// Variables and files that are given as maps: for tests, and for callers that must not read the machine's.
#[derive(Clone, Debug, Default)]
pub struct FixedEnv {
    /// Name to value.
    pub vars: BTreeMap<String, String>,
    /// Path to content.
    pub files: BTreeMap<String, String>,
}

impl Env for FixedEnv {
    fn var(&self, name: &str) -> Result<String, String> {
        self.vars.get(name).cloned().ok_or_else(|| format!("the environment has no variable `{name}`"))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| format!("the file `{path}` cannot be read: not found"))
    }
}

/// What a text became. `referred` tells whether any reference was looked up.
#[derive(Debug, PartialEq)]
pub(crate) struct Resolved {
    pub text: String,
    pub referred: bool,
}

/// What is wrong with a reference: the message and the help.
#[derive(Debug, PartialEq)]
pub(crate) struct Unresolved {
    pub message: String,
    pub help: String,
}

/// Replaces `${env:NAME}` and `${file:/path}`, and `$${` by `${`. A `${` with no `word:` behind it stays as it is.
pub(crate) fn resolve(text: &str, env: &dyn Env) -> Result<Resolved, Unresolved> {
    let mut out = String::with_capacity(text.len());
    let mut referred = false;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some((scheme, after)) = scheme(rest) {
            let Some((name, after)) = after.split_once('}') else {
                return Err(Unresolved {
                    message: format!("`${{{scheme}:` has no closing `}}`"),
                    help: "write `${env:NAME}` or `${file:/path}`, or `$${` for the two characters themselves".into(),
                });
            };
            out.push_str(&look_up(scheme, name, env)?);
            referred = true;
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(Resolved { text: out, referred })
}

/// Splits `${word:rest` into the word and the rest.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.strip_prefix("${")?.split_once(':')?;
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic());
    is_word.then_some((word, rest))
}

fn look_up(scheme: &str, name: &str, env: &dyn Env) -> Result<String, Unresolved> {
    if name.is_empty() {
        return Err(Unresolved {
            message: format!("`${{{scheme}:}}` names nothing"),
            help: "write `${env:NAME}` or `${file:/path}`".into(),
        });
    }
    match scheme {
        "env" => env.var(name).map_err(|message| Unresolved {
            message,
            help: format!("set `{name}` for the process that reads this file, or write the value itself"),
        }),
        // Most files of secrets end with a line break that is not part of the secret.
        "file" => env.file(name).map(|text| text.trim_end_matches(['\n', '\r']).to_owned()).map_err(|message| {
            Unresolved { message, help: "give the path of a file that this process may read".into() }
        }),
        other => Err(Unresolved {
            message: format!("`${{{other}:…}}` is not a reference that is known"),
            help: "write `${env:NAME}` or `${file:/path}`, or `$${` for the two characters themselves".into(),
        }),
    }
}

/// Writes a text so that it is read as itself, whatever looks like a reference in it: the inverse of resolving references, for a text
/// without any.
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> FixedEnv {
        FixedEnv {
            vars: [("A".to_owned(), "one".to_owned())].into(),
            files: [("/s".to_owned(), "two\r\n".to_owned())].into(),
        }
    }

    #[test]
    fn references_and_escapes() {
        for (text, want, referred) in [
            ("plain", "plain", false),
            ("${env:A}", "one", true),
            ("x-${env:A}-${file:/s}!", "x-one-two!", true),
            ("$${env:A}", "${env:A}", false),
            ("$$${env:A}", "$${env:A}", false),
            ("a$b ${1} ^x${2}$", "a$b ${1} ^x${2}$", false),
        ] {
            let got = resolve(text, &env()).unwrap();
            assert_eq!((got.text.as_str(), got.referred), (want, referred), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_resolved() {
        for (text, want) in [
            ("${env:B}", "no variable `B`"),
            ("${file:/t}", "`/t` cannot be read"),
            ("${env:A", "no closing `}`"),
            ("${enf:A}", "is not a reference"),
            ("${env:}", "names nothing"),
        ] {
            let got = resolve(text, &env()).unwrap_err();
            assert!(got.message.contains(want), "{text}: {got:?}");
        }
    }

    #[test]
    fn an_escaped_text_reads_as_itself() {
        for text in ["${env:A}", "$${env:A}", "$$${", "${", "$", "a${b}"] {
            assert_eq!(resolve(&escape(text), &env()).unwrap(), Resolved { text: text.to_owned(), referred: false });
        }
    }
}
