//! The access log: one line an exchange, in a format that tools know, that no peer can forge and no reader can stop.

use std::path::PathBuf;

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::json;
use crate::support::message::latin1;
use crate::support::proxy::{Proxy, Reader};
use crate::support::refusal::RefusingPort;
use crate::support::{each_row, get, post};

/// One line of the text format, cut into its parts.
#[derive(Debug)]
struct Line {
    parts: Vec<String>,
}

impl Line {
    /// Cuts at spaces outside of quotes and brackets; a backslash hides what follows it.
    fn parse(line: &str) -> Self {
        assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "unprintable bytes in {line:?}");
        let (mut parts, mut closing, mut is_escaped) = (vec![String::new()], None, false);
        for char in line.chars() {
            match (closing, char) {
                (None, ' ') => {
                    parts.push(String::new());
                    continue;
                }
                (None, '"') => closing = Some('"'),
                (None, '[') => closing = Some(']'),
                (Some(end), _) if char == end && !is_escaped => closing = None,
                _ => {}
            }
            is_escaped = char == '\\' && !is_escaped;
            parts.last_mut().expect("never empty").push(char);
        }
        assert!(closing.is_none() && parts.len() >= 9, "not a line of the format: {line:?}");
        Self { parts }
    }

    fn status(&self) -> &str {
        &self.parts[5]
    }

    /// The value behind `key=`.
    fn value(&self, key: &str) -> &str {
        let values: Vec<_> = self.parts[9..].iter().filter_map(|part| part.split_once('=')).collect();
        let named: Vec<_> = values.iter().filter(|(name, _)| *name == key).collect();
        assert_eq!(named.len(), 1, "{key} in {self:?}");
        named[0].1
    }
}

/// A GET with these field lines.
fn with(lines: &str) -> Vec<u8> {
    latin1(&format!("GET /logged HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"))
}

/// The lines of a proxy that was asked all of this, each on a connection of its own, and then ended.
fn lines_after(flags: &[&str], requests: &[Vec<u8>]) -> Vec<String> {
    let backend = ScriptedBackend::answering(&ok("hello"));
    let to = backend.address().to_string();
    let mut proxy = Proxy::with(&[&["--to", &to], flags].concat());
    for request in requests {
        proxy.send(request).reply();
    }
    proxy.end().stdout.lines().map(str::to_owned).collect()
}

/// The combined log format, then key=value.
#[test]
fn a_line_has_the_combined_format_and_what_footbridge_adds() {
    let request = with("Referer: http://b.test/page\r\nUser-Agent: test/1.0 (spec)\r\n");
    let backend = ScriptedBackend::answering(&ok("hello"));
    let mut proxy = Proxy::to(&backend);
    proxy.send(request).reply();
    let stdout = proxy.end().stdout;
    let line = Line::parse(stdout.trim_end_matches('\n'));
    let (date, request) = (&line.parts[3], &line.parts[4]);
    assert_eq!([&*line.parts[0], &*line.parts[1], &*line.parts[2]], ["127.0.0.1", "-", "-"]);
    assert!(date.len() == "[23/Nov/2026:12:00:00 +0000]".len() && date.ends_with(" +0000]"), "{date}");
    assert_eq!((request.as_str(), line.status(), line.parts[6].as_str()), ("\"GET /logged HTTP/1.1\"", "200", "5"));
    assert_eq!((&*line.parts[7], &*line.parts[8]), ("\"http://b.test/page\"", "\"test/1.0 (spec)\""));
    assert_eq!((line.value("backend"), line.value("tries")), (&*backend.address().to_string(), "1"));
    assert_eq!(line.value("reason"), "-");
    assert!(line.value("total").trim_end_matches("ms").parse::<f64>().is_ok(), "{line:?}");
    assert!(!line.value("id").is_empty() && line.value("id") != "-");
}

/// One object a line, with the same facts as keys.
#[test]
fn json_lines_are_json_and_tell_the_same() {
    let hostile = with("User-Agent: \"quoted\" \\ \u{e9} \t tab\r\nReferer: \\u0000\r\n");
    let lines = lines_after(&["--log-format", "json"], &[with(""), hostile]);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in &lines {
        let object = json::flat_object(line).unwrap_or_else(|| panic!("no flat JSON object: {line}"));
        let value = |key: &str| object.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!((value("status"), value("tries")), (Some("200"), Some("1")), "{line}");
        assert!(["backend", "reason", "id", "total_ms"].iter().all(|key| value(key).is_some()), "{line}");
        assert!(object.iter().any(|(_, value)| value.contains("/logged")), "{line}");
        assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "unprintable bytes in {line:?}");
    }
}

/// Each exchange has its line, on one connection as on many, with a name of its own.
#[test]
fn each_exchange_has_one_line_and_an_id_of_its_own() {
    let pipelined: Vec<u8> = (0..10).flat_map(|number| get(&format!("/{number}")).into_bytes()).collect();
    let backend = ScriptedBackend::answering(&ok("hello"));
    let mut proxy = Proxy::to(&backend);
    let mut client = proxy.send(pipelined);
    (0..10).for_each(|_| drop(client.reply()));
    let stdout = proxy.end().stdout;
    let lines: Vec<_> = stdout.lines().map(Line::parse).collect();
    let requests: Vec<_> = lines.iter().map(|line| line.parts[4].clone()).collect();
    let want: Vec<_> = (0..10).map(|number| format!("\"GET /{number} HTTP/1.1\"")).collect();
    assert_eq!(requests, want);
    let mut ids: Vec<_> = lines.iter().map(|line| line.value("id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

/// What went wrong has its status and a reason in a word.
#[test]
fn what_went_wrong_is_logged_with_a_reason() {
    let rows = [
        ("garbage\r\n\r\n", get("/"), "502"),
        ("", get("/"), "502"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", post("/", "Content-Length: +5\r\n", ""), "400"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", post("/", "Transfer-Encoding: foo\r\n", ""), "501"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", get(&"/x".repeat(5000)), "414"),
    ];
    each_row(&rows, |(response, request, want)| {
        let backend = ScriptedBackend::answering_then_closing(response);
        let mut proxy = Proxy::to(&backend);
        proxy.send(request).reply();
        let stdout = proxy.end().stdout;
        let line = Line::parse(stdout.trim_end_matches('\n'));
        assert_eq!(line.status(), *want);
        assert!(line.value("reason").len() > 1, "{line:?}");
    });
}

/// Even if it could not be connected to, the backend is named; and the bytes are the content's, without the head's.
#[test]
fn a_backend_that_cannot_be_reached_is_named() {
    let port = RefusingPort::new();
    let mut proxy = Proxy::with(&["--to", &port.address().to_string()]);
    let reply = proxy.send(get("/")).reply();
    let stdout = proxy.end().stdout;
    let line = Line::parse(stdout.trim_end_matches('\n'));
    assert_eq!((line.status(), line.value("backend")), ("502", &*port.address().to_string()));
    assert_eq!(line.parts[6], reply.content.bytes.len().to_string());
}

/// A response that was cut off is not logged as if all had been well.
#[test]
fn a_response_that_was_cut_off_has_a_reason() {
    let backend = ScriptedBackend::closing_mid_chunk();
    let mut proxy = Proxy::to(&backend);
    let _ = proxy.send(get("/")).outcome();
    let stdout = proxy.end().stdout;
    assert!(Line::parse(stdout.trim_end_matches('\n')).value("reason").len() > 1, "{stdout}");
}

/// nginx's 499: the client went away before there was an answer. A close alone would not tell: it looks like a
/// half-close, and who half-closes still wants its answer.
#[test]
fn a_client_that_goes_away_is_logged_as_499() {
    let backend = ScriptedBackend::silent();
    let proxy = Proxy::to(&backend);
    let client = proxy.send(get("/gone"));
    backend.wait_for_heads(1);
    client.reset();
    let line = proxy.access_lines(1).swap_remove(0);
    assert_eq!(Line::parse(&line).status(), "499", "{line}");
}

/// In the middle of a response the status is out; the reason tells that the rest of it is not.
#[test]
fn a_client_that_goes_away_inside_its_response_is_logged_with_a_reason() {
    let backend = ScriptedBackend::running(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 16];
        while connection.send_bytes(&piece) {}
    });
    let proxy = Proxy::to(&backend);
    let mut client = proxy.send(get("/gone"));
    client.head();
    drop(client);
    let line = Line::parse(&proxy.access_lines(1)[0]);
    assert!(["200", "499"].contains(&line.status()) && line.value("reason").len() > 1, "{line:?}");
}

/// Whatever a peer sends, it stays inside its quotes, and makes no second line.
#[test]
fn a_peer_cannot_forge_a_line_or_a_part_of_one() {
    let forged = "127.0.0.1 - - [23/Nov/2026:12:00:00 +0000] \"GET /forged HTTP/1.1\" 200 5 \"-\" \"-\"";
    let requests = [
        with(&format!("User-Agent: x\" 200 5 \"-\" \"-\" backend=forged {forged}\r\n")),
        with("User-Agent: ends in a backslash \\\r\n"),
        with("User-Agent: \\\" \u{e9}\u{ff}\u{80} \t \\n\\x0a\r\nReferer: \" reason=forged \"\r\n"),
        with(&format!("User-Agent: x\n{forged}\r\n")),
        with(&format!("User-Agent: x\r{forged}\r\n")),
        latin1(&format!("GET /\"\\{}\u{e9} HTTP/1.1\r\nHost: a.test\r\n\r\n", forged.replace(' ', "_"))),
        latin1(&format!("GET /\n{forged}\n HTTP/1.1\r\nHost: a.test\r\n\r\n")),
        latin1(&format!("GET /\u{1b}[2J\r{forged} HTTP/1.1\r\nHost: a.test\r\n\r\n")),
        latin1(&format!("\u{1b}]0;owned\u{7}\0\n{forged}\r\n\r\n")),
        latin1("GET / HTTP/1.1\r\nHost: a.test\" \"\r\n\r\n"),
    ];
    for flags in [["--log-format", "text"], ["--log-format", "json"]] {
        let lines = lines_after(&flags, &requests);
        assert_eq!(lines.len(), requests.len(), "{lines:#?}");
        for line in lines {
            if flags[1] == "json" {
                assert!(json::flat_object(&line).is_some(), "{line}");
                continue;
            }
            let line = Line::parse(&line);
            assert!(line.status().len() == 3 && line.parts[0] == "127.0.0.1", "{line:?}");
            assert!(!["forged", "\"forged"].contains(&line.value("reason")) && line.value("backend") != "forged");
        }
    }
}

/// Nor through the error log: what is said about a bad message there is escaped as well.
#[test]
fn a_peer_cannot_write_control_bytes_to_standard_error() {
    let backend =
        ScriptedBackend::answering_then_closing("HTTP/1.1 200 \u{1b}[31mred\u{7}\r\nX\u{1b}: \u{9b}31m\r\n\r\n");
    let mut proxy = Proxy::with(&["--to", &backend.address().to_string(), "--log-level", "debug"]);
    proxy.send(get("/")).reply();
    proxy.send("GET /\u{1b}[31m\u{7}\0 HTTP/1.1\r\nHost: a.test\r\n\r\n").reply();
    let stderr = proxy.end().stderr;
    assert!(stderr.chars().all(|char| char == '\n' || !char.is_control()), "{stderr:?}");
}

/// A reader that is gone or does not read stops no traffic, and does not keep the program from ending.
#[test]
fn traffic_goes_on_when_the_reader_of_the_log_is_gone_or_stuck() {
    for reader in [Reader::Gone, Reader::Stuck] {
        let backend = ScriptedBackend::answering(&ok("hello"));
        let mut proxy = Proxy::with_reader(&["--to", &backend.address().to_string()], reader);
        let mut client = proxy.connect();
        // Well beyond what a pipe holds.
        for _ in 0..30 {
            client.send(get("/a-line-of-some-length").repeat(50));
            (0..50).for_each(|_| assert_eq!(client.reply().text(), "hello"));
        }
        assert!(proxy.is_running(), "{reader:?}");
        assert_eq!(proxy.end().code, Some(0));
    }
}

/// Where the lines go is for the operator to say.
#[test]
fn lines_go_to_a_file_to_standard_error_or_nowhere() {
    let backend = ScriptedBackend::answering(&ok("hello"));
    let path = TemporaryFile::new("access.log");
    let path_text = path.0.to_str().expect("a path in Unicode").to_owned();
    let rows = [("off", 0, 0, 0), ("stdout", 1, 0, 0), ("stderr", 0, 1, 0), (&path_text, 0, 0, 1)];
    each_row(&rows, |(sink, on_stdout, on_stderr, in_file)| {
        let mut proxy = Proxy::with(&["--to", &backend.address().to_string(), "--access-log", sink]);
        proxy.send(get("/where")).reply();
        let ended = proxy.end();
        let file = std::fs::read_to_string(&path.0).unwrap_or_default();
        let found = [ended.stdout, ended.stderr, file].map(|text| text.matches("GET /where HTTP/1.1").count());
        assert_eq!(found, [*on_stdout, *on_stderr, *in_file]);
    });
}

/// A file that is removed with the test.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("footbridge-{}-{name}", std::process::id())))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.0);
    }
}
