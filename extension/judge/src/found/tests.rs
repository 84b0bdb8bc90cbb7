//! Several values of one path, case by case.

use super::*;
use serde_json::json;

fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|each| (*each).to_owned()).collect()
}

#[test]
fn several_words_mean_what_all_of_them_mean() {
    let map = json!({"paid": "succeeded", "settled": "succeeded", "declined": "failed", "open": "pending", "gone": "not_found"});
    let meaning = |words: &[&str]| meaning_of(&texts(words), &map);
    assert_eq!(meaning(&["paid", "settled"]), Some(Outcome::Succeeded));
    assert_eq!(meaning(&["declined", "declined"]), Some(Outcome::Failed));
    assert_eq!(meaning(&["declined", "paid"]), Some(Outcome::Mismatch));
    assert_eq!(meaning(&["declined", "strange"]), Some(Outcome::Mismatch));
    assert_eq!(meaning(&["open", "gone"]), Some(Outcome::Pending));
    assert_eq!(meaning(&["open", "strange"]), None);
    assert_eq!(meaning(&["strange", "odd"]), None);
    assert_eq!(meaning(&[]), None);
}

#[test]
fn two_payments_are_not_one() {
    let payments =
        |found, expected| Several::of(&found).payments(expected, Some("USD"), Units::default());
    assert_eq!(payments(json!({}), Some("300")), None);
    let twice = payments(json!({"amount_path": ["300", "300.00"]}), Some("300"));
    assert_eq!(
        twice.as_deref(),
        Some("paid twice: amount_path finds \"300\", \"300.00\"")
    );
    let parts = payments(json!({"amount_path": ["100", "200"]}), Some("300"));
    assert!(
        parts
            .unwrap_or_default()
            .starts_with("paid in parts: amount_path")
    );
    let ids = payments(json!({"transaction_id_path": ["a", "b"]}), None);
    assert!(
        ids.unwrap_or_default()
            .starts_with("paid twice: transaction_id_path")
    );
    assert_eq!(
        payments(json!({"transaction_id_path": ["a", "a"]}), None),
        None
    );
    let words = payments(json!({"status_path": ["paid", "paid"]}), None);
    assert!(
        words
            .unwrap_or_default()
            .starts_with("paid twice: status_path")
    );
}

#[test]
fn parts_that_are_meant_to_add_up_are_one_payment() {
    let payments = |amounts: &[&str], expected| {
        let several = Several {
            adds_up: true,
            ..Several::of(&json!({"amount_path": amounts, "transaction_id_path": ["a", "b"]}))
        };
        several.payments(expected, Some("USD"), Units::default())
    };
    assert_eq!(payments(&["0.1", "0.2"], Some("0.30")), None);
    let part = payments(&["0.1", "0.1"], Some("0.3")).unwrap_or_default();
    assert!(
        part.starts_with("paid in part, 0.2 so far: amount_path"),
        "{part}"
    );
    for (amounts, expected) in [
        (["0.3", "0.3"], Some("0.3")),
        (["0.3", "0.3"], None),
        (["0.3", "much"], Some("0.3")),
        (["0.3", "-0.3"], None),
    ] {
        let twice = payments(&amounts, expected).unwrap_or_default();
        assert!(twice.starts_with("paid twice: amount_path"), "{twice}");
    }
    assert!(
        payments(&["0.3"], Some("0.3")).is_some(),
        "two ids of one amount"
    );
    // One payment that is listed twice, a part without a currency, and one that takes from the sum.
    for said in [
        json!({"amount_path": ["0.1", "0.2"], "transaction_id_path": ["a", "a"]}),
        json!({"amount_path": ["0.1", "0.1", "0.1"], "currency_path": ["USD", "USD"]}),
        json!({"amount_path": ["0.4", "-0.1"], "transaction_id_path": ["a", "b"]}),
    ] {
        let several = Several {
            adds_up: true,
            ..Several::of(&said)
        };
        let problem = several.payments(Some("0.3"), Some("USD"), Units::default());
        assert!(problem.is_some(), "{said}");
    }
}

#[test]
fn a_path_that_finds_one_value_twice_finds_one() {
    let several =
        Several::of(&json!({"currency_path": ["usd", "USD"], "reference_path": ["a", "b"]}));
    assert_eq!(several.currencies(), None);
    assert_eq!(
        several.references().as_deref(),
        Some("reference_path finds several different values: \"a\", \"b\"")
    );
}

#[test]
fn refunds_add_up() {
    let units = Units {
        minor: true,
        exceptions: None,
    };
    let sum = |amounts, units| {
        sum_of(&texts(amounts), Some("USD"), units).map(|sum| sum.to_plain_string())
    };
    assert_eq!(
        sum(&["300.00", "298.94"], Units::default()).as_deref(),
        Some("598.94")
    );
    assert_eq!(sum(&["30000", "29894"], units).as_deref(), Some("598.94"));
    assert_eq!(sum(&["1", "much"], Units::default()), None);
    let of_no_currency = |amounts| sum_of(&texts(amounts), None, units);
    assert_eq!(of_no_currency(&["0", "0.00"]), Some(BigDecimal::from(0)));
    assert_eq!(of_no_currency(&["0", "1"]), None);
}
