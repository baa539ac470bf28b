//! Reading typed values of a document, as its own reader takes them: loosely in the form of a value, strictly in names.

use super::model::Located;
use crate::json::{Json, JsonValue, Member};
use crate::problem_list::ProblemList;
use causeway_settings::Place;
use std::collections::BTreeMap;
use std::time::Duration;

/// One object, and its path.
pub(super) struct Members<'j> {
    pub path: String,
    pub json: &'j Json,
}

/// Reads values, and notes what is wrong with them.
pub(super) struct ValueReader<'p> {
    pub problems: &'p mut ProblemList,
}

impl<'j> Members<'j> {
    pub fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Where a value stands; without it, where the object begins.
    pub fn place(&self, name: &str) -> Place {
        self.json.get(name).map_or_else(|| beginning(self.json.place), |value| value.place)
    }
}

/// The first character of a stretch: what is said of a whole object is shown there.
pub(super) fn beginning(place: Place) -> Place {
    Place { end: place.end.min(place.start + 1), ..place }
}

impl ValueReader<'_> {
    /// The members of an object, all of whose names are known. `None`: it is something else, which is reported.
    pub fn members<'j>(&mut self, json: &'j Json, path: &str, names: &[&str]) -> Option<Members<'j>> {
        let JsonValue::Object(members) = &json.value else {
            self.wrong(json, path, "an object in braces");
            return None;
        };
        for Member { name, place, .. } in members.iter().filter(|member| !names.contains(&member.name.as_str())) {
            let near = |known: &&&str| alike(known, name);
            let help = match names.iter().find(near) {
                Some(known) => format!("write `{known}`: names are taken only as they are defined"),
                None => format!("take it out; known here are {}", names.join(", ")),
            };
            let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.problems.error(*place, &field, "this name is not known here", help);
        }
        Some(Members { path: path.to_owned(), json })
    }

    /// The members of an object that may be absent.
    pub fn block<'j>(&mut self, of: &Members<'j>, name: &str, names: &[&str]) -> Option<Members<'j>> {
        let json = of.json.get(name)?;
        self.members(json, &of.at(name), names)
    }

    /// A text; a number or `true` is its own text. Absent: empty.
    pub fn text(&mut self, of: &Members<'_>, name: &str) -> String {
        of.json.get(name).and_then(|json| self.text_of(json, &of.at(name))).unwrap_or_default()
    }

    fn text_of(&mut self, json: &Json, path: &str) -> Option<String> {
        match &json.value {
            JsonValue::Text(text) | JsonValue::Number(text) => Some(text.clone()),
            JsonValue::Bool(value) => Some(value.to_string()),
            _ => {
                self.wrong(json, path, "a text");
                None
            }
        }
    }

    /// `true` or `false`, also in quotes. Absent: `false`.
    pub fn flag(&mut self, of: &Members<'_>, name: &str) -> bool {
        let Some(json) = of.json.get(name) else { return false };
        match &json.value {
            JsonValue::Bool(value) => *value,
            JsonValue::Text(text) if text == "true" || text == "false" => text == "true",
            _ => {
                self.wrong(json, &of.at(name), "`true` or `false`");
                false
            }
        }
    }

    /// The items of a list, each with its path. Absent: none.
    pub fn list<'j>(&mut self, of: &Members<'j>, name: &str) -> Vec<(&'j Json, String)> {
        let Some(json) = of.json.get(name) else { return Vec::new() };
        let JsonValue::List(items) = &json.value else {
            self.wrong(json, &of.at(name), "a list in brackets");
            return Vec::new();
        };
        let path = of.at(name);
        items.iter().enumerate().map(|(n, item)| (item, format!("{path}[{n}]"))).collect()
    }

    pub fn texts(&mut self, of: &Members<'_>, name: &str) -> Vec<Located<String>> {
        let items = self.list(of, name);
        let one =
            |(json, path): (&Json, String)| Some(Located { value: self.text_of(json, &path)?, place: json.place });
        items.into_iter().filter_map(one).collect()
    }

    /// Names and texts. Absent: none.
    pub fn table(&mut self, of: &Members<'_>, name: &str) -> BTreeMap<String, String> {
        let Some(json) = of.json.get(name) else { return BTreeMap::new() };
        let JsonValue::Object(members) = &json.value else {
            self.wrong(json, &of.at(name), "an object with texts");
            return BTreeMap::new();
        };
        let path = of.at(name);
        let one = |member: &Member| {
            let value = self.text_of(&member.value, &format!("{path}.{}", member.name))?;
            Some((member.name.clone(), value))
        };
        members.iter().filter_map(one).collect()
    }

    /// One of some words, or its number. Absent, or a word that is not known (which is reported): the first.
    pub fn word<T: Copy>(&mut self, of: &Members<'_>, name: &str, words: &[(&str, T)]) -> T {
        let first = words[0].1;
        let Some(json) = of.json.get(name) else { return first };
        let Some(text) = self.text_of(json, &of.at(name)) else { return first };
        let by_number = || text.parse::<usize>().ok().and_then(|n| words.get(n));
        match words.iter().find(|(word, _)| *word == text).or_else(by_number) {
            Some((_, value)) => *value,
            None => {
                let list: Vec<_> = words.iter().skip(1).map(|(word, _)| format!("`{word}`")).collect();
                let message = format!("`{text}` is not a word for this");
                self.problems.error(json.place, &of.at(name), message, format!("write one of {}", list.join(", ")));
                first
            }
        }
    }

    /// A duration; one that cannot be read is the default, as ever, and that is told.
    pub fn duration(&mut self, of: &Members<'_>, name: &str, default: Duration) -> Duration {
        let Some(json) = of.json.get(name) else { return default };
        let Some(text) = self.text_of(json, &of.at(name)) else { return default };
        let shown = causeway_settings::format_duration(default);
        if text.is_empty() {
            return default;
        }
        let Some(found) = duration(&text) else {
            let message = format!("`{text}` is not a duration: the default of {shown} counts");
            let help = "write a whole number with `ms`, `s`, `m` or `h` behind it; without a unit it is milliseconds";
            self.problems.warning(json.place, &of.at(name), message, help);
            return default;
        };
        if found < SHORTEST {
            let message = format!("`{text}` is too short: {} counts", causeway_settings::format_duration(SHORTEST));
            let help = "a number without a unit is milliseconds; write `5s`, say";
            self.problems.warning(json.place, &of.at(name), message, help);
            return SHORTEST;
        }
        found
    }

    fn wrong(&mut self, json: &Json, path: &str, expected: &str) {
        let message = format!("this is {}, and should be {expected}", json.describe());
        self.problems.error(beginning(json.place), path, message, "");
    }
}

/// No interval is shorter.
const SHORTEST: Duration = Duration::from_millis(100);

/// Digits alone are milliseconds; else `ms`, `s`, `m` or `h` stands behind them, in any case.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let unit = match text[end..].to_ascii_lowercase().as_str() {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let longest = 365 * 24 * 3_600_000;
    Some(Duration::from_millis(number.checked_mul(unit).filter(|millis| *millis <= longest)?))
}

/// Whether two names differ only in case and underscores.
fn alike(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("0", 0), ("250", 250), ("60s", 60_000), ("1M", 60_000), ("2H", 7_200_000), ("7Ms", 7)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1.5s", "1 s", "1h30m", "-1s", "1d", "99999999999999999999", "9999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert!(super::super::model::PULL > SHORTEST);
    }
}
