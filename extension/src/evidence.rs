//! Does an answer speak of this order, and of its money? Compares what the provider says with what the order says.
//!
//! Owns the gate before a final outcome; amounts are exact decimals. Never closes anything: a disagreement becomes the
//! outcome `mismatch`.

use crate::money;
use crate::outcome::Outcome;
use pgrx::prelude::*;
use serde_json::{Map, Value};

/// How the provider writes amounts. The order's are always in major units.
#[derive(Clone, Copy, Debug, Default)]
pub struct Units<'a> {
    /// Whether they are in minor units.
    pub minor: bool,
    /// Where the provider departs from ISO 4217.
    pub exceptions: Option<&'a Map<String, Value>>,
}

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
/// A final outcome needs the reference to agree, a success also the amount and the currency.
#[must_use]
pub fn disagreement_of(
    outcome: Outcome,
    order: Money<'_>,
    said: Money<'_>,
    units: Units<'_>,
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
    let amount = match money::major_units(text, units.minor, currency, units.exceptions) {
        Ok(amount) => amount,
        Err(error) => return Some(error),
    };
    let agrees =
        money::major_units(expected, false, None, None).is_ok_and(|expected| expected == amount);
    (!agrees).then(|| {
        format!(
            "the answer says {} and the order {expected}",
            amount.to_plain_string()
        )
    })
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
    exceptions: Option<pgrx::JsonB>,
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
    let exceptions = exceptions
        .as_ref()
        .and_then(|exceptions| exceptions.0.as_object());
    let units = Units {
        minor: amount_unit == "minor",
        exceptions,
    };
    disagreement_of(Outcome::from_word(outcome?)?, order, said, units)
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
        let success = |said, minor| {
            disagreement_of(
                Outcome::Succeeded,
                ORDER,
                said,
                Units {
                    minor,
                    exceptions: None,
                },
            )
        };
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
            disagreement_of(
                Outcome::Succeeded,
                ORDER,
                said,
                Units {
                    minor,
                    exceptions: None,
                },
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
            disagreement_of(Outcome::Failed, ORDER, other, Units::default()),
            None
        );
        assert!(
            disagreement_of(
                Outcome::Failed,
                ORDER,
                said("0.73", "USD", "1"),
                Units::default()
            )
            .is_some()
        );
        assert_eq!(
            disagreement_of(
                Outcome::Pending,
                ORDER,
                said("0.73", "USD", "1"),
                Units::default()
            ),
            None
        );
    }
}
