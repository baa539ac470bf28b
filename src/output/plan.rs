//! Plans for people: service by service, one line a record.

use super::{Screen, Tone, clean, count};
use crate::failure::Failure;
use causeway_server::api::{Action, Applied, TaskPlan, Totals, Unanswered};
use std::collections::BTreeMap;

/// A sign, a record, why, and how it is toned.
type PlanLine = (char, String, String, Tone);

/// What would become of the settings themselves.
pub fn settings(screen: &mut Screen, applied: &Applied) -> Result<(), Failure> {
    for (what, changes) in [("cluster", &applied.clusters), ("task", &applied.tasks)] {
        let became = [
            ('+', "is added", Tone::Good, &changes.added),
            ('~', "is changed", Tone::Busy, &changes.changed),
            ('-', "is removed", Tone::Bad, &changes.removed),
            ('-', "is drained, then removed", Tone::Bad, &changes.draining),
        ];
        for (sign, became, tone, names) in became {
            for name in names {
                let line = screen.paint.text(tone, &format!("{sign} {what} {}", clean(name)));
                screen.line(format!("{line} {became}"))?;
            }
        }
    }
    Ok(())
}

/// What one task would do.
pub fn task(screen: &mut Screen, plan: &TaskPlan) -> Result<(), Failure> {
    let heading = screen.paint.text(Tone::Strong, &format!("task {}", clean(&plan.task)));
    screen.line(format!("{heading}: {}", totals(&plan.totals)))?;
    for note in &plan.notes {
        screen.prose(Tone::Waits, &format!("  ! {}", clean(note)))?;
    }
    let mut scopes: BTreeMap<(&str, &str), Vec<PlanLine>> = BTreeMap::new();
    for change in &plan.changes {
        let (sign, tone) = match change.action {
            Action::Create | Action::Shadow => ('+', Tone::Good),
            Action::Update => ('~', Tone::Busy),
            Action::Delete => ('-', Tone::Bad),
            Action::Adopt => ('=', Tone::Plain),
        };
        let record = if change.at.record.is_empty() { "the service itself" } else { &change.at.record };
        let why = match (change.action, change.cause.reason.as_str()) {
            (Action::Create, "") => String::new(),
            (action, "") => action.as_str().to_owned(),
            (_, reason) => reason.to_owned(),
        };
        let lines = scopes.entry((&change.at.cluster, &change.at.scope)).or_default();
        lines.push((sign, record.to_owned(), why, tone));
    }
    for skip in &plan.skipped {
        let line = ('.', skip.at.record.clone(), format!("left alone: {}", skip.cause.reason), Tone::Faint);
        scopes.entry((&skip.at.cluster, &skip.at.scope)).or_default().push(line);
    }
    for ((cluster, scope), lines) in scopes {
        screen.line(format!("  {} {}", clean(cluster), screen.paint.text(Tone::Strong, &clean(scope))))?;
        for (sign, record, why, tone) in lines {
            let record = clean(&format!("{sign} {record}"));
            let text = if why.is_empty() { record } else { format!("{record}  {}", clean(&why)) };
            let text = screen.paint.text(tone, &text);
            screen.line(format!("    {text}"))?;
        }
    }
    Ok(())
}

/// What could not be read.
pub fn unanswered(screen: &mut Screen, all: &[Unanswered]) -> Result<(), Failure> {
    for one in all {
        let namespace = if one.namespace.is_empty() { String::new() } else { format!(" namespace {}", one.namespace) };
        let text = format!("! not compared: {}{namespace}: {}", one.cluster, one.reason);
        screen.prose(Tone::Bad, &clean(&text))?;
    }
    Ok(())
}

/// The last line.
pub fn summary(screen: &mut Screen, sums: &Totals, anything: bool) -> Result<(), Failure> {
    let text = match anything {
        true => format!("plan: {}; this was a look, nothing has been written", totals(sums)),
        false => totals(sums),
    };
    screen.line(text)
}

fn totals(sums: &Totals) -> String {
    let mut words = match sums.has_changes() {
        true => vec![
            format!("{} to create", sums.create),
            format!("{} to update", sums.update),
            format!("{} to delete", sums.delete),
        ],
        false => vec!["nothing to do".to_owned()],
    };
    let rare = [(sums.adopt, "to take over"), (sums.shadow, "to back"), (sums.skipped, "left alone")];
    words.extend(rare.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    words.push(format!("{} in step", count(sums.in_step, "record")));
    words.join(", ")
}
