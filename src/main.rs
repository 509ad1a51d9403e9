//! The program `footbridge`: reads the command line and runs what it asks for.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use footbridge::cli::{self, Outcome};
use footbridge::config::Config;
use footbridge::demo;
use footbridge::logging::{self, AccessLog, Sinks};
use footbridge::proxy::{ReverseProxyHandler, Site};
use footbridge::rights;
use footbridge::rights::Needs;
use footbridge::serve::{self, Notifier, Serving, Sockets};
use footbridge::settings::listen::{ListenAddress, ListenSettings};
use footbridge::socketserver::Workers;

/// The command line, or a value in it, is wrong.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
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
        Outcome::Run(config) => exit_code(run(&config)),
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

/// A proxy in front of the given backends, until a signal.
fn run(config: &Config) -> Result<(), String> {
    // First of all: what is opened from now on must not stand where one of these should be.
    let mut sockets = Sockets::inherit()?;
    let manager = Notifier::from_environment();
    // What needs rights comes next: then they are given up, on this one thread, for all that it starts.
    let cannot_log = |error: io::Error| format!("cannot log: {error}");
    let sinks = Sinks::open(&config.access_log).map_err(cannot_log)?;
    let listen = config.listen.iter().map(|listen| Ok((sockets.open(listen)?, listen.address.clone())));
    let listeners = listen.collect::<Result<Vec<_>, String>>()?;
    // Folders, because another file takes a file's name when it is replaced.
    let files = config.site.groups.iter().flat_map(|group| &group.files);
    let lists: Vec<_> = files.filter_map(|list| list.parent()).map(Path::to_owned).collect();
    let socket_directory = |listen: &ListenSettings| match &listen.address {
        ListenAddress::Unix(path) => path.parent().map(Path::to_owned),
        ListenAddress::Inet(_) => None,
    };
    let sockets_in: Vec<_> = config.listen.iter().filter_map(socket_directory).collect();
    let needs = Needs { access_log: config.access_log.path(), sockets: &sockets_in, read: &lists, ..Needs::default() };
    let notes = rights::give_up(config.user.as_ref(), config.sandbox, &needs)?;
    let logs = logging::start(config.log_level, sinks, config.log_format).map_err(cannot_log)?;
    for warning in config.warnings.iter().cloned().chain(sockets.warnings()) {
        log::warn!("{warning}");
    }
    for (level, note) in notes {
        log::log!(level, "{note}");
    }
    let allowed = serve::raise_descriptor_limit();
    let most_connections = config.site.settings.limits.connections.unwrap_or(allowed);
    let workers = Workers::with("worker", &config.workers).map_err(|error| format!("cannot start: {error}"))?;
    let access_log = (config.access_log != AccessLog::Off).then_some(config.log_format);
    let handler = ReverseProxyHandler::with_site(Site::new(config.site.clone(), None)).with_access_log(access_log);
    let handler = Arc::new(handler);
    let mut serving = Serving::new(handler, &workers, most_connections, config.site.settings.timeouts.shutdown)?;
    for (listener, address) in listeners {
        serving.start(address, listener)?;
    }
    let mut reload = |_: &mut Serving<_>| log::warn!("signal HUP: there is no configuration file to read anew");
    serve::serve_until_signal(serving, &manager, logs.reopener(), Some(&mut reload))
}
