//! What is TOML and what is not, and the same by the usual crate.

use ::toml::de::{DeTable, DeValue};

use super::*;

/// In the manner of Debug, without positions, keys sorted, as the crate has them. None: a number that no key takes.
fn ours(table: &Table) -> String {
    let mut entries: Vec<_> =
        table.entries.iter().map(|entry| format!("{:?}={}", entry.name, our_value(&entry.node.value))).collect();
    entries.sort();
    format!("{{{}}}", entries.join(","))
}

fn our_value(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Whole(number) => format!("{number:?}"),
        Value::Flag(flag) => flag.to_string(),
        Value::List(list) => list.iter().map(|node| our_value(&node.value) + ";").collect(),
        Value::Table(table) => ours(table),
        Value::Other => "None".to_owned(),
    }
}

fn theirs(table: &DeTable<'_>) -> String {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| format!("{:?}={}", key.get_ref(), their_value(value.get_ref()))).collect();
    entries.sort();
    format!("{{{}}}", entries.join(","))
}

fn their_value(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(whole) => format!("{:?}", u64::from_str_radix(whole.as_str(), whole.radix()).ok()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Array(list) => list.iter().map(|value| their_value(value.get_ref()) + ";").collect(),
        DeValue::Table(table) => theirs(table),
        DeValue::Float(_) | DeValue::Datetime(_) => "None".to_owned(),
    }
}

/// The lines that are no TOML.
fn wrong_lines(text: &str) -> Vec<String> {
    let mut mistakes = Mistakes::default();
    parse(text, &mut mistakes);
    let messages = mistakes.into_messages("a", text);
    messages
        .iter()
        .map(|text| text.lines().next().expect("a line").strip_prefix("a:").expect("the name").to_owned())
        .collect()
}

/// Neither takes what the other refuses, and both understand the same.
fn compare(text: &str) {
    let mut mistakes = Mistakes::default();
    let table = parse(text, &mut mistakes);
    match DeTable::parse(text) {
        Ok(expected) if !mistakes.incomplete => assert_eq!(ours(&table), theirs(expected.get_ref()), "{text:?}"),
        Ok(_) => panic!("{text:?} is TOML, and not {:?}", wrong_lines(text)),
        // Whatever is no number and no date there is none here, either: no key takes it.
        Err(error) => assert!(mistakes.incomplete || ours(&table).contains("None"), "{text:?}: {error}"),
    }
}

const SAMPLES: [&str; 47] = [
    "",
    "\u{feff}a = 1",
    "a = 1 # one\r\nb = \"x\" \r\n",
    "a.b.c = 1\na.d = 2",
    "\"a b\".'c\\' = 1",
    "a = 1_000\nb = 0x_1\nc = 0xFf\nd = 0o17\ne = 0b101\nf = +5\ng = -5\nh = -0",
    "a = 010",
    "a = 1__0",
    "a = 1.5\nb = 1e5\nc = inf\nd = 1979-05-27T07:32:00Z\ne = 07:32:00",
    "a = 99999999999999999999",
    "a = \"\\b\\t\\n\\f\\r\\\"\\\\\\u00e9\\U0001F600\"",
    "a = \"\\u12\"",
    "a = \"\\ud800\"",
    "a = \"\\q\"",
    "a = \"\u{e9}\t\"",
    "a = \"\u{1}\"",
    "a = 'x\\y\"'",
    "a = \"\"\"\nx\ny\"\"\"",
    "a = \"\"\"x \\\n   y\\\\ \"\" \"\"\"\"\"",
    "a = '''\nx\\\n''''",
    "a = \"\"\"x",
    "a = [1, \"x\", [true, false], { b = 1 }]",
    "a = [ # one\n 1,\n # two\n 2, ]",
    "a = [1 2]",
    "a = [,]",
    "a = {}",
    "a = { b = 1, c.d = 2 }\n",
    "a = { b = 1, b = 2 }",
    "a = { b = 1 }\na.c = 2",
    "a = { b = 1 }\n[a]",
    "a = 1\na = 2",
    "a = 1\n[a]",
    "[a]\nb = 1\n[a.c]\nd = 1\n[e]",
    "[a.b]\nc = 1\n[a]\nd = 1",
    "[a]\n[a]",
    "[a]\nb.c = 1\n[a.b]",
    "[a]\nb.c = 1\n[a.b.d]",
    "[a.b]\n[a]\nb.c = 1",
    "[[a]]\nb = 1\n[[a]]\n[a.c]\nd = 1\n[[a.e]]\n[[a.e]]",
    "a = [{}]\n[[a]]",
    "[[a]]\n[a]",
    "[a]\n[[a]]",
    "[]",
    "[a]x = 1",
    "a = 1 b = 2",
    "= 1",
    "a = \"\"\"x\r\ny\\\r\n z\"\"\"\r\n# \u{c}",
];

#[test]
fn both_read_the_same() {
    for text in SAMPLES {
        compare(text);
    }
}

/// Samples cut, and put together at random, by a fixed sequence.
#[test]
fn both_read_the_same_of_pieces() {
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..=next(3) {
            let sample: Vec<char> = SAMPLES[next(SAMPLES.len())].trim_start_matches('\u{feff}').chars().collect();
            let from = if next(2) == 0 { 0 } else { next(sample.len() + 1) };
            let to = if next(2) == 0 { sample.len() } else { from + next(sample.len() - from + 1) };
            text.extend(&sample[from..to]);
            text.push_str(["\n", "", " ", ","][next(4)]);
        }
        compare(&text);
    }
}

#[test]
fn each_line_that_is_no_toml_is_told_and_the_others_are_read() {
    for (text, wrong, rest) in [
        ("a b\nc = 1\nd =\ne = 2", vec!["1:3", "3:4"], "{\"c\"=Some(1),\"e\"=Some(2)}"),
        ("a = \"x\nb = 1", vec!["1:7"], "{\"b\"=Some(1)}"),
        ("a = [1\nb = 2\nc = 3", vec!["2:1"], "{\"b\"=Some(2),\"c\"=Some(3)}"),
        ("a = [\n  1\n  2\n]\nb = 1", vec!["3:3"], "{\"b\"=Some(1)}"),
        ("a = info\n[b\nc = 1", vec!["1:5", "2:3"], "{\"c\"=Some(1)}"),
        ("a = [", vec!["1:6"], "{}"),
        ("a = 1 # \u{7}\nb = 1", vec!["1:9"], "{\"a\"=Some(1),\"b\"=Some(1)}"),
    ] {
        let mut mistakes = Mistakes::default();
        assert_eq!(ours(&parse(text, &mut mistakes)), rest, "{text:?}");
        let found = wrong_lines(text);
        let places: Vec<_> = found.iter().map(|text| text.split(": ").next().expect("a place")).collect();
        assert_eq!(places, wrong, "{text:?}: {found:?}");
    }
}

#[test]
fn nesting_has_an_end() {
    for text in ["a = ".to_owned() + &"[".repeat(100_000), "a.".repeat(100_000), format!("[{}a]", "a.".repeat(100_000))]
    {
        assert!(!wrong_lines(&text).is_empty());
    }
}
