//! A text with what is sensitive in it masked, and the rest of it kept. Owns the order of looking: JSON inside of the text
//! first, then card numbers, credentials and names beside their values.

use super::folding::Folded;
use super::names::Also;
use super::{MASK, cards, credentials, json, pairs, tags};
use std::borrow::Cow;
use std::ops::Range;

/// How many texts inside of texts are opened; deeper, what could be opened is masked as a whole.
pub(super) const DEPTH: usize = 4;
/// A text is looked at again until nothing is left to mask, and masked as a whole if that takes too long.
const ROUNDS: usize = 4;

/// The text, masked; `None` when nothing had to be.
pub(super) fn redacted(text: &str, also: &Also, depth: usize) -> Option<String> {
    until_nothing_is_left(text, |text| {
        opened(text, also, depth).unwrap_or_else(|| {
            plainly_redacted(text, also).or_else(|| decoded_and_redacted(text, also, depth))
        })
    })
}

/// As [`redacted`], of a text that is nothing but a text, such as a member's name.
pub(super) fn name_redacted(name: &str, also: &Also) -> Option<String> {
    until_nothing_is_left(name, |name| plainly_redacted(name, also))
}

fn until_nothing_is_left(text: &str, once: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut current = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        match once(&current) {
            Some(masked) if masked != current => current = Cow::Owned(masked),
            _ => {
                return match current {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(masked) => Some(masked),
                };
            }
        }
    }
    Some(MASK.to_owned())
}

/// A text that is JSON, looked through as such. The outer `None`: it is none.
fn opened(text: &str, also: &Also, depth: usize) -> Option<Option<String>> {
    if !text.trim_start().starts_with(['{', '[', '"']) {
        return None;
    }
    match json::parsed(text) {
        Ok(_) if depth == 0 => Some(Some(MASK.to_owned())),
        Ok(value) => Some(json::masked(text, value, also, depth - 1)),
        // What only its depth keeps from being read can't be looked through.
        Err(json::TooDeep::Yes) => Some(Some(MASK.to_owned())),
        Err(json::TooDeep::No) => None,
    }
}

/// A text that only percent-encoding keeps from being looked through, such as JSON in a URL. Stays encoded when nothing in it
/// had to be masked.
fn decoded_and_redacted(text: &str, also: &Also, depth: usize) -> Option<String> {
    // Quotes, `=` and `:` are what values of names stand behind.
    let worthwhile = ["%22", "%3D", "%3d", "%3A", "%3a", "%25"];
    if depth == 0 || !text.contains('%') || !worthwhile.iter().any(|encoded| text.contains(encoded))
    {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let encoded = (*first == b'%')
            .then(|| std::str::from_utf8(after.get(..2)?).ok())
            .flatten()
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(encoded.unwrap_or(*first));
        rest = &after[if encoded.is_some() { 2 } else { 0 }..];
    }
    redacted(&String::from_utf8(decoded).ok()?, also, depth - 1)
}

fn plainly_redacted(text: &str, also: &Also) -> Option<String> {
    let folded = Folded::new(text);
    if is_decimal(&folded.text) {
        return cards::is_number_of_card(folded.text.trim()).then(|| MASK.to_owned());
    }
    let mut found = Vec::new();
    if may_hold_card(&folded.text) {
        cards::find(&folded.text, &mut found);
    }
    credentials::find(&folded.text, &mut found);
    pairs::find(&folded.text, also, &mut found);
    tags::find(&folded.text, also, &mut found);
    if found.is_empty() {
        return None;
    }
    found.sort_by_key(|part| part.start);
    Some(without(
        text,
        found.iter().map(|part| folded.in_original(part)),
    ))
}

/// Whether there are digits enough: most texts have not, and are spared the search. `%34` is a digit in a URL.
fn may_hold_card(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits >= cards::FEWEST || text.contains('%')
}

/// The text with a mask in place of each part; parts that touch or overlap have one mask.
fn without(text: &str, parts: impl Iterator<Item = Range<usize>>) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut through = 0;
    for part in parts {
        if part.end <= through {
            continue;
        }
        if part.start > through || masked.is_empty() {
            masked.push_str(&text[through..part.start.max(through)]);
            masked.push_str(MASK);
        }
        through = part.end;
    }
    masked.push_str(&text[through..]);
    match masked.trim() == MASK {
        true => MASK.to_owned(),
        false => masked,
    }
}

/// A number with a fraction is a quantity: its digits after the point belong to no card.
fn is_decimal(text: &str) -> bool {
    let text = text.trim().trim_start_matches(['-', '+']);
    text.split_once('.').is_some_and(|(whole, fraction)| {
        !whole.is_empty()
            && !fraction.is_empty()
            && whole
                .bytes()
                .chain(fraction.bytes())
                .all(|byte| byte.is_ascii_digit())
    })
}
