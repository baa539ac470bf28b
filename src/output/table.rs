//! Columns of text, as narrow as they can be, and never wider than the terminal.

use super::{Paint, Tone, clean};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: usize = 2;
/// No column is made narrower than this to fit.
const NARROWEST: usize = 10;

/// One field of a table.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// A text in a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: clean(&text.into()), tone, right: false }
    }

    /// A number: it stands at the right.
    pub fn number(n: usize) -> Self {
        Self { text: n.to_string(), tone: if n == 0 { Tone::Faint } else { Tone::Plain }, right: true }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

enum Row {
    Cells(Vec<Cell>),
    Note(Cell),
}

/// A heading and rows; a row may have notes below it.
pub struct Table {
    heading: Vec<Cell>,
    rows: Vec<Row>,
}

impl Table {
    /// A table with these headings; one that begins with `>` stands at the right.
    pub fn new(headings: &[&str]) -> Self {
        let cell = |heading: &&str| Cell {
            text: heading.trim_start_matches('>').to_owned(),
            tone: Tone::Strong,
            right: heading.starts_with('>'),
        };
        Self { heading: headings.iter().map(cell).collect(), rows: Vec::new() }
    }

    /// Adds a row; as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(Row::Cells(cells.into_iter().collect()));
    }

    /// Adds a line below the last row, over all columns.
    pub fn note(&mut self, text: impl Into<String>, tone: Tone) {
        self.rows.push(Row::Note(Cell::toned(text, tone)));
    }

    /// The whole text, each line with its end. Cells that do not fit into `width` go on below.
    pub fn draw(&self, width: Option<usize>, paint: Paint) -> String {
        let widths = self.widths(width);
        let mut out = String::new();
        draw_row(&mut out, &self.heading, &widths, paint);
        for row in &self.rows {
            match row {
                Row::Cells(cells) => draw_row(&mut out, cells, &widths, paint),
                Row::Note(note) => {
                    let room = width.map_or(usize::MAX, |width| width.saturating_sub(4).max(NARROWEST));
                    for (n, line) in words(&note.text, room).iter().enumerate() {
                        out.push_str(if n == 0 { "  " } else { "    " });
                        out.push_str(&paint.text(note.tone, line));
                        out.push('\n');
                    }
                }
            }
        }
        out
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heading.iter().map(|cell| cell.text.width()).collect();
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.text.width());
            }
        }
        let gaps = GAP * widths.len().saturating_sub(1);
        let room = limit.unwrap_or(usize::MAX).saturating_sub(gaps);
        while widths.iter().sum::<usize>() > room {
            // The widest gives first, so that short columns stay whole.
            match widths.iter_mut().filter(|width| **width > NARROWEST).max_by_key(|width| **width) {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        widths
    }
}

fn draw_row(out: &mut String, cells: &[Cell], widths: &[usize], paint: Paint) {
    let wrapped: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| words(&cell.text, *width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
    for n in 0..height {
        let mut line = String::new();
        let mut owed = 0;
        for ((cell, width), lines) in cells.iter().zip(widths).zip(&wrapped) {
            let text = lines.get(n).map_or("", String::as_str);
            let blank = width - text.width().min(*width);
            let (before, after) = if cell.right { (blank, 0) } else { (0, blank) };
            if text.is_empty() {
                owed += width + GAP;
                continue;
            }
            line.push_str(&" ".repeat(owed + before));
            line.push_str(&paint.text(cell.tone, text));
            owed = after + GAP;
        }
        out.push_str(&line);
        out.push('\n');
    }
}

/// Breaks between words where it can, inside a word where it must. At least one line.
pub fn words(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + word.trim_end().width() > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        for letter in word.chars() {
            let wide = letter.width().unwrap_or_default();
            if used + wide > width && letter != ' ' {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(letter);
            used += wide;
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(table: &Table, width: usize) -> Vec<String> {
        table.draw(Some(width), Paint::default()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_as_narrow_as_they_can_be() {
        let mut table = Table::new(&["NAME", ">N"]);
        table.row(["hangzhou".into(), Cell::number(12)]);
        table.row(["杭州".into(), Cell::number(3)]);
        assert_eq!(drawn(&table, 80), ["NAME       N", "hangzhou  12", "杭州       3"]);
    }

    #[test]
    fn wide_cells_go_on_below() {
        let mut table = Table::new(&["NAME", "WHY"]);
        table.row(["orders".into(), "the source is not connected, and has not been for long".into()]);
        for line in drawn(&table, 30) {
            assert!(line.width() <= 30, "{line}");
        }
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let mut table = Table::new(&["NAME"]);
        table.row(["a\x1b[2Jb\nc".into()]);
        assert_eq!(drawn(&table, 80), ["NAME", "a [2Jb c"]);
    }
}
