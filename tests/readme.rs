//! README says what the program does: its tables are compared with the program's own.

use footbridge::cli::{self, Outcome};
use footbridge::config::{self, Entry};
use footbridge::settings;

const README: &str = include_str!("../README.md");

/// How README calls the keys of each table of the configuration file.
const TABLES: [(&str, &str); 16] = [
    ("[server]", "server."),
    ("workers = { }", "server.workers."),
    ("[[listen]]", "listen."),
    ("[backends.*]", "backends.*."),
    ("servers = [{ }]", "backends.*.servers."),
    ("balance = { }", "backends.*.balance."),
    ("health = { }", "backends.*.health."),
    ("[[route]]", "route."),
    ("redirect = { }", "route.redirect."),
    ("respond = { }", "route.respond."),
    ("request_headers or response_headers = { }", "route.*_headers."),
    ("[timeouts]", "timeouts."),
    ("[limits]", "limits."),
    ("[retry]", "retry."),
    ("[health]", "health."),
    ("[backends]", "backends."),
];

/// Tables whose keys are some of another's: README lists their names in a sentence.
const PARTS: [&str; 3] = ["timeouts = { } of [backends.*]", "timeouts = { } of [[route]]", "limits = { }"];

/// A key's name in README. `None` if it has no row of its own, because another's holds for it.
fn row_name(entry: &Entry) -> Option<String> {
    let (_, prefix) = TABLES.iter().find(|(title, _)| *title == entry.table)?;
    let same = match entry.table {
        "[backends.*]" => format!("backends.{}", entry.name),
        "health = { }" => format!("health.{}", entry.name),
        _ => return Some(format!("{prefix}{}", entry.name)),
    };
    (!settings::keys().any(|key| key == same)).then(|| format!("{prefix}{}", entry.name))
}

#[test]
fn every_key_stands_in_the_readme_with_its_default_and_what_it_may_be() {
    let reference = config::reference();
    assert!(reference.len() > 100);
    for entry in &reference {
        let Some(name) = row_name(entry) else { continue };
        let row = format!("| `{name}` | {} | {} |", entry.default, entry.accepted);
        assert!(README.contains(&row), "README lacks the row that begins with {row}");
    }
}

#[test]
fn what_a_group_or_route_may_have_of_its_own_stands_in_the_readme() {
    for title in PARTS {
        let of_table = config::reference().into_iter().filter(|entry| entry.table == title);
        let names: Vec<_> = of_table.map(|entry| format!("`{}`", entry.name)).collect();
        let listed = names.join(", ");
        assert!(!names.is_empty() && README.replace('\n', " ").contains(&listed), "README lacks {listed}");
    }
}

#[test]
fn the_readme_lists_no_key_that_does_not_exist() {
    let mut known: Vec<_> = config::reference().iter().filter_map(row_name).collect();
    known.extend(settings::keys().map(str::to_owned));
    let groups = ["timeouts.", "limits.", "backends.", "retry.", "health.", "server.", "listen.", "route."];
    let is_key = |word: &&str| word.split_once(".rs").is_none() && groups.iter().any(|group| word.starts_with(group));
    for word in README.split('`').filter(is_key) {
        let key = word.split('=').next().expect("a first part");
        assert!(known.iter().any(|known| known == key), "README speaks of {word}, and there is no such key");
    }
}

/// All examples have to be.
#[test]
fn the_files_in_the_readme_are_right() {
    let files: Vec<_> = README.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(files.len() > 1);
    for text in files {
        if let Err(mistakes) = config::parse("README.md", text, &[]) {
            panic!("{}", mistakes.join("\n"));
        }
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
