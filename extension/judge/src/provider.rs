//! Whether a provider's description is sound: its ways to sign, its headers, its status map. Answers with the
//! complaint as a sentence, which SQL raises with the field's name. Never sees a secret: a row only names one.

use crate::outcome::Outcome;
use reconcile_contract::auth::Auth;
use reconcile_contract::header;
use serde_json::Value;

/// What is wrong with a way to sign; `None` when it will do.
#[must_use]
pub fn auth_complaint(auth: Value) -> Option<String> {
    Auth::parse(auth).err()
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
        header::complaint(name).or_else(|| {
            (!header::carries(value))
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
