//! The keys of [`Settings`] and how their values are read and written. Input: `key=value` as a person writes it.
//! Output: the value in its field. One table, [`KEYS`], is walked by everything here.

use super::suggest::nearest;
use super::units::{parse_duration, parse_number, parse_size, show_duration, show_number, show_size};
use crate::settings::Settings;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A field of [`Settings`]: where it is, which unit it has, and what it may be.
///
/// One function gives the place for both reading and writing; who only reads passes a copy.
enum Slot {
    /// A duration from 1 ms to a year.
    Time { at: fn(&mut Settings) -> &mut Duration, off: bool },
    /// A number of bytes.
    Size { at: fn(&mut Settings) -> &mut usize, range: RangeInclusive<u64> },
    /// A number of bytes that may be absent: `word` stands for `absent`.
    OptionalSize { at: fn(&mut Settings) -> &mut u64, word: &'static str, absent: u64 },
    /// A bare number.
    Count { at: fn(&mut Settings) -> &mut usize, range: RangeInclusive<u64> },
    /// A bare number.
    SmallCount { at: fn(&mut Settings) -> &mut u32, range: RangeInclusive<u64> },
    /// A bare number, or `auto` for `None`.
    AutoCount { at: fn(&mut Settings) -> &mut Option<usize>, range: RangeInclusive<u64> },
}

use Slot::{AutoCount, Count, OptionalSize, Size, SmallCount, Time};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Where `off` is false, no limit would break what the timeout is for, or (`keepalive`) would be misread as "do not
/// keep alive".
#[rustfmt::skip] // A table is read by its rows.
static KEYS: [(&str, Slot); 33] = [
    ("timeouts.header", Time { at: |s| &mut s.timeouts.header, off: true }),
    ("timeouts.keepalive", Time { at: |s| &mut s.timeouts.keepalive, off: false }),
    ("timeouts.body_idle", Time { at: |s| &mut s.timeouts.body_idle, off: true }),
    ("timeouts.slow", Time { at: |s| &mut s.timeouts.slow, off: true }),
    ("timeouts.send", Time { at: |s| &mut s.timeouts.send, off: true }),
    ("timeouts.queue", Time { at: |s| &mut s.timeouts.queue, off: false }),
    ("timeouts.connect", Time { at: |s| &mut s.timeouts.connect, off: false }),
    ("timeouts.response", Time { at: |s| &mut s.timeouts.response, off: true }),
    ("timeouts.response_idle", Time { at: |s| &mut s.timeouts.response_idle, off: true }),
    ("timeouts.tunnel", Time { at: |s| &mut s.timeouts.tunnel, off: true }),
    ("timeouts.expect", Time { at: |s| &mut s.timeouts.expect, off: false }),
    ("timeouts.shutdown", Time { at: |s| &mut s.timeouts.shutdown, off: true }),
    ("limits.header_bytes", Size { at: |s| &mut s.limits.header_bytes, range: KIB..=MIB }),
    ("limits.request_line", Size { at: |s| &mut s.limits.request_line, range: 512..=MIB }),
    ("limits.headers", Count { at: |s| &mut s.limits.headers, range: 1..=1000 }),
    ("limits.response_header_bytes", Size { at: |s| &mut s.limits.response_header_bytes, range: KIB..=16 * MIB }),
    ("limits.body", OptionalSize { at: |s| &mut s.limits.body, word: "none", absent: u64::MAX }),
    ("limits.interim", SmallCount { at: |s| &mut s.limits.interim, range: 0..=1000 }),
    ("limits.chunk_line", Size { at: |s| &mut s.limits.chunk_line, range: 64..=64 * KIB }),
    ("limits.min_rate", OptionalSize { at: |s| &mut s.limits.min_rate, word: "off", absent: 0 }),
    ("limits.connections", AutoCount { at: |s| &mut s.limits.connections, range: 1..=1_000_000 }),
    ("backends.keepalive", Time { at: |s| &mut s.keepalive.idle, off: false }),
    ("backends.max_idle", Count { at: |s| &mut s.keepalive.max_idle, range: 0..=65_536 }),
    ("backends.resolve", Time { at: |s| &mut s.upkeep.resolve, off: false }),
    ("backends.max_fails", SmallCount { at: |s| &mut s.upkeep.max_fails, range: 0..=1000 }),
    ("backends.fail_timeout", Time { at: |s| &mut s.upkeep.fail_timeout, off: false }),
    ("backends.slow_start", Time { at: |s| &mut s.upkeep.slow_start, off: false }),
    ("health.interval", Time { at: |s| &mut s.checks.interval, off: false }),
    ("health.timeout", Time { at: |s| &mut s.checks.timeout, off: false }),
    ("health.rise", SmallCount { at: |s| &mut s.checks.rise, range: 1..=1000 }),
    ("health.fall", SmallCount { at: |s| &mut s.checks.fall, range: 1..=1000 }),
    ("retry.attempts", SmallCount { at: |s| &mut s.retry.attempts, range: 1..=10 }),
    ("retry.within", Time { at: |s| &mut s.retry.within, off: true }),
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
    let Some((key, slot)) = KEYS.iter().find(|(name, _)| *name == key) else {
        let nearest = nearest(key, KEYS.iter().map(|(name, _)| *name));
        return Err(SettingError::UnknownKey { key: key.to_owned(), nearest });
    };
    slot.put(settings, value).map_err(|accepted| SettingError::Value { key, accepted })
}

/// See [`crate::settings::keys`].
pub(crate) fn defaults() -> impl Iterator<Item = (&'static str, String)> {
    let mut settings = Settings::default();
    KEYS.iter().map(move |(key, slot)| (*key, slot.show(&mut settings)))
}

impl Slot {
    /// Reads `text` into the field.
    ///
    /// # Errors
    ///
    /// Says what is accepted.
    fn put(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        match self {
            Time { at, off: true } if text == "off" => *at(settings) = Duration::MAX,
            Time { off: false, .. } if text == "off" => {
                return Err("cannot be off; write a duration: \"10s\"".to_owned());
            }
            Time { at, .. } => *at(settings) = parse_duration(text)?,
            OptionalSize { at, word, absent } if text == *word => *at(settings) = *absent,
            OptionalSize { at, word, .. } => {
                *at(settings) = parse_size(text).filter(|&bytes| bytes > 0).ok_or_else(|| {
                    format!("write a number of bytes from 1, like 16384, 16KiB or 10MiB, or {word:?}")
                })?;
            }
            Size { at, range } => {
                *at(settings) = within(range, parse_size(text), show_size, "a number of bytes")?;
            }
            Count { at, range } => {
                *at(settings) = within(range, parse_number(text), show_number, "a bare number")?;
            }
            SmallCount { at, range } => {
                *at(settings) = within(range, parse_number(text), show_number, "a bare number")?;
            }
            AutoCount { at, .. } if text == "auto" => *at(settings) = None,
            AutoCount { at, range } => {
                *at(settings) = Some(within(range, parse_number(text), show_number, "\"auto\" or a bare number")?);
            }
        }
        Ok(())
    }

    /// The field as a person would write it.
    fn show(&self, settings: &mut Settings) -> String {
        match self {
            Time { at, .. } => show_duration(*at(settings)),
            Size { at, .. } => show_size(*at(settings) as u64),
            OptionalSize { at, word, absent } => match *at(settings) {
                bytes if bytes == *absent => (*word).to_owned(),
                bytes => show_size(bytes),
            },
            Count { at, .. } => at(settings).to_string(),
            SmallCount { at, .. } => at(settings).to_string(),
            AutoCount { at, .. } => at(settings).map_or_else(|| "auto".to_owned(), |count| count.to_string()),
        }
    }
}

/// Takes `value` if it is there, within `range`, and fits the field's type; else says what is accepted.
fn within<T: TryFrom<u64>>(
    range: &RangeInclusive<u64>,
    value: Option<u64>,
    show: fn(u64) -> String,
    what: &str,
) -> Result<T, String> {
    value
        .filter(|value| range.contains(value))
        .and_then(|value| T::try_from(value).ok())
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
        let got: Vec<String> = defaults().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(got, want.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn every_default_can_be_set_as_it_is_shown() {
        let mut settings = Settings::default();
        for (key, value) in defaults() {
            settings.set(&format!("{key}={value}")).unwrap();
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn every_key_has_a_field_of_its_own() {
        for (key, slot) in &KEYS {
            let mut settings = Settings::default();
            let value = match slot {
                Time { .. } => "7s",
                Size { .. } | OptionalSize { .. } => "3KiB",
                Count { .. } | SmallCount { .. } | AutoCount { .. } => "7",
            };
            settings.set(&format!("{key}={value}")).unwrap();
            let changed: Vec<_> = KEYS
                .iter()
                .filter(|(_, slot)| slot.show(&mut settings.clone()) != slot.show(&mut Settings::default()))
                .map(|(key, _)| *key)
                .collect();
            assert_eq!(changed, [*key]);
            assert_eq!(slot.show(&mut settings), value, "{key}");
        }
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
