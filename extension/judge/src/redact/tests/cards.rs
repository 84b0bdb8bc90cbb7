//! Card numbers, wherever they stand, and numbers that are none.

use super::*;

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
