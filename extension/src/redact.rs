//! What must not be stored: secrets and card data inside a provider's answer. Owns the list of names and the look of a
//! card number; a provider's row adds names of its own. Masks values, keeps shape: an auditor sees that there was one.

use pgrx::prelude::*;
use serde_json::Value;

/// What stands in place of a value that is not stored.
pub const MASK: &str = "[redacted]";

/// Names whose values are never stored, in lower case without `_`, `-` and spaces.
pub(crate) const SENSITIVE: &[&str] = &[
    "accesstoken",
    "apikey",
    "authorization",
    "cardnumber",
    "clientsecret",
    "cvc",
    "cvv",
    "iban",
    "otp",
    "pan",
    "password",
    "pin",
    "pincode",
    "privatekey",
    "refreshtoken",
    "saltkey",
    "secret",
    "secretkey",
    "signature",
    "ssn",
    "token",
    "vpa",
];

/// An answer with its sensitive values masked; `None` when nothing had to be.
///
/// What can't be looked through (not JSON, or nested deeper than 128 levels) is masked as a whole.
#[must_use]
pub fn redacted(body: &str, also: &[String]) -> Option<String> {
    let Ok(mut answer) = serde_json::from_str::<Value>(body) else {
        return Some(Value::from(MASK).to_string());
    };
    let also: Vec<String> = also.iter().map(|name| folded(name)).collect();
    mask(&mut answer, &also).then(|| answer.to_string())
}

fn mask(value: &mut Value, also: &[String]) -> bool {
    let mut masked = false;
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = folded(name);
                if !value.is_null() && (SENSITIVE.contains(&name.as_str()) || also.contains(&name))
                {
                    *value = MASK.into();
                    masked = true;
                } else {
                    masked |= mask(value, also);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                masked |= mask(item, also);
            }
        }
        Value::String(text) if holds_card_number(text) => {
            *value = MASK.into();
            masked = true;
        }
        Value::Number(number) if holds_card_number(&number.to_string()) => {
            *value = MASK.into();
            masked = true;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    masked
}

pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether the numbers of an answer are of a size that can be kept: PostgreSQL writes `1e131071` out in full, so that a
/// small answer could become gigabytes. Looks at exponents outside of strings; plain digits cost their own length.
#[must_use]
pub fn numbers_are_sane(body: &str) -> bool {
    const MOST_DIGITS: usize = 2;
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

/// Whether a text is 13 to 19 digits, perhaps in groups, that pass the Luhn check (ISO/IEC 7812-1, annex B).
fn holds_card_number(text: &str) -> bool {
    if text.len() > 40
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b' ' || byte == b'-')
    {
        return false;
    }
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    // A card begins with 2 to 6; references of providers often begin with 0, 1 or 9.
    if !(13..=19).contains(&digits.len()) || !(2..=6).contains(&digits[0]) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => (digit * 2) / 10 + (digit * 2) % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn has_sane_numbers(body: &str) -> bool {
    numbers_are_sane(body)
}

/// NULL when nothing had to be masked, so that the caller keeps what it has parsed already.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn redact(body: &str, also: Vec<String>) -> Option<String> {
    redacted(body, &also)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_card_numbers_are_masked_and_the_rest_stays_exact() {
        let body = r#"{"amount":10.10,"Card-Number":"x","data":[{"PIN_code":"1234","id":"4111 1111 1111 1111"}],"vendorKey":1}"#;
        let masked = redacted(body, &["vendor_key".to_owned()]).expect("something to mask");
        assert_eq!(
            masked,
            r#"{"Card-Number":"[redacted]","amount":10.10,"data":[{"PIN_code":"[redacted]","id":"[redacted]"}],"vendorKey":"[redacted]"}"#
        );
    }

    #[test]
    fn numbers_that_would_grow_are_found_outside_of_strings() {
        assert!(numbers_are_sane(
            r#"{"a":1.5e10,"b":[2E-3],"c":"1e999999","d":"\\","e":12345}"#
        ));
        for body in ["[1e131071]", r#"{"a":1E+1000}"#, r#"["x\"", 1e-20000]"#] {
            assert!(!numbers_are_sane(body), "{body}");
        }
        assert_eq!(
            redacted(r#"{"account":4111111111111111}"#, &[]).as_deref(),
            Some(r#"{"account":"[redacted]"}"#)
        );
    }

    #[test]
    fn an_innocent_answer_is_left_alone() {
        assert_eq!(
            redacted(
                r#"{"invoiceId":"33375390","status":"succeeded","paymentToken":null}"#,
                &[]
            ),
            None
        );
    }

    #[test]
    fn what_cannot_be_looked_through_is_masked_as_a_whole() {
        let deep = format!("{}{{\"pin\":1}}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(redacted(&deep, &[]).as_deref(), Some("\"[redacted]\""));
        assert_eq!(redacted("<html>", &[]).as_deref(), Some("\"[redacted]\""));
    }

    proptest! {
        #[test]
        fn no_text_panics(body in "\\PC*") {
            let masked = redacted(&body, &[]);
            prop_assert!(masked.is_none_or(|masked| masked.contains(MASK)));
        }
    }
}
