//! The program `footbridge`: reads the command line and runs what it asks for.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use footbridge::cli::{self, Config, Outcome};
use footbridge::demo;
use footbridge::logging::{self, AccessLog, Sinks};
use footbridge::proxy::{LoadBalancer, ReverseProxyHandler};
use footbridge::socketserver::{TcpServer, Workers};
use footbridge::{rights, serve};

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
    // What needs rights comes first: then they are given up, on this one thread, for all that it starts.
    let cannot_log = |error: io::Error| format!("cannot log: {error}");
    let sinks = Sinks::open(&config.access_log).map_err(cannot_log)?;
    let listeners = config.listen.iter().map(|address| serve::listen(*address)).collect::<Result<Vec<_>, String>>()?;
    let notes = rights::give_up(config.user.as_ref(), config.sandbox, config.access_log.path())?;
    let _logs = logging::start(config.log_level, sinks, config.log_format).map_err(cannot_log)?;
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    for (level, note) in notes {
        log::log!(level, "{note}");
    }
    let allowed = serve::raise_descriptor_limit();
    let most_connections = config.settings.limits.connections.unwrap_or(allowed);
    let workers = Workers::new("worker", config.workers).map_err(|error| format!("cannot start: {error}"))?;
    let balancer = Arc::new(LoadBalancer::new(config.to.iter().cloned(), config.seed, &config.settings));
    let access_log = (config.access_log != AccessLog::Off).then_some(config.log_format);
    let handler = ReverseProxyHandler::new(balancer, config.settings.clone())
        .trusting(config.trust.clone())
        .with_access_log(access_log);
    let handler = Arc::new(handler);
    let servers = listeners.into_iter().map(|listener| {
        let server = TcpServer::with_listener(listener, Arc::clone(&handler), &workers);
        let server = server.map_err(|error| format!("cannot start: {error}"))?;
        Ok(server.with_most_connections(most_connections))
    });
    let servers = servers.collect::<Result<Vec<_>, String>>()?;
    serve::serve_until_signal(servers, &workers, config.settings.timeouts.shutdown)
}
