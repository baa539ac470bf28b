//! The reader itself.

use super::{Json, JsonValue, Member, Slip, SyntaxError};
use causeway_settings::Place;
use std::collections::HashMap;

/// At most so many levels: the reader is recursive.
const MAX_DEPTH: usize = 64;

/// Reads a whole document. Returns its root and the slips in it, in the order of the text.
pub fn read(text: &str) -> Result<(Json, Vec<Slip>), SyntaxError> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = JsonReader { text, at: start, line: 1, column: 1, slips: Vec::new() };
    reader.blanks()?;
    if reader.peek().is_none() {
        return Err(reader.wrong("the document is empty", "to say that there is nothing, write `{\"tasks\": []}`"));
    }
    let root = reader.value(0)?;
    reader.blanks()?;
    if reader.peek().is_some() {
        return Err(reader
            .wrong("something stands behind the end of the document", "take it out, or look for a brace too many"));
    }
    Ok((root, reader.slips))
}

struct JsonReader<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    column: usize,
    slips: Vec<Slip>,
}

/// Where a value begins: line, column and byte.
type Spot = (usize, usize, usize);
type Read<T> = Result<T, SyntaxError>;

impl JsonReader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn skip(&mut self, c: char) -> bool {
        let is = self.peek() == Some(c);
        if is {
            self.next();
        }
        is
    }

    fn mark(&self) -> Spot {
        (self.line, self.column, self.at)
    }

    fn place(&self, (line, column, start): Spot) -> Place {
        Place { line, column, start, end: self.at }
    }

    fn wrong(&self, message: impl Into<String>, help: impl Into<String>) -> SyntaxError {
        let width = self.peek().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        let place = Place { line: self.line, column: self.column, start: self.at, end: self.at + width };
        SyntaxError { place, message: message.into(), help: help.into() }
    }

    /// Goes on to what is neither a blank nor a comment.
    fn blanks(&mut self) -> Read<()> {
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with("//") || rest.starts_with('#') {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.next();
                }
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    return Err(self.wrong("this comment has no end", "close it with `*/`"));
                };
                let end = self.at + length + 4;
                while self.at < end {
                    self.next();
                }
            } else if self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
                self.next();
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Read<Json> {
        if depth >= MAX_DEPTH {
            return Err(self.wrong(format!("more than {MAX_DEPTH} levels"), "no document of this kind is so deep"));
        }
        let start = self.mark();
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.list(depth)?,
            Some(quote @ ('"' | '\'')) => JsonValue::Text(self.quoted(quote)?),
            Some(c) if c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '_') => self.word()?,
            Some(_) => {
                return Err(
                    self.wrong("a value is missing here", "write it, or take the comma or the name before it out")
                );
            }
            None => return Err(self.wrong("the document ends in the middle", "close every `{`, `[` and `\"`")),
        };
        Ok(Json { place: self.place(start), value })
    }

    /// Whether another item follows; where it does not, the closing character is taken.
    fn more(&mut self, close: char, first: bool, end: Spot) -> Read<bool> {
        self.blanks()?;
        if first || self.peek().is_none() {
            return Ok(!self.skip(close));
        }
        let comma = self.mark();
        if self.skip(',') {
            let place = self.place(comma);
            self.blanks()?;
            if self.skip(close) {
                self.slips.push(Slip { place, message: "a comma stands behind the last item; it is ignored".into() });
                return Ok(false);
            }
            return Ok(true);
        }
        if self.skip(close) {
            return Ok(false);
        }
        if self.peek().is_some_and(|c| matches!(c, ']' | '}' | ':')) {
            return Err(self.wrong(
                format!("this does not fit: `{close}` or a comma was expected"),
                "look for a brace or a quote that is missing",
            ));
        }
        let (line, column, start) = end;
        let place = Place { line, column, start, end: start };
        let message = "a comma is missing behind this; it is read as if it stood there";
        self.slips.push(Slip { place, message: message.into() });
        Ok(true)
    }

    fn list(&mut self, depth: usize) -> Read<JsonValue> {
        self.next();
        let (mut items, mut end) = (Vec::new(), self.mark());
        while self.more(']', items.is_empty(), end)? {
            items.push(self.value(depth + 1)?);
            end = self.mark();
        }
        Ok(JsonValue::List(items))
    }

    fn object(&mut self, depth: usize) -> Read<JsonValue> {
        self.next();
        let (mut members, mut end) = (Vec::<Member>::new(), self.mark());
        let mut lines: HashMap<String, usize> = HashMap::new();
        while self.more('}', members.is_empty(), end)? {
            let start = self.mark();
            let name = match self.peek() {
                Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
                None => return Err(self.wrong("the document ends in the middle", "close every `{`, `[` and `\"`")),
                Some(_) => {
                    return Err(
                        self.wrong("a name is missing here", "write a name in double quotes, then `:` and its value")
                    );
                }
            };
            let place = self.place(start);
            self.blanks()?;
            if !self.skip(':') {
                return Err(self.wrong("a colon is missing behind this name", "write `\"name\": value`"));
            }
            self.blanks()?;
            let value = self.value(depth + 1)?;
            end = self.mark();
            if let Some(line) = lines.insert(name.clone(), place.line) {
                let message = format!("this name stands here twice: this one counts, and not that of line {line}");
                self.slips.push(Slip { place, message: message.into() });
            }
            members.push(Member { name, place, value });
        }
        Ok(JsonValue::Object(members))
    }

    /// A number, or one of the three words.
    fn word(&mut self) -> Read<JsonValue> {
        let start = self.at;
        let length = self.text[start..]
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '_')))
            .unwrap_or(self.text.len() - start);
        let word = &self.text[start..start + length];
        let value = match word {
            "null" => JsonValue::Null,
            "true" => JsonValue::Bool(true),
            "false" => JsonValue::Bool(false),
            _ if is_number(word) => JsonValue::Number(word.to_owned()),
            _ => return Err(self.wrong("this is no value", "write texts in double quotes")),
        };
        while self.at < start + length {
            self.next();
        }
        Ok(value)
    }

    fn quoted(&mut self, quote: char) -> Read<String> {
        let opening =
            self.wrong("this text has no end on its line", "close it with a quote, or write a line break as `\\n`");
        self.next();
        let mut text = String::new();
        loop {
            let escape = match self.peek() {
                None | Some('\n' | '\r') => return Err(opening),
                Some(c) if c == quote => {
                    self.next();
                    return Ok(text);
                }
                Some('\\') => self.escape()?,
                Some(c) => {
                    self.next();
                    c
                }
            };
            text.push(escape);
        }
    }

    fn escape(&mut self) -> Read<char> {
        let wrong = self.wrong("this stands for no character", "write `\\\\` for a backslash");
        self.next();
        let c = match self.next() {
            Some(c @ ('"' | '\'' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode().ok_or(wrong),
            _ => return Err(wrong),
        };
        Ok(c)
    }

    /// Behind `\u`: a character, which may take two escapes.
    fn unicode(&mut self) -> Option<char> {
        let first = self.unit()?;
        let code = match first {
            0xd800..0xdc00 => {
                let second = (self.skip('\\') && self.skip('u')).then(|| self.unit()).flatten()?;
                let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                0x10000 + ((first - 0xd800) << 10) + low
            }
            code => code,
        };
        char::from_u32(code)
    }

    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| Some(unit * 16 + self.next()?.to_digit(16)?))
    }
}

/// Whether a word is a number as JSON writes one.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = word.split_once(['e', 'E']).map_or((word, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}
