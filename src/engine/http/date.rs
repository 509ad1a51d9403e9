//! The Date field's value (RFC 9110 §5.6.7), made once a second.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

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

fn format(second: u64) -> String {
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let time = i64::try_from(second).ok().and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
    time.and_then(|time| time.format(form).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_date_is_an_imf_fixdate() {
        assert_eq!(super::format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
