//! A strict reader of Prometheus' text format 0.0.4: what it does not like, no scraper has to like.

use std::collections::{BTreeMap, BTreeSet};

/// Every sample by its name and labels; all as it is written.
pub type Samples = BTreeMap<String, String>;

/// Reads an exposition; panics with the line that is wrong.
pub fn parse(text: &str) -> Samples {
    assert!(text.ends_with('\n'), "the last line ends, too");
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let mut family: Option<(String, String)> = None;
    let mut helped = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("help without text: {line}"));
            assert!(is_name(name) && !help.is_empty(), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
            assert_eq!(name, helped, "the help of each family comes before its type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (name, kind) = family.as_ref().unwrap_or_else(|| panic!("a sample without a family: {line}"));
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            let number: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(number.is_finite() && number >= 0.0, "{line}");
            check_series(series, name, kind);
            assert!(samples.insert(series.to_owned(), value.to_owned()).is_none(), "{series} comes twice");
        }
    }
    samples
}

fn check_series(series: &str, family: &str, kind: &str) {
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("no end: {series}"))),
        None => (series, ""),
    };
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} is not of {family}"));
    let allowed: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    assert!(is_name(name) && allowed.contains(&suffix), "{series}");
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {series}"));
        assert!(is_name(label) && !label.starts_with("__"), "{series}");
        rest = value_end(value, series);
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// What stands behind the quote that ends a value.
fn value_end<'a>(value: &'a str, series: &str) -> &'a str {
    let mut chars = value.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return &value[at + 1..],
            '\\' => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{series}"),
            _ => {}
        }
    }
    panic!("no end of a value: {series}")
}

fn is_name(name: &str) -> bool {
    let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    word && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
}
