//! Metrics in Prometheus' text format 0.0.4. Names by its conventions: base units, `_total` for what only grows. Labels
//! are groups, backends, and words of closed sets: nothing that a client could make more of.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::snapshot::{Backend, Group, STATES, Snapshot};
use crate::proxy::metrics::BUCKETS;
use crate::proxy::reasons::{self, Fault};
use crate::socketserver::Census;

/// All metrics.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut out = Exposition { text: String::with_capacity(8 * 1024), name: "" };
    process(snapshot, &mut out);
    groups(&snapshot.groups, &mut out);
    durations(&snapshot.groups, &mut out);
    failures(&snapshot.groups, &mut out);
    backends(&snapshot.groups, &mut out);
    out.text
}

fn process(snapshot: &Snapshot, out: &mut Exposition) {
    let census = &snapshot.census;
    out.family("footbridge_build_info", "gauge", "What runs here.");
    out.sample("", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.single("footbridge_start_time_seconds", "gauge", "When it began.", seconds(snapshot.started));
    if let Some(reload) = &snapshot.reload {
        let ok = u64::from(reload.error.is_none());
        out.single("footbridge_reload_success", "gauge", "Whether the last reload changed the configuration.", ok);
        out.single("footbridge_reload_time_seconds", "gauge", "When the last reload was.", seconds(reload.time));
    }
    for (name, kind, help, value) in &CENSUS {
        out.single(name, kind, help, value(census));
    }
    out.family("footbridge_workers", "gauge", "Worker threads.");
    for (state, count) in [("running", census.running), ("blocked", census.blocked), ("asleep", census.asleep)] {
        out.sample("", &[("state", state)], count as u64);
    }
}

/// A metric of one kind of thing: name, type, help, and its value.
type Column<T> = (&'static str, &'static str, &'static str, fn(&T) -> u64);

const CENSUS: [Column<Census>; 5] = [
    ("footbridge_connections", "gauge", "Connections of clients.", |c| c.conversations as u64),
    ("footbridge_connections_accepted_total", "counter", "Connections accepted.", |c| c.admitted),
    ("footbridge_connections_waiting", "gauge", "Connections that hold no worker.", |c| c.waiting as u64),
    ("footbridge_ready_queue_length", "gauge", "Connections that need a worker.", |c| c.ready as u64),
    ("footbridge_workers_limit", "gauge", "Worker threads that there may be.", |c| c.most_threads as u64),
];

const GROUPS: [Column<Group>; 3] = [
    ("footbridge_response_content_bytes_total", "counter", "Content sent to clients.", |g| g.counts.sent),
    ("footbridge_request_content_bytes_total", "counter", "Content received from clients.", |g| g.counts.received),
    ("footbridge_retries_total", "counter", "Attempts beside the first of a request.", |g| g.counts.retries),
];

const BACKENDS: [Column<Backend>; 6] = [
    ("footbridge_backend_requests_total", "counter", "Attempts to have it serve.", |b| b.counts.requests),
    ("footbridge_backend_failures_total", "counter", "Failures it is to blame for.", |b| b.counts.failures),
    ("footbridge_backend_taken_out_total", "counter", "How often it was taken out.", |b| b.counts.taken_out),
    ("footbridge_backend_in_flight", "gauge", "Requests under way.", |b| b.in_flight),
    ("footbridge_backend_idle_connections", "gauge", "Connections kept for more.", |b| b.idle),
    ("footbridge_backend_up", "gauge", "Whether it can be used.", |b| {
        u64::from(matches!(b.state, "up" | "slow-start"))
    }),
];

fn groups(groups: &[Group], out: &mut Exposition) {
    out.family("footbridge_requests_total", "counter", "Requests that are over, by the first digit of the status.");
    for group in groups {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(group.counts.classes) {
            out.sample("", &[("group", &group.name), ("code", class)], count);
        }
    }
    for (name, kind, help, value) in &GROUPS {
        out.family(name, kind, help);
        for group in groups {
            out.sample("", &[("group", &group.name)], value(group));
        }
    }
}

fn durations(groups: &[Group], out: &mut Exposition) {
    out.family("footbridge_request_duration_seconds", "histogram", "From a request's head to the end of its response.");
    for group in groups {
        let (name, mut count) = (("group", group.name.as_str()), 0);
        for (most, here) in BUCKETS.iter().zip(group.counts.durations) {
            count += here;
            out.sample("_bucket", &[name, ("le", &decimal(*most))], count);
        }
        count += group.counts.durations[BUCKETS.len()];
        out.sample("_bucket", &[name, ("le", "+Inf")], count);
        out.line("_sum", &[name], &decimal(group.counts.micros));
        out.sample("_count", &[name], count);
    }
}

fn failures(groups: &[Group], out: &mut Exposition) {
    out.family("footbridge_failures_total", "counter", "Requests that failed, by reason, and whose matter that is.");
    for group in groups {
        for (reason, count) in reasons::all().zip(group.counts.reasons) {
            // What never happened is left out: there are too many words for each group to have all.
            if count > 0 && reason.fault != Fault::Nobody {
                let whose = ("fault", reason.fault.word());
                out.sample("", &[("group", &group.name), ("reason", reason.word), whose], count);
            }
        }
    }
}

fn backends(groups: &[Group], out: &mut Exposition) {
    for (name, kind, help, value) in &BACKENDS {
        out.family(name, kind, help);
        each_backend(groups, |group, backend| {
            out.sample("", &[("group", group), ("backend", &backend.label)], value(backend));
        });
    }
    out.family("footbridge_backend_state", "gauge", "1 for the state that it is in.");
    each_backend(groups, |group, backend| {
        for state in STATES {
            let here = u64::from(state == backend.state);
            out.sample("", &[("group", group), ("backend", &backend.label), ("state", state)], here);
        }
    });
}

fn each_backend(groups: &[Group], mut show: impl FnMut(&str, &Backend)) {
    for group in groups {
        for backend in &group.backends {
            show(&group.name, backend);
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Microseconds as seconds, exactly.
fn decimal(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The text in the making.
struct Exposition {
    text: String,
    /// Of the present family.
    name: &'static str,
}

impl Exposition {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a String does not fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: u64) {
        self.line(suffix, labels, &value.to_string());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", Escaped(value));
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        self.text.push_str(value);
        self.text.push('\n');
    }

    fn single(&mut self, name: &'static str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample("", &[], value);
    }
}

/// A label's value: backslash, quote and line end must not end it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_quotes() {
        assert_eq!(Escaped("a\"b\\c\nd").to_string(), r#"a\"b\\c\nd"#);
    }

    #[test]
    fn seconds_are_exact_and_short() {
        for (micros, want) in
            [(0, "0"), (1_000, "0.001"), (2_500, "0.0025"), (10_000_000, "10"), (1_000_001, "1.000001")]
        {
            assert_eq!(decimal(micros), want);
        }
    }
}
