//! Tables for a terminal: what `footbridge status` and `footbridge ps` print.

use std::fmt::Write;
use std::time::Duration;

use super::snapshot::{Backend, Group, Snapshot};
use super::status::request_id;

/// Groups, backends, and the last failures.
pub(super) fn status(snapshot: &Snapshot) -> String {
    let census = &snapshot.census;
    let mut text = format!(
        "footbridge {}, up for {}, {} requests, {} connections, listening on {}\n",
        env!("CARGO_PKG_VERSION"),
        short(snapshot.since(snapshot.started)),
        snapshot.requests(),
        census.conversations,
        snapshot.listeners.join(" "),
    );
    if census.draining {
        text.push_str("stopping: requests under way may end\n");
    }
    if let Some(reload) = &snapshot.reload {
        let ago = short(snapshot.since(reload.time));
        let _ = match &reload.error {
            None => writeln!(text, "configuration read {ago} ago: it holds"),
            Some(error) => writeln!(text, "configuration read {ago} ago, and refused: {error}"),
        };
    }
    let mut table =
        Table::new(&["GROUP", "BACKEND", "STATE", "FOR", "SHARE", "REQUESTS", "FAILED", "NOW", "IDLE", "WHY"]);
    for group in &snapshot.groups {
        for backend in &group.backends {
            backend_row(&mut table, snapshot, group, backend);
        }
    }
    text.push('\n');
    table.write(&mut text);
    if !snapshot.failures.is_empty() {
        text.push_str("\nThe last failures (footbridge reason WORD explains one):\n");
        failures(snapshot).write(&mut text);
    }
    text
}

fn backend_row(table: &mut Table, snapshot: &Snapshot, group: &Group, backend: &Backend) {
    let share = (backend.counts.requests * 100).checked_div(group.attempts());
    for text in [&group.name, &backend.label, backend.state] {
        table.text(text);
    }
    table.cell(short(snapshot.since(backend.since)));
    table.cell(share.map(|share| format!("{share} %")).unwrap_or_default());
    for number in [backend.counts.requests, backend.counts.failures, backend.in_flight, backend.idle] {
        table.number(number);
    }
    table.text(&backend.why);
}

/// The newest first.
fn failures(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&["AGO", "TIMES", "STATUS", "REASON", "GROUP", "BACKEND", "ID", "REQUEST"]);
    for failure in snapshot.failures.iter().rev() {
        table.cell(short(snapshot.since(failure.time)));
        table.number(failure.times);
        table.number(failure.status.into());
        let backend = failure.backend.as_deref().unwrap_or_default();
        for text in [failure.reason, &failure.group, backend, &failure.id] {
            table.text(text);
        }
        table.cell([&*failure.method, " ", &*failure.target].concat());
    }
    table
}

/// What each worker does.
pub(super) fn ps(snapshot: &Snapshot) -> String {
    let census = &snapshot.census;
    let mut text = format!(
        "{} of at most {} workers: {} running, {} blocked, {} asleep; {} connections, {} waiting, {} ready\n\n",
        census.threads,
        census.most_threads,
        census.running,
        census.blocked,
        census.asleep,
        census.conversations,
        census.waiting,
        census.ready,
    );
    let mut table = Table::new(&["WORKER", "STATE", "FOR", "REQUEST"]);
    for worker in &census.workers {
        table.number(worker.number as u64);
        table.text(worker.doing.word());
        table.cell(short(worker.time));
        table.cell(request_id(worker).unwrap_or_default());
    }
    table.write(&mut text);
    text
}

/// Columns as wide as their widest cell, two spaces between.
struct Table {
    /// Row by row.
    cells: Vec<String>,
    columns: usize,
}

impl Table {
    fn new(head: &[&str]) -> Table {
        let mut table = Table { cells: Vec::new(), columns: head.len() };
        for name in head {
            table.text(name);
        }
        table
    }

    /// The next cell. What is empty is written as `-`.
    fn cell(&mut self, mut text: String) {
        if text.is_empty() {
            text.push('-');
        }
        self.cells.push(text);
    }

    fn text(&mut self, text: &str) {
        self.cell(text.to_owned());
    }

    fn number(&mut self, number: u64) {
        self.cell(number.to_string());
    }

    fn write(&self, text: &mut String) {
        let mut widths = vec![0; self.columns];
        for (place, cell) in self.cells.iter().enumerate() {
            let width = &mut widths[place % self.columns];
            *width = cell.chars().count().max(*width);
        }
        for row in self.cells.chunks(self.columns) {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "{cell:<width$}  ");
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
    }
}

/// The two largest units: `350 ms`, `12 s`, `3 m 12 s`, `2 h 5 m`, `8 d 1 h`.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.subsec_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_spaces() {
        let (mut table, mut text) = (Table::new(&["A", "LONG"]), String::new());
        for cell in ["longer", "", "x", "y"] {
            table.text(cell);
        }
        table.write(&mut text);
        assert_eq!(text, "A       LONG\nlonger  -\nx       y\n");
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        for (millis, want) in [(350, "350 ms"), (12_000, "12 s"), (192_000, "3 m 12 s"), (7_500_000, "2 h 5 m")] {
            assert_eq!(short(Duration::from_millis(millis)), want);
        }
    }
}
