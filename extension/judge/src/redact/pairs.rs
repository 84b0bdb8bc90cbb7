//! Names beside their values in a text: `pin=1234` of a URL, a form or a log, `"pin": "1234"` of JSON that is cut short,
//! `Cookie: …` of a header. Owns where such a value begins and ends; reads folded text.

use super::MASK;
use super::names::{Also, says_secret};
use std::ops::Range;

/// Longer names are looked at from their end.
const LONGEST_NAME: usize = 80;

/// Where a text holds values of sensitive names.
pub(super) fn find(text: &str, also: &Also, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut place = 0;
    while let Some(next) = bytes[place..]
        .iter()
        .position(|byte| matches!(byte, b'=' | b':'))
    {
        let mark = place + next;
        place = mark + 1;
        let Some(value) = value_after(text, mark, also) else {
            continue;
        };
        if says_something(&text[value.clone()]) {
            place = value.end;
            found.push(value);
        }
    }
}

fn value_after(text: &str, mark: usize, also: &Also) -> Option<Range<usize>> {
    let (name, quoted) = name_before(text, mark);
    if name.len() < 2 && !also.holds(&name) {
        return None;
    }
    let sensitive = || also.holds(&name) || says_secret(&name);
    let bytes = text.as_bytes();
    match bytes[mark] {
        b'=' => sensitive().then(|| scalar(text, mark + 1)),
        _ if quoted => sensitive().then(|| scalar(text, mark + 1)),
        _ if !sensitive() => None,
        _ => Some(prose(text, mark + 1, &name)),
    }
}

fn of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | '%')
}

/// The name before a mark, decoded as in a form, and whether quotes stand around it.
fn name_before(text: &str, mark: usize) -> (String, bool) {
    let before = text[..mark].trim_end_matches([' ', '\t']);
    let bare = before.trim_end_matches(['"', '\'', '\\']);
    let quoted = bare.len() < before.len();
    let start = bare
        .char_indices()
        .rev()
        .take(LONGEST_NAME)
        // Between quotes a name may hold anything.
        .take_while(|(_, c)| of_name(*c) || quoted && !matches!(c, '"' | '\'' | '\n'))
        .last()
        .map_or(bare.len(), |(start, _)| start);
    let name = &bare[start..];
    if name.contains('%') {
        let decoded = form_urlencoded::parse(name.as_bytes()).next();
        return (
            decoded
                .map(|(name, _)| name.into_owned())
                .unwrap_or_default(),
            quoted,
        );
    }
    (name.to_owned(), quoted)
}

/// One value: what its quotes hold or, without quotes, up to a blank, `&`, a quote or a bracket that closes.
fn scalar(text: &str, from: usize) -> Range<usize> {
    let rest = &text[from..];
    let opened = rest.trim_start_matches([' ', '\t', '\n', '\r', '=', '\\', '>']);
    let opened = match opened.starts_with(MASK) {
        // Masked before: not once more without its bracket.
        true => return from..from,
        false => opened.trim_start_matches(['[', ' ', '\t', '\n', '\r', '\\']),
    };
    let start = text.len() - opened.len();
    if let Some(quote @ ('"' | '\'')) = opened.chars().next() {
        let bytes = text.as_bytes();
        let mut end = start + 1;
        while end < bytes.len() && bytes[end] != quote as u8 {
            // `\"` inside of a quoted value stands for a quote, unless the quotes that hold it are escaped themselves.
            let escaped = bytes[end] == b'\\' && !text[..start].ends_with('\\');
            end += 1 + usize::from(escaped && end + 1 < bytes.len());
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let inner = text[start + 1..end].trim_end_matches('\\');
        return start + 1..start + 1 + inner.len();
    }
    // An object in a text that is no JSON: its members are pairs of their own.
    if opened.starts_with('{') {
        return start..start;
    }
    let length = opened
        .find(|c: char| {
            c.is_whitespace() || matches!(c, '&' | '"' | '\'' | '<' | '>' | '`' | '}' | ']' | '\\')
        })
        .unwrap_or(opened.len());
    let value = opened[..length].trim_end_matches([',', ';', '.', ')']);
    start..start + value.len()
}

/// After a colon in a sentence or a header: "Cookie: a=1; b=2" goes to the line's end, "token: abc123" is one word, and
/// "invalid pin: declined" tells no PIN.
fn prose(text: &str, from: usize, name: &str) -> Range<usize> {
    let name = name.to_ascii_lowercase();
    let whole_line = ["cookie", "authorization"]
        .iter()
        .any(|header| name.ends_with(header));
    if whole_line {
        let rest = text[from..].trim_start_matches([' ', '\t']);
        let start = text.len() - rest.len();
        let length = rest.find(['\n', '\r', '"', '<']).unwrap_or(rest.len());
        return start..start + rest[..length].trim_end().len();
    }
    let value = scalar(text, from);
    let word = &text[value.clone()];
    let tells = word.chars().any(|c| c.is_ascii_digit())
        || word.chars().skip(1).any(char::is_uppercase)
        || word.len() >= 12
        || name.contains("passw")
        || name.contains("secret");
    match tells {
        true => value,
        false => value.start..value.start,
    }
}

/// Nothing, null, a truth value and what is masked already stay.
pub(super) fn says_something(value: &str) -> bool {
    !matches!(value, "" | "null" | "true" | "false" | "None" | "nil") && value != MASK
}
