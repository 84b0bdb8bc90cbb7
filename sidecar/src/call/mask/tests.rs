//! What comes back of a secret, in all its spellings, and what doesn't.

use super::*;
use serde_json::json;

fn masked(secrets: &[&str], text: &str) -> String {
    let mut mask = Mask::default();
    for secret in secrets {
        mask.add(secret);
    }
    mask.apply(text.to_owned())
}

#[test]
fn every_spelling_of_a_secret_is_taken_out() {
    let secret = "p/ä+\"<w> \\1&'";
    let json = serde_json::to_string(secret).unwrap();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    for spelling in [
        secret,
        // Standard writers of this process, and others by hand.
        json.trim_matches('"'),
        &form,
        r#"p\/ä+\"<w> \\1&'"#,
        r#"p\/\u00e4+\"<w> \\1&'"#,
        r#"p/\u00E4\u002B\u0022\u003Cw\u003E \\1\u0026\u0027"#,
        r#"p/ä+\"\u003cw\u003e \\1\u0026'"#,
        "p%2F%C3%A4%2B%22%3Cw%3E%20%5C1%26%27",
        "p%2f%c3%a4%2b%22%3cw%3e%20%5c1%26%27",
        &base64::prelude::BASE64_STANDARD.encode(secret),
        &base64::prelude::BASE64_URL_SAFE.encode(secret),
    ] {
        let text = format!("{{\"token\":\"{spelling}\",\"again\":\"{spelling}\"}}");
        let clean = masked(&[secret], &text).replace("[redacted]=", "[redacted]");
        let clean = clean.replace("[redacted]=", "[redacted]");
        assert_eq!(clean, "{\"token\":\"[redacted]\",\"again\":\"[redacted]\"}");
    }
}

#[test]
fn a_text_without_a_secret_is_as_it_was() {
    let text = "{\"status\": \"succeeded\", \"ä\": 1}";
    assert_eq!(masked(&[], text), text);
    assert_eq!(masked(&["hush-hush"], text), text);
    // Too short to be told from what means something else.
    assert_eq!(masked(&["succe", "1"], text), text);
}

#[test]
fn secrets_that_overlap_leave_nothing_of_each_other() {
    assert_eq!(masked(&["abcdef", "defghi"], "-abcdefghi-"), "-[redacted]-");
    assert_eq!(masked(&["abcdef", "xabcdefx"], "xabcdefx"), "[redacted]");
    assert_eq!(masked(&["abcdef"], "abcdefabcdef"), "[redacted][redacted]");
    assert_eq!(masked(&["redacted", "[redac"], "redacted"), "[redacted]");
}

#[test]
fn a_body_made_of_secrets_takes_no_more_than_it_says() {
    let clean = masked(&["aaaaaa", "aaaaaaa"], &"a".repeat(1_000_000));
    assert!(clean.len() < 2_000_000);
}

#[test]
fn what_stands_before_a_secret_escapes_nothing_of_its_place() {
    for (secret, body) in [
        ("/secret", r#"{"m":"\\/secret"}"#),
        ("nsecret", r#"{"m":"\nsecret"}"#),
        ("secret", r#"{"m":"\\\\secret"}"#),
    ] {
        let clean = masked(&[secret], body);
        let read: serde_json::Value = serde_json::from_str(&clean).unwrap();
        assert!(!read["m"].as_str().unwrap().contains(secret), "{clean}");
    }
}

proptest::proptest! {
    /// Whatever stands around it, an escaped secret is not readable any more.
    #[test]
    fn what_another_writer_of_json_says_back(secret in "\\PC{6,30}", around in "\\PC{0,10}") {
        let body = json!({ "message": format!("{around}{secret}{around}") }).to_string();
        let read: serde_json::Value = serde_json::from_str(&masked(&[&secret], &body)).unwrap();
        proptest::prop_assert!(!read["message"].as_str().unwrap().contains(&secret));
    }
}
