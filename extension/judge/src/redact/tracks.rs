//! What stands around a card's number when it was read from a magnetic stripe: sentinels, the holder's name, expiry and what
//! the issuer put there. Owns where a track begins and ends; whose number it is, is not asked here.

use std::ops::Range;

/// A track holds 79 characters at most (ISO/IEC 7811-2).
const LONGEST_TRACK: usize = 79;

/// Digits of a track after its separator: expiry and service code (ISO/IEC 7813).
pub(super) const TRACK_TAIL: usize = 7;

/// A number with the rest of its track: what the issuer put there can be a verification value or a PIN's.
pub(super) fn with_track(bytes: &[u8], number: Range<usize>) -> Range<usize> {
    let end_by = |limit: usize, part_of: fn(u8) -> bool| {
        let rest = &bytes[number.end..bytes.len().min(number.end + limit)];
        let tail = rest.iter().take_while(|byte| part_of(**byte)).count();
        let end = number.end + tail;
        end + usize::from(bytes.get(end) == Some(&b'?'))
    };
    let starts_with = |sentinel: &[u8]| bytes[..number.start].ends_with(sentinel);
    match bytes.get(number.end) {
        Some(b'=' | b'D' | b'd') => {
            let end = end_by(LONGEST_TRACK, |byte| {
                byte.is_ascii_digit() || matches!(byte, b'=' | b'D' | b'd' | b'F' | b'f')
            });
            match end - number.end > TRACK_TAIL {
                true => number.start - usize::from(starts_with(b";"))..end,
                false => number,
            }
        }
        Some(b'^') => {
            let end = end_by(LONGEST_TRACK, |byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'^' | b' ' | b'/' | b'.' | b'-' | b'\'')
            });
            let sentinels = [&b"%B"[..], b"%b", b"B", b"b"];
            let sentinel = sentinels.into_iter().find(|sentinel| starts_with(sentinel));
            number.start - sentinel.map_or(0, <[u8]>::len)..end
        }
        _ => number,
    }
}
