//! Which names speak of secrets. A name is taken apart into words, and judged by what it is about: `voucher_pin` is a PIN,
//! `pin_status` is a status. Owns the taking apart; the words themselves are in `vocabulary`.

use super::MASK;
use super::folding::Folded;
use super::vocabulary::{
    ANYWHERE, CARRIERS, HARMLESS_KEYS, HARMLESS_TOKENS, HEADS, QUALIFIERS, TERMS, WHOLE,
};
use std::ops::Range;
use std::sync::LazyLock;

/// The longest name that is taken apart; of a longer one only the end, which says what it is about, is.
const LONGEST: usize = 128;

/// Whether a member of this name is never stored: by its words, or because `also` holds it in some spelling.
#[must_use]
pub fn is_sensitive_name(name: &str, also: &[String]) -> bool {
    Also::new(also).holds(name) || says_secret(name)
}

/// A provider's own names, which are compared whole.
pub(super) struct Also(Vec<String>);

impl Also {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| spelled_plainly(name)).collect())
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&spelled_plainly(name))
    }
}

/// A name in small letters without what separates words; a name of nothing but separators stays as it is.
fn spelled_plainly(name: &str) -> String {
    let folded = Folded::new(name);
    let plain: String = folded
        .text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    match plain.is_empty() {
        true => folded.text.into_owned(),
        false => plain,
    }
}

/// Whether a name's own words say that it holds a secret.
pub(super) fn says_secret(name: &str) -> bool {
    let folded = Folded::new(name);
    let start = folded.text.len().saturating_sub(LONGEST);
    let start = (start..=folded.text.len())
        .find(|place| folded.text.is_char_boundary(*place))
        .unwrap_or_default();
    let name = &folded.text[start..];
    let plain = small_letters_and_digits(name);
    if plain.len() < 3 {
        return false;
    }
    if holds_part(&plain) {
        return true;
    }
    let without_number = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    if WHOLE.contains(&without_number) {
        return true;
    }
    ends_like_secret(&plain) && is_about_secret_by_words(name)
}

fn small_letters_and_digits(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            _ if c.is_ascii_alphanumeric() => plain.push(c.to_ascii_lowercase()),
            _ if c.is_alphanumeric() => plain.extend(c.to_lowercase()),
            _ => {}
        }
    }
    plain
}

fn holds_part(plain: &str) -> bool {
    // Four letters spare most names eleven searches.
    let beginnings = [
        b"pass", b"secr", b"cred", b"magn", b"mags", b"trac", b"mysq",
    ];
    plain
        .as_bytes()
        .windows(4)
        .any(|part| beginnings.iter().any(|beginning| part == *beginning))
        && ANYWHERE.iter().any(|part| plain.contains(part))
        && !plain.contains("secretar")
}

/// Whether a name ends in two letters that a secret's name, or what qualifies it, ends in: one in ten does, and only those
/// are taken apart.
fn ends_like_secret(plain: &str) -> bool {
    let mut letters = plain.bytes().rev().filter(|byte| !byte.is_ascii_digit());
    match (letters.next(), letters.next()) {
        (Some(last), Some(before)) if last.is_ascii_lowercase() => {
            let befores = ENDINGS[usize::from(last - b'a')];
            // One letter can be a qualifier, with anything before it.
            befores == u32::MAX
                || before.is_ascii_lowercase() && befores & 1 << (before - b'a') != 0
        }
        _ => false,
    }
}

/// By a word's last letter, the letters that stand before it.
static ENDINGS: LazyLock<[u32; 26]> = LazyLock::new(|| {
    let mut endings = [0; 26];
    let terms = TERMS.iter().filter_map(|term| term.last());
    // "redacted": what a mask left of a name is judged without it.
    let others = ["key", "keys", MASK.trim_matches(['[', ']'])];
    for word in HEADS.iter().chain(QUALIFIERS).chain(terms).chain(&others) {
        match word.as_bytes() {
            [.., before, last] => endings[usize::from(last - b'a')] |= 1 << (before - b'a'),
            [only] => endings[usize::from(only - b'a')] = u32::MAX,
            [] => {}
        }
    }
    endings
});

fn is_about_secret_by_words(name: &str) -> bool {
    let name = Name::new(name);
    let words: Vec<&str> = name
        .words
        .iter()
        .map(|word| &name.plain[word.clone()])
        // What a mask left of a name is judged as if nothing had stood there.
        .filter(|word| *word != "redacted")
        .flat_map(taken_apart)
        .collect();
    // Where capitals mislead, as in `pAsS_KeY` or `vOuCherPIN`, the letters in a row still tell.
    is_about_secret(&words) || is_about_secret(&taken_apart(&name.letters()))
}

/// A name in small letters, with the places of its words; digits end a word and are none.
struct Name {
    plain: String,
    words: Vec<Range<usize>>,
}

impl Name {
    fn new(folded: &str) -> Self {
        let mut plain = String::with_capacity(folded.len());
        let mut words: Vec<Range<usize>> = Vec::with_capacity(4);
        let mut before = ' ';
        let mut chars = folded.chars().peekable();
        while let Some(c) = chars.next() {
            let place = plain.len();
            if c.is_alphanumeric() {
                plain.extend(c.to_lowercase());
            }
            if c.is_alphabetic() {
                let next_is_small = chars.peek().is_some_and(|next| next.is_lowercase());
                let begins = !before.is_alphabetic()
                    || c.is_uppercase() && (before.is_lowercase() || next_is_small);
                match words.last_mut() {
                    Some(word) if !begins => word.end = plain.len(),
                    _ => words.push(place..plain.len()),
                }
            }
            before = c;
        }
        Self { plain, words }
    }

    fn letters(&self) -> String {
        self.plain.chars().filter(|c| !c.is_ascii_digit()).collect()
    }
}

/// What the words are about, once what merely qualifies it is set aside.
fn is_about_secret(mut words: &[&str]) -> bool {
    while let Some((last, before)) = words.split_last() {
        let what = before.last().copied().unwrap_or_default();
        match *last {
            "token" | "tokens" if HARMLESS_TOKENS.contains(&what) => return false,
            "key" | "keys" => {
                return !what.is_empty() && !HARMLESS_KEYS.contains(&what);
            }
            last if HEADS.contains(&last) => return true,
            _ if TERMS.iter().any(|term| words.ends_with(term)) => return true,
            last if QUALIFIERS.contains(&last) => words = before,
            _ => return false,
        }
    }
    false
}

/// A run of letters as the known words that it is made of, all of it; otherwise as it is.
fn taken_apart(letters: &str) -> Vec<&str> {
    let mut apart = Vec::new();
    let mut dead_ends = [false; LONGEST + 1];
    let known = || [HEADS, QUALIFIERS, CARRIERS].into_iter().flatten();
    let worthwhile = letters.is_ascii()
        && letters.len() > 3
        && letters.len() <= LONGEST
        && !known().any(|word| *word == letters);
    if worthwhile && peel(letters, &mut apart, &mut dead_ends) {
        apart.reverse();
        return apart;
    }
    vec![letters]
}

/// Takes known words off the end until nothing is left; what was tried in vain is not tried again.
fn peel<'a>(letters: &'a str, apart: &mut Vec<&'a str>, dead_ends: &mut [bool]) -> bool {
    if letters.is_empty() {
        return true;
    }
    if dead_ends[letters.len()] {
        return false;
    }
    for word in [HEADS, QUALIFIERS, CARRIERS].into_iter().flatten() {
        if let Some(rest) = letters.strip_suffix(word) {
            apart.push(&letters[rest.len()..]);
            if peel(rest, apart, dead_ends) {
                return true;
            }
            apart.pop();
        }
    }
    dead_ends[letters.len()] = true;
    false
}
