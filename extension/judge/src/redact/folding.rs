//! One spelling for what reads the same: full-width letters, digits of other scripts, no-break spaces, kinds of dashes and
//! dots, characters that nobody sees. Owns the way back to the text as it came; never decides what is sensitive.

use std::borrow::Cow;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;

/// A text in one spelling, and where each byte of it came from.
pub(super) struct Folded<'a> {
    /// The text in one spelling.
    pub(super) text: Cow<'a, str>,
    original: &'a str,
    /// For each byte of the text, where the character that it came from begins. `None`: nothing moved.
    origins: Option<Vec<usize>>,
}

impl<'a> Folded<'a> {
    /// Folds by Unicode NFKC, character by character.
    pub(super) fn new(original: &'a str) -> Self {
        if original.is_ascii() {
            return Self {
                text: Cow::Borrowed(original),
                original,
                origins: None,
            };
        }
        let mut text = String::with_capacity(original.len());
        let mut origins = Vec::with_capacity(original.len());
        for (place, c) in original.char_indices() {
            fold(c, &mut text);
            origins.resize(text.len(), place);
        }
        Self {
            text: Cow::Owned(text),
            original,
            origins: Some(origins),
        }
    }

    /// Where a part of the folded text, which may not be empty, stands in the original.
    pub(super) fn in_original(&self, part: &Range<usize>) -> Range<usize> {
        let Some(origins) = &self.origins else {
            return part.clone();
        };
        let last = origins[part.end - 1];
        let width = self.original[last..]
            .chars()
            .next()
            .map_or(0, char::len_utf8);
        origins[part.start]..last + width
    }
}

fn fold(c: char, text: &mut String) {
    match c {
        '\0'..='\u{7f}' => text.push(c),
        // Default_Ignorable_Code_Point and combining marks: "4\u{200b}1", "4\u{20e3}" read like "41" and "4".
        '\u{ad}'
        | '\u{300}'..='\u{36f}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{20d0}'..='\u{20f0}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e0fff}' => {}
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' => text.push('-'),
        '\u{b7}' | '\u{2022}' | '\u{2027}' | '\u{2219}' | '\u{22c5}' | '\u{30fb}' => {
            text.push('.');
        }
        '\u{2044}' | '\u{2215}' => text.push('/'),
        // Ideographs and Hangul, which are letters, stay what they are; most of such a text is spared the look-up.
        '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => text.push(c),
        _ if c.is_whitespace() => text.push(' '),
        _ => match digit_of_another_script(c) {
            Some(digit) => text.push(digit),
            None => text.extend(std::iter::once(c).nfkc().filter(|c| *c != '\u{20e3}')),
        },
    }
}

/// Zeros of the decimal digits (Unicode General_Category Nd) of scripts in use, which NFKC leaves apart from ASCII's.
const ZEROS: [u32; 22] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x17e0, 0x1810, 0xa8d0, 0xa9d0, 0xaa50, 0xabf0,
];

fn digit_of_another_script(c: char) -> Option<char> {
    let code = u32::from(c);
    // The first is the lowest: Latin, Greek and Cyrillic are done at once.
    if code < ZEROS[0] {
        return None;
    }
    let zero = ZEROS
        .iter()
        .find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}
