//! Where log lines end. Input: records of the `log` crate. Output: lines on stderr, and on the access log for those
//! with the target [`access::TARGET`]. Formatting is `simplelog`'s; a `LineQueue` stands between it and each sink, so
//! that no reader of a log can slow the traffic. Python: `BaseHTTPRequestHandler.log_message`.

mod line_queue;

use self::line_queue::LineQueue;
use crate::access::{self, LogFormat};
use crate::escape::JsonString;
use log::LevelFilter;
use simplelog::{CombinedLogger, Config, ConfigBuilder, SharedLogger, WriteLogger, format_description};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long [`Guard`] waits for each of the two sinks when the process ends: 1 s for both.
const FLUSH: Duration = Duration::from_millis(500);

/// What a line's buffer keeps after an unusually long line.
const LINE: usize = 4 << 10;

/// Where access lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output, as containers want it.
    #[default]
    Stdout,
    /// Standard error, among the other lines.
    Stderr,
    /// Nowhere.
    Off,
    /// A file, appended to.
    Path(PathBuf),
}

impl AccessLog {
    /// The file's path, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        if let Self::Path(path) = self { Some(path) } else { None }
    }
}

/// The open files that the lines will end in.
#[derive(Debug)]
pub struct Sinks {
    stderr: File,
    access: Access,
}

/// [`AccessLog`], opened.
#[derive(Debug)]
enum Access {
    Off,
    Stderr,
    Stdout(File),
    Path(PathBuf, File),
}

impl Sinks {
    /// Opens what [`start`] writes to. Starts no thread, so that rights can be given up between the two.
    ///
    /// # Errors
    ///
    /// If the access log cannot be opened (the text names it).
    pub fn open(access_log: &AccessLog) -> io::Result<Self> {
        let access = match access_log {
            AccessLog::Off => Access::Off,
            AccessLog::Stderr => Access::Stderr,
            AccessLog::Stdout => Access::Stdout(duplicate(&io::stdout())?),
            AccessLog::Path(path) => Access::Path(path.clone(), append_to(path)?),
        };
        Ok(Self { stderr: duplicate(&io::stderr())?, access })
    }
}

/// Starts logging for the whole process. Access lines come formatted, from [`access::write_line`]; `format` here says how
/// the others look: `2026-11-23T12:00:00Z INFO message`, or the same as JSON with the keys `time`, `level` and `message`.
///
/// # Errors
///
/// If a thread cannot be started, or logging was started before.
pub fn start(level: LevelFilter, sinks: Sinks, format: LogFormat) -> io::Result<Guard> {
    let stderr = LineQueue::start("error log", sinks.stderr)?;
    let (path, access) = match sinks.access {
        Access::Off => (None, None),
        Access::Stderr => (None, Some(Arc::clone(&stderr))),
        Access::Stdout(file) => (None, Some(LineQueue::start("access log", file)?)),
        Access::Path(path, file) => (Some(path), Some(LineQueue::start("access log", file)?)),
    };
    let style = match format {
        LogFormat::Text => Style::Text,
        LogFormat::Json => Style::Json,
    };
    let mut loggers: Vec<Box<dyn SharedLogger>> =
        vec![WriteLogger::new(level, message_config(), Lines::new(&stderr, style))];
    if let Some(access) = &access {
        // Not `level`: an access line is no matter of severity.
        loggers.push(WriteLogger::new(LevelFilter::Info, access_config(), Lines::new(access, Style::Raw)));
    }
    CombinedLogger::init(loggers).map_err(|_| io::Error::other("logging was started before"))?;
    let file = path.zip(access.clone());
    Ok(Guard { access, stderr, reopener: Reopener { file } })
}

/// Opens the access log's file anew. Clones do the same.
#[derive(Clone, Default)]
pub struct Reopener {
    /// `None`: it is no file of ours to open.
    file: Option<(PathBuf, Arc<LineQueue>)>,
}

impl Reopener {
    /// For whoever has moved the file away: all lines from now on go to a file of the old name, which is made if it is
    /// not there. No line is lost. If it cannot be opened, they go on to where the old file is now, and the log says so.
    pub fn reopen(&self) {
        let Some((path, queue)) = &self.file else { return };
        match append_to(path) {
            Ok(file) => {
                queue.replace(file);
                log::info!("access log {}: opened anew", path.display());
            }
            Err(error) => log::error!("cannot open anew, the old file is kept: {error}"),
        }
    }
}

/// Keep it as long as the process runs: dropping it writes what still waits, for at most 1 s. Lines that come later
/// may be lost.
#[must_use = "the last lines are lost without it"]
pub struct Guard {
    access: Option<Arc<LineQueue>>,
    stderr: Arc<LineQueue>,
    reopener: Reopener,
}

impl Guard {
    /// What opens the logs anew.
    #[must_use]
    pub fn reopener(&self) -> Reopener {
        self.reopener.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let close = |queue: &LineQueue| queue.close(Instant::now() + FLUSH);
        if !self.access.as_deref().is_none_or(close) {
            log::error!("access log: the last lines are lost: the reader is too slow");
        }
        // Second, because closing the first may have had something to say.
        self.stderr.close(Instant::now() + FLUSH);
    }
}

/// The same file under a descriptor of its own. `io::stdout()` itself has a lock, and a buffer that is flushed line by
/// line: the writer must hold nothing while its reader stands still.
fn duplicate(file: &impl AsFd) -> io::Result<File> {
    Ok(file.as_fd().try_clone_to_owned()?.into())
}

fn append_to(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("access log {}: {error}", path.display())))
}

fn message_config() -> Config {
    ConfigBuilder::new()
        .set_time_format_custom(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_ignore_str(access::TARGET)
        .build()
}

fn access_config() -> Config {
    ConfigBuilder::new()
        .set_time_level(LevelFilter::Off)
        .set_max_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str(access::TARGET)
        .build()
}

/// What becomes of a line that `simplelog` wrote.
#[derive(Clone, Copy)]
enum Style {
    /// It stays.
    Raw,
    /// The level loses its brackets: `[INFO]`.
    Text,
    /// It becomes an object.
    Json,
}

/// Collects what `simplelog` writes piece by piece until a line is whole, and queues it. `simplelog` holds a lock from
/// the first piece to the last, so lines of several threads cannot mix.
struct Lines {
    queue: Arc<LineQueue>,
    style: Style,
    /// The line so far; the memory is used again for the next.
    line: Vec<u8>,
    /// The line as it goes out, unless it is raw.
    dressed: Vec<u8>,
}

impl Lines {
    fn new(queue: &Arc<LineQueue>, style: Style) -> Self {
        Self { queue: Arc::clone(queue), style, line: Vec::new(), dressed: Vec::new() }
    }

    fn end_line(&mut self) {
        match dress(self.style, &self.line, &mut self.dressed) {
            Ok(true) => self.queue.push(&self.dressed),
            Ok(false) | Err(_) => self.queue.push(&self.line),
        }
        for buffer in [&mut self.line, &mut self.dressed] {
            buffer.clear();
            buffer.shrink_to(LINE);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            self.end_line();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `line` to `out` in its style. Returns false if it is to stay as it is. A part of a message with line ends
/// of its own has no time and level: in text it stays, in JSON it is a message all the same, so that every line parses.
fn dress(style: Style, line: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
    let parts = str::from_utf8(line).ok().and_then(split);
    match (style, parts) {
        (Style::Raw, _) | (Style::Text, None) => return Ok(false),
        (Style::Text, Some((time, level, message))) => writeln!(out, "{time} {level} {message}")?,
        (Style::Json, Some((time, level, message))) => {
            let message = JsonString(message.as_bytes());
            writeln!(out, "{{\"time\":\"{time}\",\"level\":\"{level}\",\"message\":{message}}}")?;
        }
        (Style::Json, None) => {
            writeln!(out, "{{\"message\":{}}}", JsonString(line.trim_ascii_end()))?;
        }
    }
    Ok(true)
}

/// Takes `time [LEVEL] message` apart.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let (time, rest) = line.strip_suffix('\n')?.split_once(" [")?;
    let (level, message) = rest.split_once("] ")?;
    let plain =
        time.ends_with('Z') && !time.contains(['"', '\\', ' ']) && level.bytes().all(|b| b.is_ascii_uppercase());
    plain.then_some((time, level, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dressed(style: Style, line: &str) -> String {
        let mut out = Vec::new();
        if !dress(style, line.as_bytes(), &mut out).unwrap() {
            return line.to_owned();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_is_dressed_in_its_style() {
        let line = "2026-11-23T12:00:00Z [WARN] backend [::1]:80 said \"no\" [x] y\n";
        for (style, want) in [
            (Style::Raw, line),
            (Style::Text, "2026-11-23T12:00:00Z WARN backend [::1]:80 said \"no\" [x] y\n"),
            (
                Style::Json,
                "{\"time\":\"2026-11-23T12:00:00Z\",\"level\":\"WARN\",\
                 \"message\":\"backend [::1]:80 said \\\"no\\\" [x] y\"}\n",
            ),
        ] {
            assert_eq!(dressed(style, line), want);
        }
    }

    #[test]
    fn the_second_line_of_a_message_stays_a_line() {
        assert_eq!(dressed(Style::Text, "  at main.rs [x] \"y\"\n"), "  at main.rs [x] \"y\"\n");
        assert_eq!(dressed(Style::Json, "at [x] \"y\"\n"), "{\"message\":\"at [x] \\\"y\\\"\"}\n");
    }

    #[test]
    fn an_access_log_that_cannot_be_opened_is_named() {
        let error = append_to(Path::new("/nowhere/access.log")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("access log /nowhere/access.log: "), "{error}");
    }
}
