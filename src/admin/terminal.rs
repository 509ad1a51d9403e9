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
        let result = reload.error.as_deref().unwrap_or("it holds");
        let _ = writeln!(text, "configuration read {ago} ago: {result}");
    }
    let mut rows = vec![row(["GROUP", "BACKEND", "STATE", "FOR", "SHARE", "REQUESTS", "FAILED", "NOW", "IDLE", "WHY"])];
    for group in &snapshot.groups {
        rows.extend(group.backends.iter().map(|backend| backend_row(snapshot, group, backend)));
    }
    text.push('\n');
    text.push_str(&table(&rows));
    let mut rows = vec![row(["AGO", "TIMES", "STATUS", "REASON", "GROUP", "BACKEND", "ID", "REQUEST"])];
    rows.extend(snapshot.failures.iter().rev().map(|failure| {
        let ago = short(snapshot.since(failure.time));
        let (times, status) = (failure.times.to_string(), failure.status.to_string());
        let request = format!("{} {}", failure.method, failure.target);
        let backend = failure.backend.as_deref().unwrap_or("-");
        row([&ago, &times, &status, failure.reason, &failure.group, backend, &failure.id, &request])
    }));
    if rows.len() > 1 {
        text.push_str("\nThe last failures (footbridge reason WORD explains one):\n");
        text.push_str(&table(&rows));
    }
    text
}

fn backend_row(snapshot: &Snapshot, group: &Group, backend: &Backend) -> Vec<String> {
    let share = (backend.counts.requests * 100).checked_div(group.attempts());
    row([
        &group.name,
        &backend.label,
        backend.state,
        &short(snapshot.since(backend.since)),
        &share.map_or_else(|| "-".to_owned(), |share| format!("{share} %")),
        &backend.counts.requests.to_string(),
        &backend.counts.failures.to_string(),
        &backend.in_flight.to_string(),
        &backend.idle.to_string(),
        &backend.why,
    ])
}

/// What each worker does.
pub(super) fn ps(snapshot: &Snapshot) -> String {
    let census = &snapshot.census;
    let mut rows = vec![row(["WORKER", "STATE", "FOR", "REQUEST"])];
    rows.extend(census.workers.iter().map(|worker| {
        let id = request_id(worker);
        row([&worker.number.to_string(), worker.doing.word(), &short(worker.time), id.as_deref().unwrap_or("-")])
    }));
    format!(
        "{} of at most {} workers: {} running, {} blocked, {} asleep; {} connections, {} waiting, {} ready\n\n{}",
        census.threads,
        census.most_threads,
        census.running,
        census.blocked,
        census.asleep,
        census.conversations,
        census.waiting,
        census.ready,
        table(&rows),
    )
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.into_iter().map(|cell| if cell.is_empty() { "-" } else { cell }.to_owned()).collect()
}

/// Columns as wide as their widest cell, two spaces between.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The two largest units: `350 ms`, `12 s`, `3 m 12 s`, `2 h 5 m`, `8 d 1 h`.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
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
        let rows = [row(["A", "LONG"]), row(["longer", ""]), row(["x", "y"])];
        assert_eq!(table(&rows), "A       LONG\nlonger  -\nx       y\n");
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        for (millis, want) in [(350, "350 ms"), (12_000, "12 s"), (192_000, "3 m 12 s"), (7_500_000, "2 h 5 m")] {
            assert_eq!(short(Duration::from_millis(millis)), want);
        }
    }
}
