//! What an answer says of money, as an exact amount in major units. Owns the decimals of currencies and the reading of
//! amounts; never adds or rounds: amounts are `numeric` in SQL.

use bigdecimal::BigDecimal;
use serde_json::{Map, Value};
use std::str::FromStr;

/// Longer texts are no amounts: 10^20 with 12 decimals fits.
const LONGEST_AMOUNT: usize = 40;

/// Decimals of a currency by ISO 4217 (`USD` 2, `JPY` 0, `BHD` 3), in any letter case; `None` for a code that the
/// standard does not have, or that has no minor unit (gold).
#[must_use]
pub fn exponent(currency: &str) -> Option<u16> {
    iso_currency::Currency::from_code(&currency.to_ascii_uppercase())?.exponent()
}

/// An amount as an answer says it, in major units. `exceptions` is where a provider departs from the standard.
///
/// # Errors
/// Why it can't be read, as a sentence: not a plain decimal number, or minor units of an unknown currency.
pub fn major_units(
    said: &str,
    in_minor_units: bool,
    currency: Option<&str>,
    exceptions: Option<&Map<String, Value>>,
) -> Result<BigDecimal, String> {
    let plain = said
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    let number = (plain && said.len() <= LONGEST_AMOUNT)
        .then(|| BigDecimal::from_str(said).ok())
        .flatten();
    let Some(number) = number else {
        let shown: String = said.chars().take(80).flat_map(char::escape_debug).collect();
        return Err(format!("the answer's amount \"{shown}\" can't be read"));
    };
    if !in_minor_units {
        return Ok(number);
    }
    let exception =
        currency.and_then(|currency| exceptions?.get(&currency.to_ascii_uppercase())?.as_u64());
    let exponent = match exception {
        Some(exponent) => u16::try_from(exponent).ok(),
        None => currency.and_then(exponent),
    };
    let exponent =
        exponent.ok_or("the answer's amount is in minor units of an unknown currency")?;
    Ok(number / BigDecimal::from(10_u64.pow(u32::from(exponent.min(18)))))
}

/// What is wrong with a provider's exceptions to ISO 4217; `None` when they will do.
#[must_use]
pub fn exponents_complaint(exponents: &Value) -> Option<String> {
    let Some(exponents) = exponents.as_object() else {
        return Some("it is not an object of currencies and decimals".to_owned());
    };
    exponents.iter().find_map(|(currency, decimals)| {
        let code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
        if !code {
            return Some(format!(
                "\"{}\" is not a currency: write its three capitals",
                currency.escape_debug()
            ));
        }
        let sound = decimals.as_u64().is_some_and(|decimals| decimals <= 8);
        (!sound).then(|| format!("{currency} has {decimals} decimals: write 0 to 8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_the_standard() {
        assert_eq!(
            ["USD", "inr", "JPY", "BHD", "IDR"].map(exponent),
            [Some(2), Some(2), Some(0), Some(3), Some(2)]
        );
        assert_eq!(["", "US", "ZZZ", "XAU"].map(exponent), [None; 4]);
    }

    #[test]
    fn minor_units_by_the_standard_or_by_the_providers_exception() {
        let major = |said, currency, exceptions: &Value| {
            major_units(said, true, Some(currency), exceptions.as_object())
                .map(|amount| amount.to_plain_string())
        };
        let none = serde_json::json!({});
        assert_eq!(major("1234", "usd", &none).as_deref(), Ok("12.34"));
        assert_eq!(major("1234", "JPY", &none).as_deref(), Ok("1234"));
        assert_eq!(
            major("1234", "IDR", &serde_json::json!({"IDR": 0})).as_deref(),
            Ok("1234")
        );
        assert!(major("1234", "ZZZ", &none).is_err());
        assert!(exponents_complaint(&serde_json::json!({"IDR": 0})).is_none());
        assert!(exponents_complaint(&serde_json::json!({"idr": 0})).is_some());
        assert!(exponents_complaint(&serde_json::json!({"IDR": -1})).is_some());
    }
}
