//! Which digits can be a card's: who issues cards that begin like this, how many digits those have, and the check digit.
//! Knows nothing of texts.

use std::ops::Range;

/// Fewer digits are no card number (ISO/IEC 7812-1), more neither.
pub(super) const FEWEST: usize = 13;
pub(super) const MOST: usize = 19;

/// How many digits a card can have that begins with these; none for what no issuer begins with.
///
/// Issuer identification numbers as the brands and the article "Payment card number" of Wikipedia list them: Visa 4;
/// Mastercard 51-55 and 2221-2720; American Express 34, 37; Diners Club 30, 36, 38, 39; JCB 3528-3589; Mir 2200-2204;
/// Maestro, RuPay, Verve and Dankort in 50 and 56-58; Discover, UnionPay, RuPay, Maestro, Troy in 6. So a time such as
/// 20251124081655, or a reference that begins with 0, 1, 7, 8 or 9, is no card's number.
pub(super) fn lengths(digits: &[u8]) -> &'static [usize] {
    if digits.len() < FEWEST {
        return &[];
    }
    let first = digits[..4]
        .iter()
        .fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    match first {
        4000..=4999 => &[13, 16, 18, 19],
        5100..=5599 | 2221..=2720 | 2205 => &[16],
        5000..=5099 | 5600..=5899 | 6000..=6999 => &[13, 14, 15, 16, 17, 18, 19],
        3400..=3499 | 3700..=3799 => &[15],
        3000..=3099 | 3600..=3699 | 3800..=3999 => &[14, 15, 16, 17, 18, 19],
        3528..=3589 | 2200..=2204 => &[16, 17, 18, 19],
        _ => &[],
    }
}

/// The Luhn check (ISO/IEC 7812-1, annex B).
pub(super) fn sums_up(digits: &[u8]) -> bool {
    Sums::new(digits).sum_up(0..digits.len())
}

/// Sums of a run's digits up to each place, the even places doubled and the odd ones, so that each stretch costs the same.
pub(super) struct Sums([Vec<u32>; 2]);

impl Sums {
    pub(super) fn new(digits: &[u8]) -> Self {
        Self([0, 1].map(|doubled| {
            let mut sum = 0;
            let mut sums = Vec::with_capacity(digits.len() + 1);
            sums.push(sum);
            for (place, digit) in digits.iter().enumerate() {
                let digit = u32::from(*digit);
                sum += match place % 2 == doubled {
                    true => digit * 2 / 10 + digit * 2 % 10,
                    false => digit,
                };
                sums.push(sum);
            }
            sums
        }))
    }

    /// The last digit of a stretch is not doubled, the one before it is, and so on.
    pub(super) fn sum_up(&self, stretch: Range<usize>) -> bool {
        let sums = &self.0[stretch.end % 2];
        (sums[stretch.end] - sums[stretch.start]).is_multiple_of(10)
    }
}
