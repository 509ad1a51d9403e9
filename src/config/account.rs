//! Looks up users and groups by name. Input: the values of `user` and `group`. Output: an [`Identity`]. Reads
//! `/etc/passwd` and `/etc/group` only: asking LDAP and the like would load their code into a proxy started as root.

use std::fmt;
use std::path::Path;

use super::read_file;
use crate::rights::Identity;

/// Why there is no such identity.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// Which of the two settings is wrong: `user` or `group`.
    pub(crate) setting: &'static str,
    /// Its value, and what is wrong with it.
    pub(crate) text: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.text)
    }
}

/// Looks both up in this machine's lists.
///
/// # Errors
/// If one of them is not there.
pub(crate) fn identity(user: &str, group: Option<&str>) -> Result<Identity, Unknown> {
    Accounts::read().identity(user, group)
}

/// The lists of users and groups: passwd(5), group(5).
struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Those of this machine. A list that cannot be read is empty: a container's image may have none, and a number
    /// serves there all the same.
    fn read() -> Self {
        let read = |path: &str| {
            let bytes = read_file(Path::new(path), u64::MAX).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// Whom the two name. Without a group it is the user's own.
    fn identity(&self, user: &str, group: Option<&str>) -> Result<Identity, Unknown> {
        let unknown = |setting, text: String| Unknown { setting, text };
        let listed = self.user(user);
        let Some(uid) = listed.map(|(uid, _)| uid).or_else(|| id(user)) else {
            return Err(unknown("user", format!("{user:?}: no such user in /etc/passwd")));
        };
        let gid = match (group, listed) {
            (Some(group), _) => {
                self.gid(group).ok_or_else(|| unknown("group", format!("{group:?}: no such group in /etc/group")))?
            }
            (None, Some((_, gid))) => gid,
            (None, None) => {
                let text = format!("{user:?}: it is not in /etc/passwd, so give a group, too");
                return Err(unknown("user", text));
            }
        };
        Ok(Identity { name: user.to_owned(), uid, gid })
    }

    fn gid(&self, group: &str) -> Option<u32> {
        let listed = find(&self.group, GROUP_FIELDS, &|name, _| name == group);
        listed.map(|(gid, _)| gid).or_else(|| id(group))
    }

    /// The user's number and group. A name made of digits is a name first, as chown(1) has it.
    fn user(&self, user: &str) -> Option<(u32, u32)> {
        let number = id(user);
        find(&self.passwd, PASSWD_FIELDS, &|name, _| name == user)
            .or_else(|| find(&self.passwd, PASSWD_FIELDS, &|_, uid| Some(uid) == number))
    }
}

const PASSWD_FIELDS: usize = 7;
const GROUP_FIELDS: usize = 4;

/// The first line that has exactly so many fields, and a name and a number that are wanted: its number, and that of the
/// user's group. Lines with wrong numbers do not count.
fn find(list: &str, fields: usize, is_wanted: &dyn Fn(&str, u32) -> bool) -> Option<(u32, u32)> {
    list.lines().find_map(|line| {
        let parts: Vec<_> = line.split(':').collect();
        let [name, _, number, next, ..] = parts[..] else { return None };
        let number = id(number)?;
        let group = if fields == PASSWD_FIELDS { id(next)? } else { number };
        (parts.len() == fields && is_wanted(name, number)).then_some((number, group))
    })
}

/// `1*DIGIT`. The largest number is none: to setuid(2) and its kin it means "leave as it is".
fn id(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|id| plain && *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\ntorn:x:7\nbad:x:-1:1::/:/bin/sh\n\
            all:x:4294967295:1::/:/bin/sh\nwww:x:33:34:w, w:/srv:/bin/false\n77:x:5:6::/:/bin/sh\n+::::::\n";
        let group = "root:x:0:\nweb:x:40:www,root\ntorn:x\nbad:x:x:\n";
        Accounts { passwd: passwd.to_owned(), group: group.to_owned() }
    }

    #[test]
    fn a_user_is_a_name_or_a_number_and_brings_its_group() {
        for (user, group, want) in [
            ("root", None, (0, 0)),
            ("www", None, (33, 34)),
            ("33", None, (33, 34)),
            ("www", Some("web"), (33, 40)),
            ("www", Some("7"), (33, 7)),
            ("500", Some("web"), (500, 40)),
            ("77", None, (5, 6)),
        ] {
            let found = accounts().identity(user, group).unwrap();
            assert_eq!((found.name.as_str(), found.uid, found.gid), (user, want.0, want.1), "{user} {group:?}");
        }
    }

    #[test]
    fn who_is_not_listed_is_refused_in_one_line() {
        for (user, group, want) in [
            ("w", None, "user \"w\": no such user in /etc/passwd"),
            ("", None, "user \"\": no such user in /etc/passwd"),
            ("torn", None, "user \"torn\": no such user in /etc/passwd"),
            ("bad", None, "user \"bad\": no such user in /etc/passwd"),
            ("all", None, "user \"all\": no such user in /etc/passwd"),
            ("+", None, "user \"+\": no such user in /etc/passwd"),
            ("+33", None, "user \"+33\": no such user in /etc/passwd"),
            ("4294967295", Some("0"), "user \"4294967295\": no such user in /etc/passwd"),
            ("a\nb", None, "user \"a\\nb\": no such user in /etc/passwd"),
            ("500", None, "user \"500\": it is not in /etc/passwd, so give a group, too"),
            ("www", Some("www"), "group \"www\": no such group in /etc/group"),
            ("www", Some("torn"), "group \"torn\": no such group in /etc/group"),
            ("www", Some("bad"), "group \"bad\": no such group in /etc/group"),
            ("www", Some("4294967295"), "group \"4294967295\": no such group in /etc/group"),
        ] {
            assert_eq!(accounts().identity(user, group).unwrap_err().to_string(), want);
        }
    }
}
