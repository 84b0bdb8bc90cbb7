//! Credentials that show by themselves, whatever name they go by: schemes of the Authorization header, JSON Web Tokens,
//! private keys, passwords in URLs (Sentry Relay's rules `@bearer`, `@pemkey` and `@urlauth`; gitleaks' `jwt`, `private-key` and
//! `curl-auth-header`). Owns where each begins and ends; reads folded text, and masks nothing itself.

use super::key_beginnings::beginning;
use std::ops::Range;

/// Words that follow "Bearer" and "Basic" in prose and in `WWW-Authenticate`, and are no credentials.
const PROSE: &[&str] = &[
    "access",
    "and",
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "credential",
    "credentials",
    "error",
    "expired",
    "for",
    "format",
    "has",
    "header",
    "in",
    "invalid",
    "is",
    "malformed",
    "missing",
    "not",
    "of",
    "or",
    "realm",
    "required",
    "scheme",
    "scope",
    "the",
    "token",
    "tokens",
    "type",
    "was",
];

/// Where a text holds credentials.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut place = 0;
    // Up to where no token can begin, since no dot follows: seen once, not from each beginning again.
    let mut barren = 0;
    while place < bytes.len() {
        let end = match bytes[place] {
            b'-' => private_key(text, place),
            b':' => password_of_url(bytes, place).inspect(|_| place += 3),
            b'B' | b'b' => scheme(bytes, place).map(|credential| {
                place = credential.start;
                credential.end
            }),
            _ => None,
        };
        let end = end
            .or_else(|| web_token(bytes, place, &mut barren))
            .or_else(|| beginning(bytes, place));
        match end {
            Some(end) => {
                found.push(place..end);
                place = end;
            }
            None => place += 1,
        }
    }
}

pub(super) fn run(bytes: &[u8], part_of: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| part_of(**byte)).count()
}

pub(super) fn of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A JSON Web Token (RFC 7519): its header is the base64 of `{"`, and dots part it.
fn web_token(bytes: &[u8], place: usize, barren: &mut usize) -> Option<usize> {
    let rest = &bytes[place..];
    if place < *barren || !rest.starts_with(b"eyJ") {
        return None;
    }
    let length = run(rest, |byte| of_key(byte) || byte == b'.');
    if !rest[..length].contains(&b'.') {
        *barren = place + length;
        return None;
    }
    (length >= 16).then_some(place + length)
}

/// What follows `Bearer` (RFC 6750) or `Basic` (RFC 7617).
fn scheme(bytes: &[u8], place: usize) -> Option<Range<usize>> {
    let rest = &bytes[place..];
    let name = [&b"bearer"[..], b"basic"]
        .into_iter()
        .find(|name| rest.len() > name.len() && rest[..name.len()].eq_ignore_ascii_case(name))?;
    let after = &rest[name.len()..];
    let escaped = [&b"%20"[..], b"+", b"\\t"]
        .into_iter()
        .find(|escaped| after.starts_with(escaped));
    let blank = match escaped {
        Some(escaped) => escaped.len(),
        None => run(after, |byte| byte.is_ascii_whitespace()),
    };
    let token = &after[blank..];
    let length = run(token, |byte| {
        of_key(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=' | b'%')
    });
    let token = &token[..length];
    let word = std::str::from_utf8(token)
        .unwrap_or_default()
        .trim_end_matches(['=', '.'])
        .to_ascii_lowercase();
    let shown = PROSE.contains(&word.as_str())
        // "a basic plan", "who is the bearer pays": without a capital, or with Basic, prose is likelier.
        || (name == b"basic" || bytes[place] == b'b') && !looks_made_up(token);
    let start = place + name.len() + blank;
    (blank > 0 && length > 0 && !shown).then_some(start..start + length)
}

/// Not a word: it holds digits or `=`, changes between small and capital letters within, or is long.
fn looks_made_up(token: &[u8]) -> bool {
    let inner = &token[1.min(token.len())..];
    let has = |what: fn(&u8) -> bool| inner.iter().any(what);
    token
        .iter()
        .any(|byte| byte.is_ascii_digit() || *byte == b'=')
        || has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
        || token.len() > 20
}

/// A private key in PEM (RFC 7468), to its end or, cut short, to the text's.
fn private_key(text: &str, place: usize) -> Option<usize> {
    let rest = text.get(place..)?;
    let label = rest.strip_prefix("-----BEGIN ")?;
    let label = &label[..label.find("-----")?];
    if label.len() > 60 || !label.contains("PRIVATE KEY") {
        return None;
    }
    let end = rest.find("-----END ").and_then(|end| {
        let close = &rest[end + 9..];
        Some(end + 9 + close.find("-----")? + 5)
    });
    Some(place + end.unwrap_or(rest.len()))
}

/// `user:password` of a URL (RFC 3986), seen from the colon of `://`.
fn password_of_url(bytes: &[u8], place: usize) -> Option<usize> {
    let rest = bytes[place..].strip_prefix(b"://")?;
    let length = run(rest, |byte| {
        byte > b' ' && !matches!(byte, b'/' | b'?' | b'#' | b'@' | b'"' | b'<' | b'>' | b'\\')
    });
    let holds_password = rest[..length].contains(&b':') && rest.get(length) == Some(&b'@');
    (holds_password && length > 0).then_some(place + 3 + length)
}
