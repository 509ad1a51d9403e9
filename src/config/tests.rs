//! Whole files: what they mean, what is wrong with them, and that printing loses nothing.

use std::time::Duration;

use super::print::print;
use super::*;
use crate::settings::group::{Balance, HashKey, HostSent, Probe, ServerSettings};
use crate::settings::route::Action;

fn loaded(text: &str) -> Config {
    parse("a.toml", text, &[]).unwrap_or_else(|mistakes| panic!("{text}\n{}", mistakes.join("\n")))
}

/// `line:column: text` of each mistake.
fn wrong(text: &str) -> Vec<String> {
    let mistakes = parse("a.toml", text, &[]).expect_err(text);
    let first_line = |mistake: &String| {
        mistake.lines().next().expect("a line").strip_prefix("a.toml:").expect("the file's name").to_owned()
    };
    mistakes.iter().map(first_line).collect()
}

/// Everything at once, no default among it.
const FULL: &str = r#"
[server]
admin = "127.0.0.1:9901"
trusted_proxies = ["10.0.0.0/8", "unix"]
access_log = "/var/log/foot \"bridge\".log"
log_format = "json"
log_level = "warn"
request_id = "X-Trace"
workers = { max = 8, stack = "512KiB", idle = "5s" }
user = "4294967294"
group = "4294967293"
sandbox = false
seed = 18446744073709551615

[timeouts]
header = "5s"
tunnel = "off"

[limits]
headers = 50
body = "10MiB"
connections = 0x10

[retry]
attempts = 3

[health]
rise = 1

[backends]
keepalive = "3s"

[[listen]]
address = "0.0.0.0:80"

[[listen]]
address = "unix:/run/foot.sock"
mode = "0660"

[backends.app]
servers = ["App1:3000", "file:/etc/app.backends", { address = "app2:3000", weight = 2, max_requests = 32, drain = true },
    { address = "unix:/run/spare.sock", backup = true }]
balance = { hash = "header:X-User" }
host = "app.internal:80"
fail_on_5xx = true
resolve = "1m"
max_fails = 0
health = { path = "/healthz", method = "HEAD", host = "h", expect = [200, 204], body = "o\tk", interval = "1s", fall = 1 }
retry = { attempts = 1, within = "off" }
timeouts = { connect = "1s" }
limits = { body = "none" }

[backends."a.b"]
servers = ["b:1"]
balance = "hash"
host = "backend"
health.tcp = true

[[route]]
host = "*.Example.com"
path = "/api"
methods = ["GET", "POST"]
allow = ["10.0.0.0/8"]
deny = ["10.1.0.0/16"]
to = "app"
strip_prefix = "/api"
add_prefix = "/v1"
request_headers = { set = { "X-Env" = "prod", A = "\\ \"" }, remove = ["X-Debug"] }
limits = { body = "1GiB" }

[route.response_headers.set]
Strict-Transport-Security = "max-age=31536000"

[route.timeouts]
response = "2m"

[[route]]
path = "/api"
to = "a.b"

[[route]]
path = "/old"
redirect = { to = "https://example.com/new", status = 308 }

[[route]]
path = "/up"
methods = ["GET"]
respond = { body = "ok\n\u0001" }
"#;

#[test]
fn every_key_reaches_its_place() {
    let config = loaded(FULL);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.workers, WorkerSettings { max: 8, stack: 512 << 10, idle: Duration::from_secs(5) });
    assert_eq!((config.sandbox, config.site.seed), (false, Some(u64::MAX)));
    assert_eq!(config.user.as_ref().map(|user| (user.uid, user.gid)), Some((4_294_967_294, 4_294_967_293)));
    assert_eq!(config.access_log, AccessLog::Path("/var/log/foot \"bridge\".log".into()));
    assert_eq!(config.listen[1].mode, Some(0o660));
    let site = &config.site;
    assert_eq!((site.settings.limits.connections, site.settings.limits.body), (Some(16), 10 << 20));
    let [app, dotted] = &site.groups[..] else { panic!("{:?}", site.groups) };
    assert_eq!((app.name.as_str(), dotted.name.as_str()), ("app", "a.b"));
    let first = ServerSettings::new("app1:3000");
    let second = ServerSettings { weight: 2, max_requests: Some(32), drain: true, ..ServerSettings::new("app2:3000") };
    let third = ServerSettings { backup: true, ..ServerSettings::new("unix:/run/spare.sock") };
    assert_eq!(app.servers, [first, second, third]);
    assert_eq!(app.files, [PathBuf::from("/etc/app.backends")]);
    assert_eq!(app.balance, Balance::Hash(HashKey::Header("X-User".to_owned())));
    assert_eq!(app.host, HostSent::Literal("app.internal:80".to_owned()));
    assert_eq!((app.settings.limits.body, app.settings.upkeep.max_fails), (u64::MAX, 0));
    assert_eq!(app.settings.retry.within, Duration::MAX);
    assert_eq!((app.settings.checks.rise, app.settings.checks.fall), (1, 1));
    assert_eq!(app.settings.keepalive.idle, Duration::from_secs(3));
    assert_eq!((&dotted.probe, &dotted.host), (&Some(Probe::Tcp), &HostSent::Backend));
    let [api, _, old, up] = &site.routes[..] else { panic!("{:?}", site.routes) };
    assert_eq!(api.host.as_deref(), Some("*.example.com"));
    assert_eq!(api.settings.limits.body, 1 << 30);
    assert_eq!(api.settings.timeouts.response, Duration::from_secs(120));
    assert_eq!(api.settings.timeouts.connect, Duration::from_secs(1), "the group's, where the route says nothing");
    let set: Vec<_> = api.request_headers.set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(set, [("X-Env", "prod"), ("A", "\\ \"")], "in the order of the file");
    assert_eq!(old.action, Action::Redirect { to: "https://example.com/new".to_owned(), status: 308 });
    assert_eq!(up.action, Action::Respond { status: 200, body: "ok\n\u{1}".to_owned() });
}

#[test]
fn printing_loses_nothing() {
    let least = "[backends.app]\nservers = [\"app:3000\"]\n";
    let rest = [
        "",
        "balance = \"two-choices\"\n",
        "balance = { hash = \"cookie:sid\" }\nhealth = { path = \"/\" }\n",
        "timeouts = { response = \"off\" }\n[timeouts]\nresponse = \"1500ms\"\n",
        "[server]\naccess_log = \"off\"\nrequest_id = \"\"\nworkers = 4\n",
        "[server]\naccess_log = \"stderr\"\ntrusted_proxies = [\"0.0.0.0/0\"]\nadmin = \"unix:/run/a\"\n",
        "[[listen]]\naddress = \":0\"\n[[listen]]\naddress = \"0\"\n",
        "[[route]]\nto = \"app\"\ntimeouts = { send = \"1s\" }\n",
        "[[route]]\npath = \"/a\"\nto = \"app\"\n[[route]]\nrespond = { status = 404 }\nlimits.body = 1\n",
        "[[route]]\nredirect.to = \"/x\"\n",
        "[health]\ninterval = \"1s\"\n[retry]\nwithin = \"1s\"\n[limits]\nmin_rate = \"off\"\nbody = 1000\n",
        "[backends]\nmax_idle = 0\nslow_start = \"1s\"\n[backends.\"b!\"]\nservers = [\"b:1\"]\n[[route]]\nto = \"b!\"\n",
    ];
    for text in rest.iter().map(|rest| format!("{least}{rest}")).chain([FULL.to_owned()]) {
        let config = loaded(&text);
        let printed = print(&config);
        assert_eq!(loaded(&printed), config, "{text}\nbecame\n{printed}");
        assert_eq!(print(&loaded(&printed)), printed);
    }
    assert_eq!(print(&loaded(least)), least);
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

#[test]
fn what_is_valid_but_dangerous_or_useless_is_a_warning() {
    let text = "[server]\nadmin = \"0.0.0.0:9901\"\ntrusted_proxies = [\"::/0\"]\n[timeouts]\nheader = \"off\"\n\
        [backends.a]\nservers = [\"a:1\"]\n[[route]]\npath = \"/x\"\nrespond = {}\ntimeouts.send = \"off\"\n";
    let warnings = loaded(text).warnings;
    let want = [
        "trusted: ::/0 ",
        "route /x: timeouts.send is off",
        "timeouts.header is off",
        "admin 0.0.0.0:9901 ",
        "backends.a is not used",
    ];
    assert_eq!(warnings.len(), want.len(), "{warnings:?}");
    for (warning, want) in warnings.iter().zip(want) {
        assert!(warning.starts_with(want), "{warning}");
    }
}

#[test]
fn an_override_goes_before_the_file_and_behind_a_group() {
    let text = "[timeouts]\nresponse = \"1s\"\n[backends.a]\nservers = [\"a:1\"]\ntimeouts.send = \"2s\"\n";
    let overrides = ["timeouts.response=3s".to_owned(), "timeouts.send=4s".to_owned()];
    let site = parse("a.toml", text, &overrides).expect("no mistake").site;
    assert_eq!(site.settings.timeouts.send, Duration::from_secs(4));
    assert_eq!(site.routes[0].settings.timeouts.send, Duration::from_secs(2));
    assert_eq!(site.routes[0].settings.timeouts.response, Duration::from_secs(3));
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let missing = load(Path::new("/nonexistent/a\n.toml"), &[]).unwrap_err();
    assert!(missing.len() == 1 && missing[0].starts_with("/nonexistent/a?.toml: No such file"), "{missing:?}");
    let endless = load(Path::new("/dev/zero"), &[]).unwrap_err();
    assert_eq!(endless, ["/dev/zero: this has more than 1048576 bytes, which no configuration needs"]);
}
