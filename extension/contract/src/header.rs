//! Names and values of headers that a provider's row may set. Those of the transport it may not: one that disagrees with the message
//! smuggles another.

use crate::text::checked_text;

/// Headers that belong to the connection, in small letters.
pub const OF_THE_TRANSPORT: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

checked_text! {
    /// A header's name, in any letter case, that is not the transport's.
    HeaderName by complaint
}

/// What is wrong with a header's name; `None` when it will do.
#[must_use]
pub fn complaint(name: &str) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(token) {
        let shown: String = name
            .chars()
            .take(100)
            .flat_map(char::escape_debug)
            .collect();
        return Some(format!("\"{shown}\" is not a header's name"));
    }
    OF_THE_TRANSPORT
        .iter()
        .any(|own| own.eq_ignore_ascii_case(name))
        .then(|| format!("the header {name} belongs to the transport"))
}

/// Whether a header can carry a value.
#[must_use]
pub fn carries(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transports_own_are_refused_in_any_letter_case() {
        for name in OF_THE_TRANSPORT {
            assert!(complaint(name).is_some() && complaint(&name.to_ascii_uppercase()).is_some());
        }
        for name in ["X-API-Key", "authorization", "x!#$%&'*+-.^_`|~1"] {
            assert_eq!(complaint(name), None, "{name}");
        }
        for name in ["", "X A", "X\nA", "X:A", "Ä"] {
            assert!(complaint(name).is_some(), "{name}");
        }
    }
}
