//! Elements of a sensitive name in a text: `<pin>1234</pin>`, with whatever attributes and prefix, `<field name="pin">1234</field>`,
//! `<param name="pin" value="1234"/>`, and the same escaped as `&lt;pin&gt;`. Owns where a tag and its content begin and end; reads
//! folded text.

use super::names::{Also, says_secret};
use super::pairs::says_something;
use std::ops::Range;

/// A longer tag is none, and the content of an element that is not closed within this ends at the next tag.
const LONGEST_TAG: usize = 2_048;
const LONGEST_CONTENT: usize = 8_192;

/// How `<` and `>` are written.
const WRITTEN: [(&str, &str); 5] = [
    ("<", ">"),
    ("&lt;", "&gt;"),
    ("&amp;lt;", "&amp;gt;"),
    ("&#60;", "&#62;"),
    ("&#x3c;", "&#x3e;"),
];

/// Attributes that say what an element is about.
const NAMING: [&str; 6] = ["name", "key", "id", "field", "label", "type"];

/// Elements that do, of the element after them.
const NAMING_ELEMENTS: [&str; 4] = ["name", "key", "field", "label"];
const LONGEST_NAME: usize = 80;

/// Where a text holds the contents and values of such elements.
pub(super) fn find(text: &str, also: &Also, found: &mut Vec<Range<usize>>) {
    let mut place = 0;
    while let Some(next) = text[place..].find(['<', '&']) {
        let start = place + next;
        place = start + 1;
        let Some((opening, closing)) = mark_at(text, start) else {
            continue;
        };
        let from = start + opening.len();
        let Some(end) = end_of_tag(text, from, closing) else {
            continue;
        };
        let content = end + closing.len();
        if let Some(through) = element(text, from..end, content, also, found) {
            place = through;
        }
    }
}

/// How a `<` is written here, and the `>` that belongs to it; `None` where there is none.
fn mark_at(text: &str, place: usize) -> Option<(&'static str, &'static str)> {
    WRITTEN
        .into_iter()
        .find(|(opening, _)| begins(text, place, opening))
}

fn begins(text: &str, place: usize, with: &str) -> bool {
    text.as_bytes()
        .get(place..place + with.len())
        .is_some_and(|part| part.eq_ignore_ascii_case(with.as_bytes()))
}

/// Where a tag ends: at its mark, but not inside of quotes. A value in quotes holds no `<`.
fn end_of_tag(text: &str, from: usize, closing: &str) -> Option<usize> {
    let mut quote = None;
    let bytes = text.as_bytes();
    let mut first = None;
    for (place, byte) in bytes.iter().enumerate().skip(from).take(LONGEST_TAG) {
        match (*byte, quote) {
            (byte @ (b'"' | b'\''), None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            (b'<' | b'&', _) if mark_at(text, place).is_some() => break,
            (b'>' | b'&', _) if begins(text, place, closing) => match quote {
                None => return Some(place),
                Some(_) => first = first.or(Some(place)),
            },
            _ => {}
        }
    }
    // Quotes that are never closed are none.
    first
}

/// Takes one element; answers where to go on, if it holds something.
fn element(
    text: &str,
    tag: Range<usize>,
    content: usize,
    also: &Also,
    found: &mut Vec<Range<usize>>,
) -> Option<usize> {
    let within = &text[tag.clone()];
    let name = within.split([' ', '\t', '\n', '\r', '/']).next()?;
    if name.is_empty() || name.starts_with(['!', '?']) {
        return None;
    }
    let is_secret = |name: &str| also.holds(name) || name.len() > 1 && says_secret(name);
    let local = name.rsplit(':').next().unwrap_or(name);
    let is_named = is_secret(local);
    let is_told = || {
        attributes(within)
            .any(|(attribute, value)| is_one_of(attribute, &NAMING) && is_secret(&within[value]))
    };
    if !is_named && !is_told() {
        return match is_one_of(local, &NAMING_ELEMENTS) {
            true => named_by(text, content, is_secret, found),
            false => None,
        };
    }
    for (attribute, value) in attributes(within) {
        if attribute.eq_ignore_ascii_case("value") && says_something(&within[value.clone()]) {
            found.push(tag.start + value.start..tag.start + value.end);
        }
    }
    if within.ends_with('/') {
        return None;
    }
    let end = match (end_of_content(text, content, name), is_named) {
        (Some(end), _) => end,
        (None, true) => next_tag(text, content),
        // An element that has no end has no content: what follows is not its own.
        (None, false) => return None,
    };
    if !says_something(text[content..end].trim()) {
        return None;
    }
    found.push(content..end);
    Some(end)
}

/// `<name>pin</name><value>1234</value>`: takes what stands in the element after one whose content is a sensitive name.
fn named_by(
    text: &str,
    content: usize,
    is_secret: impl Fn(&str) -> bool,
    found: &mut Vec<Range<usize>>,
) -> Option<usize> {
    let end = next_tag(text, content);
    if end - content > LONGEST_NAME || !is_secret(text[content..end].trim()) {
        return None;
    }
    let behind = |place: usize| {
        let (opening, closing) = mark_at(text, place)?;
        let from = place + opening.len();
        let end = end_of_tag(text, from, closing)?;
        Some((&text[from..end], end + closing.len()))
    };
    let (_, after) = behind(end).filter(|(tag, _)| tag.starts_with('/'))?;
    let (tag, content) = behind(next_tag(text, after))?;
    if tag.starts_with('/') || tag.ends_with('/') {
        return None;
    }
    let name = tag.split([' ', '\t', '\n', '\r']).next()?;
    let end = end_of_content(text, content, name).unwrap_or_else(|| next_tag(text, content));
    if !says_something(text[content..end].trim()) {
        return None;
    }
    found.push(content..end);
    Some(end)
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|each| name.eq_ignore_ascii_case(each))
}

/// The attributes of a tag: each name, and where its value stands.
fn attributes(tag: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut place = 0;
    std::iter::from_fn(move || {
        let mark = place + tag[place..].find('=')?;
        let before = tag[..mark].trim_end();
        let name = before
            .rsplit([' ', '\t', '\n', '\r', '"', '\''])
            .next()
            .unwrap_or_default();
        let name = name.rsplit(':').next().unwrap_or(name);
        let rest = tag[mark + 1..].trim_start();
        let start = tag.len() - rest.len();
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let length = rest[1..].find(quote).unwrap_or(rest.len() - 1);
                start + 1..start + 1 + length
            }
            _ => {
                let length = rest.find([' ', '\t', '\n', '\r']).unwrap_or(rest.len());
                start..start + length
            }
        };
        place = value.end;
        Some((name, value))
    })
}

/// Where an element's own end stands, if that is not far.
fn end_of_content(text: &str, from: usize, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len().min(from + LONGEST_CONTENT)).find(|place| {
        matches!(bytes[*place], b'<' | b'&')
            && mark_at(text, *place).is_some_and(|(opening, _)| {
                let after = *place + opening.len();
                begins(text, after, "/") && begins(text, after + 1, name)
            })
    })
}

fn next_tag(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    (from..bytes.len())
        .find(|place| matches!(bytes[*place], b'<' | b'&') && mark_at(text, *place).is_some())
        .unwrap_or(bytes.len())
}
