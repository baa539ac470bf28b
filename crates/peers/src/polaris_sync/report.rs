//! The lines of polaris-sync's report file.

use std::fmt::Write;

/// What one line of a report is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportRow {
    /// The cluster's name.
    pub name: String,
    /// The word for what it is, in upper case.
    pub kind: String,
    /// The product's name, which may be empty.
    pub detail: String,
}

/// One block of the report file: a line with the time, one with the heads, one for each row with its calls and how many of them failed,
/// and an empty one. `time`: as `2026-11-22 00:49:56`. Without rows it is empty: nothing is written then.
pub fn report_block(time: &str, rows: &[(ReportRow, u64, u64)]) -> String {
    let mut block = String::new();
    if rows.is_empty() {
        return block;
    }
    let mut line = |cells: [&str; 5]| {
        let [name, kind, detail, total, error] = cells;
        // Writing to a text cannot fail.
        let _written = writeln!(block, "{name:<48}|{kind:>12}|{detail:>12}|{total:>12}|{error:>12}|");
    };
    line(["Name", "Type", "Detail", "Total", "Error"]);
    for (row, total, error) in rows {
        line([&row.name, &row.kind, &row.detail, &total.to_string(), &error.to_string()]);
    }
    format!("Statis {time}:\n{block}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As polaris-sync itself wrote it.
    #[test]
    fn the_line_format_is_theirs() {
        let row = |name: &str, kind: &str, detail: &str| ReportRow {
            name: name.into(),
            kind: kind.into(),
            detail: detail.into(),
        };
        let rows = [(row("src", "POLARIS", ""), 29, 0), (row("k", "KONG", "p"), 2, 0)];
        let lines = [
            "Statis 2026-11-22 00:49:56:",
            "Name                                            |        Type|      Detail|       Total|       Error|",
            "src                                             |     POLARIS|            |          29|           0|",
            "k                                               |        KONG|           p|           2|           0|",
            "",
            "",
        ];
        assert_eq!(report_block("2026-11-22 00:49:56", &rows), lines.join("\n"));
        assert_eq!(report_block("2026-11-22 00:49:56", &[]), "");
    }
}
