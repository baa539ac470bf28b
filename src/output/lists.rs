//! Clusters, tasks, services and events for people.

use super::{Cell, Paint, Table, Tone, clean};
use causeway_server::api::{
    Carrier, Cluster, Conflict, ConflictSide, Difference, Document, DocumentState, Event, LeftOut, RecordRef, Service,
    State, Task,
};

/// Clusters.
pub fn clusters(clusters: &[Cluster]) -> Table {
    let mut table = Table::new(&["NAME", "TYPE", "ADDRESSES", "NAMESPACES", "OPEN", ">TASKS", "CARRIED BY"]);
    for cluster in clusters {
        let namespaces = if cluster.namespaces.is_empty() { "all".to_owned() } else { cluster.namespaces.join(", ") };
        let open = if cluster.open { "yes" } else { "no task" };
        table.row([
            Cell::from(&cluster.name),
            Cell::from(&cluster.kind),
            Cell::from(cluster.addresses.join(", ")),
            Cell::from(namespaces),
            Cell::toned(open, if cluster.open { Tone::Plain } else { Tone::Faint }),
            Cell::number(cluster.tasks.len()),
            Cell::from(carried(&cluster.carriers)),
        ]);
        if !cluster.reason.is_empty() {
            table.note(&cluster.reason, Tone::Bad);
        }
    }
    table
}

/// How many connections or sessions hold our copies, and how full the fullest is: `3 sessions, at most 97 % full`.
fn carried(carriers: &[Carrier]) -> String {
    let Some(first) = carriers.first() else { return String::new() };
    let fullest = carriers.iter().map(|one| one.bytes * 100 / one.limit.max(1)).max().unwrap_or_default();
    let many = if carriers.len() == 1 { "" } else { "s" };
    format!("{} {}{many}, at most {fullest} % full", carriers.len(), first.what)
}

/// Documents of other tools.
pub fn documents(documents: &[Document]) -> Table {
    let mut table = Table::new(&["DOCUMENT", "STATE", "SUBJECT", "TASKS"]);
    for one in documents {
        let tone = match one.state {
            DocumentState::InUse => Tone::Good,
            DocumentState::Pending | DocumentState::Missing => Tone::Waits,
            DocumentState::Backup | DocumentState::Away | DocumentState::Refused | DocumentState::Invalid => Tone::Bad,
        };
        let state = Cell::toned(one.state.as_str(), tone);
        table.row([Cell::from(&one.place), state, Cell::from(&one.subject), Cell::from(one.tasks.join(", "))]);
        if !one.reason.is_empty() {
            table.note(&one.reason, tone);
        }
    }
    table
}

/// Config entries that wait for a decision.
pub fn conflicts(conflicts: &[Conflict]) -> Table {
    let mut table = Table::new(&["TASK", "ENTRY", "SOURCE", "DESTINATION"]);
    let side = |side: &Option<ConflictSide>| match side {
        None => "deleted".to_owned(),
        Some(side) => format!("{} bytes, {}", side.size, side.modified),
    };
    for one in conflicts {
        table.row([&one.task, &one.entry, &side(&one.source), &side(&one.destination)].map(Cell::from));
    }
    table
}

/// What differs between the two sides of a task.
pub fn differences(differences: &[Difference]) -> Table {
    let mut table = Table::new(&["CLUSTER", "SERVICE OR ENTRY", "INSTANCE", "IS", "WHY"]);
    for one in differences {
        let kind = Cell::toned(one.kind.as_str(), Tone::Bad);
        table.row(record(&one.at).into_iter().chain([kind, Cell::from(&one.cause.reason)]));
    }
    table
}

/// What is left out on purpose, at most so many.
pub fn left_out(all: &[LeftOut], most: usize) -> Table {
    let mut table = Table::new(&["CLUSTER", "SERVICE OR ENTRY", "INSTANCE", "LEFT OUT, AND WHY"]);
    for one in all.iter().take(most) {
        table.row(record(&one.at).into_iter().chain([Cell::from(&one.reason)]));
    }
    table
}

/// The cluster, the service or entry, and the instance.
fn record(at: &RecordRef) -> [Cell; 3] {
    let (scope, record) = if at.scope.is_empty() { (&*at.record, "") } else { (&*at.scope, &*at.record) };
    [&at.cluster, scope, record].map(Cell::from)
}

/// Below this many columns, tasks and events take a second line.
const NARROW: usize = 120;

/// Tasks, with what the operator should know below each.
pub fn tasks(tasks: &[Task], width: Option<usize>) -> Table {
    let narrow = width.is_some_and(|width| width < NARROW);
    let between: &[&str] = if narrow { &[] } else { &["FROM", "", "TO", "TYPE"] };
    // Most tasks copy services alone.
    let data = tasks.iter().any(|task| task.kind != "Service");
    let entries: &[&str] = if data { &[">ENTRIES", ">CONFLICTS"] } else { &[] };
    let sums = [">SERVICES", ">INSTANCES"];
    let headings = [&["NAME"], between, &["STATE"], &sums, entries, &[">PENDING", ">HELD"]].concat();
    let mut table = Table::new(&headings);
    for task in tasks {
        let arrow = if task.mode == "Bidirectional" { "<->" } else { "-->" };
        let mut row = vec![Cell::from(&task.name)];
        if !narrow {
            row.extend([&task.source, arrow, &task.destination, &task.kind].map(Cell::from));
        }
        row.push(Cell::toned(task.state.as_str(), tone(task.state)));
        row.extend([task.services, task.instances].map(Cell::number));
        if data {
            row.extend([task.entries, task.conflicts].map(Cell::number));
        }
        row.extend([task.pending, task.held].map(Cell::number));
        table.row(row);
        if narrow {
            table.note(format!("{} {arrow} {}, {}", task.source, task.destination, task.kind), Tone::Faint);
        }
        if !task.reason.is_empty() {
            table.note(&task.reason, tone(task.state));
        }
        for warning in &task.warnings {
            table.note(format!("warning: {warning}"), Tone::Waits);
        }
        for (why, count) in &task.skipped {
            table.note(format!("{count} left alone: {why}"), Tone::Faint);
        }
    }
    table
}

/// Services.
pub fn services(services: &[Service]) -> Table {
    let mut table = Table::new(&["CLUSTER", "NAMESPACE", "GROUP", "SERVICE", ">NATIVE", ">COPIES", ">FOREIGN"]);
    for service in services {
        let names = [&service.cluster, &service.namespace, &service.group, &service.name].map(Cell::from);
        let counts = [service.native, service.copies, service.foreign].map(Cell::number);
        table.row(names.into_iter().chain(counts));
        for skipped in &service.skipped {
            table.note(format!("{} left alone: {}", skipped.record, skipped.cause.reason), Tone::Faint);
        }
    }
    table
}

/// Events.
pub fn events(events: &[Event], width: Option<usize>) -> Table {
    let narrow = width.is_some_and(|width| width < NARROW);
    let more: &[&str] = if narrow { &[] } else { &["RECORD", "TASK"] };
    let mut table = Table::new(&[&["TIME (UTC)", "ACTION", "CLUSTER", "SERVICE"], more].concat());
    for event in events {
        let mut row = vec![
            Cell::toned(time(event), Tone::Faint),
            Cell::toned(&event.action, action(&event.action)),
            Cell::from(&event.cluster),
            Cell::from(&event.service),
        ];
        let mut notes = vec![&event.cause.reason];
        if narrow {
            notes.splice(0..0, [&event.record, &event.task]);
        } else {
            row.extend([&event.record, &event.task].map(Cell::from));
        }
        table.row(row);
        notes.retain(|note| !note.is_empty());
        if !notes.is_empty() {
            table.note(notes.into_iter().map(String::as_str).collect::<Vec<_>>().join("  "), Tone::Faint);
        }
    }
    table
}

/// One event, on one line.
pub fn event_line(event: &Event, paint: Paint) -> String {
    let time = paint.text(Tone::Faint, &time(event));
    let action = paint.text(action(&event.action), &format!("{:<8}", clean(&event.action)));
    let rest: Vec<_> = [&event.task, &event.cluster, &event.service, &event.record]
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| clean(text))
        .collect();
    let why = if event.cause.reason.is_empty() { String::new() } else { format!("  {}", clean(&event.cause.reason)) };
    format!("{time} {action} {}{}", rest.join("  "), paint.text(Tone::Faint, &why))
}

/// `2026-11-22T03:44:12.345Z` as `11-22 03:44:12.345`.
fn time(event: &Event) -> String {
    let short = event.time.get(5..).unwrap_or(&event.time);
    clean(short.trim_end_matches('Z')).replacen('T', " ", 1)
}

fn tone(state: State) -> Tone {
    match state {
        State::InStep => Tone::Good,
        State::Syncing | State::Draining => Tone::Busy,
        State::Held | State::Paused | State::Drained | State::Unsupported => Tone::Waits,
        State::Failing => Tone::Bad,
    }
}

fn action(word: &str) -> Tone {
    match word {
        "created" | "adopted" | "released" | "resumed" => Tone::Good,
        "updated" | "applied" | "draining" => Tone::Busy,
        "deleted" | "failed" | "lost" | "removed" => Tone::Bad,
        "held" | "paused" | "drained" => Tone::Waits,
        _ => Tone::Faint,
    }
}
