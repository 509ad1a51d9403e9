//! A configuration file: never a panic; each mistake is three lines without control characters; what is accepted and
//! printed means the same.

#![no_main]

use footbridge::config::{parse, print};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse("a.toml", text, &[]) {
        Ok(config) => {
            let printed = print::print(&config);
            match parse("printed", &printed, &[]) {
                Ok(again) => assert_eq!(again, config, "{printed}"),
                Err(mistakes) => panic!("{printed}\n{}", mistakes.join("\n")),
            }
            assert!(config.warnings.iter().all(|warning| !warning.contains(char::is_control)));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(mistake.starts_with("a.toml:"), "{mistake:?}");
                assert!(mistake.lines().count() <= 3 && !mistake.contains(|c: char| c.is_control() && c != '\n'));
            }
        }
    }
});
