//! README says what the program does: its tables are compared with the program's own.

use footbridge::cli::{self, Outcome};
use footbridge::settings;

const README: &str = include_str!("../README.md");

#[test]
fn every_setting_stands_in_the_readme_with_its_default() {
    for (key, default) in settings::Settings::default().values() {
        let row = format!("| `{key}` | {default} |");
        assert!(README.contains(&row), "README lacks the row that begins with {row}");
    }
}

#[test]
fn the_readme_lists_no_setting_that_does_not_exist() {
    let known: Vec<_> = settings::keys().collect();
    let groups = ["timeouts.", "limits.", "backends.", "retry."];
    let is_key = |word: &&str| word.split_once(".rs").is_none() && groups.iter().any(|group| word.starts_with(group));
    for word in README.split('`').filter(is_key) {
        let key = word.split('=').next().expect("a first part");
        assert!(known.contains(&key), "README speaks of {word}, and there is no such setting");
    }
}

#[test]
fn every_flag_of_the_help_stands_in_the_readme() {
    let Outcome::Print(help) = cli::parse(&["--help".to_owned()]) else { panic!("--help prints") };
    let flags: Vec<_> = help.lines().filter_map(|line| line.trim_start().strip_prefix("--")).collect();
    assert!(flags.len() > 8, "the help lists the flags: {help}");
    for flag in flags {
        let name = flag.split_whitespace().next().expect("a name");
        assert!(README.contains(&format!("`--{name}`")), "README lacks --{name}");
    }
}
