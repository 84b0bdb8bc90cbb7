//! When the next check is due: schedules as text that a person can read.
//!
//! `60s, 30s x3, 1m, then 5m` asks after 60 s, three times after 30 s, after a minute, and from then on every 5 minutes.
//! `then 30s growing by 2 up to 10m` grows to a cap. Without `then`, the last step repeats.
//! Owns the grammar and the jitter; never knows what is asked.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The shortest step: a second.
const SHORTEST_MS: u64 = 1_000;
/// The longest step: 365 days.
const LONGEST_MS: u64 = 365 * 24 * 3_600_000;
const MOST_STEPS: usize = 100;
const MOST_REPEATS: u32 = 1_000;

/// A parsed schedule: fixed steps, then a tail that goes on for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    steps: Vec<Step>,
    tail: Option<Tail>,
}

#[derive(Clone, Debug, PartialEq)]
struct Step {
    delay_ms: u64,
    repeats: u32,
}

#[derive(Clone, Debug, PartialEq)]
struct Tail {
    first_ms: u64,
    growth: Option<Growth>,
}

#[derive(Clone, Debug, PartialEq)]
struct Growth {
    /// In thousandths, so that 1.5 is exact.
    factor_milli: u64,
    cap_ms: u64,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// A sentence that names the part which can't be read and what would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut tail = None;
        for part in text.split(',').map(str::trim) {
            if tail.is_some() {
                return Err(format!(
                    "nothing may follow \"then …\", but \"{}\" does",
                    shown(part)
                ));
            }
            if let Some(rest) = part.strip_prefix("then ") {
                tail = Some(Tail::parse(rest.trim())?);
            } else {
                steps.push(Step::parse(part)?);
            }
        }
        if steps.len() > MOST_STEPS {
            return Err(format!(
                "{} steps are more than {MOST_STEPS}: repeat steps (30s x10) or end with \"then\"",
                steps.len()
            ));
        }
        Ok(Self { steps, tail })
    }

    /// The delay before check number `attempt` (0 is the first), in milliseconds, without jitter. The last step repeats.
    #[must_use]
    pub fn delay_ms(&self, attempt: u32) -> u64 {
        let mut left = attempt;
        for step in &self.steps {
            if left < step.repeats {
                return step.delay_ms;
            }
            left -= step.repeats;
        }
        match &self.tail {
            Some(tail) => tail.delay_ms(left),
            None => self.steps.last().map_or(SHORTEST_MS, |step| step.delay_ms),
        }
    }

    /// The delay before check number `attempt` of a schedule that ends after its steps; `None` past its end.
    #[must_use]
    pub fn finite_delay_ms(&self, attempt: u32) -> Option<u64> {
        let length: u32 = self.steps.iter().map(|step| step.repeats).sum();
        (self.tail.is_some() || attempt < length).then(|| self.delay_ms(attempt))
    }
}

impl Step {
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let delay_ms = duration_ms(words.next().unwrap_or(""))?;
        let repeats = match words.next() {
            None => 1,
            Some(word) => word
                .strip_prefix('x')
                .and_then(|count| count.parse().ok())
                .filter(|count| (1..=MOST_REPEATS).contains(count))
                .ok_or_else(|| {
                    format!(
                        "\"{}\" is not a repeat: write x1 to x{MOST_REPEATS}, as in 30s x10",
                        shown(word)
                    )
                })?,
        };
        match words.next() {
            None => Ok(Self { delay_ms, repeats }),
            Some(word) => Err(format!(
                "\"{}\" is not expected after \"{}\"",
                shown(word),
                shown(text)
            )),
        }
    }
}

impl Tail {
    fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            [first] => Ok(Self {
                first_ms: duration_ms(first)?,
                growth: None,
            }),
            [first, "growing", "by", factor, "up", "to", cap] => {
                let (first_ms, cap_ms) = (duration_ms(first)?, duration_ms(cap)?);
                if cap_ms < first_ms {
                    return Err(format!(
                        "the cap {} is below the first delay {}",
                        shown(cap),
                        shown(first)
                    ));
                }
                Ok(Self {
                    first_ms,
                    growth: Some(Growth {
                        factor_milli: factor_milli(factor)?,
                        cap_ms,
                    }),
                })
            }
            _ => Err(format!(
                "\"then {}\" is not understood: write \"then 5m\" or \"then 30s growing by 2 up to 10m\"",
                shown(text)
            )),
        }
    }

    fn delay_ms(&self, steps: u32) -> u64 {
        let Some(growth) = &self.growth else {
            return self.first_ms;
        };
        let mut delay = self.first_ms;
        // A factor is at least 1.001, so the cap is met after a bounded number of rounds whatever `steps` is.
        for _ in 0..steps {
            let grown = delay.saturating_mul(growth.factor_milli) / 1_000;
            if grown >= growth.cap_ms || grown == delay {
                return growth.cap_ms;
            }
            delay = grown;
        }
        delay
    }
}

fn factor_milli(text: &str) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let readable = !whole.is_empty()
        && whole.len() <= 2
        && fraction.len() <= 3
        && digits(whole)
        && digits(fraction);
    let milli = readable
        .then(|| format!("{whole}{fraction:0<3}").parse::<u64>().ok())
        .flatten();
    milli
        .filter(|milli| (1_001..=10_000).contains(milli))
        .ok_or_else(|| {
            format!(
                "\"{}\" is not a growth: write a number above 1 and at most 10, as in growing by 2",
                shown(text)
            )
        })
}

fn duration_ms(text: &str) -> Result<u64, String> {
    let complaint = || {
        format!(
            "\"{}\" is not a duration: write a whole number and s, m, h or d, as in 30s, 5m, 1h, 3d",
            shown(text)
        )
    };
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(complaint)?;
    let number: u64 = text[..unit_at].parse().map_err(|_| complaint())?;
    let unit = match &text[unit_at..] {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        _ => return Err(complaint()),
    };
    number
        .checked_mul(unit)
        .filter(|ms| (SHORTEST_MS..=LONGEST_MS).contains(ms))
        .ok_or_else(|| {
            format!(
                "\"{}\" is out of range: a step takes from 1s to 365d",
                shown(text)
            )
        })
}

/// Text of a user inside a message: escaped, and short.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// Adds up to a tenth to a delay, so that orders of one moment don't ask in one moment.
///
/// The share comes from the order and the attempt, not from a random source: the same decision gives the same time.
/// Never shortens, since a provider's documented schedule is a lower bound.
#[must_use]
pub fn jittered_ms(delay_ms: u64, order_number: &str, attempt: u32) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(order_number.as_bytes());
    hasher.write_u32(attempt);
    let share_milli = hasher.finish() % 101;
    delay_ms.saturating_add(delay_ms.saturating_mul(share_milli) / 1_000)
}

#[cfg(test)]
mod tests;
