//! Every timeout and every limit, in this one place. Input: nothing, or assignments such as
//! `timeouts.response=3s`. Output: [`Settings`]. Pure data: nothing here waits or counts. How values are read and
//! written is in `keys.rs`.

pub mod address;
pub mod group;
mod keys;
pub mod listen;
pub mod route;
pub mod site;
pub mod suggest;
mod units;
pub mod workers;

pub use self::keys::SettingError;
pub(crate) use self::units::show_duration;

use std::time::{Duration, Instant};

/// What stands for "never" when a deadline is made of a timeout that is off: later than any process lives, and near
/// enough that adding it to an [`Instant`] cannot overflow.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The instant at which a wait of `after` ends that begins `now`. [`Duration::MAX`], "off", gives one a year ahead.
#[must_use]
pub fn deadline(now: Instant, after: Duration) -> Instant {
    now + after.min(FAR)
}

/// How long each wait may take. [`Duration::MAX`] means "off": no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request head (or from accepting) to its blank line, as a whole: a head that trickles
    /// in must not live for ever. Default 10 s; a slow head costs no worker. Then 408, or a silent close if no byte
    /// came.
    pub header: Duration,
    /// From the end of a response to the first byte of the next request. Default 60 s: it costs only a socket. Then
    /// a silent close. Cannot be off.
    pub keepalive: Duration,
    /// Between two reads of a request's content. Default 30 s. Never a total: totals kill slow uploads. Then 408.
    pub body_idle: Duration,
    /// How long a client may send or take content at less than [`Limits::min_rate`], in time spent waiting for it.
    /// Default 20 s: a phone in a tunnel comes out again. Then 408, or the connection is cut.
    pub slow: Duration,
    /// One blocked write to the client. Default 30 s. Then the connection is cut and logged as 499.
    pub send: Duration,
    /// From a request's being ready until a worker is free; and in line for a place at a backend, where each has as many
    /// requests as it may have. Default 5 s: a full house must say so. Then 503 with Retry-After. Cannot be off.
    pub queue: Duration,
    /// Connecting to one address of a backend. Default 4 s: covers SYN retransmits at 1 s and 3 s. Then the next
    /// backend is tried; after the last, 504. Cannot be off.
    pub connect: Duration,
    /// From the request's last byte, or the last interim response, to the backend's response head; and for how long the
    /// backend may take nothing of the request's content. Default 60 s; it costs no worker. Then 504.
    pub response: Duration,
    /// Between two reads of a response's content; `text/event-stream` uses [`tunnel`](Self::tunnel). Default 60 s.
    /// Then the connection is cut, without a final chunk: never a fake end.
    pub response_idle: Duration,
    /// Silence in both directions of an upgraded connection. Default 10 min: 60 s is the usual WebSocket complaint.
    /// Then both connections are closed.
    pub tunnel: Duration,
    /// How long a client that sent `Expect: 100-continue` waits for the backend's 100. Default 1 s: curl waits as
    /// long. Then the 100 is sent by us. Cannot be off.
    pub expect: Duration,
    /// From the signal to stop to the end of the process. Default 8 s: inside Docker's 10 s. Then a request that waits is
    /// answered with 503, and what has begun is cut.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            keepalive: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            slow: Duration::from_secs(20),
            send: Duration::from_secs(30),
            queue: Duration::from_secs(5),
            connect: Duration::from_secs(4),
            response: Duration::from_secs(60),
            response_idle: Duration::from_secs(60),
            tunnel: Duration::from_secs(10 * 60),
            expect: Duration::from_secs(1),
            shutdown: Duration::from_secs(8),
        }
    }
}

/// How much of each thing there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head with its request line and blank line, and of a trailer section. Default 16 KiB, nginx's
    /// and Apache's neighbourhood. Then 431.
    pub header_bytes: usize,
    /// Bytes of a request line. Default 8 KiB: RFC 9112 §3 asks for at least 8,000. Then 414.
    pub request_line: usize,
    /// Field lines of a request's head. Default 100, Python's `_MAXHEADERS`. Then 431. A backend's may have 1,000.
    pub headers: usize,
    /// Bytes of a response head. Default 64 KiB: backends set large cookies. Then 502.
    pub response_header_bytes: usize,
    /// Bytes of a request's content; [`u64::MAX`] for no limit. Default none: content streams and fills no memory, and
    /// a limit of 1 MiB is nginx's top complaint. Then 413.
    pub body: u64,
    /// Interim (1xx) responses before the final one. Default 16: nobody sends more, and each costs a read. Then 502.
    pub interim: u32,
    /// Bytes of one chunk-size line with its extensions. Default 4 KiB: extensions are ignored, so long ones are an
    /// attack. Then 400, or a cut connection for a backend's.
    pub chunk_line: usize,
    /// Bytes per second that content must keep up, either way, once [`Timeouts::slow`] has passed; 0 is off. Default
    /// 500, Apache's `MinRate`: ends the peer that sends one byte every 29 s. Then 408, or a cut connection.
    pub min_rate: u64,
    /// Client connections at once; `None` derives it from the limit of descriptors, (nofile − 64) / 2, less nofile / 32
    /// (at most 128) and at most 65,536: an exchange needs two, and some of them a pipe. Default `None`. Then the
    /// longest idle connection is closed, else accepting stops.
    pub connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 16 << 10,
            request_line: 8 << 10,
            headers: 100,
            response_header_bytes: 64 << 10,
            body: u64::MAX,
            interim: 16,
            chunk_line: 4 << 10,
            min_rate: 500,
            connections: None,
        }
    }
}

/// Idle connections to backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long one is kept for the next request. Default 4 s: less than the 5 s of Node and Apache, because a request
    /// sent on a connection that the backend is closing is the top cause of random 502s. Then it is closed. Cannot be
    /// off.
    pub idle: Duration,
    /// How many are kept for each backend; 0 keeps none. Default 1,024: as many as requests under way at once, or each
    /// of the others connects anew; [`idle`](Self::idle) empties it after a burst.
    /// Further ones are closed.
    pub max_idle: usize,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(4), max_idle: 1024 }
    }
}

/// Trying again when a backend failed before it can have acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries of a request in all, the first one included; 1 is none again. Default 2: more multiplies the load when
    /// backends are down. Then 502 or 504.
    pub attempts: u32,
    /// A further try begins only so long after the first. Default 10 s: after that the client has given up. Then 502
    /// or 504.
    pub within: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 2, within: Duration::from_secs(10) }
    }
}

/// What is known of the backends of a group beside the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// How often names are looked up again. Default 10 s. The last good answer stays until there is another. Cannot be
    /// off.
    pub resolve: Duration,
    /// So many failures in a row (no connection, no response in time, a connection that broke before a response) take
    /// a backend out; 0 is never. Default 2: one may be bad luck.
    pub max_fails: u32,
    /// For so long it stays out; then one request tries it, and if that fails, it stays out for twice as long, up to
    /// 60 s. Default 10 s. Cannot be off.
    pub fail_timeout: Duration,
    /// Over so long the share of a backend that has come back rises to its full one. Default 10 s: caches are cold.
    pub slow_start: Duration,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(10),
            max_fails: 2,
            fail_timeout: Duration::from_secs(10),
            slow_start: Duration::from_secs(10),
        }
    }
}

/// When backends are checked actively, which those of a group with a [`Probe`](group::Probe) are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// From one check of a backend to the next, ± a tenth. Default 10 s. Cannot be off.
    pub interval: Duration,
    /// For a whole check. Default 3 s. Then it has failed. Cannot be off.
    pub timeout: Duration,
    /// Good checks in a row that bring a backend back. Default 2.
    pub rise: u32,
    /// Bad checks in a row that take it out. Default 3.
    pub fall: u32,
}

impl Default for Checks {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(3), rise: 2, fall: 3 }
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Keys `timeouts.*`.
    pub timeouts: Timeouts,
    /// Keys `limits.*`.
    pub limits: Limits,
    /// Keys `backends.keepalive` and `backends.max_idle`.
    pub keepalive: KeepAlive,
    /// Keys `retry.*`.
    pub retry: Retry,
    /// Keys `backends.resolve`, `backends.max_fails`, `backends.fail_timeout` and `backends.slow_start`.
    pub upkeep: Upkeep,
    /// Keys `health.*`.
    pub checks: Checks,
}

impl Settings {
    /// Sets one value as a person writes it: `timeouts.response=3s`, `limits.header_bytes=32KiB`, `limits.body=none`.
    ///
    /// Durations need a unit (`ms`, `s`, `m`, `h`), may have a fraction, and are cut to whole milliseconds. Sizes are a
    /// number of bytes, or one with `B`, `KiB`, `MiB` or `GiB`. Counts are bare numbers.
    ///
    /// # Errors
    ///
    /// If there is no `=`, no such key, or the value is none for that key; nothing is changed then.
    pub fn set(&mut self, assignment: &str) -> Result<(), SettingError> {
        keys::set(self, assignment)
    }

    /// As [`set`](Self::set), with key and value apart.
    ///
    /// # Errors
    ///
    /// If there is no such key, or the value is none for that key; nothing is changed then.
    pub fn set_value(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        keys::set_value(self, key, value)
    }

    /// All keys, each with its value as a person would write it; [`set_value`](Self::set_value) takes it.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, String)> {
        keys::values(self)
    }

    /// One line for each value that is allowed but lets a single peer hold a place for ever.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let off = |value| value == Duration::MAX;
        let Timeouts { header, body_idle, send, .. } = self.timeouts;
        [("header", header), ("body_idle", body_idle), ("send", send)]
            .into_iter()
            .filter(|&(_, value)| off(value))
            .map(|(key, _)| format!("timeouts.{key} is off: a client that stops keeps its place for ever"))
            .collect()
    }
}

/// All keys that [`Settings::set`] knows.
pub fn keys() -> impl Iterator<Item = &'static str> + Clone {
    keys::names()
}

/// What a key of [`Settings`] or [`workers::WorkerSettings`] may be, in words: unit and bounds. `None` if there is no
/// such key.
#[must_use]
pub fn accepted(key: &str) -> Option<String> {
    keys::accepted(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_that_is_off_ends_in_a_year() {
        let now = Instant::now();
        assert_eq!(deadline(now, Duration::from_secs(3)), now + Duration::from_secs(3));
        assert_eq!(deadline(now, Duration::MAX), now + FAR);
    }

    #[test]
    fn only_what_a_client_can_exploit_is_warned_of() {
        let mut settings = Settings::default();
        assert!(settings.warnings().is_empty());
        settings.set("timeouts.tunnel=off").unwrap();
        assert!(settings.warnings().is_empty());
        settings.set("timeouts.header=off").unwrap();
        settings.set("timeouts.send=off").unwrap();
        let warnings = settings.warnings();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].starts_with("timeouts.header is off"), "{warnings:?}");
    }
}
