//! The keys of [`Settings`] and how their values are read and written. Input: a key and a value as a person writes it.
//! Output: the value in its field. One table, [`KEYS`], is walked by everything here; [`WorkerSettings`] have their own.

use super::suggest::nearest;
use super::units::{LONGEST, parse_duration, parse_number, parse_size, show_duration, show_size};
use crate::settings::Settings;
use crate::settings::workers::WorkerSettings;
use std::fmt;
use std::time::Duration;

/// What a value counts.
#[derive(Clone, Copy)]
enum Unit {
    /// Milliseconds, written with a unit.
    Time,
    /// Bytes.
    Size,
    /// A bare number.
    Count,
}

/// What a field may be. All values are numbers here.
struct Range {
    unit: Unit,
    least: u64,
    most: u64,
    /// What may be written instead of a number, and the number that it stands for.
    word: Option<(&'static str, u64)>,
}

/// A duration from 1 ms to a year.
const TIME: Range = Range { unit: Unit::Time, least: 1, most: LONGEST.as_secs() * 1000, word: None };

/// A duration, or `off`.
const TIME_OR_OFF: Range = Range { word: Some(("off", OFF)), ..TIME };

/// A number of bytes.
const fn size(least: u64, most: u64) -> Range {
    Range { unit: Unit::Size, least, most, word: None }
}

/// A number of bytes that may be absent.
const fn any_size(word: &'static str, absent: u64) -> Range {
    Range { unit: Unit::Size, least: 1, most: u64::MAX, word: Some((word, absent)) }
}

/// A bare number.
const fn count(least: u64, most: u64) -> Range {
    Range { unit: Unit::Count, least, most, word: None }
}

/// Where a field is. Reading and writing both need it; who only reads passes a copy.
enum Place<'a> {
    Time(&'a mut Duration),
    Size(&'a mut usize),
    Large(&'a mut u64),
    Small(&'a mut u32),
    Maybe(&'a mut Option<usize>),
}

/// A key of `S`: its name, what it may be, and its field.
type Row<S> = (&'static str, Range, fn(&mut S) -> Place<'_>);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Where `off` is not taken, no limit would break what the timeout is for, or (`keepalive`) would be misread as "do not
/// keep alive".
#[rustfmt::skip] // A table is read by its rows.
static KEYS: [Row<Settings>; 33] = [
    ("timeouts.header", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.header)),
    ("timeouts.keepalive", TIME, |s| Place::Time(&mut s.timeouts.keepalive)),
    ("timeouts.body_idle", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.body_idle)),
    ("timeouts.slow", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.slow)),
    ("timeouts.send", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.send)),
    ("timeouts.queue", TIME, |s| Place::Time(&mut s.timeouts.queue)),
    ("timeouts.connect", TIME, |s| Place::Time(&mut s.timeouts.connect)),
    ("timeouts.response", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.response)),
    ("timeouts.response_idle", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.response_idle)),
    ("timeouts.tunnel", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.tunnel)),
    ("timeouts.expect", TIME, |s| Place::Time(&mut s.timeouts.expect)),
    ("timeouts.shutdown", TIME_OR_OFF, |s| Place::Time(&mut s.timeouts.shutdown)),
    ("limits.header_bytes", size(KIB, MIB), |s| Place::Size(&mut s.limits.header_bytes)),
    ("limits.request_line", size(512, MIB), |s| Place::Size(&mut s.limits.request_line)),
    ("limits.headers", count(1, 1000), |s| Place::Size(&mut s.limits.headers)),
    ("limits.response_header_bytes", size(KIB, 16 * MIB), |s| Place::Size(&mut s.limits.response_header_bytes)),
    ("limits.body", any_size("none", u64::MAX), |s| Place::Large(&mut s.limits.body)),
    ("limits.interim", count(0, 1000), |s| Place::Small(&mut s.limits.interim)),
    ("limits.chunk_line", size(64, 64 * KIB), |s| Place::Size(&mut s.limits.chunk_line)),
    ("limits.min_rate", any_size("off", 0), |s| Place::Large(&mut s.limits.min_rate)),
    ("limits.connections", Range { word: Some(("auto", OFF)), ..count(1, 1_000_000) }, |s| Place::Maybe(&mut s.limits.connections)),
    ("backends.keepalive", TIME, |s| Place::Time(&mut s.keepalive.idle)),
    ("backends.max_idle", count(0, 65_536), |s| Place::Size(&mut s.keepalive.max_idle)),
    ("backends.resolve", TIME, |s| Place::Time(&mut s.upkeep.resolve)),
    ("backends.max_fails", count(0, 1000), |s| Place::Small(&mut s.upkeep.max_fails)),
    ("backends.fail_timeout", TIME, |s| Place::Time(&mut s.upkeep.fail_timeout)),
    ("backends.slow_start", TIME, |s| Place::Time(&mut s.upkeep.slow_start)),
    ("health.interval", TIME, |s| Place::Time(&mut s.checks.interval)),
    ("health.timeout", TIME, |s| Place::Time(&mut s.checks.timeout)),
    ("health.rise", count(1, 1000), |s| Place::Small(&mut s.checks.rise)),
    ("health.fall", count(1, 1000), |s| Place::Small(&mut s.checks.fall)),
    ("retry.attempts", count(1, 10), |s| Place::Small(&mut s.retry.attempts)),
    ("retry.within", TIME_OR_OFF, |s| Place::Time(&mut s.retry.within)),
];

/// Beyond the largest number, threads are not the way to more throughput: a stack each would fill a small machine. The
/// smallest stack leaves room beside the table of field lines, 32 KB.
#[rustfmt::skip] // A table is read by its rows.
static WORKER_KEYS: [Row<WorkerSettings>; 3] = [
    ("workers.max", count(1, 4096), |w| Place::Size(&mut w.max)),
    ("workers.stack", size(128 * KIB, 16 * MIB), |w| Place::Size(&mut w.stack)),
    ("workers.idle", TIME_OR_OFF, |w| Place::Time(&mut w.idle)),
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
    let Some((key, range, at)) = keys.iter().find(|(name, ..)| *name == key) else {
        let names: Vec<_> = keys.iter().map(|(name, ..)| *name).collect();
        return Err(SettingError::UnknownKey { key: key.to_owned(), nearest: nearest(key, &names) });
    };
    match range.read(value) {
        Ok(number) => at(target).put(number),
        Err(accepted) => return Err(SettingError::Value { key, accepted }),
    }
    Ok(())
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
    keys.iter().map(|(name, range, at)| (*name, range.show(at(&mut of).number()))).collect()
}

/// See [`crate::settings::accepted`].
pub(crate) fn accepted(key: &str) -> Option<String> {
    let range = KEYS.iter().find(|(name, ..)| *name == key).map(|(_, range, _)| range);
    let range = range.or_else(|| WORKER_KEYS.iter().find(|(name, ..)| *name == key).map(|(_, range, _)| range));
    range.map(Range::accepted)
}

impl Range {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// Says what is accepted.
    #[inline(never)]
    fn read(&self, text: &str) -> Result<u64, String> {
        if let Some((_, number)) = self.word.filter(|(word, _)| text == *word) {
            return Ok(number);
        }
        let number = match self.unit {
            Unit::Time if text == "off" => return Err("cannot be off; write a duration: \"10s\"".to_owned()),
            Unit::Time => return Ok(millis(parse_duration(text)?)),
            Unit::Size => parse_size(text),
            Unit::Count => parse_number(text),
        };
        number.filter(|number| self.least <= *number && *number <= self.most).ok_or_else(|| self.advice())
    }

    /// What to write instead of what is no such number.
    #[inline(never)]
    fn advice(&self) -> String {
        let (least, most) = (self.unit.show(self.least), self.unit.show(self.most));
        match (self.unit, self.word) {
            (Unit::Size, Some((word, _))) => {
                format!("write a number of bytes from 1, like 16384, 16KiB or 10MiB, or {word:?}")
            }
            (Unit::Size, None) => format!("write a number of bytes from {least} to {most}"),
            (_, Some((word, _))) => format!("write {word:?} or a bare number from {least} to {most}"),
            (_, None) => format!("write a bare number from {least} to {most}"),
        }
    }

    /// The number as a person would write it.
    fn show(&self, number: u64) -> String {
        match self.word {
            Some((word, absent)) if number == absent => word.to_owned(),
            _ => self.unit.show(number),
        }
    }

    /// Unit and bounds, in the words of a reference.
    fn accepted(&self) -> String {
        let mut text = self.unit.show(self.least);
        if self.most == u64::MAX {
            text.insert_str(0, "from ");
        } else {
            text = [&text, " to ", &self.unit.show(self.most)].concat();
        }
        if let Some((word, _)) = self.word {
            text = [&text, ", or ", word].concat();
        }
        text
    }
}

impl Unit {
    #[inline(never)]
    fn show(self, number: u64) -> String {
        match self {
            Unit::Time => show_duration(number),
            Unit::Size => show_size(number),
            Unit::Count => number.to_string(),
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

    fn number(self) -> u64 {
        match self {
            Place::Time(time) => millis(*time),
            Place::Size(size) => *size as u64,
            Place::Large(large) => *large,
            Place::Small(small) => u64::from(*small),
            Place::Maybe(maybe) => maybe.map_or(OFF, |count| count as u64),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into())
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
        for (key, range, at) in &KEYS {
            let mut settings = Settings::default();
            let value = match range.unit {
                Unit::Time => "7s",
                Unit::Size => "3KiB",
                Unit::Count => "7",
            };
            settings.set(&format!("{key}={value}")).unwrap();
            let (now, before) = (values(&settings), values(&Settings::default()));
            let changed: Vec<_> = now.iter().filter(|value| !before.contains(value)).map(|(key, _)| *key).collect();
            assert_eq!(changed, [*key]);
            assert_eq!(range.show(at(&mut settings).number()), value, "{key}");
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
