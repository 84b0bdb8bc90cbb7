//! Whether a provider's description is sound: its ways to sign, its headers, its status map. Answers with the
//! complaint as a sentence, which SQL raises with the field's name. Never sees a secret: a row only names one.

mod auth;

pub use auth::{Algorithm, Auth, Encoding, Style};

use crate::outcome::Outcome;
use serde_json::Value;

fn secret_complaint(name: &str) -> Option<String> {
    let sound = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    // The text is not repeated: whoever writes a secret here by mistake should not find it in the log as well.
    (!sound).then(|| {
        "a secret is given by its name, in capitals, digits and _, as in VENDOR_TOKEN".to_owned()
    })
}

fn header_name_complaint(name: &str) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(token) {
        return Some(format!(
            "\"{}\" is not a header's name",
            name.escape_debug()
        ));
    }
    let reserved = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
    ];
    reserved
        .contains(&name.to_ascii_lowercase().as_str())
        .then(|| format!("the header {name} belongs to the transport"))
}

/// What is wrong with a way to sign; `None` when it will do.
#[must_use]
pub fn auth_complaint(auth: Value) -> Option<String> {
    auth::complaint(auth)
}

/// What is wrong with headers that go with every request; `None` when they will do.
#[must_use]
pub fn headers_complaint(headers: &Value) -> Option<String> {
    let Some(headers) = headers.as_object() else {
        return Some("it is not an object of names and texts".to_owned());
    };
    headers.iter().find_map(|(name, value)| {
        if name.eq_ignore_ascii_case("authorization") {
            return Some("Authorization belongs in auth, where secrets are named".to_owned());
        }
        let Some(value) = value.as_str() else {
            return Some(format!("the value of {name} is not a text"));
        };
        let printable = value
            .bytes()
            .all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte));
        header_name_complaint(name).or_else(|| {
            (!printable)
                .then(|| format!("the value of {name} holds a character that a header can't carry"))
        })
    })
}

/// What is wrong with a status map (the provider's word → outcome); `None` when it will do.
#[must_use]
pub fn status_map_complaint(map: &Value) -> Option<String> {
    let Some(map) = map.as_object() else {
        return Some("it is not an object of the provider's words and outcomes".to_owned());
    };
    if map.is_empty() {
        return Some("it is empty, so no answer could ever close an order".to_owned());
    }
    map.iter().find_map(|(word, outcome)| {
        let mappable = outcome
            .as_str()
            .and_then(Outcome::from_word)
            .is_some_and(Outcome::is_mappable);
        (!mappable).then(|| {
            format!(
                "\"{}\" leads to {outcome}: use one of {}",
                word.escape_debug(),
                Outcome::mappable_words()
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn headers_and_maps() {
        assert_eq!(
            headers_complaint(&json!({"Accept": "application/json"})),
            None
        );
        assert!(headers_complaint(&json!({"Authorization": "x"})).is_some());
        assert!(headers_complaint(&json!({"X-A": "a\r\nX-B: b"})).is_some());
        assert_eq!(
            status_map_complaint(&json!({"paid": "succeeded", "open": "pending"})),
            None
        );
        for bad in [
            json!({}),
            json!([]),
            json!({"paid": "done"}),
            json!({"paid": "mismatch"}),
            json!({"paid": 1}),
        ] {
            assert!(status_map_complaint(&bad).is_some(), "{bad}");
        }
    }
}
