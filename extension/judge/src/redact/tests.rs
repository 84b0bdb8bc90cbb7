//! Redaction: what has to be masked is, what has to stay does, twice is as once.

use super::*;

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

/// The whole body is one text.
fn masked_text(text: &str) -> String {
    redacted_text(text, &[]).unwrap_or_else(|| text.to_owned())
}

#[test]
fn names_are_judged_by_what_they_are_about() {
    for name in [
        "cvv2",
        "cvc2",
        "CVC",
        "security_code",
        "cardSecurityCode",
        "id_token",
        "session_token",
        "voucher_pin",
        "voucherPin",
        "VOUCHERPIN",
        "voucherpin",
        "pin_code",
        "PIN-Code",
        "pinCode2",
        "ｃｖｖ２",
        "ｐｉｎ＿ｃｏｄｅ",
        "p\u{200b}in",
        "access.token",
        "access token",
        "accesstoken",
        "client_secret",
        "clientsecret",
        "password_confirmation",
        "userPassword1",
        "mysql_pwd",
        "api_key",
        "apikey",
        "x-api-key",
        "serverKey",
        "saltkey",
        "vendor_key",
        "card_number",
        "cardNo",
        "PAN",
        "pan_hash",
        "track2Data",
        "track_1",
        "PINBlock",
        "PINs",
        "set-cookie",
        "card[cvc]",
        "authorization",
        "code_verifier",
        "client_assertion",
        "refresh_token_value",
        "vOuCherPIN",
        "sessionId",
        "payment_method_nonce",
        "credentials",
        "one_time_code",
    ] {
        assert!(is_sensitive_name(name, &[]), "{name} is sensitive");
    }
    for name in [
        "status",
        "reference",
        "transaction_id",
        "pin_status",
        "pinStatus",
        "shipping",
        "panel",
        "company",
        "web_spinner",
        "tokenized",
        "token_type",
        "authorization_code",
        "auth_code",
        "code",
        "currency_code",
        "status_code",
        "responseCode",
        "number",
        "order_number",
        "card",
        "card_type",
        "card_last4",
        "last4",
        "cvc_check",
        "cvv_result",
        "idempotency_key",
        "public_key",
        "key",
        "version_token",
        "next_page_token",
        "bearer",
        "fee_bearer",
        "checkout_session",
        "session",
        "tracking_number",
        "track_id",
        "secretary",
        "japan",
        "monkey",
        "hash",
        "salt_index",
        "authorizations",
        "authorization_url",
        "passenger_name",
        "cid",
        "nonce",
        "",
        "a",
        "___",
        "timespan",
        "opinion",
        "account_number",
        "amount",
        "description",
        "customer_email",
    ] {
        assert!(!is_sensitive_name(name, &[]), "{name} is not sensitive");
    }
    let also = ["Tax Number".to_owned(), "-".to_owned()];
    assert!(is_sensitive_name("tax_number", &also) && is_sensitive_name("ＴａｘNumber", &also));
    assert!(!is_sensitive_name("tax_numbers", &also), "compared whole");
    assert!(is_sensitive_name("-", &also) && !is_sensitive_name("+", &also));
}

#[test]
fn values_that_say_nothing_stay_and_all_others_of_a_sensitive_name_go() {
    let body =
        r#"{"otp":null,"password":"","pin":0,"token":false,"tokenized":true,"tokens":[1,{"a":2}]}"#;
    assert_eq!(
        redacted(body, &[]).as_deref(),
        Some(
            r#"{"otp":null,"password":"[redacted]","pin":"[redacted]","token":false,"tokenized":true,"tokens":"[redacted]"}"#
        )
    );
    let also = ["flag".to_owned()];
    assert_eq!(
        redacted(r#"{"flag":true}"#, &also).as_deref(),
        Some(r#"{"flag":"[redacted]"}"#),
        "what the provider's row names goes, but for null"
    );
}

#[test]
fn card_numbers_are_masked_wherever_they_stand() {
    for (text, expected) in [
        ("4111111111111111", "[redacted]"),
        (" 4111-1111-1111-1111 ", "[redacted]"),
        (
            "Card 4111 1111 1111 1111 was declined.",
            "Card [redacted] was declined.",
        ),
        ("Card 4111.1111.1111.1111!", "Card [redacted]!"),
        (
            "Card 4111\u{a0}1111\u{a0}1111\u{a0}1111!",
            "Card [redacted]!",
        ),
        ("Card 4111 - 1111 - 1111 - 1111!", "Card [redacted]!"),
        ("4111·1111·1111·1111", "[redacted]"),
        ("4\u{200b}111111111111111", "[redacted]"),
        ("４１１１１１１１１１１１１１１１ ok", "[redacted] ok"),
        ("٤١١١١١١١١١١١١١١١", "[redacted]"),
        ("no. 5 4111111111111111 12/25", "no. 5 [redacted] 12/25"),
        (
            "https://v.example/cards/4111111111111111/pay",
            "https://v.example/cards/[redacted]/pay",
        ),
        (
            "https://v.example/?q=4111%201111%201111%201111&a=1",
            "https://v.example/?q=[redacted]&a=1",
        ),
        ("q=%34111%C2%A01111%C2%A011111111", "q=[redacted]"),
        (
            "378282246310005 and 30569309025904",
            "[redacted] and [redacted]",
        ),
        ("Got ;4111111111111111=25121011234?", "Got [redacted]"),
        ("Got ;9704111111111110=25121011234?!", "Got [redacted]!"),
        ("Got 4111111111111111D25121011234F", "Got [redacted]"),
        (
            "%B4111111111111111^DOE/JOHN^25121011234567890?",
            "[redacted]",
        ),
    ] {
        assert_eq!(masked_text(text), expected, "{text}");
    }
}

#[test]
fn numbers_that_are_no_cards_stay() {
    for text in [
        "4111111111111112",
        "1111111111111117",
        "9411111111111111",
        "20251124081655",
        "1765360649123",
        "2024-11-24 10:11:12.123",
        "order 33375390",
        "4.539999961853027",
        "0.4539999961853027",
        "+44 7911 123456",
        "41111111111111111111",
        "ORD-1765360649-0E184E02",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "411111******1111",
        "",
    ] {
        assert_eq!(redacted_text(text, &[]), None, "{text}");
    }
    for body in [
        "4.539999961853027",
        "[4111111111111112, 1e400, 5.0]",
        "-0.5",
        r#"{"a":4.1E15}"#,
    ] {
        assert_eq!(redacted(body, &[]), None, "{body}");
    }
    for body in [
        "4111111111111111",
        "4111111111111111.0",
        "4.111111111111111e15",
        "-4111111111111111",
    ] {
        assert_eq!(
            redacted(body, &[]).as_deref(),
            Some("\"[redacted]\""),
            "{body}"
        );
    }
}

#[test]
fn names_that_hold_a_card_number_are_masked_and_stay_apart() {
    assert_eq!(
        redacted(
            r#"{"4111111111111111":1,"4111 1111 1111 1111":{"5555555555554444":2},"a":3,"[redacted]":4}"#,
            &[]
        )
        .as_deref(),
        Some(r#"{"[redacted]":4,"[redacted] 2":{"[redacted]":2},"[redacted] 3":1,"a":3}"#)
    );
}

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
