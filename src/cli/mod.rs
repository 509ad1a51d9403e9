//! The command line. Input: the arguments after the program's name. Output: an [`Outcome`]: a checked [`Config`], or
//! what to print instead. Starts nothing, and opens nothing but the system's lists of users and groups.

use crate::access::LogFormat;
mod account;
mod flags;

use self::account::Accounts;
use self::flags::{Args, Command, Demo, NAME, Stop};
use crate::logging::AccessLog;
use crate::network::Network;
use crate::rights::Identity;
use crate::settings::Settings;
use crate::settings::address::{backend_address, listen_address, listen_anywhere};
use crate::settings::group::{Balance, Probe};
use crate::settings::listen::{ListenAddress, ListenSettings};
use log::LevelFilter;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen if nothing is said: not reachable from outside.
const LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8080);

/// A worker is held only by a peer that is slow in mid-body, so this many slow peers are served at once.
const WORKERS: usize = 128;

/// Beyond this, threads are not the way to more throughput: a stack each would fill a small machine.
const MAX_WORKERS: usize = 4096;

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
    /// Print this on stdout and exit with 0.
    Print(String),
    /// There were no arguments at all: print this help on stdout and exit with 2.
    NoArguments(String),
    /// Print this one line, which has no line end, on stderr and exit with 2.
    Wrong(String),
}

/// What the command line says, with all values checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one address to listen on.
    pub listen: Vec<ListenSettings>,
    /// Backends as `host:port` or `unix:/path`; names are not looked up yet.
    pub to: Vec<String>,
    /// Files that list backends.
    pub files: Vec<PathBuf>,
    /// How backends are checked actively. Default not at all.
    pub probe: Option<Probe>,
    /// How one is chosen. Default random.
    pub balance: Balance,
    /// The largest number of worker threads, 1 to 4,096. Default 128.
    pub workers: usize,
    /// Timeouts and limits.
    pub settings: Settings,
    /// Where access lines go. Default stdout.
    pub access_log: AccessLog,
    /// How log lines look. Default text.
    pub log_format: LogFormat,
    /// Which messages are logged. Default info.
    pub log_level: LevelFilter,
    /// Peers whose `X-Forwarded-*` fields are believed. Default none.
    pub trust: Vec<Network>,
    /// Fixes the random choices.
    pub seed: Option<u64>,
    /// Whom to become once everything is open.
    pub user: Option<Identity>,
    /// Whether to be confined to the files that are needed. Default true.
    pub sandbox: bool,
    /// One line for each value that is valid but dangerous, for the log.
    pub warnings: Vec<String>,
}

/// Reads the arguments, without the program's name.
#[must_use]
pub fn parse(arguments: &[String]) -> Outcome {
    if arguments.is_empty() {
        return Outcome::NoArguments(flags::help());
    }
    match flags::read(arguments) {
        Ok(args) => decide(args).unwrap_or_else(Outcome::Wrong),
        Err(Stop::Help(text)) => Outcome::Print(text),
        Err(Stop::Wrong(line)) => Outcome::Wrong(line),
    }
}

/// What the arguments ask for.
fn decide(mut args: Args) -> Result<Outcome, String> {
    if args.version {
        return Ok(Outcome::Print(format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))));
    }
    match args.command.take() {
        Some(Command::Demo(demo)) => decide_demo(&args, demo),
        None => config(&args).map(|config| Outcome::Run(Box::new(config))),
    }
}

/// A flag before `demo` would be silently ignored; refuse it.
fn decide_demo(args: &Args, demo: Demo) -> Result<Outcome, String> {
    let lists = [&args.listen, &args.to, &args.set, &args.trust];
    let singles =
        [&args.balance, &args.health, &args.workers, &args.access_log, &args.log_format, &args.log_level, &args.seed];
    let rights = args.user.is_some() || args.group.is_some() || args.no_sandbox;
    if rights || lists.iter().any(|list| !list.is_empty()) || singles.iter().any(|single| single.is_some()) {
        return Err(format!("write the flags of demo after it: {NAME} demo --listen 8080"));
    }
    let listen = demo.listen.map(|text| value("--listen", &text, listen_address(&text))).transpose()?;
    Ok(Outcome::Demo { listen: listen.unwrap_or(LISTEN.into()) })
}

/// Checks all values.
fn config(args: &Args) -> Result<Config, String> {
    let (files, to): (Vec<_>, Vec<_>) = args.to.iter().cloned().partition(|text| text.starts_with("file:"));
    let files = values("--to", &files, backend_file)?;
    let to = values("--to", &to, backend_address)?;
    if to.is_empty() && files.is_empty() {
        return Err(format!("give at least one backend: --to host:port (or try: {NAME} demo)"));
    }
    let mut settings = Settings::default();
    for assignment in &args.set {
        settings.set(assignment).map_err(|error| format!("--set: {error}"))?;
    }
    let trust: Vec<Network> = values("--trust", &args.trust, Network::from_str)?;
    let warnings = trust_warnings(&trust).chain(settings.warnings()).collect();
    Ok(Config {
        listen: listen(&args.listen)?,
        to,
        files,
        probe: args.health.as_deref().map(probe).transpose()?,
        balance: balance(args.balance.as_deref())?,
        workers: number("--workers", args.workers.as_deref(), 1..=MAX_WORKERS)?.unwrap_or(WORKERS),
        settings,
        access_log: access_log(args.access_log.as_deref())?,
        log_format: choice("--log-format", args.log_format.as_deref(), &LOG_FORMATS)?,
        log_level: choice("--log-level", args.log_level.as_deref(), &LOG_LEVELS)?,
        trust,
        seed: number("--seed", args.seed.as_deref(), 0..=u64::MAX)?,
        user: user(args.user.as_deref(), args.group.as_deref())?,
        sandbox: !args.no_sandbox,
        warnings,
    })
}

/// Names the flag and its value in an error.
fn value<T, E: Display>(flag: &str, text: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{flag} {text:?}: {error}"))
}

fn values<T, E: Display>(flag: &str, texts: &[String], parse: fn(&str) -> Result<T, E>) -> Result<Vec<T>, String> {
    texts.iter().map(|text| value(flag, text, parse(text))).collect()
}

fn listen(texts: &[String]) -> Result<Vec<ListenSettings>, String> {
    let listen = values("--listen", texts, listen_anywhere)?;
    // Port 0 is a different free port each time.
    let free = |address: &ListenAddress| matches!(address, ListenAddress::Inet(address) if address.port() == 0);
    let twice = |(i, one): &(usize, &ListenSettings)| !free(&one.address) && listen[..*i].contains(one);
    if let Some((_, one)) = listen.iter().enumerate().find(twice) {
        return Err(format!("--listen: {} is given more than once", one.address));
    }
    Ok(if listen.is_empty() { vec![SocketAddr::from(LISTEN).into()] } else { listen })
}

/// `file:/path`: relative ones would depend on where footbridge was started.
fn backend_file(text: &str) -> Result<PathBuf, &'static str> {
    let path = text.strip_prefix("file:").unwrap_or(text);
    if path.starts_with('/') {
        Ok(path.into())
    } else {
        Err("write the absolute path of a list: file:/etc/app.backends")
    }
}

fn probe(text: &str) -> Result<Probe, String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    match text {
        "tcp" => Ok(Probe::Tcp),
        path if path.starts_with('/') && visible => Ok(Probe::get(path)),
        _ => Err(format!("--health {text:?}: write a path, like /healthz, or tcp")),
    }
}

fn balance(name: Option<&str>) -> Result<Balance, String> {
    let Some(name) = name else { return Ok(Balance::default()) };
    Balance::named(name).ok_or_else(|| format!("--balance {name:?}: write {}", Balance::NAMES.join(" or ")))
}

/// The first is the default.
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The first is the default.
const LOG_LEVELS: [(&str, LevelFilter); 4] = [
    ("info", LevelFilter::Info),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("debug", LevelFilter::Debug),
];

/// Takes one of several names, or the first if there is none.
fn choice<T: Copy>(flag: &str, name: Option<&str>, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(known, _)| name.is_none_or(|name| name == *known));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("{flag} {:?}: write {}", name.unwrap_or_default(), names.join(" or "))
    })
}

fn access_log(text: Option<&str>) -> Result<AccessLog, String> {
    match text {
        None | Some("stdout") => Ok(AccessLog::Stdout),
        Some("stderr") => Ok(AccessLog::Stderr),
        Some("off") => Ok(AccessLog::Off),
        Some("") => Err("--access-log \"\": write stdout, stderr, off or a path".to_owned()),
        Some(path) => Ok(AccessLog::Path(path.into())),
    }
}

/// `1*DIGIT` within `range`.
fn number<T>(flag: &str, text: Option<&str>, range: std::ops::RangeInclusive<T>) -> Result<Option<T>, String>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(text) = text else { return Ok(None) };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse().ok().filter(|number| plain && range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("{flag} {text:?}: write a number from {} to {}", range.start(), range.end())),
    }
}

/// Reads the lists only if somebody is to be looked up there.
fn user(user: Option<&str>, group: Option<&str>) -> Result<Option<Identity>, String> {
    match (user, group) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("--group: give --user, too".to_owned()),
        (Some(user), group) => Accounts::read().identity(user, group).map(Some),
    }
}

fn trust_warnings(trust: &[Network]) -> impl Iterator<Item = String> {
    trust.iter().filter(|network| network.is_vast()).map(|network| {
        format!("--trust {network} is a large part of the Internet: clients can forge X-Forwarded-* fields")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(config.to, ["app:3000"]);
        assert_eq!(config.workers, 128);
        assert_eq!(config.settings, Settings::default());
        assert_eq!(config.access_log, AccessLog::Stdout);
        assert_eq!(config.log_format, LogFormat::Text);
        assert_eq!(config.log_level, LevelFilter::Info);
        assert!(config.trust.is_empty() && config.warnings.is_empty() && config.seed.is_none());
        assert!(config.user.is_none() && config.sandbox);
    }

    #[test]
    fn every_flag_is_read_with_a_space_or_an_equals_sign() {
        let line = "--listen 80 --listen [::1]:81 --to http://a:1/ --to b:2 --balance random --workers 4 \
            --set timeouts.response=3s --set limits.headers=7 --access-log /var/log/a=b --log-format json \
            --log-level debug --trust 10.0.0.0/8 --trust ::1 --seed 42";
        let equals: Vec<_> = line.split_whitespace().collect();
        let equals: Vec<_> = equals.chunks(2).map(|pair| pair.join("=")).collect();
        let spaces = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for argv in [spaces, equals] {
            let Outcome::Run(config) = parse(&argv) else { panic!("{argv:?}") };
            assert_eq!(
                config.listen.iter().map(|listen| listen.address.to_string()).collect::<Vec<_>>(),
                ["127.0.0.1:80", "[::1]:81"]
            );
            assert_eq!(config.to, ["a:1", "b:2"]);
            assert_eq!(config.workers, 4);
            assert_eq!(config.settings.timeouts.response, Duration::from_secs(3));
            assert_eq!(config.settings.limits.headers, 7);
            assert_eq!(config.access_log, AccessLog::Path("/var/log/a=b".into()));
            assert_eq!(config.log_format, LogFormat::Json);
            assert_eq!(config.log_level, LevelFilter::Debug);
            assert_eq!(config.trust, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
            assert_eq!(config.seed, Some(42));
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
            ("--no-sandbox demo", "write the flags of demo after it: footbridge demo --listen 8080"),
            ("--to a:1 demo", "write the flags of demo after it: footbridge demo --listen 8080"),
            ("demo --to a:1", "demo does not take --to"),
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
        let config = run("--to a:1 --trust 0.0.0.0/0 --trust 10.0.0.0/8 --set timeouts.header=off");
        assert_eq!(config.warnings.len(), 2);
        assert!(config.warnings[0].starts_with("--trust 0.0.0.0/0 "), "{:?}", config.warnings);
        assert!(config.warnings[1].starts_with("timeouts.header is off"), "{:?}", config.warnings);
    }
}
