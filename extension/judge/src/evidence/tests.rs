//! The gate before a final outcome, case by case.

use super::*;

const ORDER: Money<'_> = Money {
    amount: Some("0.73"),
    currency: Some("USD"),
    reference: Some("33375390"),
};

fn said<'a>(amount: &'a str, currency: &'a str, reference: &'a str) -> Money<'a> {
    Money {
        amount: Some(amount),
        currency: Some(currency),
        reference: Some(reference),
    }
}

#[test]
fn what_agrees() {
    let success = |said, minor| {
        disagreement_of(
            Outcome::Succeeded,
            ORDER,
            said,
            Units {
                minor,
                exceptions: None,
            },
            &[],
            &Several::default(),
        )
    };
    assert_eq!(success(said("0.73", "USD", "33375390"), false), None);
    assert_eq!(success(said("0.7300", "usd", "33375390"), false), None);
    assert_eq!(success(said("73", "USD", "33375390"), true), None);
    assert_eq!(
        success(Money::default(), false),
        None,
        "a value that need not be said contradicts nothing"
    );
}

#[test]
fn what_does_not() {
    let success = |said, minor| {
        disagreement_of(
            Outcome::Succeeded,
            ORDER,
            said,
            Units {
                minor,
                exceptions: None,
            },
            &[],
            &Several::default(),
        )
        .unwrap_or_default()
    };
    assert!(success(said("0.74", "USD", "33375390"), false).contains("says 0.74"));
    assert!(success(said("73", "USD", "33375390"), false).contains("says 73"));
    assert!(success(said("0.73", "EUR", "33375390"), false).contains("in \"EUR\""));
    assert!(success(said("0.73", "USD", "1"), false).contains("about \"1\""));
    let endless = "9".repeat(41);
    for unreadable in ["", "NaN", "1e3", "0,73", "--1", "1.2.3", &endless] {
        assert!(
            success(said(unreadable, "USD", "33375390"), false).contains("can't be read"),
            "{unreadable}"
        );
    }
    assert!(success(said("73", "ZZZ", "33375390"), true).contains("in \"ZZZ\""));
}

#[test]
fn only_a_success_needs_the_money_and_only_a_final_word_the_reference() {
    let other = said("9.99", "EUR", "33375390");
    assert_eq!(
        disagreement_of(
            Outcome::Failed,
            ORDER,
            other,
            Units::default(),
            &[],
            &Several::default()
        ),
        None
    );
    assert!(
        disagreement_of(
            Outcome::Failed,
            ORDER,
            said("0.73", "USD", "1"),
            Units::default(),
            &[],
            &Several::default()
        )
        .is_some()
    );
    assert_eq!(
        disagreement_of(
            Outcome::Pending,
            ORDER,
            said("0.73", "USD", "1"),
            Units::default(),
            &[],
            &Several::default()
        ),
        None
    );
}

#[test]
fn silence_is_no_agreement() {
    let must_say = ["amount", "currency", "reference"].map(str::to_owned);
    let gate = |outcome, order, said| {
        disagreement_of(
            outcome,
            order,
            said,
            Units::default(),
            &must_say,
            &Several::default(),
        )
    };
    let silent = gate(Outcome::Succeeded, ORDER, Money::default()).unwrap_or_default();
    assert!(
        silent.contains("nothing at reference_path and amount_path and currency_path"),
        "{silent}"
    );
    let silent = gate(Outcome::Refunded, ORDER, Money::default()).unwrap_or_default();
    assert!(
        silent.contains("nothing at reference_path, and"),
        "{silent}"
    );
    assert_eq!(gate(Outcome::Failed, ORDER, Money::default()), None);
    assert_eq!(
        gate(Outcome::Succeeded, Money::default(), Money::default()),
        None
    );
}
