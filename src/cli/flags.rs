//! The flags as argh reads them: raw texts, unchecked. Input: the arguments after the program's name. Output: [`Args`],
//! or why there are none. What the texts mean is decided in [`crate::cli`].

use super::asking::{Ps, Reason, Status};
use crate::config::printable;
use crate::settings::suggest::nearest;
use argh::{EarlyExit, FromArgs};

/// The program's name in help and messages, however it was called.
pub(crate) const NAME: &str = "footbridge";

/// A reverse proxy and load balancer for HTTP/1.x.
#[derive(FromArgs, Default)]
#[argh(help_triggers("-h", "--help", "help"), example = "{command_name} --to 127.0.0.1:3000 --to 127.0.0.1:3001")]
pub(crate) struct Args {
    /// where to listen: [ip:]port, [v6]:port, or unix: and a path; repeatable (default 127.0.0.1:8080)
    #[argh(option, arg_name = "addr")]
    pub(crate) listen: Vec<String>,
    /// backend: host:port, `http://host:port`, `unix:/path`, or `file:/path` with one a line; repeatable
    #[argh(option, arg_name = "addr")]
    pub(crate) to: Vec<String>,
    /// random (default) | round-robin | least-connections | two-choices | hash
    #[argh(option, arg_name = "name")]
    pub(crate) balance: Option<String>,
    /// check each backend by asking it for this path (or write tcp: by connecting to it)
    #[argh(option, arg_name = "path")]
    pub(crate) health: Option<String>,
    /// TOML file; excludes --listen, --to, --balance and --health
    #[argh(option, arg_name = "file")]
    pub(crate) config: Option<String>,
    /// largest number of worker threads (default 128)
    #[argh(option, arg_name = "n")]
    pub(crate) workers: Option<String>,
    /// a timeout or limit, like timeouts.response=3s; repeatable
    #[argh(option, arg_name = "key=value")]
    pub(crate) set: Vec<String>,
    /// where footbridge answers for itself: [ip:]port, [v6]:port, or unix: and a path (default: nowhere)
    #[argh(option, arg_name = "addr")]
    pub(crate) admin: Option<String>,
    /// stdout (default) | stderr | off | a path
    #[argh(option, arg_name = "where")]
    pub(crate) access_log: Option<String>,
    /// text (default) | json
    #[argh(option, arg_name = "name")]
    pub(crate) log_format: Option<String>,
    /// error | warn | info (default) | debug
    #[argh(option, arg_name = "level")]
    pub(crate) log_level: Option<String>,
    /// peer whose X-Forwarded-* is believed; repeatable (default none)
    #[argh(option, arg_name = "cidr")]
    pub(crate) trust: Vec<String>,
    /// fix the random choices: a lesson, a test and a bug report see the same sequence
    #[argh(option, arg_name = "n")]
    pub(crate) seed: Option<String>,
    /// started as root: become this user, by name or number, once the ports are open
    #[argh(option, arg_name = "name")]
    pub(crate) user: Option<String>,
    /// the group to go with --user (default: the user's own)
    #[argh(option, arg_name = "name")]
    pub(crate) group: Option<String>,
    /// do not confine the process to the files that it needs (Linux: Landlock)
    #[argh(switch)]
    pub(crate) no_sandbox: bool,
    /// print the equal TOML and exit
    #[argh(switch)]
    pub(crate) print_config: bool,
    /// print the version
    #[argh(switch)]
    pub(crate) version: bool,
    #[argh(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Check(Check),
    Status(Status),
    Ps(Ps),
    Reason(Reason),
}

/// backends built in: one command shows it all
#[derive(FromArgs)]
#[argh(subcommand, name = "demo", help_triggers("-h", "--help", "help"))]
pub(crate) struct Demo {
    /// where to listen: [ip:]port or [v6]:port (default 127.0.0.1:8080)
    #[argh(option, arg_name = "addr")]
    pub(crate) listen: Option<String>,
}

/// is a configuration file right? exit code 0 or 2
#[derive(FromArgs)]
#[argh(subcommand, name = "check", help_triggers("-h", "--help", "help"))]
pub(crate) struct Check {
    /// the TOML file
    #[argh(option, arg_name = "file")]
    pub(crate) config: Option<String>,
}

/// The flags of [`Args`] and its commands, for suggestions.
pub(crate) const FLAGS: [&str; 19] = [
    "--listen",
    "--to",
    "--balance",
    "--health",
    "--config",
    "--admin",
    "--print-config",
    "--workers",
    "--set",
    "--access-log",
    "--log-format",
    "--log-level",
    "--trust",
    "--seed",
    "--user",
    "--group",
    "--no-sandbox",
    "--version",
    "--help",
];

/// Why there are no [`Args`].
pub(crate) enum Stop {
    /// Help was asked for: the text.
    Help(String),
    /// A mistake: one line without a line end.
    Wrong(String),
}

/// Reads the flags.
pub(crate) fn read(arguments: &[String]) -> Result<Args, Stop> {
    let words = split_equals(arguments);
    Args::from_args(&[NAME], &words).map_err(|EarlyExit { output, status }| match status {
        Ok(()) => Stop::Help(output),
        Err(()) => Stop::Wrong(one_line(&output)),
    })
}

/// `--flag=value` becomes `--flag value`, which is all that argh knows. After `--` nothing is a flag.
fn split_equals(arguments: &[String]) -> Vec<&str> {
    let mut words = Vec::new();
    let mut flags_ended = false;
    for arg in arguments {
        flags_ended |= arg == "--";
        match arg.split_once('=') {
            Some((flag, value)) if !flags_ended && flag.starts_with("--") => {
                words.push(flag);
                words.push(value);
            }
            _ => words.push(arg.as_str()),
        }
    }
    words
}

/// The whole help text.
pub(crate) fn help() -> String {
    Args::from_args(&[NAME], &["--help"]).err().map(|exit| exit.output).unwrap_or_default()
}

/// argh's error texts, in the manner of the other messages.
fn one_line(output: &str) -> String {
    if let Some(given) = output.strip_prefix("Unrecognized argument: ") {
        return unknown_argument(given.strip_suffix('\n').unwrap_or(given));
    }
    // Both begin with a flag of ours.
    if let Some((flag, _)) = behind(output, "No value provided for option '") {
        return format!("{flag}: give a value");
    }
    match behind(output, "Error parsing option '") {
        Some((flag, rest)) if rest.ends_with("duplicate values provided\n") => {
            format!("{flag}: given more than once")
        }
        _ => printable(output.trim_ascii_end()),
    }
}

/// What stands behind that beginning, before and after the next quote.
fn behind<'a>(text: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(start)?.split_once('\'')
}

fn unknown_argument(given: &str) -> String {
    if FLAGS.contains(&given) {
        return format!("this command does not take {given}");
    }
    match nearest(given, &FLAGS) {
        Some(flag) => format!("unknown argument {given:?}; did you mean {flag:?}?"),
        None => format!("unknown argument {given:?}; footbridge --help lists them"),
    }
}
