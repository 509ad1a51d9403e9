//! Numbers with units as a person writes them. Input: text such as `1.5s`, `16KiB` or `100`. Output: a duration or a
//! number, and back. Knows no bounds but a duration's own.

use std::time::Duration;

/// A timeout beyond a year is "off" by another name, and should say so.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads `1*DIGIT`, without sign or space.
#[inline(never)]
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// Bytes by their units, largest first.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a bare number of bytes, or one with a unit.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = split_unit(text);
    let scale = if unit.is_empty() { 1 } else { scale_of(unit, &SIZE_UNITS)? };
    parse_number(digits)?.checked_mul(scale)
}

/// In the largest unit that leaves no rest.
pub(crate) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS)
}

#[inline(never)]
fn scale_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

#[inline(never)]
fn show(number: u64, units: &[(&str, u64)]) -> String {
    let (unit, scale) = units.iter().find(|(_, scale)| number.is_multiple_of(*scale)).unwrap_or(&("", 1));
    format!("{}{unit}", number / scale)
}

/// Milliseconds by their units, largest first.
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a duration with its unit, a fraction allowed, down to milliseconds.
///
/// # Errors
///
/// Says what is accepted.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = split_unit(text);
    if unit.is_empty() {
        return Err("write a unit: \"10s\"");
    }
    let millis = scale_of(unit, &TIME_UNITS).and_then(|scale| scaled(number, scale));
    let millis = millis.ok_or("write a number and a unit (ms, s, m or h): \"500ms\", \"10s\", \"1.5m\"")?;
    let duration = Duration::from_millis(millis);
    if duration.is_zero() || duration > LONGEST {
        return Err("write at least 1ms and at most 8760h");
    }
    Ok(duration)
}

/// Multiplies a decimal number such as `1.5` in whole numbers, so that `0.1s` is exactly 100 ms. The rest is cut.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, parse_number(fraction)?.checked_mul(scale)? / pow10(fraction.len())?),
        None => (number, 0),
    };
    parse_number(whole)?.checked_mul(scale)?.checked_add(fraction)
}

fn pow10(digits: usize) -> Option<u64> {
    10_u64.checked_pow(u32::try_from(digits).ok()?)
}

/// So many milliseconds in the largest unit that leaves no rest; 1 min stays `60s`, as timeouts are usually written.
pub(crate) fn show_duration(millis: u64) -> String {
    match millis {
        u64::MAX => "off".to_owned(),
        60_000 => "60s".to_owned(),
        _ => show(millis, &TIME_UNITS),
    }
}

/// Splits `1.5s` into `1.5` and `s`.
#[inline(never)]
fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_a_unit_and_a_fraction() {
        for (text, millis) in [
            ("1ms", 1),
            ("500ms", 500),
            ("10s", 10_000),
            ("1.5s", 1500),
            ("0.1s", 100),
            ("2m", 120_000),
            ("1.25h", 4_500_000),
            ("8760h", 31_536_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "10", "s", ".s", "1.s", ".5s", "1.2.3s", "-1s", "+1s", "1 s", "1S", "1d", "0s", "0.5ms", "8761h"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_largest_whole_unit() {
        for text in ["1ms", "1500ms", "1s", "60s", "90s", "2m", "61m", "1h", "24h", "off"] {
            let millis = if text == "off" {
                u64::MAX
            } else {
                u64::try_from(parse_duration(text).unwrap().as_millis()).unwrap()
            };
            assert_eq!(show_duration(millis), text);
        }
    }

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, want) in [
            ("0", Some(0)),
            ("1500", Some(1500)),
            ("16B", Some(16)),
            ("16KiB", Some(16_384)),
            ("2MiB", Some(2_097_152)),
            ("1GiB", Some(1 << 30)),
            ("", None),
            ("KiB", None),
            ("16KB", None),
            ("16k", None),
            ("1.5KiB", None),
            ("+1", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }
}
