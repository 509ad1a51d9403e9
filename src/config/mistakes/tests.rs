//! What is wrong with a file, and how it is said.

use super::*;
use crate::config::parse;

/// `line:column: text` of each mistake.
fn wrong(text: &str) -> Vec<String> {
    let mistakes = parse("a.toml", text, &[]).expect_err(text);
    let first_line = |mistake: &String| {
        mistake.lines().next().expect("a line").strip_prefix("a.toml:").expect("the file's name").to_owned()
    };
    mistakes.iter().map(first_line).collect()
}

#[test]
fn ten_mistakes_are_told_in_one_run_each_with_its_line() {
    let text = "\
[server]
log_format = \"xml\"
wrokers = 4
[timeouts]
header = 10
[limits]
headers = 0
[[listen]]
address = \"localhost\"
[backends.app]
servers = [\"app\", 3]
[[route]]
load_balance = \"random\"
path = \"api\"
to = \"ap\"
";
    let want = [
        "2:14: log_format \"xml\": write text or json",
        "3:1: unknown key \"wrokers\" in [server]; did you mean \"workers\"?",
        "5:10: header: write a unit: \"10s\"",
        "7:11: headers: write a bare number from 1 to 1000",
        "9:11: address \"localhost\": write an IP address and a port, like 127.0.0.1:8080, [::1]:8080 or 8080",
        "11:12: servers \"app\": write the port too: host:port",
        "11:19: servers: write an address in quotes: \"app:3000\"",
        "13:1: unknown key \"load_balance\" in [[route]]; did you mean \"balance\" in [backends.*]?",
        "14:8: path \"api\": write a path that begins with /",
        "15:6: to: there is no group \"ap\"; did you mean \"app\"?",
    ];
    assert_eq!(wrong(text), want);
    let shown = parse("a.toml", text, &[]).unwrap_err();
    assert_eq!(shown[1].lines().skip(1).collect::<Vec<_>>(), ["  wrokers = 4", "  ^"]);
}

/// `{}` is put into a file that is right but for it.
fn in_route(lines: &str) -> Vec<String> {
    wrong(&format!("[backends.app]\nservers = [\"app:1\"]\n[[route]]\n{lines}\n"))
}

#[test]
fn a_mistake_in_a_route_says_what_to_write() {
    for (lines, want) in [
        ("", "3:1: this route leads nowhere; write one of to, redirect and respond"),
        (
            "to = \"app\"\nrespond = {}",
            "5:11: respond: a route has one of to, redirect and respond, and this has to and respond",
        ),
        ("to = 1", "4:6: to: write the name of a group in quotes"),
        ("to = \"app\"\npath = \"/a\"\nstrip_prefix = \"/ab\"", "6:16: strip_prefix: \"/ab\": path does not begin"),
        ("to = \"app\"\npath = \"/ab\"\nstrip_prefix = \"/a\"", "6:16: strip_prefix: \"/a\": path does not begin"),
        (
            "respond = {}\nadd_prefix = \"/a\"",
            "5:14: add_prefix: this changes what a backend is sent, and with respond",
        ),
        ("redirect = {}", "4:12: redirect: write to = "),
        ("redirect = { to = \"/\", status = 305 }", "4:33: status: write 301, 302, 303, 307 or 308"),
        ("redirect = { to = \"x\" }", "4:19: to \"x\": write a path or an absolute URL"),
        ("respond = { status = 199 }", "4:22: status: write a status from 200 to 599"),
        ("respond = { status = 204, body = \"x\" }", "4:34: body: a response with status 204 has no content"),
        ("to = \"app\"\nmethods = []", "5:11: methods: an empty list lets nothing through"),
        ("to = \"app\"\nmethods = [\"get\"]", "5:12: methods \"get\": write it in capitals: \"GET\""),
        ("to = \"app\"\nallow = []", "5:9: allow: an empty list lets nobody through"),
        ("to = \"app\"\nallow = [\"10.0.0.1/8\"]", "5:10: allow \"10.0.0.1/8\": bits are set after the prefix"),
        ("to = \"app\"\nhost = \"a:80\"", "5:8: host \"a:80\": write it without the port: \"a\""),
        (
            "to = \"app\"\nrequest_headers = { set = { Host = \"a\" } }",
            "5:29: set \"Host\": set host in [backends.*] for what a backend is sent",
        ),
        (
            "to = \"app\"\nresponse_headers.remove = [\"Content-Length\"]",
            "5:28: remove \"Content-Length\": it says where the content ends",
        ),
        ("to = \"app\"\nrequest_headers.set = { A = \"1\", a = \"2\" }", "5:34: set \"a\": this field is set twice"),
        ("to = \"app\"\nrequest_headers.set = { A = \"\\n\" }", "5:25: set.A \"\\n\": write printable ASCII only"),
        ("to = \"app\"\nrequest_headers.set = { A = 1 }", "5:29: set.\"A\": write a text in quotes"),
        (
            "to = \"app\"\ntimeouts.header = \"1s\"",
            "5:10: header cannot be set for a part of the requests; set it in [timeouts]",
        ),
        ("to = \"app\"\ntimeouts.connect = \"1s\"", "5:10: connect cannot be set for a part of the requests"),
        ("to = \"app\"\nlimits = { body = 1.5 }", "5:19: body: write from 1B, or none"),
        (
            "to = \"app\"\nmethods = [\"GET\"]\n[[route]]\nto = \"app\"",
            "6:1: the routes of lines 3 and 6 have the same host, the same path, and methods in common",
        ),
        ("to = \"app\"\nhost = \"*\"\n[[route]]\nto = \"app\"", "5:8: host \"*\""),
        ("to = \"app\"\npath = \"/x y\"\n[[route]]\nto = \"app\"", "5:8: path \"/x y\""),
    ] {
        let found = in_route(lines);
        assert!(found.len() == 1 && found[0].starts_with(want), "{lines}\nwant {want}\n got {found:?}");
    }
}

#[test]
fn a_mistake_in_what_there_is_to_do_says_what_to_write() {
    for (lines, want) in [
        ("", "1:1: there is nothing to do; write [backends.app]"),
        ("route = []", "1:9: route: an empty list leads nowhere; write [[route]]"),
        (
            "backends.a.servers = [\"a:1\"]\nbackends.b.servers = [\"b:1\"]",
            "1:1: there are several groups and no route",
        ),
        ("backends.a.servers = []", "1:10: [backends.a] has no backend"),
        ("[backends.app]", "1:1: [backends.app] has no backend"),
        ("backends.a.servers = \"a:1\"", "1:22: servers: write a list of addresses in quotes"),
        ("backends.a.servers = [\"file:x\"]", "1:23: servers \"file:x\": write the absolute path of a list"),
        ("backends.a.servers = [{ weight = 2 }]", "1:23: this backend has no address"),
        ("backends.a.servers = [{ address = \"a:1\", weight = 0 }]", "1:51: weight: write a number from 1 to 1000"),
        (
            "[backends.\"a b\"]\nservers = [\"a:1\"]",
            "1:11: the name of a group \"a b\": write letters, digits, - and _",
        ),
        (
            "backends.servers = [\"a:1\"]\nroute = [{ respond = {} }]",
            "1:10: unknown key \"servers\" in [backends]; did you mean \"servers\" in [backends.*]?",
        ),
        ("backends = 1\nroute = [{ respond = {} }]", "1:12: backends: write a table, [backends]"),
    ] {
        let found = wrong(lines);
        assert!(found.first().is_some_and(|first| first.starts_with(want)), "{lines}\nwant {want}\n got {found:?}");
    }
}

/// The route comes last, so that it does not move the lines.
fn assert_only_mistake(lines: &str, want: &str) {
    let found = wrong(&format!("{lines}\n[[route]]\nrespond = {{}}\n"));
    assert!(found.len() == 1 && found[0].starts_with(want), "{lines}\nwant {want}\n got {found:?}");
}

#[test]
fn a_mistake_in_the_server_or_its_settings_says_what_to_write() {
    for (lines, want) in [
        ("[server]\nworkers = \"4\"", "2:11: workers: write a number from 1 to 4096, or a table"),
        ("[server]\nworkers = 0", "2:11: workers: write a number from 1 to 4096, or a table"),
        ("[server]\nworkers = { most = 1 }", "2:13: unknown key \"most\" in workers = { }; did you mean \"mode\" in"),
        ("[server]\ngroup = \"1\"", "2:9: group: give a user, too"),
        ("[server]\nuser = \"no:body\"", "2:8: user \"no:body\": no such user in /etc/passwd"),
        ("[server]\nrequest_id = \"Host\"", "2:14: request_id \"Host\": set host in"),
        ("[server]\nsandbox = 1", "2:11: sandbox: write true or false"),
        ("[server]\nseed = -1", "2:8: seed: write a number from 0 to 18446744073709551615"),
        ("[server]\nadmin = \"8080\"", "1:1: admin and listen have the same address"),
        (
            "[[listen]]\naddress = \"80\"\n[[listen]]\naddress = \":80\"",
            "4:11: address: \"127.0.0.1:80\" is given more",
        ),
        ("[[listen]]\naddress = \"80\"\nmode = \"0660\"", "3:8: mode: only a Unix socket has permissions"),
        ("[[listen]]\naddress = \"unix:/a\"\nmode = 660", "3:8: mode: write the permissions of a Unix socket"),
        ("[[listen]]", "1:1: listen: write address"),
        ("listen = 1", "1:10: listen: write tables, [[listen]]"),
        ("[limits]\nheaders = \"7\"", "2:11: headers: write the number without quotes: 7"),
        ("[limits]\nheaders = 99999999999999999999999", "2:11: headers: write a bare number from 1 to 1000"),
        ("[limits]\nheader = 7", "2:1: unknown key \"header\" in [limits]; did you mean \"headers\"?"),
        ("[upstream]", "1:2: unknown key \"upstream\" in the file"),
        ("timeout.header = \"1s\"", "1:1: unknown key \"timeout\" in the file; did you mean \"timeouts\"?"),
        ("[timeouts]\nconnect = 1979-05-27", "2:11: connect: write 1ms to 8760h"),
    ] {
        assert_only_mistake(lines, want);
    }
}

#[test]
fn a_mistake_in_a_group_says_what_to_write() {
    for (lines, want) in [
        (
            "[backends.a]\nservers = [\"a:1\"]\nhealth = { interval = \"1s\" }",
            "3:10: health: write path = \"/healthz\", or tcp",
        ),
        (
            "[backends.a]\nservers = [\"a:1\"]\nhealth = { tcp = true, path = \"/\" }",
            "3:31: path: this is part of a request, and with tcp = true there is none",
        ),
        (
            "[backends.a]\nservers = [\"a:1\"]\nhealth = { path = \"/\", expect = [99] }",
            "3:33: expect: write a list of statuses",
        ),
        ("[backends.a]\nservers = [\"a:1\"]\nbalance = {}", "3:11: write balance = { hash"),
        ("[backends.a]\nservers = [\"a:1\"]\nbalance = 1", "3:11: balance: write \"random\""),
        ("[backends.a]\nservers = [\"a:1\"]\nhost = \"a b\"", "3:8: host \"a b\": write a host"),
    ] {
        assert_only_mistake(lines, want);
    }
}

#[test]
fn a_line_that_is_no_toml_hides_no_other_mistake() {
    let found = wrong("[server]\nlog_level = info\nwrokers 4\nseed = true\n[backends.app]\nserver = []\n");
    let lines: Vec<_> = found.iter().map(|text| text.split(':').next().expect("a line number")).collect();
    assert_eq!(lines, ["2", "3", "4", "6"], "{found:?}");
    assert!(found[0].contains("this is no TOML"), "{found:?}");
}

fn shown(source: &str, at: usize) -> String {
    let mistakes = Mistakes::default();
    mistakes.add(at, &"wrong");
    mistakes.into_messages("a.toml", source).remove(0)
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    for (source, at, want) in [
        ("", 0, "a.toml:1:1: wrong\n  \n  ^"),
        ("a = 1\n", 0, "a.toml:1:1: wrong\n  a = 1\n  ^"),
        ("a = 1\r\nbc = 2\r\n", 12, "a.toml:2:6: wrong\n  bc = 2\n       ^"),
        ("a = 1\n\n\n", 8, "a.toml:1:6: wrong\n  a = 1\n       ^"),
        ("\u{e9} = \t1", 6, "a.toml:1:6: wrong\n  \u{e9} =  1\n       ^"),
        ("a\u{1b}[2J\u{202e} = 1", 1, "a.toml:1:2: wrong\n  a?[2J? = 1\n   ^"),
    ] {
        assert_eq!(shown(source, at), want, "{source:?}");
    }
}

#[test]
fn a_long_line_is_shown_around_the_place() {
    let source = format!("{}x{}", "a".repeat(1000), "b".repeat(1000));
    let want = format!("a.toml:1:1001: wrong\n  {}x{}\n  {}^", "a".repeat(60), "b".repeat(59), " ".repeat(60));
    assert_eq!(shown(&source, 1000), want);
}

#[test]
fn mistakes_come_in_the_order_of_the_file_and_not_without_end() {
    let mistakes = Mistakes::default();
    for at in (0..102).rev() {
        mistakes.add(at, &"wrong");
    }
    let messages = mistakes.into_messages("a\n.toml", &"x".repeat(200));
    assert_eq!(messages.len(), 101);
    assert!(messages[0].starts_with("a?.toml:1:1: ") && messages[99].starts_with("a?.toml:1:100: "));
    assert_eq!(messages[100], "a?.toml: 2 more mistakes");
}

#[test]
fn a_value_stays_on_its_line() {
    assert_eq!(quoted("a\n\"b").to_string(), "\"a\\n\\\"b\"");
    assert_eq!(quoted(&"x".repeat(61)).to_string(), format!("\"{}\"...", "x".repeat(60)));
}
