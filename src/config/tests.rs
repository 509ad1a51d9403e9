//! Whole files: what they mean, and that printing loses nothing. What is wrong with them: `mistakes/tests.rs`.

use std::time::Duration;

use super::print::print;
use super::*;
use crate::settings::group::{Balance, HashKey, HostSent, Probe, ServerSettings};
use crate::settings::route::Action;

fn loaded(text: &str) -> Config {
    parse("a.toml", text, &[]).unwrap_or_else(|mistakes| panic!("{text}\n{}", mistakes.join("\n")))
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
