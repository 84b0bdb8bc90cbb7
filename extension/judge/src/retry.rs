//! Every pause after which something is tried again, and every bound on what others ask us to wait, in one place.
//!
//! Owns the numbers; which tries there are, and what is done when they are used up, is decided by who asks. A provider's own
//! schedule stands in its row: see [`crate::schedule`].

use crate::schedule::jittered_ms;
use reconcile_contract::words::closed_set;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// This many checks in a row without an answer, the last of them past the deadline, and a person has to look.
pub const FAULTS_BEFORE_REVIEW: u32 = 5;
/// How soon the last check may be made when the deadline is just about to pass.
pub const SOONEST_MS: u64 = SECOND;

closed_set! {
    /// What is tried again, after pauses that grow.
    Backoff {
        /// A check that had no answer about its order.
        Check = "check",
        /// What follows from an answer and has to wait: its row is locked, or was moved by the application.
        EffectWaits = "effect_waits",
        /// What follows from an answer and has failed.
        EffectFails = "effect_fails",
        /// An answer that could not be applied at all, not even as a failure.
        Unapplied = "unapplied",
        /// A provider that its breaker keeps from being asked.
        Probe = "probe",
        /// An event that its endpoint did not take.
        Delivery = "delivery",
    }
}

closed_set! {
    /// What others may ask for, and get up to a bound.
    Bound {
        /// For how long an order, or a delivery, waits because `Retry-After` said so.
        RetryAfter = "retry_after",
        /// For how long all calls to a provider, or all deliveries to an endpoint, rest because of it.
        Rest = "rest",
    }
}

/// Pauses in their order, and then one that doubles up to a last one.
#[derive(Clone, Copy, Debug)]
struct Pauses {
    steps: &'static [u64],
    first_ms: u64,
    last_ms: u64,
}

impl Pauses {
    const fn doubling(first_ms: u64, last_ms: u64) -> Self {
        Self {
            steps: &[],
            first_ms,
            last_ms,
        }
    }
}

impl Backoff {
    const fn pauses(self) -> Pauses {
        match self {
            Self::Check | Self::EffectFails => Pauses::doubling(5 * SECOND, 10 * MINUTE),
            Self::EffectWaits => Pauses::doubling(2 * SECOND, MINUTE),
            Self::Unapplied => Pauses::doubling(30 * SECOND, 10 * MINUTE),
            Self::Probe => Pauses::doubling(5 * SECOND, 5 * MINUTE),
            // The Standard Webhooks specification's own example.
            Self::Delivery => Pauses {
                steps: &[
                    5 * SECOND,
                    5 * MINUTE,
                    30 * MINUTE,
                    2 * HOUR,
                    5 * HOUR,
                    10 * HOUR,
                    14 * HOUR,
                    20 * HOUR,
                ],
                first_ms: 24 * HOUR,
                last_ms: 24 * HOUR,
            },
        }
    }

    /// The pause after so many tries before the one that just failed, in milliseconds, without jitter.
    #[must_use]
    pub fn pause_ms(self, tries: u32) -> u64 {
        let pauses = self.pauses();
        let place = usize::try_from(tries).unwrap_or(usize::MAX);
        if let Some(step) = pauses.steps.get(place) {
            return *step;
        }
        let doublings = u32::try_from(place - pauses.steps.len()).unwrap_or(u32::MAX);
        2_u64
            .saturating_pow(doublings)
            .saturating_mul(pauses.first_ms)
            .min(pauses.last_ms)
    }

    /// The same with the jitter of what is tried, by its number or name.
    #[must_use]
    pub fn jittered_ms(self, tries: u32, subject: &str) -> u64 {
        jittered_ms(self.pause_ms(tries), subject, tries)
    }
}

impl Bound {
    /// The longest that is granted, in milliseconds.
    #[must_use]
    pub const fn longest_ms(self) -> u64 {
        match self {
            Self::RetryAfter => 24 * HOUR,
            Self::Rest => 5 * MINUTE,
        }
    }

    /// What was asked for, in milliseconds, up to the bound.
    #[must_use]
    pub fn granted_ms(self, asked_ms: u64) -> u64 {
        asked_ms.min(self.longest_ms())
    }
}

#[cfg(test)]
mod tests;
