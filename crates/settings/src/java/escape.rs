//! What begins with a `\`.

use super::{Done, Translator};
use crate::pattern::PatternError;

impl Translator<'_> {
    pub(super) fn escape(&mut self, in_class: bool) -> Done {
        let rest = &self.rest()[1..];
        let Some(c) = rest.chars().next() else { return self.fail("a `\\` stands at the end, with nothing behind it") };
        // A set: its content for use inside brackets, and whether it is negated.
        let set = |this: &mut Self, content: &str, negated: bool| {
            let open = if negated { "[^" } else { "[" };
            if in_class && !negated {
                this.out.push_str(content)
            } else {
                this.out.push_str(&format!("{open}{content}]"))
            }
        };
        let mut length = 1 + c.len_utf8();
        match c {
            'd' | 'D' => set(self, "0-9", c == 'D'),
            'w' | 'W' => set(self, "A-Za-z0-9_", c == 'W'),
            's' | 'S' => set(self, r" \t\n\x0B\x0C\r", c == 'S'),
            'h' | 'H' => set(self, r" \t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}", c == 'H'),
            'v' | 'V' => set(self, r"\n\x0B\x0C\r\x{85}\x{2028}\x{2029}", c == 'V'),
            'R' if !in_class => self.out.push_str(r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])"),
            'p' | 'P' => length += self.property(&rest[1..], c == 'P', in_class)?,
            'Q' => {
                let quoted = &rest[1..];
                let end = quoted.find("\\E");
                let body = &quoted[..end.unwrap_or(quoted.len())];
                body.chars().for_each(|c| self.literal(c));
                length += body.len() + if end.is_some() { 2 } else { 0 };
            }
            // A lone `\E` means nothing.
            'E' => {}
            'k' if !in_class => length += self.named_reference(&rest[1..])?,
            '1'..='9' if !in_class => length = 1 + self.numbered_reference(rest)?,
            'b' | 'B' | 'A' | 'z' | 'Z' if !in_class => {
                if rest[1..].starts_with('{') {
                    return self.fail("`\\b{…}` is not supported");
                }
                self.out.push_str(&format!("\\{c}"));
            }
            'a' => self.literal('\x07'),
            'e' => self.literal('\x1b'),
            'f' => self.literal('\x0c'),
            'n' => self.literal('\n'),
            'r' => self.literal('\r'),
            't' => self.literal('\t'),
            'x' | 'u' | '0' | 'c' => length = 1 + self.code(rest)?,
            c if c.is_ascii_alphanumeric() => return self.fail(format!("`\\{c}` is not supported here")),
            c => self.literal(c),
        }
        self.at += length;
        self.atom |= c != 'E';
        Ok(())
    }

    /// A character that stands for itself.
    fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() {
            self.out.push(c);
        } else {
            self.out.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
        }
    }

    /// `\xhh`, `\x{h…}`, `\uhhhh`, `\0ooo`, `\cX`: the length from the letter on.
    fn code(&mut self, rest: &str) -> Result<usize, PatternError> {
        let (digits, radix, length) = if let Some(body) = rest.strip_prefix("x{") {
            let digits = body.split('}').next().unwrap_or_default();
            (digits, 16, digits.len() + 3)
        } else if rest.starts_with('x') {
            (rest.get(1..3).unwrap_or_default(), 16, 3)
        } else if rest.starts_with('u') {
            (rest.get(1..5).unwrap_or_default(), 16, 5)
        } else if let Some(body) = rest.strip_prefix('0') {
            let most = if body.starts_with(['0', '1', '2', '3']) { 3 } else { 2 };
            let count = body.bytes().take(most).take_while(|b| (b'0'..=b'7').contains(b)).count();
            (&body[..count], 8, 1 + count)
        } else {
            let Some(c) = rest[1..].chars().next().filter(char::is_ascii) else {
                return self.fail("`\\c` needs a character");
            };
            self.literal(char::from((c as u8) ^ 64));
            return Ok(2);
        };
        let strict = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        match u32::from_str_radix(digits, radix).ok().filter(|_| strict).and_then(char::from_u32) {
            Some(c) if length <= rest.len() => {
                self.literal(c);
                Ok(length)
            }
            _ => self.fail("this escape does not name a character"),
        }
    }

    fn named_reference(&mut self, rest: &str) -> Result<usize, PatternError> {
        let Some((name, _)) = rest.strip_prefix('<').and_then(|r| r.split_once('>')) else {
            return self.fail("`\\k` is followed by the name of a group: `\\k<name>`");
        };
        let Some(number) = self.names.get(name) else {
            return self.fail(format!("there is no group `{name}` before this"));
        };
        self.out.push_str(&format!("(?:\\{number})"));
        Ok(name.len() + 2)
    }

    /// As many digits as name a group that is open or closed already; further digits stand for themselves.
    fn numbered_reference(&mut self, rest: &str) -> Result<usize, PatternError> {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let fits = |n: usize| rest[..n].parse::<usize>().is_ok_and(|number| number <= self.groups);
        let Some(length) = (1..=digits).rev().find(|n| fits(*n)) else {
            return self.fail(format!("there is no group {} before this", &rest[..1]));
        };
        self.out.push_str(&format!("(?:\\{})", &rest[..length]));
        Ok(length)
    }

    /// `\p{…}`: the length behind the `p`.
    fn property(&mut self, rest: &str, negated: bool, in_class: bool) -> Result<usize, PatternError> {
        let (name, length) = if let Some(body) = rest.strip_prefix('{') {
            let Some((name, _)) = body.split_once('}') else { return self.fail("`\\p{` has no closing `}`") };
            (name, name.len() + 2)
        } else {
            let Some(c) = rest.chars().next() else {
                return self.fail("`\\p` is followed by a property: `\\p{Alpha}`");
            };
            (&rest[..c.len_utf8()], c.len_utf8())
        };
        let posix = [
            "Lower", "Upper", "ASCII", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl",
            "XDigit", "Space",
        ];
        if posix.contains(&name) {
            let not = if negated { "^" } else { "" };
            let class = format!("[:{not}{}:]", name.to_ascii_lowercase());
            if in_class {
                self.out.push_str(&class)
            } else {
                self.out.push_str(&format!("[{class}]"))
            }
            return Ok(length);
        }
        let letter = if negated { 'P' } else { 'p' };
        let unicode = match name {
            "javaLowerCase" => "Lowercase",
            "javaUpperCase" => "Uppercase",
            "javaAlphabetic" => "Alphabetic",
            "javaWhitespace" => "White_Space",
            _ if name.starts_with("In")
                || name.starts_with("blk=")
                || name.starts_with("block=")
                || name.starts_with("java") =>
            {
                return self.fail(format!("`\\p{{{name}}}` is not supported; use a script such as `\\p{{IsHan}}`"));
            }
            _ => name.strip_prefix("Is").unwrap_or(name),
        };
        self.out.push_str(&format!("\\{letter}{{{unicode}}}"));
        Ok(length)
    }
}
