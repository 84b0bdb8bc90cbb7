//! Does an answer speak of this order, and of its money? Compares what the provider says with what the order says.
//!
//! Owns the gate before a final outcome; amounts are exact decimals. Never closes anything: a disagreement becomes the
//! outcome `mismatch`.

use crate::found::{Several, shown};
use crate::money;
use crate::outcome::Outcome;
use serde_json::{Map, Value};

/// How the provider writes amounts. The order's are always in major units.
#[derive(Clone, Copy, Debug, Default)]
pub struct Units<'a> {
    /// Whether they are in minor units.
    pub minor: bool,
    /// Where the provider departs from ISO 4217.
    pub exceptions: Option<&'a Map<String, Value>>,
}

impl<'a> Units<'a> {
    /// Of a provider's row: `amount_unit` is minor or major.
    #[must_use]
    pub fn of(amount_unit: &str, exceptions: Option<&'a Map<String, Value>>) -> Self {
        Self {
            minor: amount_unit == "minor",
            exceptions,
        }
    }
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

/// What disagrees, as a sentence; `None` when nothing does.
///
/// A final outcome needs the reference to agree, a success also the amount and the currency. Silence is no agreement:
/// what `must_say` names and the order has, an answer that money was taken has to say.
#[must_use]
pub fn disagreement_of(
    outcome: Outcome,
    order: Money<'_>,
    said: Money<'_>,
    units: Units<'_>,
    must_say: &[String],
    several: &Several,
) -> Option<String> {
    let takes_money = matches!(outcome, Outcome::Succeeded | Outcome::Refunded);
    if !takes_money && !matches!(outcome, Outcome::Failed | Outcome::Cancelled) {
        return None;
    }
    let money = outcome == Outcome::Succeeded;
    let currency = said.currency.or(order.currency);
    let payments = || money.then(|| several.payments(order.amount, currency, units))?;
    // Of an order that has no reference, several are several payments.
    let unknown = order.reference.is_none();
    unknown
        .then(payments)
        .flatten()
        .or_else(|| several.references())
        .or_else(|| other_reference(order, said))
        .or_else(payments)
        .or_else(|| takes_money.then(|| silence(order, said, must_say, money))?)
        .or_else(|| money.then(|| several.currencies())?)
        .or_else(|| money.then(|| other_money(order, said, units, several.are_parts()))?)
}

fn other_reference(order: Money<'_>, said: Money<'_>) -> Option<String> {
    let (order, said) = (order.reference?, said.reference?);
    (order != said).then(|| {
        format!(
            "the answer is about {}, and the order's reference is {}",
            shown(said),
            shown(order)
        )
    })
}

/// What the order has and the answer leaves out, by the names of the paths that found nothing.
fn silence(order: Money<'_>, said: Money<'_>, must_say: &[String], money: bool) -> Option<String> {
    let empty: Vec<String> = [
        ("reference", order.reference, said.reference, true),
        ("amount", order.amount, said.amount, money),
        ("currency", order.currency, said.currency, money),
    ]
    .into_iter()
    .filter(|(name, order, said, counts)| {
        *counts && order.is_some() && said.is_none() && must_say.iter().any(|each| each == name)
    })
    .map(|(name, ..)| format!("{name}_path"))
    .collect();
    (!empty.is_empty()).then(|| {
        format!(
            "the answer has nothing at {}, and silence is no agreement",
            empty.join(" and ")
        )
    })
}

/// `in_parts`: the amount is one of several, which have been compared together.
fn other_money(
    order: Money<'_>,
    said: Money<'_>,
    units: Units<'_>,
    in_parts: bool,
) -> Option<String> {
    if let (Some(order), Some(said)) = (order.currency, said.currency)
        && !order.eq_ignore_ascii_case(said)
    {
        return Some(format!(
            "the answer is in {}, and the order in {}",
            shown(said),
            shown(order)
        ));
    }
    if in_parts {
        return None;
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

#[cfg(test)]
mod tests;
