//! All there is to know, as one JSON object. Times are seconds since 1970, durations what their names say.

use std::time::{SystemTime, UNIX_EPOCH};

use super::json::Json;
use super::snapshot::{Backend, Group, Snapshot};
use crate::proxy::metrics::BUCKETS;
use crate::proxy::recent::Failure;
use crate::socketserver::{Census, WorkerState};

/// The document.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut json = Json::object();
    json.text("version", env!("CARGO_PKG_VERSION"));
    time(&mut json, "now", snapshot.now);
    time(&mut json, "started", snapshot.started);
    json.flag("draining", snapshot.census.draining);
    json.texts("listeners", &snapshot.listeners);
    json.number("requests", snapshot.requests());
    json.numbers("buckets_us", &BUCKETS);
    json.objects("groups", &snapshot.groups, group);
    connections(&mut json, &snapshot.census);
    json.objects("worker_states", &snapshot.census.workers, worker);
    json.objects("errors", &snapshot.failures, failure);
    if let Some(reload) = &snapshot.reload {
        json.nested("reload", |json| {
            time(json, "time", reload.time);
            json.flag("ok", reload.error.is_none());
            json.text_or_null("error", reload.error.as_deref());
        });
    }
    json.end()
}

fn time(json: &mut Json, key: &str, time: SystemTime) {
    json.number(key, time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
}

fn group(json: &mut Json, group: &Group) {
    let counts = &group.counts;
    json.text("name", &group.name);
    json.text("policy", group.policy);
    json.flag("usable", group.usable);
    json.numbers("classes", &counts.classes);
    json.numbers("durations", &counts.durations);
    json.number("duration_us", counts.micros);
    json.number("sent_bytes", counts.sent);
    json.number("received_bytes", counts.received);
    json.number("retries", counts.retries);
    json.objects("backends", &group.backends, backend);
}

fn backend(json: &mut Json, backend: &Backend) {
    json.text("address", &backend.label);
    json.text("name", &backend.name);
    json.text("state", backend.state);
    time(json, "since", backend.since);
    json.text("why", &backend.why);
    if let Some((when, result)) = &backend.last_check {
        json.nested("last_check", |json| {
            time(json, "time", *when);
            json.flag("ok", result.is_ok());
            json.text_or_null("error", result.as_ref().err().map(String::as_str));
        });
    }
    json.number("weight", backend.weight.into());
    json.flag("backup", backend.backup);
    json.number("in_flight", backend.in_flight);
    json.number("idle", backend.idle);
    json.number("requests", backend.counts.requests);
    json.number("failures", backend.counts.failures);
    json.number("taken_out", backend.counts.taken_out);
}

fn connections(json: &mut Json, census: &Census) {
    json.nested("connections", |json| {
        json.number("open", census.conversations as u64);
        json.number("accepted", census.admitted);
        json.number("waiting", census.waiting as u64);
        json.number("ready", census.ready as u64);
    });
    json.nested("workers", |json| {
        json.number("threads", census.threads as u64);
        json.number("most", census.most_threads as u64);
        json.number("running", census.running as u64);
        json.number("blocked", census.blocked as u64);
        json.number("asleep", census.asleep as u64);
    });
}

fn worker(json: &mut Json, worker: &WorkerState) {
    json.number("worker", worker.number as u64);
    json.text("state", worker.doing.word());
    json.number("for_ms", u64::try_from(worker.time.as_millis()).unwrap_or(u64::MAX));
    json.text_or_null("request", request_id(worker).as_deref());
}

/// As in the access log.
pub(super) fn request_id(worker: &WorkerState) -> Option<String> {
    (worker.request != 0).then(|| format!("{:016x}", worker.request))
}

fn failure(json: &mut Json, failure: &Failure) {
    time(json, "time", failure.time);
    json.number("times", failure.times);
    json.text("reason", failure.reason);
    json.number("status", failure.status.into());
    json.text("group", &failure.group);
    json.text_or_null("backend", failure.backend.as_deref());
    json.text("method", &failure.method);
    json.text("target", &failure.target);
    json.text("id", &failure.id);
}
