//! All reason words in one table: what each means, and what to do. The access log, error answers, metrics and the admin
//! page speak in these words; `footbridge reason WORD` explains them.

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client, or whoever sends what is no HTTP.
    Client,
    /// A backend, or the way to it.
    Backend,
    /// This proxy: its configuration, or the machine's size.
    Proxy,
    /// Nobody: nothing failed.
    Nobody,
}

impl Fault {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fault::Client => "client",
            Fault::Backend => "backend",
            Fault::Proxy => "proxy",
            Fault::Nobody => "nobody",
        }
    }

    fn named(word: &str) -> Fault {
        match word {
            "client" => Fault::Client,
            "backend" => Fault::Backend,
            "proxy" => Fault::Proxy,
            _ => Fault::Nobody,
        }
    }
}

/// A reason word, explained.
#[derive(Clone, Copy, Debug)]
pub struct Reason {
    /// As it stands in the log.
    pub word: &'static str,
    /// Who has to do something about it.
    pub fault: Fault,
    /// What has happened.
    pub meaning: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// All words in alphabetical order, one a line: word, fault, meaning, advice. A text, because as values the same would be
/// twice as large.
const TABLE: &str = include_str!("reasons.txt");

/// How many words there are.
pub const COUNT: usize = {
    let (mut lines, mut at) = (0, 0);
    while at < TABLE.len() {
        lines += (TABLE.as_bytes()[at] == b'\n') as usize;
        at += 1;
    }
    lines
};

/// The advice that stands as `*` in the table: for requests that some software reads in one way and some in another.
const NOT_HTTP: &str = "Nothing, if it is a scanner. If it is a client of yours, mend that: the request could be read \
    in two ways, and so reaches no backend.";

/// All reasons, in alphabetical order.
pub fn all() -> impl Iterator<Item = Reason> {
    TABLE.lines().filter_map(|line| {
        let mut parts = line.split('|').map(str::trim_ascii);
        let mut part = || parts.next();
        let (word, fault, meaning, advice) = (part()?, part()?, part()?, part()?);
        Some(Reason {
            word,
            fault: Fault::named(fault),
            meaning,
            advice: if advice == "*" { NOT_HTTP } else { advice },
        })
    })
}

/// The explanation of a word, if it is one.
#[must_use]
pub fn explain(word: &str) -> Option<Reason> {
    all().find(|reason| reason.word == word)
}

/// Which of [`all`] a word is.
pub(super) fn place_of(word: &str) -> Option<usize> {
    all().position(|reason| reason.word == word)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_word_is_explained() {
        assert_eq!(all().count(), COUNT);
        assert!(all().is_sorted_by(|one, next| one.word < next.word));
        for reason in all() {
            assert!(reason.meaning.len() > 10 && reason.advice.ends_with(['.']), "{}", reason.word);
        }
        assert_eq!(explain("no-route").map(|reason| reason.fault), Some(Fault::Client));
        assert!(explain("no-such-word").is_none());
    }

    /// Reasons are plain texts in the code that finds the defect; here is what holds the table to them.
    #[test]
    fn every_reason_that_the_engine_can_produce_is_explained() {
        let mut found = 0;
        for file in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("http"))
            .into_iter()
            .chain(rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy")))
        {
            let text = fs::read_to_string(&file).expect("our own code");
            let code = text.split("#[cfg(test)]").next().expect("a first part");
            for word in words_in(code) {
                assert!(explain(word).is_some(), "{word} of {} is not explained", file.display());
                found += 1;
            }
        }
        assert!(found >= COUNT, "only {found} of {COUNT} were found");
    }

    fn rust_files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("our own folder").map(|entry| entry.expect("an entry").path());
        entries
            .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
            .filter(|path| path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("reasons.rs"))
            .collect()
    }

    /// Words with a hyphen that stand where a reason is made.
    fn words_in(code: &str) -> Vec<&str> {
        let makes = |line: &&str| {
            ["Malformed(\"", "Refused(\"", ".only(", "reason = \"", " => \"", ", \"redirect\"", ", \"fixed-answer\""]
                .iter()
                .any(|start| line.contains(start))
        };
        let is_word = |text: &&str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        };
        let in_reason_code =
            |line: &&str| !line.contains("=> \"") || line.contains("Error") || line.contains("MessageError");
        let lines = code.lines().filter(makes).filter(in_reason_code);
        lines
            .flat_map(|line| line.split('"').skip(1).step_by(2))
            .filter(is_word)
            .filter(|word| !is_another_word(word))
            .collect()
    }

    /// Lines of the same form that speak of something else; and defects that `Error` has its own words for, each side's.
    fn is_another_word(word: &str) -> bool {
        ["unix:", "-", "connection-failed", "incomplete", "timed-out"].contains(&word)
    }
}
