//! The access line: one line in a log for each exchange. Input: the facts of an exchange. Output: a line of text
//! (combined log format, then `key=value`) or of JSON. Python: `BaseHTTPRequestHandler.log_request`. It goes through the
//! `log` crate: where it ends is decided in `footbridge::logging`.

use crate::escape::{JsonString, Quoted, Word};
use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// The target of access lines in the `log` crate, by which a logger tells them from messages.
pub const TARGET: &str = "access";

/// A line longer than this gives its memory back.
const LINE: usize = 4 << 10;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people and for tools that know the combined log format.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes one access line, in the form of `format`.
///
/// The line is formatted before it is logged, because `simplelog` holds a lock while it writes: with this, workers
/// format side by side, and the lock guards one copy.
pub fn write_line(line: &AccessLine<'_>, format: LogFormat) {
    thread_local! {
        /// The memory of the thread's last line.
        static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
    }
    TEXT.with_borrow_mut(|text| {
        text.clear();
        text.shrink_to(LINE);
        let written = match format {
            LogFormat::Text => write!(text, "{line}"),
            LogFormat::Json => write!(text, "{}", Json(line)),
        };
        if written.is_ok() {
            log::info!(target: TARGET, "{text}");
        }
    });
}

/// What is told of one exchange. Its [`Display`](fmt::Display) is the text line, [`Json`] the JSON line; neither has a
/// line end.
///
/// All bytes are escaped, so that no peer can forge a line, a field of one, or a command to a terminal.
pub struct AccessLine<'a> {
    /// The client, after what a trusted proxy said of it; `None`, written `unix`, if it came over a Unix socket.
    pub client: Option<IpAddr>,
    /// When the request began; written in UTC, to the second.
    pub time: SystemTime,
    /// Empty if no request line could be parsed: then `-` stands for the whole request line.
    pub method: &'a [u8],
    /// The request target as it came.
    pub target: &'a [u8],
    /// `HTTP/1.1`, say.
    pub version: &'a str,
    /// The status sent to the client, or 499 if it went away.
    pub status: u16,
    /// Bytes of content sent to the client, without head and chunk framing.
    pub bytes: u64,
    /// The field value of `Referer`.
    pub referer: Option<&'a [u8]>,
    /// The field value of `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// The backend tried last, as `host:port`.
    pub backend: Option<&'a str>,
    /// Number of backends tried: 0 if the request was answered without one.
    pub tries: u32,
    /// Waiting for a worker, and in line for a place at a backend.
    pub queued: Duration,
    /// How long connecting took; `None` on a reused connection.
    pub connect: Option<Duration>,
    /// From the request's begin to the backend's response head.
    pub first: Option<Duration>,
    /// From the request's begin to the last byte to the client.
    pub total: Duration,
    /// The reason word of a failure, `-` if there was none.
    pub reason: &'a str,
    /// The request id.
    pub id: &'a [u8],
}

impl fmt::Display for AccessLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = Date::of(self.time);
        write!(f, "{} - - [{}] \"", Client(self.client), date.clf())?;
        if self.method.is_empty() {
            f.write_char('-')?;
        } else {
            write!(f, "{} {} {}", Word(self.method), Word(self.target), Word(self.version.as_bytes()))?;
        }
        write!(f, "\" {} {} ", self.status, self.bytes)?;
        write!(f, "\"{}\" \"{}\" ", Quoted(self.referer.unwrap_or(b"-")), Quoted(self.user_agent.unwrap_or(b"-")))?;
        write!(f, "backend={} tries={} ", Word(self.backend.unwrap_or_default().as_bytes()), self.tries)?;
        write!(f, "queue={} connect={} ", Millis(Some(self.queued), "-"), Millis(self.connect, "-"))?;
        write!(f, "first={} ", Millis(self.first, "-"))?;
        write!(f, "total={}ms ", Millis(Some(self.total), "-"))?;
        write!(f, "reason={} id={}", Word(self.reason.as_bytes()), Word(self.id))
    }
}

/// The access line as one JSON object, the same facts as keys. Times are in milliseconds, as `_ms` says; what is `-`
/// in text is `null` here.
pub struct Json<'a>(pub &'a AccessLine<'a>);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let parsed = !line.method.is_empty();
        let date = Date::of(line.time);
        write!(f, "{{\"client\":\"{}\",\"time\":\"{}\"", Client(line.client), date.rfc3339())?;
        string(f, "method", Some(line.method).filter(|_| parsed))?;
        string(f, "target", Some(line.target).filter(|_| parsed))?;
        string(f, "version", Some(line.version.as_bytes()).filter(|_| parsed))?;
        write!(f, ",\"status\":{},\"bytes\":{}", line.status, line.bytes)?;
        string(f, "referer", line.referer)?;
        string(f, "user_agent", line.user_agent)?;
        string(f, "backend", line.backend.map(str::as_bytes))?;
        write!(f, ",\"tries\":{}", line.tries)?;
        write!(f, ",\"queue_ms\":{}", Millis(Some(line.queued), "null"))?;
        write!(f, ",\"connect_ms\":{}", Millis(line.connect, "null"))?;
        write!(f, ",\"first_ms\":{}", Millis(line.first, "null"))?;
        write!(f, ",\"total_ms\":{}", Millis(Some(line.total), "null"))?;
        string(f, "reason", Some(line.reason.as_bytes()).filter(|&reason| reason != b"-"))?;
        string(f, "id", Some(line.id))?;
        f.write_char('}')
    }
}

/// A client's address, or `unix`.
struct Client(Option<IpAddr>);

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unix"),
        }
    }
}

/// Writes `,"key":"value"`, or `,"key":null`.
fn string(f: &mut fmt::Formatter<'_>, key: &str, value: Option<&[u8]>) -> fmt::Result {
    match value {
        Some(value) => write!(f, ",\"{key}\":{}", JsonString(value)),
        None => write!(f, ",\"{key}\":null"),
    }
}

/// A duration in milliseconds with one decimal, or the word for "there is none". In whole numbers: formatting floats
/// takes longer than the rest of the line.
pub(crate) struct Millis(pub(crate) Option<Duration>, pub(crate) &'static str);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(duration) = self.0 else {
            return f.write_str(self.1);
        };
        let tenths = duration.as_secs() * 10_000 + u64::from((duration.subsec_micros() + 50) / 100);
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

/// One second of UTC in both notations.
#[derive(Clone, Copy)]
struct Date {
    /// Seconds since 1970.
    second: u64,
    clf: [u8; 26],
    rfc3339: [u8; 20],
}

thread_local! {
    /// The date written last by this thread. Formatting one for each line would cost more than the rest of the line,
    /// and a busy worker writes thousands of lines in a second.
    static LAST: Cell<Option<Date>> = const { Cell::new(None) };
}

impl Date {
    /// The date of `time`, from the thread's cache if it is still the same second. A clock before 1970 is at 1970.
    fn of(time: SystemTime) -> Self {
        let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let last = LAST.get().filter(|date| date.second == second);
        last.unwrap_or_else(|| {
            let date = Self::new(second);
            LAST.set(Some(date));
            date
        })
    }

    fn new(second: u64) -> Self {
        let seconds = i64::try_from(second).unwrap_or(i64::MAX);
        let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = date.to_calendar_date();
        let (hour, minute, s) = date.to_hms();
        // The first three letters of the English name are the month of the common log format.
        let name = month.to_string();
        let month = u8::from(month);
        Self {
            second,
            clf: fixed(format_args!("{day:02}/{name:.3}/{year:04}:{hour:02}:{minute:02}:{s:02} +0000")),
            rfc3339: fixed(format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{s:02}Z")),
        }
    }

    fn clf(&self) -> &str {
        str::from_utf8(&self.clf).unwrap_or_default()
    }

    fn rfc3339(&self) -> &str {
        str::from_utf8(&self.rfc3339).unwrap_or_default()
    }
}

/// Formats into exactly `N` bytes; what is longer is cut (years after 9999 do not exist in the `time` crate).
fn fixed<const N: usize>(text: fmt::Arguments<'_>) -> [u8; N] {
    let mut bytes = [b' '; N];
    let _ = io::Write::write_fmt(&mut bytes.as_mut_slice(), text);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T12:00:00Z.
    const NOON: u64 = 1_795_435_200;

    fn line() -> AccessLine<'static> {
        AccessLine {
            client: Some([203, 0, 113, 7].into()),
            time: UNIX_EPOCH + Duration::from_secs(NOON),
            method: b"GET",
            target: b"/api/x",
            version: "HTTP/1.1",
            status: 200,
            bytes: 5120,
            referer: None,
            user_agent: Some(b"curl/8.5"),
            backend: Some("127.0.0.1:3001"),
            tries: 1,
            queued: Duration::from_micros(120),
            connect: Some(Duration::from_micros(400)),
            first: Some(Duration::from_micros(12_345)),
            total: Duration::from_micros(12_950),
            reason: "-",
            id: b"7f3a9c",
        }
    }

    #[test]
    fn the_text_line_is_the_combined_log_format_and_then_facts() {
        assert_eq!(
            line().to_string(),
            "203.0.113.7 - - [23/Nov/2026:12:00:00 +0000] \"GET /api/x HTTP/1.1\" 200 5120 \"-\" \"curl/8.5\" \
             backend=127.0.0.1:3001 tries=1 queue=0.1 connect=0.4 first=12.3 total=13.0ms reason=- id=7f3a9c"
        );
    }

    #[test]
    fn the_json_line_has_the_same_facts() {
        assert_eq!(
            Json(&line()).to_string(),
            "{\"client\":\"203.0.113.7\",\"time\":\"2026-11-23T12:00:00Z\",\"method\":\"GET\",\"target\":\"/api/x\",\
             \"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":5120,\"referer\":null,\"user_agent\":\"curl/8.5\",\
             \"backend\":\"127.0.0.1:3001\",\"tries\":1,\"queue_ms\":0.1,\"connect_ms\":0.4,\"first_ms\":12.3,\"total_ms\":13.0,\
             \"reason\":null,\"id\":\"7f3a9c\"}"
        );
    }

    #[test]
    fn a_request_that_was_not_parsed_has_a_dash_for_its_request_line() {
        let failed = AccessLine {
            method: b"",
            target: b"",
            version: "",
            status: 400,
            bytes: 0,
            user_agent: None,
            backend: None,
            tries: 0,
            connect: None,
            first: None,
            reason: "bad-request-line",
            ..line()
        };
        assert_eq!(
            failed.to_string(),
            "203.0.113.7 - - [23/Nov/2026:12:00:00 +0000] \"-\" 400 0 \"-\" \"-\" \
             backend=- tries=0 queue=0.1 connect=- first=- total=13.0ms reason=bad-request-line id=7f3a9c"
        );
        let json = Json(&failed).to_string();
        assert!(json.contains("\"method\":null,\"target\":null,\"version\":null,\"status\":400"), "{json}");
        assert!(json.contains("\"connect_ms\":null,\"first_ms\":null,"), "{json}");
    }

    /// Whatever a client sends, the line keeps its one end, its six quotes and its number of words.
    #[test]
    fn no_byte_of_a_peer_forges_or_breaks_a_line() {
        let words = |text: &str| text.split(' ').count();
        let normal = AccessLine { referer: Some(b"a"), user_agent: Some(b"b"), ..line() }.to_string();
        for byte in (0..=u8::MAX).filter(|&byte| byte != b' ') {
            let evil = [b'a', byte, byte, b'z'];
            let forged =
                AccessLine { method: &evil, target: &evil, referer: Some(&evil), user_agent: Some(&evil), ..line() };
            let text = forged.to_string();
            assert!(!text.contains(char::is_control), "{byte:#04x}: {text}");
            assert_eq!(text.matches('"').count(), 6, "{byte:#04x}: {text}");
            assert_eq!(words(&text), words(&normal), "{byte:#04x}: {text}");
            let json = Json(&forged).to_string();
            assert!(!json.contains(char::is_control), "{byte:#04x}: {json}");
            let bare = json.replace("\\\\", "").replace("\\\"", "");
            assert_eq!(bare.matches('"').count(), Json(&line()).to_string().matches('"').count() + 2, "{json}");
        }
    }

    #[test]
    fn a_space_in_a_target_or_an_id_starts_no_new_word() {
        let text = AccessLine { target: b"/ HTTP/1.1\" 200", id: b"1 reason=x", ..line() }.to_string();
        assert!(text.contains(r#""GET /\x20HTTP/1.1\x22\x20200 HTTP/1.1" 200"#), "{text}");
        assert!(text.ends_with(r"reason=- id=1\x20reason=x"), "{text}");
    }

    #[test]
    fn milliseconds_are_rounded_to_a_tenth() {
        for (micros, want) in [(0, "0.0"), (49, "0.0"), (50, "0.1"), (999, "1.0"), (60_000_000, "60000.0")] {
            assert_eq!(Millis(Some(Duration::from_micros(micros)), "-").to_string(), want, "{micros}");
        }
    }

    #[test]
    fn the_cached_date_changes_with_the_second_and_survives_strange_clocks() {
        let at = |second| Date::of(UNIX_EPOCH + Duration::from_secs(second));
        for (second, want) in [
            (NOON, "23/Nov/2026:12:00:00 +0000"),
            (NOON, "23/Nov/2026:12:00:00 +0000"),
            (NOON + 1, "23/Nov/2026:12:00:01 +0000"),
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_825_599, "29/Feb/2000:11:59:59 +0000"),
            (1 << 50, "01/Jan/1970:00:00:00 +0000"),
        ] {
            assert_eq!(at(second).clf(), want);
        }
        assert_eq!(Date::of(UNIX_EPOCH - Duration::from_secs(9)).rfc3339(), "1970-01-01T00:00:00Z");
    }
}
