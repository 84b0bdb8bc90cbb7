//! Card numbers wherever they stand in a text, whatever stands between their digits. Owns which digits belong together; reads
//! folded text, and masks nothing itself.

pub(super) use super::issuers::{FEWEST, MOST};
use super::issuers::{Sums, lengths, sums_up};
use super::markup::{self, Markup};
use super::tracks::{TRACK_TAIL, with_track};
use std::ops::Range;

/// Characters that may stand between two digits of one number.
const WIDEST_GAP: usize = 3;

/// Digits in a row, with nothing between them.
struct Group {
    place: Range<usize>,
    /// How many digits of the run stand before it.
    before: usize,
    count: usize,
}

/// Groups of digits with no more between them than separators.
#[derive(Default)]
struct Run {
    groups: Vec<Group>,
    digits: Vec<u8>,
}

/// Where a text holds card numbers and tracks.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut run = Run::default();
    let mut place = 0;
    let mut gap = 0;
    while place < bytes.len() {
        match lexed(&bytes[place..]) {
            (Lexed::Digit(digit), width) => {
                run.push(digit, place..place + width, gap > 0);
                gap = 0;
                place += width;
            }
            (Lexed::Separator, width) if !run.digits.is_empty() && gap < WIDEST_GAP => {
                gap += 1;
                place += width;
            }
            // However it is laid out, what is shown of it is next to each other.
            (Lexed::Tag, width) if !run.digits.is_empty() => {
                gap = 1;
                place += width;
            }
            (lexed, width) => {
                run.finish(bytes, found);
                gap = 0;
                // What is within a tag is looked through where no number goes on behind it.
                place += if matches!(lexed, Lexed::Tag) {
                    1
                } else {
                    width
                };
            }
        }
    }
    run.finish(bytes, found);
}

/// Whether a number, or a text that is one, is a card's: `4111111111111111.0` and `4.111111111111111e15` are, a rate
/// such as `4.539999961853027` is not.
pub(super) fn is_number_of_card(number: &str) -> bool {
    // Spares most numbers the rest.
    if number.len() < FEWEST && !number.contains(['e', 'E']) {
        return false;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i32>() else {
        return false;
    };
    let digits: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .filter(u8::is_ascii_digit)
        .map(|byte| byte - b'0')
        .collect();
    let point = i64::try_from(whole.bytes().filter(u8::is_ascii_digit).count()).unwrap_or(0)
        + i64::from(exponent);
    let Ok(point) = usize::try_from(point) else {
        return false;
    };
    if point > MOST || digits.iter().skip(point).any(|digit| *digit != 0) {
        return false;
    }
    let mut card = digits;
    card.resize(point, 0);
    lengths(&card).contains(&card.len()) && sums_up(&card)
}

enum Lexed {
    Digit(u8),
    Separator,
    Tag,
    Other,
}

/// The next character of a text, and its width; `%20` and `%34` are what they stand for in a URL. Not `%B4`: that is how
/// track 1 begins.
fn lexed(bytes: &[u8]) -> (Lexed, usize) {
    match bytes {
        [b'%', b'3', digit @ b'0'..=b'9', ..] => (Lexed::Digit(digit - b'0'), 3),
        [
            b'%',
            b'2',
            b'0' | b'B' | b'b' | b'D' | b'd' | b'E' | b'e' | b'F' | b'f',
            ..,
        ] => (Lexed::Separator, 3),
        // A no-break space of a URL.
        [b'%', b'C' | b'c', b'2', b'%', b'A' | b'a', b'0', ..] => (Lexed::Separator, 6),
        [digit @ b'0'..=b'9', ..] => (Lexed::Digit(digit - b'0'), 1),
        [
            b' ' | b'\t' | b'\r' | b'\n' | b'.' | b'-' | b'/' | b'_' | b'+',
            ..,
        ] => (Lexed::Separator, 1),
        [b'<' | b'&', ..] => match markup::at(bytes) {
            Some((Markup::Tag, width)) => (Lexed::Tag, width),
            Some((Markup::Reference(Some(code @ 0x30..=0x39)), width)) => {
                (Lexed::Digit((code - 0x30) as u8), width)
            }
            Some((Markup::Reference(_), width)) => (Lexed::Separator, width),
            None => (Lexed::Other, 1),
        },
        _ => (Lexed::Other, 1),
    }
}

impl Run {
    fn push(&mut self, digit: u8, place: Range<usize>, apart: bool) {
        match self.groups.last_mut() {
            Some(group) if !apart => {
                group.place.end = place.end;
                group.count += 1;
            }
            _ => self.groups.push(Group {
                place,
                before: self.digits.len(),
                count: 1,
            }),
        }
        self.digits.push(digit);
    }

    /// Every stretch of whole groups that is a card's number. All of them, not the first that fits: a number before a card's
    /// can't hide it.
    fn finish(&mut self, bytes: &[u8], found: &mut Vec<Range<usize>>) {
        if self.digits.len() >= FEWEST {
            let sums = Sums::new(&self.digits);
            for (first, group) in self.groups.iter().enumerate() {
                let lengths = lengths(&self.digits[group.before..]);
                for last in &self.groups[first..] {
                    let end = last.before + last.count;
                    let length = end - group.before;
                    if length > MOST {
                        break;
                    }
                    if lengths.contains(&length) && sums.sum_up(group.before..end) {
                        found.push(with_track(bytes, group.place.start..last.place.end));
                    }
                }
                if (FEWEST..=MOST).contains(&group.count) {
                    let track = with_track(bytes, group.place.clone());
                    // A track is one whoever issued the card.
                    if track.end - group.place.end >= TRACK_TAIL {
                        found.push(track);
                    }
                }
            }
        }
        self.groups.clear();
        self.digits.clear();
    }
}
