//! Whether the numbers of an answer are of a size that can be kept. Looks at the text alone, before anything parses it;
//! masks nothing.

/// Digits that an exponent may have.
const MOST_DIGITS: usize = 2;

/// Whether the numbers of an answer are of a size that can be kept: PostgreSQL writes `1e131071` out in full, so that a
/// small answer could become gigabytes. Looks at exponents outside of strings; plain digits cost their own length.
#[must_use]
pub fn numbers_are_sane(body: &str) -> bool {
    let bytes = body.as_bytes();
    let (mut in_string, mut place) = (false, 0);
    while place < bytes.len() {
        match bytes[place] {
            b'\\' if in_string => place += 1,
            b'"' => in_string = !in_string,
            b'e' | b'E' if !in_string && place > 0 && bytes[place - 1].is_ascii_digit() => {
                let sign = usize::from(matches!(bytes.get(place + 1), Some(b'+' | b'-')));
                let digits = bytes[place + 1 + sign..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit());
                if digits.count() > MOST_DIGITS {
                    return false;
                }
            }
            _ => {}
        }
        place += 1;
    }
    true
}

/// How many members the objects of a JSON text name, repeated names included: each has one colon outside of strings.
pub(super) fn members_written(body: &str) -> usize {
    let (mut in_string, mut escaped, mut members) = (false, false, 0);
    for byte in body.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => members += 1,
            _ => {}
        }
    }
    members
}
