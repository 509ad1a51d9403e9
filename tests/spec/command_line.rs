//! The command line: what the program says, and how it ends, when it is not serving.

use std::net::TcpListener;

use crate::support::backend::{ScriptedBackend, ok};
use crate::support::client::Client;
use crate::support::proxy::{Proxy, run};
use crate::support::{each_row, get};

/// Wrong usage is told in one line that names what is wrong, with exit code 2.
#[test]
fn a_wrong_flag_gets_one_clear_line_and_exit_code_2() {
    let rows: [(&[&str], &str); 22] = [
        (&["--nonsense"], "--nonsense"),
        (&["nonsense"], "nonsense"),
        (&["--to"], "--to"),
        (&["--to", ""], "--to"),
        (&["--to", "127.0.0.1:99999"], "99999"),
        (&["--to", "https://127.0.0.1:3000"], "https"),
        (&["--listen", "127.0.0.1:0"], "--to"),
        (&["--to", "127.0.0.1:1", "--listen", "nonsense"], "nonsense"),
        (&["--to", "127.0.0.1:1", "--listen", "127.0.0.1:99999"], "99999"),
        (&["--to", "127.0.0.1:1", "--balance", "nonsense"], "nonsense"),
        (&["--to", "127.0.0.1:1", "--workers", "many"], "many"),
        (&["--to", "127.0.0.1:1", "--workers", "0"], "workers"),
        (&["--to", "127.0.0.1:1", "--seed", "x"], "seed"),
        (&["--to", "127.0.0.1:1", "--log-format", "xml"], "xml"),
        (&["--to", "127.0.0.1:1", "--log-level", "loud"], "loud"),
        (&["--to", "127.0.0.1:1", "--trust", "nonsense"], "nonsense"),
        (&["--to", "127.0.0.1:1", "--trust", "10.0.0.0/33"], "10.0.0.0/33"),
        (&["--to", "127.0.0.1:1", "--set", "timeouts.nonsense=3s"], "timeouts.nonsense"),
        (&["--to", "127.0.0.1:1", "--set", "timeouts.response"], "timeouts.response"),
        (&["--to", "127.0.0.1:1", "--set", "timeouts.response=-3s"], "timeouts.response"),
        (&["--to", "127.0.0.1:1", "--set", "limits.headers=many"], "limits.headers"),
        (&["--to", "127.0.0.1:1", "--set", "limits.header_bytes=16KB!"], "limits.header_bytes"),
    ];
    each_row(&rows, |(flags, culprit)| {
        let ended = run(flags);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{:?}", ended.stderr);
        assert!(ended.stderr.contains(culprit), "{culprit} is not in {:?}", ended.stderr);
    });
}

/// A bare number is a duration in nobody knows what: the message says what to write.
#[test]
fn a_duration_without_a_unit_is_refused_with_advice() {
    let ended = run(&["--to", "127.0.0.1:1", "--set", "timeouts.response=3"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("unit") && ended.stderr.contains("timeouts.response"), "{:?}", ended.stderr);
}

/// No arguments at all: the help, but it was not what was asked for.
#[test]
fn without_arguments_it_shows_the_help_and_exits_with_2() {
    let ended = run(&[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!((ended.stdout + &ended.stderr).contains("--to"));
}

/// The help names every flag.
#[test]
fn the_help_names_every_flag() {
    let ended = run(&["--help"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let flags = [
        "--listen",
        "--to",
        "--balance",
        "--workers",
        "--set",
        "--access-log",
        "--log-format",
        "--log-level",
        "--trust",
        "--seed",
        "--version",
    ];
    each_row(&flags, |flag| assert!(ended.stdout.contains(flag), "{}", ended.stdout));
}

/// One line with the name and the version of the package.
#[test]
fn it_tells_its_version() {
    let ended = run(&["--version"]);
    assert_eq!((ended.code, ended.stdout.trim_end()), (Some(0), concat!("footbridge ", env!("CARGO_PKG_VERSION"))));
}

/// A port in use is no wrong usage: exit code 1, and the address.
#[test]
fn a_port_in_use_is_named_with_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("port 0 is always free");
    let address = taken.local_addr().expect("a bound listener has an address").to_string();
    let ended = run(&["--to", "127.0.0.1:1", "--listen", &address]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&address), "{:?}", ended.stderr);
}

/// Several listeners, one of them on IPv6, are one proxy.
#[test]
fn it_listens_on_every_address_it_is_given() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    let backend = ScriptedBackend::answering(&ok("hello"));
    let to = backend.address().to_string();
    let proxy = Proxy::with(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--to", &to]);
    assert_eq!(proxy.addresses().len(), 2);
    for address in proxy.addresses() {
        let mut client = Client::connect(*address);
        client.send(get("/"));
        assert_eq!(client.reply().text(), "hello");
    }
    let peers: Vec<_> = backend.requests().iter().map(|request| request.head.list("x-forwarded-for")).collect();
    assert_eq!(peers, [["127.0.0.1"], ["::1"]]);
}

/// A backend may be written as a URL, too.
#[test]
fn a_backend_may_be_written_as_a_url_or_a_name() {
    let backend = ScriptedBackend::answering(&ok("hello"));
    let port = backend.address().port();
    let rows = [format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/"), format!("localhost:{port}")];
    each_row(&rows, |to| assert_eq!(Proxy::with(&["--to", to]).send(get("/")).reply().text(), "hello"));
}

/// Several settings, the last of equal keys wins or is refused; each takes the forms of the file.
#[test]
fn settings_take_the_forms_of_the_file() {
    let backend = ScriptedBackend::answering(&ok("hello"));
    let rows = [
        "timeouts.header=500ms",
        "timeouts.header=10s",
        "timeouts.header=2m",
        "timeouts.header=1h",
        "timeouts.header=off",
        "limits.header_bytes=32KiB",
        "limits.body=1MiB",
        "limits.headers=50",
    ];
    each_row(&rows, |setting| {
        assert_eq!(Proxy::set(&backend, &[setting]).send(get("/")).reply().text(), "hello");
    });
}
