//! Tags and character references in a text, as far as they stand between or for other characters: `<b>`, `</td>\n  <td>`, `&nbsp;`, `&#52;`,
//! and the same escaped. Owns how wide one is; never decides what is sensitive.

/// A longer tag is none, where nothing but its width is asked for.
const LONGEST_TAG: usize = 128;
/// A tag with more digits than this may hold a number of its own, and is looked through.
const MOST_DIGITS: usize = 8;
const LONGEST_REFERENCE: usize = 10;

/// What begins at a place of a text.
pub(super) enum Markup {
    /// A tag and the blanks after it.
    Tag,
    /// One character, by its number or its name.
    Reference(Option<u32>),
}

/// What begins here, and its width; `None` when it is no markup.
pub(super) fn at(bytes: &[u8]) -> Option<(Markup, usize)> {
    match bytes.first()? {
        b'<' => tag(bytes, 1, |rest| rest.starts_with(b">").then_some(1)),
        b'&' => {
            let (code, width) = reference(bytes)?;
            match code {
                Some('<') => tag(bytes, width, |rest| {
                    let (code, width) = reference(rest)?;
                    (code == Some('>')).then_some(width)
                }),
                _ => Some((Markup::Reference(code.map(u32::from)), width)),
            }
        }
        _ => None,
    }
}

/// `closing` answers how wide the end of the tag is, where it stands.
fn tag(
    bytes: &[u8],
    from: usize,
    closing: impl Fn(&[u8]) -> Option<usize>,
) -> Option<(Markup, usize)> {
    if !matches!(bytes.get(from)?, b'a'..=b'z' | b'A'..=b'Z' | b'/' | b'!') {
        return None;
    }
    let mut digits = 0;
    for place in from..bytes.len().min(from + LONGEST_TAG) {
        match bytes[place] {
            b'>' | b'&' => {
                if let Some(width) = closing(&bytes[place..]) {
                    let end = place + width;
                    let blanks = bytes[end..]
                        .iter()
                        .take_while(|byte| byte.is_ascii_whitespace())
                        .count();
                    return Some((Markup::Tag, end + blanks));
                }
            }
            b'<' => return None,
            b'0'..=b'9' => digits += 1,
            _ => {}
        }
        if digits > MOST_DIGITS {
            return None;
        }
    }
    None
}

/// `&name;`, `&#52;`, `&#x34;`, and `&amp;name;`, with the character where that is known.
fn reference(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    let mut from = 1;
    while bytes.get(from..from + 4) == Some(b"amp;") && from < LONGEST_REFERENCE {
        from += 4;
    }
    let within = bytes.get(from..)?;
    let length = within
        .iter()
        .take(LONGEST_REFERENCE)
        .position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&within[..length]).ok()?;
    let number = name.strip_prefix('#').map(|number| {
        number.strip_prefix(['x', 'X']).map_or_else(
            || number.parse().ok(),
            |digits| u32::from_str_radix(digits, 16).ok(),
        )
    });
    let code = match (number, name.to_ascii_lowercase().as_str()) {
        (Some(code), _) => Some(char::from_u32(code?)?),
        (None, "lt") => Some('<'),
        (None, "gt") => Some('>'),
        (None, other)
            if !other.is_empty() && other.bytes().all(|byte| byte.is_ascii_alphabetic()) =>
        {
            None
        }
        _ => return None,
    };
    Some((code, from + length + 1))
}
