//! Just enough JSON (RFC 8259) to say whether a log line is an object of plain values.

use std::iter::Peekable;
use std::str::Chars;

/// The keys and values of an object that holds no objects or arrays; numbers and words as they stand. `None` if the
/// text is anything else.
pub fn flat_object(text: &str) -> Option<Vec<(String, String)>> {
    let mut chars = text.chars().peekable();
    let mut pairs = Vec::new();
    expect(&mut chars, '{')?;
    loop {
        let key = string(&mut chars)?;
        expect(&mut chars, ':')?;
        pairs.push((key, value(&mut chars)?));
        match next(&mut chars)? {
            ',' => {}
            '}' => break,
            _ => return None,
        }
    }
    next(&mut chars).is_none().then_some(pairs)
}

/// The next char that is not white space.
fn next(chars: &mut Peekable<Chars>) -> Option<char> {
    while chars.next_if_eq(&' ').is_some() {}
    chars.next()
}

fn expect(chars: &mut Peekable<Chars>, want: char) -> Option<()> {
    (next(chars)? == want).then_some(())
}

fn string(chars: &mut Peekable<Chars>) -> Option<String> {
    expect(chars, '"')?;
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(escaped(chars)?),
            char if char.is_control() => return None,
            char => text.push(char),
        }
    }
}

fn escaped(chars: &mut Peekable<Chars>) -> Option<char> {
    match chars.next()? {
        char @ ('"' | '\\' | '/') => Some(char),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => {
            let digits: String = chars.take(4).collect();
            let is_hex = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            // Halves of surrogate pairs stand for themselves here: nobody looks at them.
            is_hex.then(|| u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'))
        }
        _ => None,
    }
}

fn value(chars: &mut Peekable<Chars>) -> Option<String> {
    while chars.next_if_eq(&' ').is_some() {}
    if chars.peek() == Some(&'"') {
        return string(chars);
    }
    let mut word = String::new();
    while let Some(char) = chars.next_if(|char| !matches!(char, ',' | '}' | ' ')) {
        word.push(char);
    }
    let is_word = ["true", "false", "null"].contains(&word.as_str()) || word.parse::<f64>().is_ok();
    is_word.then_some(word)
}
