//! The keys of [`Settings`] and how their values are read and written. Input: a key and a value as a person writes it.
//! Output: the value in its field. One table, [`KEYS`], is walked by everything here; [`WorkerSettings`] have their own.

use super::suggest::nearest;
use super::units::{parse_duration, parse_number, parse_size, show_duration, show_number, show_size};
use crate::settings::Settings;
use crate::settings::workers::WorkerSettings;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Which unit a field has, and what it may be. All values are numbers here, durations in milliseconds.
enum Unit {
    /// A duration from 1 ms to a year.
    Time { off: bool },
    /// A number of bytes.
    Size(RangeInclusive<u64>),
    /// A number of bytes that may be absent: `word` stands for `absent`.
    OptionalSize { word: &'static str, absent: u64 },
    /// A bare number.
    Count(RangeInclusive<u64>),
    /// A bare number, or `auto` for `None`.
    AutoCount(RangeInclusive<u64>),
}

/// Where a field is. Reading and writing both need it; who only reads passes a copy.
enum Place<'a> {
    Time(&'a mut Duration),
    Size(&'a mut usize),
    Large(&'a mut u64),
    Small(&'a mut u32),
    Maybe(&'a mut Option<usize>),
}

/// A key of `S`: its name, its unit, and its field.
type Row<S> = (&'static str, Unit, fn(&mut S) -> Place<'_>);

use Unit::{AutoCount, Count, OptionalSize, Size, Time};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Where `off` is false, no limit would break what the timeout is for, or (`keepalive`) would be misread as "do not
/// keep alive".
#[rustfmt::skip] // A table is read by its rows.
static KEYS: [Row<Settings>; 33] = [
    ("timeouts.header", Time { off: true }, |s| Place::Time(&mut s.timeouts.header)),
    ("timeouts.keepalive", Time { off: false }, |s| Place::Time(&mut s.timeouts.keepalive)),
    ("timeouts.body_idle", Time { off: true }, |s| Place::Time(&mut s.timeouts.body_idle)),
    ("timeouts.slow", Time { off: true }, |s| Place::Time(&mut s.timeouts.slow)),
    ("timeouts.send", Time { off: true }, |s| Place::Time(&mut s.timeouts.send)),
    ("timeouts.queue", Time { off: false }, |s| Place::Time(&mut s.timeouts.queue)),
    ("timeouts.connect", Time { off: false }, |s| Place::Time(&mut s.timeouts.connect)),
    ("timeouts.response", Time { off: true }, |s| Place::Time(&mut s.timeouts.response)),
    ("timeouts.response_idle", Time { off: true }, |s| Place::Time(&mut s.timeouts.response_idle)),
    ("timeouts.tunnel", Time { off: true }, |s| Place::Time(&mut s.timeouts.tunnel)),
    ("timeouts.expect", Time { off: false }, |s| Place::Time(&mut s.timeouts.expect)),
    ("timeouts.shutdown", Time { off: true }, |s| Place::Time(&mut s.timeouts.shutdown)),
    ("limits.header_bytes", Size(KIB..=MIB), |s| Place::Size(&mut s.limits.header_bytes)),
    ("limits.request_line", Size(512..=MIB), |s| Place::Size(&mut s.limits.request_line)),
    ("limits.headers", Count(1..=1000), |s| Place::Size(&mut s.limits.headers)),
    ("limits.response_header_bytes", Size(KIB..=16 * MIB), |s| Place::Size(&mut s.limits.response_header_bytes)),
    ("limits.body", OptionalSize { word: "none", absent: u64::MAX }, |s| Place::Large(&mut s.limits.body)),
    ("limits.interim", Count(0..=1000), |s| Place::Small(&mut s.limits.interim)),
    ("limits.chunk_line", Size(64..=64 * KIB), |s| Place::Size(&mut s.limits.chunk_line)),
    ("limits.min_rate", OptionalSize { word: "off", absent: 0 }, |s| Place::Large(&mut s.limits.min_rate)),
    ("limits.connections", AutoCount(1..=1_000_000), |s| Place::Maybe(&mut s.limits.connections)),
    ("backends.keepalive", Time { off: false }, |s| Place::Time(&mut s.keepalive.idle)),
    ("backends.max_idle", Count(0..=65_536), |s| Place::Size(&mut s.keepalive.max_idle)),
    ("backends.resolve", Time { off: false }, |s| Place::Time(&mut s.upkeep.resolve)),
    ("backends.max_fails", Count(0..=1000), |s| Place::Small(&mut s.upkeep.max_fails)),
    ("backends.fail_timeout", Time { off: false }, |s| Place::Time(&mut s.upkeep.fail_timeout)),
    ("backends.slow_start", Time { off: false }, |s| Place::Time(&mut s.upkeep.slow_start)),
    ("health.interval", Time { off: false }, |s| Place::Time(&mut s.checks.interval)),
    ("health.timeout", Time { off: false }, |s| Place::Time(&mut s.checks.timeout)),
    ("health.rise", Count(1..=1000), |s| Place::Small(&mut s.checks.rise)),
    ("health.fall", Count(1..=1000), |s| Place::Small(&mut s.checks.fall)),
    ("retry.attempts", Count(1..=10), |s| Place::Small(&mut s.retry.attempts)),
    ("retry.within", Time { off: true }, |s| Place::Time(&mut s.retry.within)),
];

/// Beyond the largest number, threads are not the way to more throughput: a stack each would fill a small machine. The
/// smallest stack leaves room beside the table of field lines, 32 KB.
#[rustfmt::skip] // A table is read by its rows.
static WORKER_KEYS: [Row<WorkerSettings>; 3] = [
    ("workers.max", Count(1..=4096), |w| Place::Size(&mut w.max)),
    ("workers.stack", Size(128 * KIB..=16 * MIB), |w| Place::Size(&mut w.stack)),
    ("workers.idle", Time { off: true }, |w| Place::Time(&mut w.idle)),
];

/// Why an assignment was refused. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// There is no `=` in it.
    NoValue {
        /// The assignment as it was written.
        assignment: String,
    },
    /// There is no such key.
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// A key that looks like it.
        nearest: Option<&'static str>,
    },
    /// The value has the wrong form or is out of bounds.
    Value {
        /// The key.
        key: &'static str,
        /// What is accepted.
        accepted: String,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue { assignment } => {
                write!(f, "{assignment:?} has no value; write key=value, like timeouts.response=3s")
            }
            Self::UnknownKey { key, nearest: Some(nearest) } => {
                write!(f, "unknown key {key:?}; did you mean {nearest:?}?")
            }
            Self::UnknownKey { key, nearest: None } => write!(f, "unknown key {key:?}"),
            Self::Value { key, accepted } => write!(f, "{key}: {accepted}"),
        }
    }
}

impl std::error::Error for SettingError {}

/// See [`Settings::set`].
pub(crate) fn set(settings: &mut Settings, assignment: &str) -> Result<(), SettingError> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(SettingError::NoValue { assignment: assignment.to_owned() });
    };
    put(&KEYS, settings, key, value)
}

/// See [`Settings::set_value`].
pub(crate) fn set_value(settings: &mut Settings, key: &str, value: &str) -> Result<(), SettingError> {
    put(&KEYS, settings, key, value)
}

/// See [`WorkerSettings::set_value`].
pub(crate) fn set_worker_value(workers: &mut WorkerSettings, key: &str, value: &str) -> Result<(), SettingError> {
    put(&WORKER_KEYS, workers, key, value)
}

fn put<S>(keys: &'static [Row<S>], target: &mut S, key: &str, value: &str) -> Result<(), SettingError> {
    let Some((key, unit, at)) = keys.iter().find(|(name, ..)| *name == key) else {
        let names: Vec<_> = keys.iter().map(|(name, ..)| *name).collect();
        return Err(SettingError::UnknownKey { key: key.to_owned(), nearest: nearest(key, &names) });
    };
    unit.put(at(target), value).map_err(|accepted| SettingError::Value { key, accepted })
}

/// See [`crate::settings::keys`].
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.iter().map(|(name, ..)| *name)
}

/// See [`super::workers::keys`].
pub(crate) fn worker_names() -> impl Iterator<Item = &'static str> + Clone {
    WORKER_KEYS.iter().map(|(name, ..)| *name)
}

/// See [`Settings::values`].
pub(crate) fn values(settings: &Settings) -> Vec<(&'static str, String)> {
    shown(&KEYS, settings)
}

/// See [`WorkerSettings::values`].
pub(crate) fn worker_values(workers: &WorkerSettings) -> Vec<(&'static str, String)> {
    shown(&WORKER_KEYS, workers)
}

fn shown<S: Clone>(keys: &[Row<S>], of: &S) -> Vec<(&'static str, String)> {
    let mut of = of.clone();
    keys.iter().map(|(name, unit, at)| (*name, unit.show(&at(&mut of)))).collect()
}

/// See [`crate::settings::accepted`].
pub(crate) fn accepted(key: &str) -> Option<String> {
    let units = KEYS.iter().map(|(name, unit, _)| (*name, unit));
    let mut units = units.chain(WORKER_KEYS.iter().map(|(name, unit, _)| (*name, unit)));
    units.find(|(name, _)| *name == key).map(|(_, unit)| unit.accepted())
}

impl Unit {
    /// Reads `text` into the field.
    ///
    /// # Errors
    ///
    /// Says what is accepted.
    fn put(&self, place: Place<'_>, text: &str) -> Result<(), String> {
        let number = match self {
            Time { off: true } if text == "off" => OFF,
            Time { off: false } if text == "off" => {
                return Err("cannot be off; write a duration: \"10s\"".to_owned());
            }
            Time { .. } => u64::try_from(parse_duration(text)?.as_millis()).unwrap_or(OFF),
            OptionalSize { word, absent } if text == *word => *absent,
            OptionalSize { word, .. } => parse_size(text)
                .filter(|&bytes| bytes > 0)
                .ok_or_else(|| format!("write a number of bytes from 1, like 16384, 16KiB or 10MiB, or {word:?}"))?,
            Size(range) => within(range, parse_size(text), show_size, "a number of bytes")?,
            Count(range) => within(range, parse_number(text), show_number, "a bare number")?,
            AutoCount(_) if text == "auto" => OFF,
            AutoCount(range) => within(range, parse_number(text), show_number, "\"auto\" or a bare number")?,
        };
        place.put(number);
        Ok(())
    }

    /// The field as a person would write it.
    fn show(&self, place: &Place<'_>) -> String {
        match (self, place.number()) {
            (Time { .. }, OFF) => "off".to_owned(),
            (Time { .. }, millis) => show_duration(Duration::from_millis(millis)),
            (Size(_), bytes) => show_size(bytes),
            (OptionalSize { word, absent }, bytes) if bytes == *absent => (*word).to_owned(),
            (OptionalSize { .. }, bytes) => show_size(bytes),
            (AutoCount(_), OFF) => "auto".to_owned(),
            (Count(_) | AutoCount(_), count) => count.to_string(),
        }
    }

    /// Unit and bounds, in the words of a reference.
    fn accepted(&self) -> String {
        match self {
            Time { off: true } => "1ms to 8760h, or off".to_owned(),
            Time { off: false } => "1ms to 8760h".to_owned(),
            Size(range) => format!("{} to {}", show_size(*range.start()), show_size(*range.end())),
            OptionalSize { word, .. } => format!("from 1B, or {word}"),
            Count(range) => format!("{} to {}", range.start(), range.end()),
            AutoCount(range) => format!("{} to {}, or auto", range.start(), range.end()),
        }
    }
}

/// Stands for `off`, `auto` and the like.
const OFF: u64 = u64::MAX;

impl Place<'_> {
    /// What is too large for the field was refused before: no bound is beyond its field.
    fn put(self, number: u64) {
        let count = usize::try_from(number).unwrap_or(usize::MAX);
        match self {
            Place::Time(time) if number == OFF => *time = Duration::MAX,
            Place::Time(time) => *time = Duration::from_millis(number),
            Place::Size(size) => *size = count,
            Place::Large(large) => *large = number,
            Place::Small(small) => *small = u32::try_from(number).unwrap_or(u32::MAX),
            Place::Maybe(maybe) => *maybe = (number != OFF).then_some(count),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Place::Time(time) => u64::try_from(time.as_millis()).unwrap_or(OFF),
            Place::Size(size) => **size as u64,
            Place::Large(large) => **large,
            Place::Small(small) => u64::from(**small),
            Place::Maybe(maybe) => maybe.map_or(OFF, |count| count as u64),
        }
    }
}

/// Takes `value` if it is there and within `range`; else says what is accepted.
fn within(range: &RangeInclusive<u64>, value: Option<u64>, show: fn(u64) -> String, what: &str) -> Result<u64, String> {
    value
        .filter(|value| range.contains(value))
        .ok_or_else(|| format!("write {what} from {} to {}", show(*range.start()), show(*range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    fn refused(assignment: &str) -> String {
        Settings::default().set(assignment).expect_err(assignment).to_string()
    }

    /// The table of defaults that is printed for people.
    #[test]
    fn the_keys_and_their_defaults() {
        let want = "timeouts.header=10s timeouts.keepalive=60s timeouts.body_idle=30s timeouts.slow=20s timeouts.send=30s \
            timeouts.queue=5s timeouts.connect=4s timeouts.response=60s timeouts.response_idle=60s \
            timeouts.tunnel=10m timeouts.expect=1s timeouts.shutdown=8s limits.header_bytes=16KiB \
            limits.request_line=8KiB limits.headers=100 limits.response_header_bytes=64KiB limits.body=none \
            limits.interim=16 limits.chunk_line=4KiB limits.min_rate=500B limits.connections=auto \
            backends.keepalive=4s backends.max_idle=1024 backends.resolve=10s \
            backends.max_fails=2 backends.fail_timeout=10s backends.slow_start=10s health.interval=10s \
            health.timeout=3s health.rise=2 health.fall=3 retry.attempts=2 retry.within=10s";
        let got: Vec<String> =
            values(&Settings::default()).iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(got, want.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn every_default_can_be_set_as_it_is_shown() {
        let mut settings = Settings::default();
        for (key, value) in values(&Settings::default()) {
            settings.set(&format!("{key}={value}")).unwrap();
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn every_key_has_a_field_of_its_own() {
        for (key, unit, at) in &KEYS {
            let mut settings = Settings::default();
            let value = match unit {
                Time { .. } => "7s",
                Size { .. } | OptionalSize { .. } => "3KiB",
                Count(_) | AutoCount(_) => "7",
            };
            settings.set(&format!("{key}={value}")).unwrap();
            let (now, before) = (values(&settings), values(&Settings::default()));
            let changed: Vec<_> = now.iter().filter(|value| !before.contains(value)).map(|(key, _)| *key).collect();
            assert_eq!(changed, [*key]);
            assert_eq!(unit.show(&at(&mut settings)), value, "{key}");
        }
    }

    #[test]
    fn what_is_accepted_is_told_with_its_bounds() {
        for (key, want) in [
            ("timeouts.header", "1ms to 8760h, or off"),
            ("timeouts.connect", "1ms to 8760h"),
            ("limits.header_bytes", "1KiB to 1MiB"),
            ("limits.body", "from 1B, or none"),
            ("limits.connections", "1 to 1000000, or auto"),
            ("workers.max", "1 to 4096"),
            ("workers.stack", "128KiB to 16MiB"),
        ] {
            assert_eq!(accepted(key).as_deref(), Some(want), "{key}");
        }
        assert_eq!(accepted("limits.colour"), None);
    }

    #[test]
    fn a_mistake_is_answered_with_what_is_accepted() {
        for (assignment, want) in [
            ("timeouts.respone=3s", "unknown key \"timeouts.respone\"; did you mean \"timeouts.response\"?"),
            ("header_bytes=3KiB", "unknown key \"header_bytes\"; did you mean \"limits.header_bytes\"?"),
            ("colour=red", "unknown key \"colour\""),
            ("timeouts.header", "\"timeouts.header\" has no value; write key=value, like timeouts.response=3s"),
            ("timeouts.header=10", "timeouts.header: write a unit: \"10s\""),
            (
                "timeouts.header=10d",
                "timeouts.header: write a number and a unit (ms, s, m or h): \"500ms\", \"10s\", \"1.5m\"",
            ),
            ("timeouts.header=0s", "timeouts.header: write at least 1ms and at most 8760h"),
            ("timeouts.keepalive=off", "timeouts.keepalive: cannot be off; write a duration: \"10s\""),
            ("limits.header_bytes=16KB", "limits.header_bytes: write a number of bytes from 1KiB to 1MiB"),
            ("limits.header_bytes=1023", "limits.header_bytes: write a number of bytes from 1KiB to 1MiB"),
            ("limits.header_bytes=2MiB", "limits.header_bytes: write a number of bytes from 1KiB to 1MiB"),
            ("limits.headers=0", "limits.headers: write a bare number from 1 to 1000"),
            ("limits.headers=1KiB", "limits.headers: write a bare number from 1 to 1000"),
            ("limits.body=0", "limits.body: write a number of bytes from 1, like 16384, 16KiB or 10MiB, or \"none\""),
            ("limits.connections=0", "limits.connections: write \"auto\" or a bare number from 1 to 1000000"),
            ("a\nb=1", "unknown key \"a\\nb\""),
        ] {
            assert_eq!(refused(assignment), want);
        }
    }

    #[test]
    fn off_and_none_are_taken_where_they_make_sense() {
        let mut settings = Settings::default();
        for assignment in ["timeouts.tunnel=off", "limits.min_rate=off", "limits.body=10MiB", "limits.connections=9"] {
            settings.set(assignment).unwrap();
        }
        assert_eq!(settings.timeouts.tunnel, Duration::MAX);
        assert_eq!(settings.limits.min_rate, 0);
        assert_eq!(settings.limits.body, 10 << 20);
        assert_eq!(settings.limits.connections, Some(9));
        settings.set("limits.body=none").unwrap();
        settings.set("limits.connections=auto").unwrap();
        assert_eq!(settings.limits, Limits { min_rate: 0, ..Limits::default() });
    }
}
