//! Does an answer speak of this order, and of its money? Compares what the provider says with what the order says.
//!
//! Owns the gate before a final outcome; amounts are exact decimals. Never closes anything: a disagreement becomes the
//! outcome `mismatch`.

use crate::money;
use crate::outcome::Outcome;
use bigdecimal::BigDecimal;
use pgrx::prelude::*;
use std::str::FromStr;

/// Longer texts are no amounts: 10^20 with 12 decimals fits.
const LONGEST_AMOUNT: usize = 40;

/// One side of the comparison: what the order says, or what the answer says where the provider's paths point.
#[derive(Clone, Copy, Debug, Default)]
pub struct Money<'a> {
    /// A decimal number as text.
    pub amount: Option<&'a str>,
    /// ISO 4217 code, in any letter case.
    pub currency: Option<&'a str>,
    /// The provider's id for the order.
    pub reference: Option<&'a str>,
}

/// What disagrees, as a sentence; `None` when nothing does, or when one side is silent.
///
/// A final outcome needs the reference to agree, a success also the amount and the currency. `in_minor_units` says how
/// the provider writes amounts; the order's are always in major units.
#[must_use]
pub fn disagreement_of(
    outcome: Outcome,
    order: Money<'_>,
    said: Money<'_>,
    in_minor_units: bool,
) -> Option<String> {
    if !matches!(
        outcome,
        Outcome::Succeeded | Outcome::Failed | Outcome::Cancelled | Outcome::Refunded
    ) {
        return None;
    }
    if let (Some(order), Some(said)) = (order.reference, said.reference)
        && order != said
    {
        return Some(format!(
            "the answer is about {}, and the order's reference is {}",
            shown(said),
            shown(order)
        ));
    }
    if outcome != Outcome::Succeeded {
        return None;
    }
    if let (Some(order), Some(said)) = (order.currency, said.currency)
        && !order.eq_ignore_ascii_case(said)
    {
        return Some(format!(
            "the answer is in {}, and the order in {}",
            shown(said),
            shown(order)
        ));
    }
    let (expected, text) = (order.amount?, said.amount?);
    let currency = said.currency.or(order.currency);
    let Some(amount) = read_amount(text) else {
        return Some(format!("the answer's amount {} can't be read", shown(text)));
    };
    let amount = if in_minor_units {
        let Some(exponent) = currency.and_then(money::exponent) else {
            return Some("the answer's amount is in minor units of an unknown currency".to_owned());
        };
        amount / BigDecimal::from(10_u32.pow(u32::from(exponent)))
    } else {
        amount
    };
    let agrees = read_amount(expected).is_some_and(|expected| expected == amount);
    (!agrees).then(|| {
        format!(
            "the answer is about {}, and the order about {expected}",
            amount.normalized().to_plain_string()
        )
    })
}

fn read_amount(text: &str) -> Option<BigDecimal> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    (plain && text.len() <= LONGEST_AMOUNT)
        .then(|| BigDecimal::from_str(text).ok())
        .flatten()
}

fn shown(text: &str) -> String {
    format!(
        "\"{}\"",
        text.chars()
            .take(80)
            .flat_map(char::escape_debug)
            .collect::<String>()
    )
}

/// NULL for the outcome when the status map has no such word: then there is nothing to compare.
#[pg_extern(sql = false, immutable, parallel_safe)]
#[allow(clippy::too_many_arguments)]
fn disagreement(
    outcome: Option<&str>,
    amount: Option<&str>,
    currency: Option<&str>,
    reference: Option<&str>,
    said_amount: Option<&str>,
    said_currency: Option<&str>,
    said_reference: Option<&str>,
    amount_unit: &str,
) -> Option<String> {
    let order = Money {
        amount,
        currency,
        reference,
    };
    let said = Money {
        amount: said_amount,
        currency: said_currency,
        reference: said_reference,
    };
    disagreement_of(
        Outcome::from_word(outcome?)?,
        order,
        said,
        amount_unit == "minor",
    )
}

#[cfg(test)]
mod tests {
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
        let success = |said, minor| disagreement_of(Outcome::Succeeded, ORDER, said, minor);
        assert_eq!(success(said("0.73", "USD", "33375390"), false), None);
        assert_eq!(success(said("0.7300", "usd", "33375390"), false), None);
        assert_eq!(success(said("73", "USD", "33375390"), true), None);
        assert_eq!(
            success(Money::default(), false),
            None,
            "a silent provider contradicts nothing"
        );
    }

    #[test]
    fn what_does_not() {
        let success = |said, minor| {
            disagreement_of(Outcome::Succeeded, ORDER, said, minor).unwrap_or_default()
        };
        assert!(success(said("0.74", "USD", "33375390"), false).contains("about 0.74"));
        assert!(success(said("73", "USD", "33375390"), false).contains("about 73"));
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
        assert_eq!(disagreement_of(Outcome::Failed, ORDER, other, false), None);
        assert!(disagreement_of(Outcome::Failed, ORDER, said("0.73", "USD", "1"), false).is_some());
        assert_eq!(
            disagreement_of(Outcome::Pending, ORDER, said("0.73", "USD", "1"), false),
            None
        );
    }
}
