//! Of several values that one path finds in an answer: what they mean together, and when they are more than one thing.
//!
//! Owns what several words, payments and refunds come to; never picks one of them in silence.

use crate::evidence::Units;
use crate::money;
use crate::outcome::Outcome;
use bigdecimal::BigDecimal;
use serde_json::Value;
use std::cmp::Ordering;

/// What paths found that found more than one value, as texts.
#[derive(Clone, Debug, Default)]
pub struct Several {
    /// The words, each of which means a success.
    pub words: Vec<String>,
    /// By `amount_path`.
    pub amounts: Vec<String>,
    /// By `currency_path`.
    pub currencies: Vec<String>,
    /// By `reference_path`.
    pub references: Vec<String>,
    /// By `transaction_id_path`.
    pub transaction_ids: Vec<String>,
    /// Whether amounts are parts of one sum, as captures of one payment are.
    pub adds_up: bool,
}

impl Several {
    /// Read from an object of lists of texts, by the names of the paths.
    #[must_use]
    pub fn of(found: &Value) -> Self {
        let texts = |path: &str| {
            let list = found.get(path).and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        Self {
            words: texts("status_path"),
            amounts: texts("amount_path"),
            currencies: texts("currency_path"),
            references: texts("reference_path"),
            transaction_ids: texts("transaction_id_path"),
            adds_up: false,
        }
    }

    /// Whether the amounts are compared by their sum, and not each. One payment that is listed twice is no two parts, nor is what takes
    /// from the sum.
    #[must_use]
    pub fn are_parts(&self) -> bool {
        let each_its_own = |list: &[String]| {
            list.is_empty() || distinct(list, str::to_owned).len() == self.amounts.len()
        };
        self.adds_up
            && self.amounts.len() > 1
            && each_its_own(&self.transaction_ids)
            && (self.currencies.is_empty() || self.currencies.len() == self.amounts.len())
            && !self
                .amounts
                .iter()
                .any(|amount| amount.trim_start().starts_with('-'))
    }

    /// Why the references are not one.
    #[must_use]
    pub fn references(&self) -> Option<String> {
        differing("reference_path", &self.references, str::to_owned)
    }

    /// Why the currencies are not one.
    #[must_use]
    pub fn currencies(&self) -> Option<String> {
        differing("currency_path", &self.currencies, str::to_ascii_uppercase)
    }

    /// Why a success is more than one: two payments are a person's matter, even where they add up to the order, unless they are meant to.
    #[must_use]
    pub fn payments(
        &self,
        expected: Option<&str>,
        currency: Option<&str>,
        units: Units<'_>,
    ) -> Option<String> {
        let ids = distinct(&self.transaction_ids, str::to_owned);
        let (path, found) = if self.amounts.len() > 1 {
            ("amount_path", &self.amounts)
        } else if ids.len() > 1 {
            ("transaction_id_path", &self.transaction_ids)
        } else if self.words.len() > 1 {
            ("status_path", &self.words)
        } else {
            return None;
        };
        let sum = sum_of(&self.amounts, currency, units)
            .filter(|_| self.amounts.len() > 1)
            .zip(expected.and_then(|expected| money::major_units(expected, false, None, None).ok()))
            .map(|(sum, expected)| (sum.cmp(&expected), sum));
        let verdict = match sum {
            Some((Ordering::Equal, _)) if self.are_parts() => return None,
            Some((Ordering::Less, sum)) if self.are_parts() => {
                let sum = sum.to_plain_string();
                return Some(format!(
                    "paid in part, {sum} so far: {path} finds {}",
                    listed(found)
                ));
            }
            Some((Ordering::Equal, _)) => "paid in parts",
            _ => "paid twice",
        };
        Some(format!("{verdict}: {path} finds {}", listed(found)))
    }
}

/// The sum in major units; `None` when one of them can't be read. Nothing is nothing in any currency.
#[must_use]
pub fn sum_of(amounts: &[String], currency: Option<&str>, units: Units<'_>) -> Option<BigDecimal> {
    let zero = BigDecimal::from(0);
    amounts.iter().try_fold(zero.clone(), |sum, amount| {
        if money::major_units(amount, false, None, None).is_ok_and(|amount| amount == zero) {
            return Some(sum);
        }
        let amount = money::major_units(amount, units.minor, currency, units.exceptions);
        Some(sum + amount.ok()?)
    })
}

/// What several words mean together: what all of them mean, pending where none is final, and a mismatch where one is final
/// and another means something else. `None` when none is final and one is unknown.
#[must_use]
pub fn meaning_of(words: &[String], status_map: &Value) -> Option<Outcome> {
    let meanings: Vec<Option<Outcome>> = words
        .iter()
        .map(|word| Outcome::from_word(status_map.get(word)?.as_str()?))
        .collect();
    let first = *meanings.first()?;
    if meanings.iter().all(|each| *each == first) {
        return first;
    }
    let is_final = |each: &Option<Outcome>| {
        matches!(
            each,
            Some(Outcome::Succeeded | Outcome::Failed | Outcome::Cancelled | Outcome::Refunded)
        )
    };
    if meanings.iter().any(is_final) {
        return Some(Outcome::Mismatch);
    }
    meanings
        .iter()
        .all(Option::is_some)
        .then_some(Outcome::Pending)
}

fn differing(path: &str, found: &[String], alike: fn(&str) -> String) -> Option<String> {
    (distinct(found, alike).len() > 1)
        .then(|| format!("{path} finds several different values: {}", listed(found)))
}

fn distinct(found: &[String], alike: fn(&str) -> String) -> Vec<String> {
    let mut all: Vec<String> = found.iter().map(|each| alike(each)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Up to five of them, for a person.
fn listed(found: &[String]) -> String {
    let some: Vec<String> = found.iter().take(5).map(|each| shown(each)).collect();
    let more = if found.len() > 5 { ", …" } else { "" };
    format!("{}{more}", some.join(", "))
}

/// A text of an answer, as it stands in a sentence.
#[must_use]
pub fn shown(text: &str) -> String {
    // Masked before it is cut: half a card's number is not told from another number.
    let masked = crate::redact::redacted_text(text, &[]);
    let text = masked.as_deref().unwrap_or(text);
    let text: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests;
