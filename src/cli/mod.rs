//! The command line. Input: the arguments after the program's name. Output: an [`Outcome`]: a checked [`Config`], or
//! what to print instead. Starts nothing, and opens nothing but the configuration file and the system's lists of users
//! and groups.

mod asking;
mod flags;

use self::flags::{Args, Check, Command, Demo, Stop};
use crate::config::{self, Config, LISTEN, account, is_taken, print, values};
use crate::network::Network;
use crate::rights::Identity;
use crate::settings::Settings;
use crate::settings::address::{backend_address, listen_address, listen_anywhere};
use crate::settings::group::{DEFAULT_GROUP, GroupSettings, Probe, ServerSettings};
use crate::settings::listen::{ListenAddress, ListenSettings};
use crate::settings::route::RouteSettings;
use std::fmt::Display;
use std::mem;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What is to be done after reading the command line.
#[derive(Debug)]
pub enum Outcome {
    /// Run the proxy.
    Run(Box<Config>),
    /// Run the demonstration with backends built in.
    Demo {
        /// Where it listens.
        listen: SocketAddr,
    },
    /// Ask a running footbridge, and print what it answers.
    Ask {
        /// Where its admin page is.
        admin: ListenAddress,
        /// What to ask for.
        target: &'static str,
    },
    /// Print this on stdout and exit with 0.
    Print(String),
    /// The configuration file is right: print the warnings on stderr, the line on stdout, and exit with 0.
    Checked {
        /// What it holds, with a line end.
        line: String,
        /// What is valid but dangerous or useless, a line each.
        warnings: Vec<String>,
    },
    /// There were no arguments at all: print this help on stdout and exit with 2.
    NoArguments(String),
    /// Print this one line, which has no line end, on stderr and exit with 2.
    Wrong(String),
    /// The configuration file is wrong: print these on stderr, each with its lines, and exit with 2.
    Mistakes(Vec<String>),
}

/// Reads the arguments, without the program's name.
#[must_use]
pub fn parse(arguments: &[String]) -> Outcome {
    if arguments.is_empty() {
        return Outcome::NoArguments(flags::help());
    }
    match flags::read(arguments) {
        Ok(args) => match decide(args) {
            Ok(outcome) | Err(outcome) => outcome,
        },
        Err(Stop::Help(text)) => Outcome::Print(text),
        Err(Stop::Wrong(line)) => Outcome::Wrong(line),
    }
}

impl From<String> for Outcome {
    /// What is wrong with the command line.
    fn from(line: String) -> Outcome {
        Outcome::Wrong(line)
    }
}

/// What the arguments ask for.
fn decide(mut args: Args) -> Result<Outcome, Outcome> {
    if args.version {
        return Ok(Outcome::Print(concat!("footbridge ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
    }
    match args.command.take() {
        Some(Command::Demo(demo)) => decide_demo(&args, &demo),
        Some(Command::Check(check)) => decide_check(&args, check),
        Some(_) if has_flags(&args) => {
            wrong("write the flags of a command after it: footbridge status --admin 127.0.0.1:9901")
        }
        Some(Command::Reason(words)) => Ok(asking::reason(&words)?),
        Some(Command::Status(how)) => Ok(asking::status(&how)?),
        Some(Command::Ps(how)) => Ok(asking::ps(&how)?),
        None => {
            let config = config(&args)?;
            Ok(if args.print_config { Outcome::Print(print::print(&config)) } else { Outcome::Run(Box::new(config)) })
        }
    }
}

fn wrong(line: &str) -> Result<Outcome, Outcome> {
    Err(Outcome::Wrong(line.to_owned()))
}

fn decide_demo(args: &Args, demo: &Demo) -> Result<Outcome, Outcome> {
    if has_flags(args) {
        return wrong("write the flags of demo after it: footbridge demo --listen 8080");
    }
    let listen = match &demo.listen {
        Some(text) => value("--listen", text, listen_address)?,
        None => LISTEN.into(),
    };
    Ok(Outcome::Demo { listen })
}

fn decide_check(args: &Args, check: Check) -> Result<Outcome, Outcome> {
    let (false, Some(file)) = (has_flags(args), check.config) else {
        return wrong("write what to check after it: footbridge check --config footbridge.toml");
    };
    let mut config = config::load(Path::new(&file), &[]).map_err(Outcome::Mistakes)?;
    let warnings = mem::take(&mut config.warnings);
    Ok(Outcome::Checked { line: format!("{file:?} is right: {}\n", config.summary()), warnings })
}

/// Whether there is a flag before a command: it would be silently ignored.
fn has_flags(args: &Args) -> bool {
    let a_list = !(args.listen.is_empty() && args.to.is_empty() && args.set.is_empty() && args.trust.is_empty());
    let of_a_group = args.balance.is_some() || args.health.is_some() || args.config.is_some() || args.admin.is_some();
    let of_the_log = args.access_log.is_some() || args.log_format.is_some() || args.log_level.is_some();
    let of_the_process = args.workers.is_some() || args.seed.is_some() || args.user.is_some() || args.group.is_some();
    a_list || of_a_group || of_the_log || of_the_process || args.no_sandbox || args.print_config
}

/// Everything, from the file or the flags.
fn config(args: &Args) -> Result<Config, Outcome> {
    let mut settings = config::default_settings();
    for assignment in &args.set {
        settings.set(assignment).map_err(|error| format!("--set: {error}"))?;
    }
    let mut config =
        match &args.config {
            Some(file) => {
                not_beside_a_file(args)?;
                let file = value("--config", file, |file| {
                    if file.is_empty() { Err("write a path") } else { Ok(PathBuf::from(file)) }
                })?;
                config::load(&file, &args.set).map_err(Outcome::Mistakes)?
            }
            None => from_flags(args, settings)?,
        };
    set_from_flags(args, &mut config)?;
    config.warn();
    Ok(config)
}

/// What the file says about these, flags would have to take away, not add to.
fn not_beside_a_file(args: &Args) -> Result<(), String> {
    let given = [
        ("--listen", !args.listen.is_empty()),
        ("--to", !args.to.is_empty()),
        ("--balance", args.balance.is_some()),
        ("--health", args.health.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(format!("{flag} cannot be given beside --config: write it in the file")),
        None => Ok(()),
    }
}

/// What only goes without a file: one group, and all requests to it.
fn from_flags(args: &Args, settings: Settings) -> Result<Config, String> {
    let (mut files, mut servers) = (Vec::new(), Vec::new());
    for text in &args.to {
        if text.starts_with("file:") {
            files.push(value("--to", text, values::backend_file)?);
        } else {
            servers.push(ServerSettings::new(value("--to", text, backend_address)?));
        }
    }
    if servers.is_empty() && files.is_empty() {
        return Err("give at least one backend: --to host:port (or try: footbridge demo)".to_owned());
    }
    let mut group = GroupSettings::new(DEFAULT_GROUP, servers, &settings);
    group.files = files;
    if let Some(text) = &args.health {
        group.probe = Some(probe(text)?);
    }
    if let Some(name) = &args.balance {
        group.balance = value("--balance", name, values::balance)?;
    }
    let mut config = Config::new(settings);
    config.site.routes.push(RouteSettings::all_to(DEFAULT_GROUP, &group.settings));
    config.site.groups.push(group);
    if !args.listen.is_empty() {
        listen(&args.listen, &mut config.listen)?;
    }
    Ok(config)
}

/// What flags say with or without a file.
fn set_from_flags(args: &Args, config: &mut Config) -> Result<(), String> {
    if !args.trust.is_empty() {
        config.site.trusted.clear();
    }
    for text in &args.trust {
        config.site.trusted.push(value("--trust", text, Network::from_str)?);
    }
    if let Some(text) = &args.workers
        && config.workers.set_value("workers.max", text).is_err()
    {
        return Err(wrong_value("--workers", text, &"write a number from 1 to 4096"));
    }
    if let Some(text) = &args.admin {
        config.admin = Some(value("--admin", text, listen_anywhere)?);
    }
    if let Some(admin) = config.admin.as_ref().filter(|admin| is_taken(admin, &config.listen)) {
        return Err(format!("--admin: {} is listened on for clients", admin.address));
    }
    if let Some(text) = &args.access_log {
        config.access_log = value("--access-log", text, values::access_log)?;
    }
    if let Some(text) = &args.log_format {
        config.log_format = value("--log-format", text, values::log_format)?;
    }
    if let Some(text) = &args.log_level {
        config.log_level = value("--log-level", text, values::log_level)?;
    }
    if let Some(text) = &args.seed {
        config.site.seed = Some(value("--seed", text, values::seed)?);
    }
    if args.user.is_some() || args.group.is_some() {
        config.user = Some(user(args, config.user.as_ref())?);
    }
    config.sandbox &= !args.no_sandbox;
    Ok(())
}

/// Reads a value; names the flag and the text in an error.
#[inline(never)]
fn value<T, E: Display>(flag: &str, text: &str, parse: fn(&str) -> Result<T, E>) -> Result<T, String> {
    parse(text).map_err(|error| wrong_value(flag, text, &error))
}

/// Apart from [`value`], of which there is one for each type.
#[inline(never)]
fn wrong_value(flag: &str, text: &str, error: &dyn Display) -> String {
    format!("{flag} {text:?}: {error}")
}

fn listen(texts: &[String], listen: &mut Vec<ListenSettings>) -> Result<(), String> {
    listen.clear();
    for text in texts {
        let one = value("--listen", text, listen_anywhere)?;
        if is_taken(&one, listen) {
            return Err(format!("--listen: {} is given more than once", one.address));
        }
        listen.push(one);
    }
    Ok(())
}

fn probe(text: &str) -> Result<Probe, String> {
    match text {
        "tcp" => Ok(Probe::Tcp),
        path => value("--health", path, values::probe_path).map(Probe::get).map_err(|problem| problem + ", or tcp"),
    }
}

/// Whom the flags name, or the group of whom the file names.
fn user(args: &Args, in_file: Option<&Identity>) -> Result<Identity, String> {
    let Some(user) = args.user.as_deref().or(in_file.map(|user| user.name.as_str())) else {
        return Err("--group: give --user, too".to_owned());
    };
    account::identity(user, args.group.as_deref()).map_err(|unknown| format!("--{unknown}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::LogFormat;
    use crate::config::WorkerSettings;
    use crate::logging::AccessLog;
    use log::LevelFilter;
    use std::time::Duration;

    fn parse_line(line: &str) -> Outcome {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn run(line: &str) -> Config {
        match parse_line(line) {
            Outcome::Run(config) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn one_backend_is_enough_and_the_rest_has_defaults() {
        let config = run("--to app:3000");
        assert_eq!(config.listen, [SocketAddr::from(([127, 0, 0, 1], 8080)).into()]);
        assert_eq!(
            config.site.groups,
            [GroupSettings::new("default", vec![ServerSettings::new("app:3000")], &Settings::default())]
        );
        assert_eq!(config.site.routes, [RouteSettings::all_to("default", &Settings::default())]);
        assert_eq!(config.workers, WorkerSettings::default());
        assert_eq!(config.site.settings, Settings::default());
        assert!(config.admin.is_none() && config.source.is_none());
        assert_eq!(config.access_log, AccessLog::Stdout);
        assert_eq!(config.log_format, LogFormat::Text);
        assert_eq!(config.log_level, LevelFilter::Info);
        assert!(config.site.trusted.is_empty() && config.warnings.is_empty() && config.site.seed.is_none());
        assert!(config.user.is_none() && config.sandbox);
    }

    #[test]
    fn every_flag_is_read_with_a_space_or_an_equals_sign() {
        let line = "--listen 80 --listen [::1]:81 --to http://a:1/ --to b:2 --balance random --workers 4 \
            --set timeouts.response=3s --set limits.headers=7 --access-log /var/log/a=b --log-format json \
            --log-level debug --trust 10.0.0.0/8 --trust ::1 --seed 42 \
            --admin 9901";
        let equals: Vec<_> = line.split_whitespace().collect();
        let equals: Vec<_> = equals.chunks(2).map(|pair| pair.join("=")).collect();
        let spaces = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for argv in [spaces, equals] {
            let Outcome::Run(config) = parse(&argv) else { panic!("{argv:?}") };
            assert_eq!(
                config.listen.iter().map(|listen| listen.address.to_string()).collect::<Vec<_>>(),
                ["127.0.0.1:80", "[::1]:81"]
            );
            let group = &config.site.groups[0];
            assert_eq!(group.servers, [ServerSettings::new("a:1"), ServerSettings::new("b:2")]);
            assert_eq!(group.settings, config.site.settings);
            assert_eq!(config.workers.max, 4);
            assert_eq!(config.admin.unwrap().address.to_string(), "127.0.0.1:9901");
            assert_eq!(config.site.settings.timeouts.response, Duration::from_secs(3));
            assert_eq!(config.site.settings.limits.headers, 7);
            assert_eq!(config.access_log, AccessLog::Path("/var/log/a=b".into()));
            assert_eq!(config.log_format, LogFormat::Json);
            assert_eq!(config.log_level, LevelFilter::Debug);
            assert_eq!(config.site.trusted, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
            assert_eq!(config.site.seed, Some(42));
        }
    }

    #[test]
    fn numbers_name_a_user_and_a_group_on_every_machine() {
        let config = run("--to a:1 --user 4294967294 --group=4294967293 --no-sandbox");
        let user = config.user.unwrap();
        assert_eq!((user.name.as_str(), user.uid, user.gid), ("4294967294", 4_294_967_294, 4_294_967_293));
        assert!(!config.sandbox);
    }

    #[test]
    fn no_arguments_get_the_help() {
        let Outcome::NoArguments(help) = parse(&[]) else { panic!() };
        for flag in flags::FLAGS {
            assert!(help.contains(flag), "{flag} is missing in {help}");
        }
        assert!(help.contains("demo"));
    }

    #[test]
    fn help_and_version_are_printed() {
        for line in ["--help", "-h", "help", "--to a:1 --help"] {
            assert!(
                matches!(parse_line(line), Outcome::Print(text) if text.starts_with("Usage: footbridge")),
                "{line}"
            );
        }
        for line in ["demo --help", "help demo"] {
            let Outcome::Print(text) = parse_line(line) else { panic!("{line}") };
            assert!(text.starts_with("Usage: footbridge demo"), "{text}");
        }
        let Outcome::Print(text) = parse_line("--version") else { panic!() };
        assert_eq!(text, concat!("footbridge ", env!("CARGO_PKG_VERSION"), "\n"));
    }

    #[test]
    fn demo_has_an_address_of_its_own() {
        for (line, want) in
            [("demo", "127.0.0.1:8080"), ("demo --listen 9000", "127.0.0.1:9000"), ("demo --listen=[::]:1", "[::]:1")]
        {
            assert!(matches!(parse_line(line), Outcome::Demo { listen } if listen.to_string() == want), "{line}");
        }
    }

    #[test]
    fn a_mistake_gets_one_line_that_says_what_to_write() {
        for (line, want) in [
            ("--listen 80", "give at least one backend: --to host:port (or try: footbridge demo)"),
            ("--too a:1", "unknown argument \"--too\"; did you mean \"--to\"?"),
            ("--log-levle=info", "unknown argument \"--log-levle\"; did you mean \"--log-level\"?"),
            ("a:1", "unknown argument \"a:1\"; footbridge --help lists them"),
            ("--version=yes", "unknown argument \"yes\"; footbridge --help lists them"),
            ("--to", "--to: give a value"),
            ("--to a:1 --workers 1 --workers 2", "--workers: given more than once"),
            ("--to a:1 --workers 0", "--workers \"0\": write a number from 1 to 4096"),
            ("--to a:1 --workers +1", "--workers \"+1\": write a number from 1 to 4096"),
            ("--to a:1 --seed x", "--seed \"x\": write a number from 0 to 18446744073709551615"),
            (
                "--to a:1 --balance hashed",
                "--balance \"hashed\": write random or round-robin or least-connections or two-choices or hash",
            ),
            ("--to a:1 --log-format xml", "--log-format \"xml\": write text or json"),
            ("--to a:1 --log-level trace", "--log-level \"trace\": write info or error or warn or debug"),
            ("--to a:1 --access-log=", "--access-log \"\": write stdout, stderr, off or a path"),
            ("--to a", "--to \"a\": write the port too: host:port"),
            (
                "--to https://a:1",
                "--to \"https://a:1\": TLS to a backend is not supported; write host:port or http://host:port",
            ),
            (
                "--to a:1 --listen x",
                "--listen \"x\": write an IP address and a port, like 127.0.0.1:8080, [::1]:8080 or 8080",
            ),
            ("--to a:1 --listen 80 --listen :80", "--listen: 127.0.0.1:80 is given more than once"),
            (
                "--to a:1 --trust x",
                "--trust \"x\": write an address or a network, like 10.0.0.1, 10.0.0.0/8 or fd00::/8",
            ),
            ("--to a:1 --set timeouts.header=3", "--set: timeouts.header: write a unit: \"10s\""),
            (
                "--to a:1 --set timeouts.respone=3s",
                "--set: unknown key \"timeouts.respone\"; did you mean \"timeouts.response\"?",
            ),
            ("--to a:1 --user no:body", "--user \"no:body\": no such user in /etc/passwd"),
            ("--to a:1 --group 1", "--group: give --user, too"),
            (
                "--to a:1 --admin x",
                "--admin \"x\": write an IP address and a port, like 127.0.0.1:8080, [::1]:8080 or 8080",
            ),
            ("--to a:1 --admin 8080", "--admin: 127.0.0.1:8080 is listened on for clients"),
            ("--config a --to a:1", "--to cannot be given beside --config: write it in the file"),
            ("--config a --health /", "--health cannot be given beside --config: write it in the file"),
            ("check", "write what to check after it: footbridge check --config footbridge.toml"),
            ("--config a check", "write what to check after it: footbridge check --config footbridge.toml"),
            ("--no-sandbox demo", "write the flags of demo after it: footbridge demo --listen 8080"),
            ("--to a:1 demo", "write the flags of demo after it: footbridge demo --listen 8080"),
            ("demo --to a:1", "this command does not take --to"),
        ] {
            match parse_line(line) {
                Outcome::Wrong(text) => assert_eq!(text, want, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn no_argument_can_break_the_one_line() {
        for argv in [vec!["--to", "a\nb"], vec!["a\nb"], vec!["--a\nb=c"], vec!["--to", "a:1", "--set", "a\n=b"]] {
            let argv: Vec<_> = argv.into_iter().map(str::to_owned).collect();
            assert!(matches!(parse(&argv), Outcome::Wrong(text) if !text.contains('\n')), "{argv:?}");
        }
    }

    #[test]
    fn a_dangerous_value_is_taken_with_a_warning() {
        let config = run("--to a:1 --trust 0.0.0.0/0 --trust 10.0.0.0/8 --set timeouts.header=off --admin [::]:9901");
        assert_eq!(config.warnings.len(), 3);
        assert!(config.warnings[0].starts_with("trusted: 0.0.0.0/0 "), "{:?}", config.warnings);
        assert!(config.warnings[1].starts_with("timeouts.header is off"), "{:?}", config.warnings);
        assert!(config.warnings[2].starts_with("admin [::]:9901 is not on loopback"), "{:?}", config.warnings);
        assert!(run("--to a:1 --admin [::ffff:127.0.0.1]:9901").warnings.is_empty());
    }
}
