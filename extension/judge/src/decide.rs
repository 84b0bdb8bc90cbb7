//! Given what a check means, where does the order go, and when is it asked again?
//!
//! One pure function over closed sets. The same inputs, which the audit keeps, give the same decision for ever.
//! Owns the rules of evidence in time: tries, deadline, grace, giving up, late success. Never reads an answer.

use crate::outcome::Outcome;
use crate::retry::Bound;
use crate::schedule::Schedule;
use crate::state::{SettledBy, State};
use reconcile_contract::words::closed_set;

mod case;

use case::Case;

closed_set! {
    /// Where an order goes that is given up, or that the provider does not know after its grace.
    Ending {
        /// It goes on being asked about.
        Pending = "pending",
        /// It failed.
        Failed = "failed",
        /// It is called off.
        Cancelled = "cancelled",
        /// A person decides.
        Review = "review",
    }
}

closed_set! {
    /// What a success means that comes after `failed` or `cancelled`.
    LateSuccess {
        /// The order succeeds after all.
        Revive = "revive",
        /// A person decides.
        Review = "review",
    }
}

/// Where an order stands when a check's answer comes in.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    /// Its state.
    pub state: State,
    /// Who settled it; `None` while it is open.
    pub settled_by: Option<SettledBy>,
    /// Its place in the schedule: checks with an answer before this one.
    pub attempt: u32,
    /// Of those, the ones that used up a try.
    pub tries: u32,
    /// Checks without an answer, in a row, just before this one.
    pub faults: u32,
    /// From the order's creation to the asking, in milliseconds: what the grace counts.
    pub age_ms: u64,
    /// From when it was known here, and created, to the asking, in milliseconds: what the deadline counts.
    pub known_ms: u64,
    /// Its number, for the jitter.
    pub order_number: &'a str,
}

/// What the provider's row says about time and endings.
#[derive(Clone, Debug)]
pub struct Policy {
    /// When an open order is asked about.
    pub schedule: Schedule,
    /// Answers without a final word before the last check; `None` for no limit.
    pub max_tries: Option<u32>,
    /// For how long it is asked about before the next check is the last, in milliseconds; `None` for no limit.
    pub deadline_ms: Option<u64>,
    /// For how long after its creation an order may be unknown to the provider, in milliseconds.
    pub not_found_grace_ms: u64,
    /// What `not_found` means after the grace.
    pub not_found_as: Ending,
    /// Where an order goes that is given up. `Pending` is not allowed here and counts as `Review`.
    pub gives_up_as: Ending,
    /// What a success after `failed` or `cancelled` means.
    pub late_success: LateSuccess,
    /// When an order that was given up, or that the application called off, is asked about again; `None` for never.
    pub late_watch: Option<Schedule>,
    /// When an order that has succeeded is asked about again, for refunds; `None` for never.
    pub refund_watch: Option<Schedule>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The state from now on.
    pub state: State,
    /// Who settled it; `None` while it is open.
    pub settled_by: Option<SettledBy>,
    /// Until the next check, in milliseconds; `None` when there is none.
    pub next_delay_ms: Option<u64>,
    /// Why, as a sentence for people.
    pub reason: String,
    /// The place in the schedule from now on.
    pub attempt: u32,
    /// The tries used up from now on.
    pub tries: u32,
    /// The run of checks without an answer from now on.
    pub faults: u32,
}

/// Decides. Total: every state, every outcome, every number.
#[must_use]
pub fn decide(
    standing: &Standing<'_>,
    outcome: Outcome,
    retry_after_ms: Option<u64>,
    policy: &Policy,
) -> Decision {
    let case = Case {
        standing,
        outcome,
        policy,
    };
    if outcome.is_fault() {
        return case.without_an_answer(Bound::RetryAfter.granted_ms(retry_after_ms.unwrap_or(0)));
    }
    match standing.state {
        State::Pending | State::Processing => case.open(),
        State::Succeeded => case.succeeded(),
        State::Failed | State::Cancelled => case.closed_without_money(),
        State::Refunded => case.stays("it was refunded, which is final"),
        State::Review => case.in_review(),
    }
}

#[cfg(test)]
mod tests;
