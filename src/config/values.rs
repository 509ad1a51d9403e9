//! Values that stand on the command line or in the file alike: how each is read. Input: a text. Output: the value, or
//! what to write instead.

use std::path::PathBuf;

use log::LevelFilter;

use crate::access::LogFormat;
use crate::http::field::is_token;
use crate::http::target::is_authority;
use crate::logging::AccessLog;
use crate::settings::address::is_host;
use crate::settings::group::{Balance, HashKey, HostSent};

/// The first is the default.
pub(crate) const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The first is the default.
pub(crate) const LOG_LEVELS: [(&str, LevelFilter); 4] = [
    ("info", LevelFilter::Info),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("debug", LevelFilter::Debug),
];

pub(crate) fn log_format(name: &str) -> Result<LogFormat, &'static str> {
    choice(name, &LOG_FORMATS).ok_or("write text or json")
}

pub(crate) fn log_level(name: &str) -> Result<LevelFilter, &'static str> {
    choice(name, &LOG_LEVELS).ok_or("write info or error or warn or debug")
}

/// Takes one of several names.
fn choice<T: Copy>(name: &str, choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|(known, _)| name == *known).map(|(_, value)| *value)
}

pub(crate) fn access_log(text: &str) -> Result<AccessLog, &'static str> {
    match text {
        "stdout" => Ok(AccessLog::Stdout),
        "stderr" => Ok(AccessLog::Stderr),
        "off" => Ok(AccessLog::Off),
        "" => Err("write stdout, stderr, off or a path"),
        path => Ok(AccessLog::Path(path.into())),
    }
}

/// `file:/path`: relative ones would depend on where footbridge was started.
pub(crate) fn backend_file(text: &str) -> Result<PathBuf, &'static str> {
    let path = text.strip_prefix("file:").unwrap_or(text);
    if path.starts_with('/') {
        Ok(path.into())
    } else {
        Err("write the absolute path of a list: file:/etc/app.backends")
    }
}

pub(crate) fn balance(name: &str) -> Result<Balance, &'static str> {
    Balance::named(name).ok_or("write random or round-robin or least-connections or two-choices or hash")
}

/// `client`, `header:NAME` or `cookie:NAME`.
pub(super) fn hash_key(text: &str) -> Result<HashKey, &'static str> {
    match text.split_once(':') {
        None if text == "client" => Ok(HashKey::Client),
        Some(("header", name)) if is_token(name.as_bytes()) => Ok(HashKey::Header(name.to_owned())),
        Some(("cookie", name)) if is_token(name.as_bytes()) => Ok(HashKey::Cookie(name.to_owned())),
        _ => Err("write \"client\", \"header:NAME\" or \"cookie:NAME\""),
    }
}

pub(crate) fn seed(text: &str) -> Result<u64, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or("write a number from 0 to 18446744073709551615")
}

/// The value of a Host field.
pub(super) fn authority(text: &str) -> Result<String, &'static str> {
    if !text.is_empty() && is_authority(text.as_bytes()) {
        Ok(text.to_owned())
    } else {
        Err("write a host, with or without a port: \"app.internal\"")
    }
}

pub(super) fn host_sent(text: &str) -> Result<HostSent, &'static str> {
    match text {
        "client" => Ok(HostSent::Client),
        "backend" => Ok(HostSent::Backend),
        host => authority(host).map(HostSent::Literal),
    }
}

/// What a check asks for: a request target in origin-form.
pub(crate) fn probe_path(text: &str) -> Result<String, &'static str> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if text.starts_with('/') && visible { Ok(text.to_owned()) } else { Err("write a path, like /healthz") }
}

/// The host of a route; in lower case, as names are compared.
pub(super) fn route_host(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let name = text.strip_prefix("*.").unwrap_or(&text);
    if is_host(name) && !name.ends_with('.') {
        return if name.starts_with('[') && text.starts_with('*') {
            Err("an address has no names below it".to_owned())
        } else {
            Ok(text)
        };
    }
    Err(match name {
        "*" => "leave host out for any".to_owned(),
        _ if !name.is_ascii() => "write it as it is sent, beginning with xn--".to_owned(),
        _ if name.as_bytes().contains(&b'*') => {
            "a * stands for whole names, and in front only: \"*.example.com\"".to_owned()
        }
        _ if name.as_bytes().windows(3).any(|three| three == b"://") => {
            "write the host alone: \"example.com\"".to_owned()
        }
        _ => match name.rsplit_once(':') {
            Some((host, _)) if is_host(host) => format!("write it without the port: {host:?}"),
            _ => "write a name or an address: \"example.com\" or \"*.example.com\"".to_owned(),
        },
    })
}

/// The path of a route, or a prefix: whole segments in the one form that no two readers take in two ways.
pub(super) fn path(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b';' | b'\\');
    let problem = match text {
        _ if !text.starts_with('/') => "write a path that begins with /",
        _ if text.as_bytes().contains(&b'?') => "a route does not look at the query; write the path alone",
        _ if text.as_bytes().contains(&b'#') => "a fragment is never sent; write the path alone",
        _ if !text.bytes().all(plain) => {
            "only plain characters can be told apart safely, without blanks and % ; \\; write the segments before them"
        }
        "/" => return Ok(text.to_owned()),
        _ if text.as_bytes().windows(2).any(|two| two == b"//") => "write each / once",
        _ if text.ends_with('/') => "leave out the last /: it is in either case the path itself and all below it",
        _ if text.split('/').any(|segment| matches!(segment, "." | "..")) => "write it without . and .. segments",
        _ => return Ok(text.to_owned()),
    };
    Err(problem)
}

/// A prefix to be stripped or added.
pub(super) fn prefix(text: &str) -> Result<String, &'static str> {
    if text == "/" { Err("this is no change; leave it out") } else { path(text) }
}

/// Methods are told apart by case (RFC 9110 §9.1); nobody means the others.
pub(super) fn method(text: &str) -> Result<String, String> {
    const USUAL: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"];
    let upper = text.to_ascii_uppercase();
    match text {
        _ if !is_token(text.as_bytes()) => Err("write a method: \"GET\"".to_owned()),
        "CONNECT" => Err("CONNECT is for forward proxies; it is always answered with 501".to_owned()),
        _ if upper != text && USUAL.contains(&upper.as_str()) => Err(format!("write it in capitals: {upper:?}")),
        _ => Ok(text.to_owned()),
    }
}

/// Where a redirection leads.
pub(super) fn location(text: &str) -> Result<String, &'static str> {
    let (start, visible) = (text.to_ascii_lowercase(), text.bytes().all(|byte| byte.is_ascii_graphic()));
    let leads = text.starts_with('/') || start.starts_with("http://") || start.starts_with("https://");
    match (leads, visible) {
        (true, true) => Ok(text.to_owned()),
        (false, _) => Err("write a path or an absolute URL: \"https://example.com/\""),
        (true, false) => Err("write it as it is sent: other bytes as %20 and the like"),
    }
}

/// Octal permission bits.
pub(super) fn mode(text: &str) -> Result<u32, &'static str> {
    let octal = text.len() <= 4 && text.len() >= 3 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
    mode.ok_or("write three octal digits after a 0: \"0660\"")
}

/// The name of a group.
pub(super) fn group_name(text: &str) -> Result<(), &'static str> {
    if is_token(text.as_bytes()) { Ok(()) } else { Err("write letters, digits, - and _") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form() {
        for text in ["/", "/api", "/api/v1", "/~x/.well-known", "/..."] {
            assert_eq!(path(text).as_deref(), Ok(text));
        }
        for (text, want) in [
            ("", "begins with /"),
            ("api", "begins with /"),
            ("/a?b", "query"),
            ("/a#b", "fragment"),
            ("/a b", "plain characters"),
            ("/\u{e9}", "plain characters"),
            ("/a%20b", "plain characters"),
            ("/a;b", "plain characters"),
            ("/a\\b", "plain characters"),
            ("//", "write each / once"),
            ("/a//b", "write each / once"),
            ("/a/", "leave out the last /"),
            ("/a/../b", "without . and .."),
            ("/./a", "without . and .."),
        ] {
            assert!(path(text).is_err_and(|error| error.contains(want)), "{text}: {:?}", path(text));
        }
        assert!(prefix("/").is_err());
    }

    #[test]
    fn a_host_is_a_name_or_all_below_one() {
        for (text, want) in [
            ("example.com", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "[::1]"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(route_host(text).as_deref(), Ok(want));
        }
        for (text, want) in [
            ("", "write a name"),
            ("*", "leave host out"),
            ("a.*.b", "in front only"),
            ("*a.b", "in front only"),
            ("*.[::1]", "no names below"),
            ("example.com:80", "without the port: \"example.com\""),
            ("https://example.com", "write the host alone"),
            ("example.com.", "write a name"),
            ("b\u{fc}cher.example", "xn--"),
            ("a b", "write a name"),
        ] {
            assert!(route_host(text).is_err_and(|error| error.contains(want)), "{text}: {:?}", route_host(text));
        }
    }

    #[test]
    fn methods_locations_modes_and_keys_are_checked() {
        assert_eq!(method("get").unwrap_err(), "write it in capitals: \"GET\"");
        assert_eq!(method("purge").as_deref(), Ok("purge"));
        assert!(method("CONNECT").is_err() && method("").is_err() && method("A B").is_err());
        assert!(location("/new").is_ok() && location("HTTPS://a/").is_ok());
        assert!(location("new").is_err() && location("javascript:x").is_err() && location("/a b").is_err());
        assert_eq!((mode("0660"), mode("600")), (Ok(0o660), Ok(0o600)));
        assert!(mode("660x").is_err() && mode("0o660").is_err() && mode("7777").is_err() && mode("+60").is_err());
        assert_eq!(hash_key("header:X-User"), Ok(HashKey::Header("X-User".to_owned())));
        assert!(hash_key("header:").is_err() && hash_key("ip").is_err() && hash_key("cookie:a=b").is_err());
    }
}
