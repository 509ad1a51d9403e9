//! The program `footbridge`: reads the command line and runs what it asks for.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use footbridge::cli::{self, Outcome};
use footbridge::{admin, demo, run};

/// The command line, or a value in it, is wrong.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut arguments = Vec::new();
    for word in std::env::args_os().skip(1) {
        arguments.push(word.to_string_lossy().into_owned());
    }
    match cli::parse(&arguments) {
        Outcome::Print(text) => print(&text, ExitCode::SUCCESS),
        Outcome::NoArguments(help) => print(&help, ExitCode::from(WRONG_USAGE)),
        Outcome::Wrong(line) => {
            eprintln!("footbridge: {line}");
            ExitCode::from(WRONG_USAGE)
        }
        Outcome::Mistakes(mistakes) => {
            eprintln!("{}", mistakes.join("\n"));
            ExitCode::from(WRONG_USAGE)
        }
        Outcome::Checked { line, warnings } => {
            for warning in warnings {
                eprintln!("footbridge: warning: {warning}");
            }
            print(&line, ExitCode::SUCCESS)
        }
        Outcome::Run(config) => exit_code(run::run(*config, arguments)),
        Outcome::Ask { admin, target } => match admin::client::ask(&admin, target) {
            Ok(text) => print(&text, ExitCode::SUCCESS),
            Err(problem) => exit_code(Err(problem)),
        },
        Outcome::Demo { listen } => exit_code(demo::run(listen)),
    }
}

/// Unlike `print!`, takes it when the reader has gone.
fn print(text: &str, code: ExitCode) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("footbridge: {problem}");
            ExitCode::FAILURE
        }
    }
}
