//! What a text holds: credentials, names beside their values, JSON.

use super::*;

#[test]
fn credentials_show_by_themselves() {
    for (text, expected) in [
        (
            "The token 'Bearer abc.DEF-123' has expired",
            "The token 'Bearer [redacted]' has expired",
        ),
        ("bearer 0123456789abcdef", "bearer [redacted]"),
        ("Bearer supersecretvalue", "Bearer [redacted]"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        ("Bearer%20abcDEF123", "Bearer%20[redacted]"),
        (
            "x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln y",
            "x [redacted] y",
        ),
        ("key sk_live_0123abcd, ok", "key [redacted], ok"),
        (
            "rk_live_abcd whsec_abcd ghp_abcdef xoxb-1234-abc",
            "[redacted] [redacted] [redacted] [redacted]",
        ),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        (
            "https://user:hunter2@v.example/a",
            "https://[redacted]@v.example/a",
        ),
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b",
            "a [redacted] b",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"),
        (
            "Authorization: Token abc def\nHost: v",
            "Authorization: [redacted]\nHost: v",
        ),
    ] {
        assert_eq!(masked_text(text), expected, "{text}");
    }
    for text in [
        "Bearer token required",
        "the Bearer scheme",
        "Basic authentication",
        "a basic plan",
        "Bearer realm=\"v\", error=\"invalid_token\"",
        "rzp_live_ILgsfZCZoFIKMb",
        "pk_live_abcdef123456",
        "sk_live_",
        "risk-free, task-based",
        "the bearer pays",
        "eyJub3QgYSB0b2tlbiI6MX0",
        "https://v.example:8080/a@b",
    ] {
        assert_eq!(redacted_text(text, &[]), None, "{text}");
    }
}

#[test]
fn names_beside_values_are_found_in_texts() {
    for (text, expected) in [
        (
            "https://v.example/pay?id=1&access_token=abc&x=2",
            "https://v.example/pay?id=1&access_token=[redacted]&x=2",
        ),
        (
            "status=paid&card%5Bcvc%5D=123&pin=9",
            "status=paid&card%5Bcvc%5D=[redacted]&pin=[redacted]",
        ),
        (
            "cut short: {\"pin\": \"1234\", \"status\": \"pa",
            "cut short: {\"pin\": \"[redacted]\", \"status\": \"pa",
        ),
        (
            "{\\\"card number\\\":\\\"12\\\",\\\"a\\\":1} x",
            "{\\\"card number\\\":\\\"[redacted]\\\",\\\"a\\\":1} x",
        ),
        (
            "<pin>1234</pin><status>paid</status>",
            "<pin>[redacted]</pin><status>paid</status>",
        ),
        (
            "password: hunter, status: paid",
            "password: [redacted], status: paid",
        ),
        ("voucher pin: ABCD-EFGH", "voucher pin: [redacted]"),
        ("pin = '12 34' x", "pin = '[redacted]' x"),
        ("ｐｉｎ＝１２３４", "ｐｉｎ＝[redacted]"),
    ] {
        assert_eq!(masked_text(text), expected, "{text}");
    }
    for text in [
        "invalid pin: declined",
        "pin=null&status=paid",
        "a == b",
        "time: 10:11:12",
        "token: ",
        "=",
        ":",
        "<>",
    ] {
        assert_eq!(redacted_text(text, &[]), None, "{text}");
    }
    assert_eq!(
        redacted_text("mine=1&yours=2", &["Mine".to_owned()]).as_deref(),
        Some("mine=[redacted]&yours=2")
    );
}

#[test]
fn json_inside_of_texts_is_looked_through() {
    let once =
        serde_json::json!({"status": "paid", "raw": r#"{"pin":"1234","n":1.50}"#}).to_string();
    assert_eq!(
        redacted(&once, &[]).as_deref(),
        Some(r#"{"raw":"{\"n\":1.50,\"pin\":\"[redacted]\"}","status":"paid"}"#)
    );
    let mut body = r#"{"pin":"hunter2"}"#.to_owned();
    for _ in 0..6 {
        body = serde_json::json!({ "raw": body }).to_string();
        let masked = redacted(&body, &[]).expect("something to mask");
        assert!(!masked.contains("hunter2"), "{masked}");
        assert_eq!(redacted(&masked, &[]), None);
    }
    assert_eq!(
        masked_text("https://v.example/?data=%7B%22pin%22%3A%221234%22%7D"),
        r#"https://v.example/?data={"pin":"[redacted]"}"#
    );
    assert_eq!(redacted_text("q=%22paid%22&r=%3D", &[]), None);
    let quoted = serde_json::json!([serde_json::json!("4111111111111111").to_string()]).to_string();
    assert_eq!(
        redacted(&quoted, &[]).as_deref(),
        Some(r#"["\"[redacted]\""]"#)
    );
    assert_eq!(
        redacted_text("[INFO] 3 retries", &[]),
        None,
        "brackets alone are no JSON"
    );
}

#[test]
fn what_a_repeated_name_hides_does_not_stay() {
    assert_eq!(
        redacted(r#"{"a":{"pin":"1234","pin":null},"b":":"}"#, &[]).as_deref(),
        Some(r#"{"a":{"pin":null},"b":":"}"#)
    );
}
