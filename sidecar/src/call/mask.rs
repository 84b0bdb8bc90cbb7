//! Owns taking our own secrets out of what a provider said: some repeat a request's credentials in
//! the body that refuses them. Knows the spellings in which they come back. Never prints one.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use memchr::memmem::{FindIter, find_iter};
use secrecy::{ExposeSecret, SecretString};

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";

/// A shorter secret is left alone: it would be found in words and numbers that mean something else.
const SHORTEST: usize = 6;

/// The secrets of one call, and what was made with them.
#[derive(Default)]
pub(crate) struct Mask(Vec<SecretString>);

impl Mask {
    /// From now on this is a secret.
    pub(crate) fn add(&mut self, secret: &str) {
        let known = |known: &SecretString| known.expose_secret() == secret;
        if secret.len() >= SHORTEST && !self.0.iter().any(known) {
            self.0.push(secret.into());
        }
    }

    /// The text with every spelling of every secret taken out. A text without any is given back as
    /// it is, after one look for each spelling.
    pub(crate) fn apply(&self, text: String) -> String {
        let spellings = self.spellings();
        let mut finds: Vec<Find<'_>> = spellings
            .iter()
            .filter_map(|spelling| Find::first(&text, spelling.expose_secret()))
            .collect();
        if finds.is_empty() {
            return text;
        }
        without(&text, &mut finds)
    }

    fn spellings(&self) -> Vec<SecretString> {
        let mut all: Vec<SecretString> = Vec::new();
        for secret in &self.0 {
            for spelling in spellings(secret.expose_secret()) {
                let known = |known: &SecretString| known.expose_secret() == spelling;
                if !all.iter().any(known) {
                    all.push(spelling.into());
                }
            }
        }
        all
    }
}

/// Where a spelling stands next in a text.
struct Find<'a> {
    start: usize,
    length: usize,
    later: FindIter<'a, 'a>,
}

impl<'a> Find<'a> {
    fn first(text: &'a str, spelling: &'a str) -> Option<Self> {
        let mut later = find_iter(text.as_bytes(), spelling);
        Some(Self {
            start: later.next()?,
            length: spelling.len(),
            later,
        })
    }
}

/// The text without what was found. One walk with the next place of each spelling in hand, so that
/// the memory it takes doesn't grow with the number of places.
fn without(text: &str, finds: &mut Vec<Find<'_>>) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    while let Some((at, start)) = finds
        .iter()
        .map(|find| find.start)
        .enumerate()
        .min_by_key(|(_, start)| *start)
    {
        let end = start + finds[at].length;
        // One that begins inside another makes the place longer, not two of it.
        if start >= from {
            clean.push_str(up_to_an_escape(&text[from..start]));
            clean.push_str(REDACTED);
        }
        from = from.max(end);
        match finds[at].later.next() {
            Some(start) => finds[at].start = start,
            None => drop(finds.swap_remove(at)),
        }
    }
    clean.push_str(&text[from..]);
    clean
}

/// Without the backslash that what follows was escaped by: it would escape what is put in its place.
fn up_to_an_escape(before: &str) -> &str {
    let backslashes = before
        .bytes()
        .rev()
        .take_while(|byte| *byte == b'\\')
        .count();
    match backslashes % 2 {
        0 => before,
        _ => &before[..before.len() - 1],
    }
}

/// The secret as it is, and as other writers of JSON, URLs and base64 would write it.
fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![
        secret.to_owned(),
        // Without padding it is also the start of the padded one.
        BASE64_STANDARD_NO_PAD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
    ];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if secret.bytes().all(plain) {
        return all;
    }
    all.extend([
        percent(secret, "-_.~", true),
        percent(secret, "-_.~", false),
        // As in a form, and as JavaScript's encodeURI leaves it.
        percent(secret, "-_.*", true).replace("%20", "+"),
        percent(secret, "-_.~!*'();/?:@&=+$,#", true),
    ]);
    for escaped in ["", "/", "<>&", "<>&'+\"`", "<>&'\"/"] {
        for ascii in [false, true] {
            all.push(json(secret, escaped, ascii, false));
            all.push(json(secret, escaped, ascii, true));
        }
    }
    all
}

fn percent(secret: &str, kept: &str, upper: bool) -> String {
    let mut text = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            text.push(byte.into());
        } else if upper {
            text.push_str(&format!("%{byte:02X}"));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text
}

/// Inside quotes of JSON: `escaped` are written as numbers, but for a slash, which gets a backslash;
/// with `ascii` so is all that isn't ASCII.
fn json(secret: &str, escaped: &str, ascii: bool, upper: bool) -> String {
    let mut text = String::new();
    for char in secret.chars() {
        let short = match char {
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            '\\' => Some('\\'),
            '"' if !escaped.contains('"') => Some('"'),
            '/' if escaped.contains('/') => Some('/'),
            _ => None,
        };
        let number = escaped.contains(char) || char.is_ascii_control() || ascii && !char.is_ascii();
        match short {
            Some(short) => text.extend(['\\', short]),
            None if !number => text.push(char),
            None => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    text.push_str(&match upper {
                        true => format!("\\u{unit:04X}"),
                        false => format!("\\u{unit:04x}"),
                    });
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
