//! Command lines, one argument a line: never a panic; mistakes are told in one line; what is accepted can be read again.

#![no_main]

use footbridge::cli::{Config, Outcome, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let arguments: Vec<String> = text.lines().map(str::to_owned).collect();
    match parse(&arguments) {
        Outcome::Run(config) => check(&config),
        Outcome::Demo { listen } => assert!(!listen.to_string().is_empty()),
        Outcome::Print(text) | Outcome::NoArguments(text) => assert!(text.ends_with('\n'), "{text:?}"),
        Outcome::Wrong(line) => {
            assert!(!line.is_empty() && !line.contains(char::is_control), "{arguments:?}: {line:?}");
        }
    }
});

/// Written out as text, its addresses, networks and numbers are accepted again, and mean the same.
fn check(config: &Config) {
    assert!(
        !config.listen.is_empty()
            && !(config.to.is_empty() && config.files.is_empty())
            && (1..=4096).contains(&config.workers)
    );
    assert!(!format!("{config:?}").contains('\n'));
    assert!(config.warnings.iter().all(|warning| !warning.contains(char::is_control)), "{:?}", config.warnings);
    let mut written = vec![format!("--workers={}", config.workers)];
    written.extend(config.listen.iter().map(|listen| format!("--listen={}", listen.address)));
    written.extend(config.to.iter().map(|backend| format!("--to={backend}")));
    written.extend(config.files.iter().map(|list| format!("--to=file:{}", list.display())));
    written.extend(config.trust.iter().map(|network| format!("--trust={network}")));
    written.extend(config.seed.iter().map(|seed| format!("--seed={seed}")));
    let Outcome::Run(again) = parse(&written) else { panic!("accepted once, and not as {written:?}") };
    assert_eq!((&again.listen, &again.to, &again.trust), (&config.listen, &config.to, &config.trust));
    assert_eq!(again.files, config.files);
    assert_eq!((again.workers, again.seed), (config.workers, config.seed));
}
