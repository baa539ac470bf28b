//! `causeway drain`.

use super::Global;
use crate::client::Client;
use crate::failure::{FAILED, Failure};
use crate::output::{Screen, Tone, clean, count};
use causeway_server::api::{Drain as Drained, State};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the node is asked whether it is done.
const LOOK: Duration = Duration::from_millis(200);

/// Pauses a task, then removes exactly what it created, in both directions. The task stays, drained; `resume` starts it
/// again. Shows first what would be removed.
///
/// With --theirs it removes what the tool that the task takes over from (`takeOver`) has left behind instead: its copies of what no
/// task wants. The task goes on.
#[derive(clap::Args)]
pub struct Drain {
    /// The task's name
    task: String,
    /// Remove the copies of the tool that it takes over from and that no task wants, and nothing of the task's
    #[arg(long)]
    theirs: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How long to wait for the end, in seconds; the node goes on in any case
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

impl Drain {
    pub async fn run(self, global: &Global) -> Result<u8, Failure> {
        let client = global.client()?;
        if self.theirs {
            return self.run_theirs(global, &client).await;
        }
        let wanted = client.drain(&self.task, true).await?;
        let mut screen = Screen::new(global.output);
        if !self.yes {
            show(&mut screen, &wanted)?;
            if !agreed(&self.task, "", wanted.copies.len())? {
                return Err(Failure::new("nothing has been removed"));
            }
        }
        let begun = client.drain(&self.task, false).await?;
        let state = self.wait(&client, begun.state).await?;
        let done = Drained { state, ..begun };
        if !screen.document(&done)? {
            if self.yes {
                show(&mut screen, &done)?;
            }
            screen.line(format!("{} is {}", done.task, done.state.as_str()))?;
        }
        Ok(0)
    }

    async fn run_theirs(self, global: &Global, client: &Client) -> Result<u8, Failure> {
        let wanted = client.drain_theirs(&self.task, true).await?;
        let mut screen = Screen::new(global.output);
        if !self.yes {
            show(&mut screen, &wanted)?;
            if !wanted.copies.is_empty() && !agreed(&self.task, " --theirs", wanted.copies.len())? {
                return Err(Failure::new("nothing has been removed"));
            }
        }
        let done = client.drain_theirs(&self.task, false).await?;
        if !screen.document(&done)? {
            if self.yes {
                show(&mut screen, &done)?;
            }
            for one in &done.refused {
                let (scope, record) = (clean(&one.at.scope), clean(&one.at.record));
                screen.prose(Tone::Waits, &format!("! {scope} {record}: {}", clean(&one.reason)))?;
            }
            screen.line(format!("{} removed", count(done.copies.len(), "copy")))?;
        }
        Ok(if done.refused.is_empty() { 0 } else { FAILED })
    }

    async fn wait(&self, client: &Client, mut state: State) -> Result<State, Failure> {
        let end = Instant::now() + Duration::from_secs(self.timeout);
        while state != State::Drained {
            let task = client.task(&self.task).await?;
            state = task.state;
            if state != State::Drained && Instant::now() >= end {
                let left = format!("{} is still {}: {} copies are left", task.name, state.as_str(), task.instances);
                let why = if task.reason.is_empty() { left } else { format!("{left}; {}", task.reason) };
                return Err(Failure::new(why).help("the node goes on; look at `causeway get tasks`"));
            }
            sleep(LOOK).await;
        }
        Ok(state)
    }
}

/// What is removed, service by service; on standard error where standard output is to be a document.
fn show(screen: &mut Screen, drain: &Drained) -> Result<(), Failure> {
    let mut lines = Vec::new();
    let mut scopes: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for copy in &drain.copies {
        let beside = if copy.shadow { "  (the native record beside it stays)" } else { "" };
        let line = format!("- {}{beside}", clean(&copy.at.record));
        scopes.entry((&copy.at.cluster, &copy.at.scope)).or_default().push(line);
    }
    for ((cluster, scope), records) in scopes {
        lines.push(format!("  {} {}", clean(cluster), screen.paint.text(Tone::Strong, &clean(scope))));
        lines.extend(records.iter().map(|record| format!("    {}", screen.paint.text(Tone::Bad, record))));
    }
    let sum = count(drain.copies.len(), "copy");
    lines.push(match &drain.theirs {
        Some(tool) => format!("{}: {sum} of {} that no task wants", clean(&drain.task), clean(tool)),
        None => format!("{}: {sum} to remove; native records are not touched", clean(&drain.task)),
    });
    if screen.format == crate::output::Format::Table {
        lines.iter().try_for_each(|line| screen.line(line))
    } else {
        let mut stderr = io::stderr().lock();
        Ok(lines.iter().try_for_each(|line| writeln!(stderr, "{line}"))?)
    }
}

fn agreed(task: &str, more: &str, copies: usize) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new(format!("drain removes {copies} records, and nobody is here to be asked"))
            .help(format!("if that is right: causeway drain {task}{more} --yes")));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "Remove them? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Failure::new(format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
