//! Logging as a whole: it can be started once in a process, so this file has one test that starts it.

use footbridge::access::{AccessLine, LogFormat, TARGET as ACCESS, write_line as access};
use footbridge::logging::{AccessLog, Sinks, start};
use log::LevelFilter;
use std::time::{Duration, UNIX_EPOCH};
use std::{fs, process, thread};

#[test]
fn access_lines_of_many_threads_reach_their_files_whole_and_raw() {
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
    let rotated = path.with_extension("log.1");
    fs::rename(&path, &rotated).unwrap();
    log::info!(target: ACCESS, "after it was moved away");
    guard.reopener().reopen();
    access(&access_line(), LogFormat::Text);
    access(&access_line(), LogFormat::Json);
    // Where nothing can be opened, the old file stays.
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).unwrap();
    fs::create_dir(&path).unwrap();
    guard.reopener().reopen();
    log::info!(target: ACCESS, "in the file that stayed");
    drop(guard);
    log::info!(target: ACCESS, "after the end");

    let read = |path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let (mut lines, mut later) = (read(&rotated), read(&moved));
    fs::remove_dir(&path).unwrap();
    for path in [rotated, moved] {
        fs::remove_file(path).unwrap();
    }
    // Those that waited when the file was opened anew may be in either, but each in one, and in their order.
    assert!(later.len() >= 3, "{later:?}");
    lines.append(&mut later.drain(..later.len() - 3).collect());
    assert_eq!(lines[0], "what was there before");
    assert_eq!(lines.len(), 1 + 4 * 500 + 1);
    assert_eq!(lines[2001], "after it was moved away");
    assert_eq!(later[0], access_line().to_string());
    assert!(later[1].starts_with("{\"client\":\"192.0.2.1\",") && later[1].ends_with('}'));
    assert_eq!(later[2], "in the file that stayed");
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
        client: Some([192, 0, 2, 1].into()),
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
        queued: Duration::ZERO,
        connect: None,
        first: None,
        total: Duration::ZERO,
        reason: "-",
        id: b"1",
    }
}
