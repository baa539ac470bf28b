//! The demo on the screen: a picture that is drawn again in its place on a terminal, lines elsewhere.

use super::registries::{NAMES, ShownCount, World};
use super::travel::{Travel, Trip, time_words};
use crate::failure::Failure;
use crate::output::{Paint, Tone, size};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Lines of the picture that are not changes.
const FRAME: usize = 6;

/// Where the demo is shown.
pub struct View {
    terminal: bool,
    paint: Paint,
    dots: [&'static str; 2],
    /// Lines that the last picture took.
    drawn: usize,
}

/// A line in pieces, each with its tone.
type Spans = Vec<(Tone, String)>;

impl View {
    /// Standard output as it is.
    pub fn new() -> Self {
        let terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
        let unicode = locale.is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"));
        let dots = if unicode { ["●", "○"] } else { ["#", "o"] };
        Self { terminal, paint: Paint::of(terminal), dots, drawn: 0 }
    }

    /// Whether a picture is drawn.
    pub fn is_live(&self) -> bool {
        self.terminal
    }

    /// Writes a line of text.
    pub fn say(&self, tone: Tone, text: &str) -> Result<(), Failure> {
        Ok(writeln!(io::stdout().lock(), "{}", self.paint.text(tone, text))?)
    }

    /// Tells of a trip that has arrived, where no picture shows it.
    pub fn arrived(&self, trip: &Trip) -> Result<(), Failure> {
        if self.terminal {
            return Ok(());
        }
        let line: String = trip_line(trip).into_iter().map(|(_, text)| text).collect();
        Ok(writeln!(io::stdout().lock(), "{}", line.trim_end())?)
    }

    /// Draws the picture over the last one.
    pub fn draw(&mut self, world: &World, travel: &Travel, now: Duration) -> Result<(), Failure> {
        if !self.terminal {
            return Ok(());
        }
        let (columns, rows) = size();
        let mut lines = vec![vec![(Tone::Strong, format!("  {:<10}{:<26}{}", "", NAMES[0], NAMES[1]))]];
        lines.extend(world.services().map(|name| self.service(name, [0, 1].map(|side| world.count(side, name)))));
        let [native, copy] = self.dots;
        lines.push(vec![
            (Tone::Good, format!("  {native}")),
            (Tone::Faint, " registered by its provider   ".to_owned()),
            (Tone::Busy, copy.to_owned()),
            (Tone::Faint, " copy, kept in step by causeway".to_owned()),
        ]);
        lines.push(Vec::new());
        let room = rows.saturating_sub(lines.len() + FRAME).clamp(3, 12);
        let last = travel.trips.len().saturating_sub(room);
        lines.extend(travel.trips[last..].iter().map(trip_line));
        lines.resize(lines.len() + room.saturating_sub(travel.trips.len()), Vec::new());
        lines.push(vec![(Tone::Faint, format!("  {} s; Ctrl-C ends it", now.as_secs()))]);
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        } else {
            text.push_str("\x1b[?25l");
        }
        for line in &lines {
            self.put(&mut text, line, columns);
        }
        self.drawn = lines.len();
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    fn service(&self, name: &str, sides: [ShownCount; 2]) -> Spans {
        let mut line = vec![(Tone::Plain, format!("  {name:<10}"))];
        for count in sides {
            line.push((Tone::Plain, format!("{:<3}", count.sum())));
            line.push((Tone::Good, self.dots[0].repeat(count.native)));
            line.push((Tone::Busy, self.dots[1].repeat(count.copies)));
            line.push((Tone::Plain, " ".repeat(23_usize.saturating_sub(count.sum()))));
        }
        line
    }

    /// Adds a line that is cut where the terminal ends.
    fn put(&self, text: &mut String, line: &Spans, columns: usize) {
        let mut room = columns.saturating_sub(1);
        for (tone, piece) in line {
            let mut piece = piece.clone();
            while piece.width() > room {
                piece.pop();
            }
            room -= piece.width();
            text.push_str(&self.paint.text(*tone, &piece));
        }
        text.push_str("\x1b[K\n");
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.drawn > 0 {
            // The cursor that the picture hid; without a terminal nobody misses it.
            drop(io::stdout().lock().write_all(b"\x1b[?25h"));
        }
    }
}

fn trip_line(trip: &Trip) -> Spans {
    let (effect, tone) = match trip.took {
        Some(took) => (format!("{} in {}", trip.step.effect(), time_words(took)), Tone::Good),
        None => ("on its way".to_owned(), Tone::Busy),
    };
    vec![
        (Tone::Faint, format!("  {:>5.1} s  ", trip.at.as_secs_f64())),
        (Tone::Strong, format!("{:<9}", NAMES[trip.step.side])),
        (Tone::Plain, format!("{:<36}", trip.step.words())),
        (tone, effect),
    ]
}
