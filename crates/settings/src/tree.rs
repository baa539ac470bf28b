//! YAML as a tree in which every node knows its place. It says nothing of what the file means.

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};

/// At most this many nodes after aliases are put in: a few lines of nested aliases could stand for billions.
pub(crate) const MAX_NODES: usize = 200_000;
/// At most this many levels: the reader is recursive.
const MAX_DEPTH: usize = 64;

/// A stretch of the file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// Where it begins: a byte offset into the text.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What can stand behind a key.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys with values.
    Map(Vec<(Key, Node)>),
}

/// A single value.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text, after references are replaced.
    pub text: String,
    /// The file's own text, where it holds a reference.
    pub written: Option<String>,
    /// A reference in it could not be replaced; that is reported already.
    pub broken: bool,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

impl Node {
    /// What it is, in words of the user.
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "keys with values",
        }
    }

    /// Calls `visit` for every scalar value below, and for itself; keys are not values.
    pub fn scalars(&mut self, visit: &mut dyn FnMut(&mut Scalar, Place)) {
        match &mut self.value {
            Value::Null => {}
            Value::Scalar(scalar) => visit(scalar, self.place),
            Value::List(items) => items.iter_mut().for_each(|node| node.scalars(visit)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| node.scalars(visit)),
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| 1 + node.size()).sum(),
        }
    }
}

/// Why a text is no tree. Some of these leave a tree (`repeated` keys), most do not.
#[derive(Clone, Debug)]
pub(crate) struct SyntaxFault {
    pub place: Place,
    pub message: String,
    pub help: Option<String>,
}

/// Reads one document of at most `most` values. `Ok((None, _))`: there is nothing in it. The faults beside a tree are repeated
/// keys.
pub(crate) fn read(text: &str, most: usize) -> Result<(Option<Node>, Vec<SyntaxFault>), SyntaxFault> {
    let mut options = granit_parser::options! { block_nesting_limit: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH };
    options.set_emit_comments(false);
    let mut builder = Builder {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        anchors: Vec::new(),
        nodes: 0,
        most,
        faults: Vec::new(),
    };
    let root = builder.document()?;
    Ok((root, builder.faults))
}

struct Builder<'a, P> {
    text: &'a str,
    parser: P,
    anchors: Vec<(usize, Node)>,
    nodes: usize,
    most: usize,
    faults: Vec<SyntaxFault>,
}

type ParserItem<'a> = Result<(Event<'a>, Span), granit_parser::ScanError>;

impl<'a, P: Iterator<Item = ParserItem<'a>>> Builder<'a, P> {
    fn document(&mut self) -> Result<Option<Node>, SyntaxFault> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    return Err(self
                        .fault(span, "a second document begins here")
                        .help("keep one document in a file: take out the line `---`, or make two files"));
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root.filter(|node| !matches!(node.value, Value::Null)))
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, SyntaxFault> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok(step)) => Ok(Some(step)),
            Some(Err(error)) => {
                let mark = error.marker();
                let fault = self.fault(Span::new(*mark, *mark), &format!("this is not valid YAML: {}", error.info()));
                Err(self.explain(fault))
            }
        }
    }

    fn must_next(&mut self) -> Result<(Event<'a>, Span), SyntaxFault> {
        self.next()?.ok_or_else(|| {
            let end = Marker::new(0, self.text.lines().count().max(1), 0).with_byte_offset(Some(self.text.len()));
            self.fault(Span::empty(end), "the file ends too early")
        })
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, SyntaxFault> {
        self.count(1, span)?;
        if depth > MAX_DEPTH {
            return Err(self.fault(span, &format!("there are more than {MAX_DEPTH} levels")));
        }
        let place = self.place(span);
        if let Some(tag) = event.tag()
            && !tag.is_yaml_core_schema()
        {
            return Err(self.fault(span, "YAML tags (`!word`) have no meaning here").help("take the tag out"));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let null = style == ScalarStyle::Plain
                    && tag.is_none()
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar(Scalar { text: text.into_owned(), written: None, broken: false })
                };
                Ok(self.anchored(anchor, Node { place, value }))
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.must_next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                Ok(self.anchored(anchor, Node { place, value: Value::List(items) }))
            }
            Event::MappingStart(_, anchor, _) => {
                let entries = self.entries(depth)?;
                Ok(self.anchored(anchor, Node { place, value: Value::Map(entries) }))
            }
            Event::Alias(id) => {
                let found = self.anchors.iter().rev().find(|(anchor, _)| *anchor == id).map(|(_, node)| node.clone());
                let Some(node) = found else {
                    return Err(self.fault(span, "this alias stands inside its own anchor"));
                };
                self.count(node.size(), span)?;
                Ok(node)
            }
            _ => Err(self.fault(span, "this is not valid YAML here")),
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, SyntaxFault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let (event, span) = self.must_next()?;
            if event == Event::MappingEnd {
                break;
            }
            let place = self.place(span);
            let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, _, _));
            let text = match self.node(event, span, depth + 1)?.value {
                Value::Scalar(scalar) => scalar.text,
                Value::Null => String::new(),
                _ => return Err(self.fault(span, "a key must be a single word").help("write `key: value`")),
            };
            let (event, value_span) = self.must_next()?;
            let mut value = self.node(event, value_span, depth + 1)?;
            if matches!(value.value, Value::Null) {
                value.place = place;
            }
            if plain && text == "<<" {
                merged.extend(self.merge(value, value_span)?);
            } else if let Some(first) = lines.get(&text) {
                let message = format!("`{text}` stands here twice");
                let help = format!("keep one of the two; the first is at line {first}");
                self.faults.push(SyntaxFault { place, message, help: Some(help) });
            } else {
                lines.insert(text.clone(), place.line);
                entries.push((Key { text, place }, value));
            }
        }
        for (key, value) in merged {
            if lines.insert(key.text.clone(), key.place.line).is_none() {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    fn merge(&self, value: Node, span: Span) -> Result<Vec<(Key, Node)>, SyntaxFault> {
        let wrong = || self.fault(span, "`<<` takes an alias of keys with values").help("write `<<: *name`");
        match value.value {
            Value::Map(entries) => Ok(entries),
            Value::List(items) => {
                let mut all = Vec::new();
                for item in items {
                    let Value::Map(entries) = item.value else { return Err(wrong()) };
                    all.extend(entries);
                }
                Ok(all)
            }
            _ => Err(wrong()),
        }
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Node {
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
        node
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), SyntaxFault> {
        self.nodes += more;
        let most = self.most;
        if self.nodes > most {
            return Err(self
                .fault(span, &format!("the file stands for more than {most} values"))
                .help("use fewer aliases (`*name`), or split the file"));
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        let start = span.start.byte_offset().unwrap_or(0).min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(start).clamp(start, self.text.len());
        Place { line: span.start.line().max(1), column: span.start.col() + 1, start, end }
    }

    fn fault(&self, span: Span, message: &str) -> SyntaxFault {
        SyntaxFault { place: self.place(span), message: message.to_owned(), help: None }
    }

    /// Adds the help that the parser's own words lack.
    fn explain(&self, fault: SyntaxFault) -> SyntaxFault {
        let line = self.text.lines().nth(fault.place.line - 1).unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start().len()];
        if indent.contains('\t') {
            return fault.help("YAML is indented with blanks: replace the tabs at the line's start");
        }
        if line.contains(": *") || line.contains("- *") {
            return fault.help(
                "a value that begins with `*` refers to an anchor; for the character itself put the value in quotes",
            );
        }
        fault.help("look at the indentation, quotes and brackets of this line and the one above")
    }
}

impl SyntaxFault {
    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}
