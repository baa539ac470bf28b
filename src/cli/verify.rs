//! `causeway verify`.

use super::Global;
use crate::failure::{DIFFERS, Failure};
use crate::output::{Screen, Tone, clean, count, lists, plan};

/// So many of what is left out on purpose are shown to people.
const SHOWN: usize = 20;

/// Reads both sides of a task anew and compares them record by record (data by its hash): what a migration wants to know
/// before its cut-over. Exit code 0: in step; 1: not, or not to be told.
#[derive(clap::Args)]
pub struct Verify {
    /// The task's name
    task: String,
}

impl Verify {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let found = global.client()?.verify(&self.task).await?;
        let code = if found.in_step { 0 } else { DIFFERS };
        let mut screen = Screen::new(global.output);
        if screen.document(&found)? {
            return Ok(code);
        }
        if !found.differences.is_empty() {
            screen.table(&lists::differences(&found.differences))?;
        }
        if !found.left_out.is_empty() {
            screen.table(&lists::left_out(&found.left_out, SHOWN))?;
            if found.left_out_count > SHOWN {
                screen.line(format!(
                    "{} more are left out on purpose; -o json lists them",
                    found.left_out_count - SHOWN
                ))?;
            }
        }
        for note in &found.notes {
            screen.prose(Tone::Waits, &format!("! {}", clean(note)))?;
        }
        plan::unanswered(&mut screen, &found.unanswered)?;
        let same = [(found.instances, "instance"), (found.entries, "entry")];
        let same: Vec<_> = same.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
        let same = if same.is_empty() { "nothing".to_owned() } else { same.join(" and ") };
        let (tone, word) = match found.in_step {
            true => (Tone::Good, "in step".to_owned()),
            false if found.count == 0 => (Tone::Bad, "not known to be in step: a part could not be read".to_owned()),
            false => {
                (Tone::Bad, format!("not in step: {} of {}", count(found.count, "difference"), clean(&found.task)))
            }
        };
        let word = screen.paint.text(tone, &word);
        screen.line(format!("{word}; the same on both sides: {same}"))?;
        Ok(code)
    }
}
