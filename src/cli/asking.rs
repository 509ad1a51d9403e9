//! The commands that ask instead of serving: `reason`, `status`, `ps`.

use argh::FromArgs;

use super::{Outcome, value};
use crate::proxy::reasons;
use crate::settings::address::listen_anywhere;
use crate::settings::listen::ListenAddress;
use crate::settings::suggest::nearest;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where `status` and `ps` ask if nothing is said.
const ADMIN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9901);

/// what a reason word of the log or of an error page means, and what to do; all words, if none is given
#[derive(FromArgs)]
#[argh(subcommand, name = "reason", help_triggers("-h", "--help", "help"))]
pub(crate) struct Reason {
    /// the word, such as no-route
    #[argh(positional)]
    word: Option<String>,
}

/// backends, their state and share, and the last failures of a running footbridge
#[derive(FromArgs)]
#[argh(subcommand, name = "status", help_triggers("-h", "--help", "help"))]
pub(crate) struct Status {
    /// its --admin address (default 127.0.0.1:9901)
    #[argh(option, arg_name = "addr")]
    admin: Option<String>,
    /// print JSON
    #[argh(switch)]
    json: bool,
}

/// what each worker of a running footbridge does
#[derive(FromArgs)]
#[argh(subcommand, name = "ps", help_triggers("-h", "--help", "help"))]
pub(crate) struct Ps {
    /// its --admin address (default 127.0.0.1:9901)
    #[argh(option, arg_name = "addr")]
    admin: Option<String>,
    /// print JSON, the same as of status
    #[argh(switch)]
    json: bool,
}

pub(super) fn status(how: &Status) -> Result<Outcome, String> {
    ask(how.admin.as_deref(), if how.json { "/status" } else { "/status?text" })
}

pub(super) fn ps(how: &Ps) -> Result<Outcome, String> {
    ask(how.admin.as_deref(), if how.json { "/status" } else { "/status?ps" })
}

fn ask(admin: Option<&str>, target: &'static str) -> Result<Outcome, String> {
    let admin = match admin {
        Some(text) => value("--admin", text, listen_anywhere)?.address,
        None => ListenAddress::Inet(ADMIN.into()),
    };
    Ok(Outcome::Ask { admin, target })
}

pub(super) fn reason(asked: &Reason) -> Result<Outcome, String> {
    let (mut list, mut words, mut found) = (String::new(), Vec::new(), None);
    for reason in reasons::all() {
        // Writing to a String cannot fail.
        let _ = writeln!(list, "{:<28}{}", reason.word, reason.meaning);
        words.push(reason.word);
        if asked.word.as_deref() == Some(reason.word) {
            found = Some(reason);
        }
    }
    let Some(word) = &asked.word else { return Ok(Outcome::Print(list)) };
    let Some(reason) = found else {
        return Err(match nearest(word, &words) {
            Some(near) => format!("no reason is called {word:?}; did you mean {near:?}?"),
            None => format!("no reason is called {word:?}; footbridge reason lists them"),
        });
    };
    let (before, fault, after) = match reason.fault.word() {
        "nobody" => ("", "", ""),
        fault => ("A matter of: the ", fault, ".\n"),
    };
    let (meaning, advice) = (reason.meaning, reason.advice);
    Ok(Outcome::Print([word, ": ", meaning, ".\n", before, fault, after, "What to do: ", advice, "\n"].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    fn said(line: &str) -> Outcome {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_reason_is_explained_listed_or_suggested() {
        let Outcome::Print(text) = said("reason no-route") else { panic!("printed") };
        assert!(text.starts_with("no-route: no route takes this host and path.\nA matter of: the client."), "{text}");
        let Outcome::Print(text) = said("reason") else { panic!("printed") };
        assert_eq!(text.lines().count(), reasons::COUNT);
        let Outcome::Wrong(text) = said("reason no-rout") else { panic!("wrong") };
        assert_eq!(text, "no reason is called \"no-rout\"; did you mean \"no-route\"?");
    }

    #[test]
    fn status_and_ps_ask_the_default_address_or_another_one() {
        for (line, address, path) in [
            ("status", "127.0.0.1:9901", "/status?text"),
            ("ps", "127.0.0.1:9901", "/status?ps"),
            ("status --json --admin [::1]:99", "[::1]:99", "/status"),
            ("ps --admin unix:/run/a.sock", "unix:/run/a.sock", "/status?ps"),
        ] {
            let Outcome::Ask { admin, target } = said(line) else { panic!("{line}") };
            assert_eq!((admin.to_string().as_str(), target), (address, path));
        }
        assert!(matches!(said("ps --admin nonsense"), Outcome::Wrong(_)));
        assert!(matches!(said("--admin 99 ps"), Outcome::Wrong(_)), "a flag before it would be ignored");
    }
}
