//! From Java's regular expressions to those of `fancy-regex`: only what the two write differently.

mod escape;
mod prefix;

pub(crate) use prefix::literal_prefix;

use std::collections::BTreeMap;

use crate::pattern::PatternError;

/// Returns an expression of the same meaning, or says what has none.
pub(crate) fn translate(written: &str) -> Result<String, PatternError> {
    let mut translator = Translator {
        text: written,
        at: 0,
        out: String::new(),
        groups: 0,
        names: BTreeMap::new(),
        spaced: vec![false],
        atom: false,
    };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    text: &'a str,
    at: usize,
    out: String,
    /// Capturing groups opened so far.
    groups: usize,
    /// Named groups become numbered ones: Java lets one pattern refer to both.
    names: BTreeMap<&'a str, usize>,
    /// Whether flag `x` holds, per open group; the first is the whole pattern.
    spaced: Vec<bool>,
    /// Whether there is something before this that a quantifier could repeat.
    atom: bool,
}

type Done = Result<(), PatternError>;

impl<'a> Translator<'a> {
    fn run(&mut self) -> Done {
        while let Some(c) = self.peek() {
            match c {
                '\\' => self.escape(false)?,
                '[' => {
                    self.class()?;
                    self.atom = true;
                }
                '(' => {
                    self.group()?;
                    self.atom = false;
                }
                '*' | '+' | '?' | '{' => self.quantifier()?,
                '|' => {
                    self.copy(c);
                    self.atom = false;
                }
                ')' => {
                    if self.spaced.len() == 1 {
                        return self.fail("a `)` has no opening `(`");
                    }
                    self.spaced.pop();
                    self.copy(c);
                    self.atom = true;
                }
                '#' if self.is_spaced() => self.comment(),
                c if self.is_spaced() && c.is_ascii_whitespace() => self.at += c.len_utf8(),
                c => {
                    self.copy(c);
                    self.atom = true;
                }
            }
        }
        Ok(())
    }

    /// `*`, `+`, `?` or `{n,m}`, with the `?` or `+` behind it. Two in a row have no meaning in Java, and another here.
    fn quantifier(&mut self) -> Done {
        if !self.atom {
            return self
                .fail("a `*`, `+`, `?` or `{…}` has nothing before it to repeat; a `\\` makes it a plain character");
        }
        let rest = self.rest();
        let mut length = 1;
        if let Some(body) = rest.strip_prefix('{') {
            let bounds = body.split_once('}').map(|(bounds, _)| bounds).unwrap_or_default();
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let (low, high) = bounds.split_once(',').unwrap_or((bounds, ""));
            if !digits(low) || !(high.is_empty() || digits(high)) {
                return self.fail("a repetition `{…}` is wrong; it is `{2}`, `{2,}` or `{2,5}`");
            }
            length = bounds.len() + 2;
        }
        if rest[length..].starts_with(['?', '+']) {
            length += 1;
        }
        self.out.push_str(&rest[..length]);
        self.at += length;
        self.atom = false;
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn copy(&mut self, c: char) {
        self.out.push(c);
        self.at += c.len_utf8();
    }

    fn is_spaced(&self) -> bool {
        self.spaced.last().copied().unwrap_or(false)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, PatternError> {
        Err(PatternError { message: message.into(), at: Some(self.at) })
    }

    fn comment(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    /// `(` and what says which kind of group it is.
    fn group(&mut self) -> Done {
        let rest = self.rest();
        let inherited = self.is_spaced();
        if !rest.starts_with("(?") {
            self.groups += 1;
            self.spaced.push(inherited);
            self.copy('(');
            return Ok(());
        }
        for head in ["(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"] {
            if rest.starts_with(head) {
                self.out.push_str(head);
                self.at += head.len();
                self.spaced.push(inherited);
                return Ok(());
            }
        }
        if let Some(named) = rest.strip_prefix("(?<") {
            let Some((name, _)) = named.split_once('>') else {
                return self.fail("the name of a group has no closing `>`");
            };
            let valid =
                name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric());
            if !valid {
                return self.fail("a group's name is made of letters and digits, and begins with a letter");
            }
            self.groups += 1;
            if self.names.insert(name, self.groups).is_some() {
                return self.fail(format!("two groups have the name `{name}`"));
            }
            self.out.push('(');
            self.at += "(?<>".len() + name.len();
            self.spaced.push(inherited);
            return Ok(());
        }
        self.flags(inherited)
    }

    /// `(?i-x)` for what follows, or `(?i-x:…)`.
    fn flags(&mut self, inherited: bool) -> Done {
        let body = &self.rest()[2..];
        let Some(length) = body.find([':', ')']) else { return self.fail("a `(` has no closing `)`") };
        let (mut on, mut off, mut minus, mut spaced) = (String::new(), String::new(), false, inherited);
        for flag in body[..length].chars() {
            match flag {
                '-' if !minus => minus = true,
                'x' => spaced = !minus,
                'i' | 'm' | 's' => {
                    if minus {
                        off.push(flag)
                    } else {
                        on.push(flag)
                    }
                }
                // Line ends and letter case: names hold no line ends, and case is Unicode's here anyway.
                'd' | 'u' => {}
                'U' => {
                    return self.fail("the flag `U` is not supported; write `\\p{L}` and the like in place of `\\w`");
                }
                _ => return self.fail("`(?` begins a kind of group that Java does not have"),
            }
        }
        // White space under `x` is dropped here, so that the flag itself need not be passed on.
        let scoped = body[length..].starts_with(':');
        if scoped {
            self.spaced.push(spaced);
        } else if let Some(last) = self.spaced.last_mut() {
            *last = spaced;
        }
        let minus = if off.is_empty() { "" } else { "-" };
        match (on.is_empty() && off.is_empty(), scoped) {
            (true, true) => self.out.push_str("(?:"),
            (true, false) => {}
            (false, true) => self.out.push_str(&format!("(?{on}{minus}{off}:")),
            (false, false) => self.out.push_str(&format!("(?{on}{minus}{off})")),
        }
        self.at += 2 + length + 1;
        Ok(())
    }

    /// `[…]` with everything in it, unions and intersections too.
    fn class(&mut self) -> Done {
        let start = self.at;
        let mut depth = 0;
        while let Some(c) = self.peek() {
            match c {
                '[' => {
                    depth += 1;
                    self.copy('[');
                    if self.peek() == Some('^') {
                        self.copy('^');
                    }
                    // A `]` right behind the bracket stands for itself.
                    if self.peek() == Some(']') {
                        self.out.push_str("\\]");
                        self.at += 1;
                    }
                }
                ']' => {
                    depth -= 1;
                    self.copy(']');
                    if depth == 0 {
                        return Ok(());
                    }
                }
                '\\' => self.escape(true)?,
                // Two of them mean difference in the other dialect; one means itself in both.
                '-' | '~' if self.rest()[1..].starts_with(c) => {
                    let first = self.out.ends_with('[') || self.out.ends_with("[^");
                    self.out.push_str(&if first { format!("\\{c}{c}") } else { format!("{c}\\{c}") });
                    self.at += 2;
                }
                c if self.is_spaced() && c.is_ascii_whitespace() => self.at += c.len_utf8(),
                c => self.copy(c),
            }
        }
        self.at = start;
        self.fail("a `[` has no closing `]`")
    }
}
