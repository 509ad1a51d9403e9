//! Command lines, one argument a line: never a panic; mistakes are told in one line; what is accepted can be read again.

#![no_main]

use footbridge::cli::{Outcome, parse};
use footbridge::config::{self, Config, print};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let arguments: Vec<String> = text.lines().map(str::to_owned).collect();
    // A file is what the target `config` is for; here it could be any file of this machine.
    if arguments.iter().any(|argument| argument.starts_with("--config")) {
        return;
    }
    match parse(&arguments) {
        Outcome::Run(config) => check(&config),
        Outcome::Demo { listen } => assert!(!listen.to_string().is_empty()),
        Outcome::Ask { target, .. } => assert!(target.starts_with('/'), "{target:?}"),
        Outcome::Print(text) | Outcome::NoArguments(text) => assert!(text.ends_with('\n'), "{text:?}"),
        Outcome::Wrong(line) => {
            assert!(!line.is_empty() && !line.contains(char::is_control), "{arguments:?}: {line:?}");
        }
        Outcome::Checked { .. } | Outcome::Mistakes(_) => panic!("there is no file: {arguments:?}"),
    }
});

/// Printed as a file, it means the same.
fn check(config: &Config) {
    assert!(!config.listen.is_empty() && config.site.groups.len() == 1 && config.workers.max > 0);
    assert!(!format!("{config:?}").contains('\n'));
    assert!(config.warnings.iter().all(|warning| !warning.contains(char::is_control)), "{:?}", config.warnings);
    let printed = print::print(config);
    match config::parse("printed", &printed, &[]) {
        Ok(again) => assert_eq!(again, *config, "{printed}"),
        Err(mistakes) => panic!("{printed}\n{}", mistakes.join("\n")),
    }
}
