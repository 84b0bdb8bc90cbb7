//! How many decimals a currency has, so that minor units become exact amounts. Owns the exponent; computes no money:
//! amounts are `numeric` in SQL.

use pgrx::prelude::*;

/// Decimals of a currency by ISO 4217 (`USD` 2, `JPY` 0, `BHD` 3), in any letter case; `None` for a code that the
/// standard does not have, or that has no minor unit (gold).
#[must_use]
pub fn exponent(currency: &str) -> Option<u16> {
    iso_currency::Currency::from_code(&currency.to_ascii_uppercase())?.exponent()
}

#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn currency_exponent(currency: &str) -> Option<i32> {
    exponent(currency).map(i32::from)
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
}
