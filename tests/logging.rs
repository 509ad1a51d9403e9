//! Logging as a whole: it can be started once in a process, so this file has one test that starts it.

use footbridge::access::{AccessLine, LogFormat, TARGET as ACCESS, write_line as access};
use footbridge::logging::{AccessLog, Sinks, start};
use log::LevelFilter;
use std::time::{Duration, UNIX_EPOCH};
use std::{fs, process, thread};

#[test]
fn access_lines_of_many_threads_reach_their_file_whole_and_raw() {
    let path = std::env::temp_dir().join(format!("footbridge-access-{}.log", process::id()));
    fs::write(&path, "what was there before\n").unwrap();
    let sinks = Sinks::open(&AccessLog::Path(path.clone())).unwrap();
    let guard = start(LevelFilter::Error, sinks, LogFormat::Text).unwrap();
    let threads = [0, 1, 2, 3].map(|thread| {
        thread::spawn(move || {
            for line in 0..500 {
                log::info!(target: ACCESS, "thread {thread} line {line} {}", "x".repeat(100));
                log::info!("not an access line, and below the level");
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    access(&access_line(), LogFormat::Text);
    access(&access_line(), LogFormat::Json);
    drop(guard);
    log::info!(target: ACCESS, "after the end");

    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "what was there before");
    assert_eq!(lines.len(), 1 + 4 * 500 + 2);
    assert_eq!(lines[2001], access_line().to_string());
    assert!(lines[2002].starts_with("{\"client\":\"192.0.2.1\",") && lines[2002].ends_with('}'));
    for thread in 0..4 {
        let start = format!("thread {thread} ");
        let of_thread: Vec<_> = lines.iter().filter(|line| line.starts_with(&start)).collect();
        for (i, line) in of_thread.iter().enumerate() {
            assert_eq!(**line, format!("thread {thread} line {i} {}", "x".repeat(100)));
        }
        assert_eq!(of_thread.len(), 500);
    }
    let sinks = Sinks::open(&AccessLog::Off).unwrap();
    assert!(start(LevelFilter::Error, sinks, LogFormat::Text).is_err(), "a second start is refused");
}

fn access_line() -> AccessLine<'static> {
    AccessLine {
        client: [192, 0, 2, 1].into(),
        time: UNIX_EPOCH,
        method: b"GET",
        target: b"/",
        version: "HTTP/1.1",
        status: 204,
        bytes: 0,
        referer: None,
        user_agent: None,
        backend: None,
        tries: 0,
        connect: None,
        first: None,
        total: Duration::ZERO,
        reason: "-",
        id: "1",
    }
}
