//! Values of one kind each: words, flags, numbers, durations, patterns, secrets.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::duration::parse_duration;
use crate::pattern::Pattern;
use crate::read::{Draft, Fields, Reader, shown};
use crate::secret::Secret;
use crate::suggest::{nearest, one_of};
use crate::tree::{Node, Place, Scalar, Value};

impl Reader<'_> {
    pub(crate) fn secret(&mut self, fields: &Fields<'_>, key: &str) -> Option<Secret> {
        let scalar = self.scalar(fields, key, "a text, better a reference such as `${env:NAME}`")?;
        if scalar.text.is_empty() {
            return None;
        }
        match &scalar.written {
            None => Some(Secret::literal(&scalar.text)),
            // A reference is shown and stored in the open, so nothing of the secret may stand beside it.
            Some(written) if written.starts_with("${") && written.find('}') == Some(written.len() - 1) => {
                Some(Secret::referred(written, &scalar.text))
            }
            Some(_) => {
                self.report(
                    Draft::key_error(fields, key, "a reference stands here together with other text")
                        .expected("a value or one reference, not both")
                        .help("put the whole value into the variable or the file"),
                );
                None
            }
        }
    }

    /// One of some words, in any case.
    pub fn word<T: Copy>(&mut self, fields: &Fields<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        let node = fields.get(key)?;
        let empty = matches!(&node.value, Value::Scalar(scalar) if scalar.text.trim().is_empty());
        if empty { None } else { self.word_at(node, &fields.at(key), words) }
    }

    /// A list of such words, at least one of them. `None`: absent, or reported.
    pub fn words<T: Copy + Ord>(&mut self, fields: &Fields<'_>, key: &str, words: &[(&str, T)]) -> Option<BTreeSet<T>> {
        let node = fields.get(key)?;
        let items = self.list(fields, key, "words");
        if matches!(&node.value, Value::List(items) if items.is_empty()) {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            self.report(
                Draft::key_error(fields, key, "this list is empty")
                    .expected(format!("some of {}", one_of(&names)))
                    .help(format!("name at least one, or take `{key}` out for the default")),
            );
        }
        let found: Vec<Option<T>> = items.iter().map(|(node, path)| self.word_at(node, path, words)).collect();
        found.into_iter().collect::<Option<BTreeSet<T>>>().filter(|found| !found.is_empty())
    }

    fn word_at<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let expected = one_of(&names);
        let scalar = self.one(node, path, &expected)?;
        let text = scalar.text.trim();
        let found = words.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        if found.is_none() {
            let help = match nearest(text, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write {expected}"),
            };
            let message = format!("`{}` is not a word for this", shown(scalar));
            self.report(Draft::error(node.place, path, message).expected(expected).help(help));
        }
        found.map(|(_, value)| *value)
    }

    /// `true` or `false`, or another word for one of the two.
    pub fn flag(&mut self, fields: &Fields<'_>, key: &str, default: bool) -> bool {
        let words = [("true", true), ("false", false), ("yes", true), ("no", false), ("on", true), ("off", false)];
        let Some(scalar) = self.scalar(fields, key, "`true` or `false`") else { return default };
        let text = scalar.text.trim();
        let found = words.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
        if found.is_none() && !text.is_empty() {
            let message = format!("`{}` is neither true nor false", shown(scalar));
            self.report(
                Draft::key_error(fields, key, message)
                    .expected("`true` or `false`")
                    .help(format!("write `{key}: {default}`")),
            );
        }
        found.unwrap_or(default)
    }

    /// A number that fits.
    pub fn number<T: std::str::FromStr>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        expected: &str,
        fits: fn(&T) -> bool,
    ) -> Option<T> {
        let scalar = self.scalar(fields, key, expected)?;
        let found = scalar.text.trim().parse().ok().filter(fits);
        if found.is_none() {
            let message = format!("`{}` does not fit here", shown(scalar));
            self.report(
                Draft::key_error(fields, key, message).expected(expected).help("write such a number without quotes"),
            );
        }
        found
    }

    /// A duration, such as `30s`.
    pub fn duration(&mut self, fields: &Fields<'_>, key: &str, default: Duration) -> Duration {
        let expected = "a number with a unit (`ms`, `s`, `m`, `h` or `d`), such as `30s`";
        let Some(scalar) = self.scalar(fields, key, expected) else { return default };
        parse_duration(&scalar.text).unwrap_or_else(|| {
            let bare = scalar.text.trim().parse::<u64>().is_ok();
            let help =
                if bare { format!("write the unit too: `{key}: {}s`", shown(scalar)) } else { "at most 365d".into() };
            let message = format!("`{}` is not a duration", shown(scalar));
            self.report(Draft::key_error(fields, key, message).expected(expected).help(help));
            default
        })
    }

    pub fn pattern(&mut self, node: &Node, path: &str) -> Option<Pattern> {
        let scalar = self.one(node, path, "a regular expression")?;
        match Pattern::new(&scalar.text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                // What a reference stands for is not told, not even in part.
                let (place, message) = match &scalar.written {
                    Some(written) => {
                        (node.place, format!("the text of `{written}` is not a regular expression that can be used"))
                    }
                    None => (
                        self.inside(node.place, scalar, error.at),
                        format!("the pattern cannot be used: {}", error.message),
                    ),
                };
                self.report(
                    Draft::error(place, path, message)
                        .expected("a regular expression in Java's syntax")
                        .help("single quotes keep YAML from reading the `\\`; a `\\Q…\\E` takes a text as it is"),
                );
                None
            }
        }
    }

    /// The place of a byte of a scalar's text, when the file shows the text as it is.
    fn inside(&self, place: Place, scalar: &Scalar, at: Option<usize>) -> Place {
        let Some(at) = at else { return place };
        let raw = self.text.get(place.start..place.end).unwrap_or_default();
        let quote = match raw {
            _ if raw == scalar.text => 0,
            _ if raw.get(1..raw.len().saturating_sub(1)) == Some(&scalar.text) => 1,
            _ => return place,
        };
        let before = scalar.text.get(..at).unwrap_or_default().chars().count();
        let start = place.start + quote + at;
        Place { column: place.column + quote + before, start, end: start.max(place.end - quote), ..place }
    }
}
