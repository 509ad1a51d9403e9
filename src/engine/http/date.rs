//! The Date field's value (RFC 9110 §5.6.7), made once a second.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// Appends the present time as an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// Python: `BaseHTTPRequestHandler.date_time_string`.
#[doc(alias = "date_time_string")]
pub fn append_now(out: &mut Vec<u8>) {
    thread_local! {
        // Formatting costs more than all else in a response head, and answers come by the thousand a second.
        static LAST: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
    }
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(formatted, text)| {
        if *formatted != second || text.is_empty() {
            *formatted = second;
            text.clear();
            text.extend_from_slice(format(second).as_bytes());
        }
        out.extend_from_slice(text);
    });
}

/// By hand: the formatter of the `time` crate, with all that it can do, would be 12 KB of the program.
fn format(second: u64) -> String {
    let second = i64::try_from(second).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let (weekday, month) = (time.weekday().to_string(), month.to_string());
    format!("{weekday:.3}, {day:02} {month:.3} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_date_is_an_imf_fixdate() {
        assert_eq!(super::format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
