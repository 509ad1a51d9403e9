//! Assignments, one a line: never a panic, errors of one line, and a refused one changes nothing.

#![no_main]

use footbridge::settings::{Settings, deadline};
use libfuzzer_sys::fuzz_target;
use std::time::Instant;

fuzz_target!(|text: &str| {
    let mut settings = Settings::default();
    for assignment in text.split('\n') {
        let before = settings.clone();
        match settings.set(assignment) {
            Ok(()) => {
                let mut again = settings.clone();
                again.set(assignment).expect("what was accepted once is accepted again");
                assert_eq!(again, settings, "{assignment:?}");
                assert!(!format!("{settings:?}").is_empty());
                use_all(&settings);
            }
            Err(error) => {
                assert_eq!(settings, before, "{assignment:?} was refused");
                assert!(!error.to_string().contains(char::is_control), "{assignment:?}: {error}");
            }
        }
        assert!(settings.warnings().iter().all(|warning| !warning.contains(char::is_control)));
    }
});

/// No value overflows what is made of it, and none makes a thing useless.
fn use_all(settings: &Settings) {
    let timeouts = &settings.timeouts;
    for time in [timeouts.header, timeouts.keepalive, timeouts.body_idle, timeouts.send, timeouts.queue] {
        assert!(!time.is_zero() && deadline(Instant::now(), time) > Instant::now());
    }
    for time in [timeouts.connect, timeouts.response, timeouts.response_idle, timeouts.tunnel, timeouts.expect] {
        assert!(!time.is_zero() && deadline(Instant::now(), time) > Instant::now());
    }
    let limits = &settings.limits;
    assert!(limits.header_bytes >= 1024 && limits.request_line >= 512 && limits.response_header_bytes >= 1024);
    assert!((1..=1000).contains(&limits.headers) && limits.chunk_line >= 64 && limits.body > 0);
    assert!(limits.connections != Some(0) && settings.retry.attempts >= 1);
}
