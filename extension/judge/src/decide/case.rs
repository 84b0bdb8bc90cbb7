//! Each state's answer to each outcome: the rules of [`super::decide`], one function a state.

use super::{Decision, Ending, LateSuccess, Policy, Standing};
use crate::outcome::Outcome;
use crate::retry::{Backoff, FAULTS_BEFORE_REVIEW, SOONEST_MS};
use crate::schedule::{Schedule, jittered_ms};
use crate::state::{SettledBy, State};

/// One check's answer, at one order, by one provider's policy.
pub(super) struct Case<'a> {
    pub(super) standing: &'a Standing<'a>,
    pub(super) outcome: Outcome,
    pub(super) policy: &'a Policy,
}

impl Case<'_> {
    pub(super) fn open(&self) -> Decision {
        match self.outcome {
            Outcome::Succeeded => self.settles(State::Succeeded, "the provider says succeeded"),
            Outcome::Failed => self.settles(State::Failed, "the provider says failed"),
            Outcome::Cancelled => self.settles(State::Cancelled, "the provider says cancelled"),
            Outcome::Refunded => self.settles(State::Refunded, "the provider says refunded"),
            Outcome::Mismatch => self.settles(
                State::Review,
                "the provider's final word does not agree with the order",
            ),
            Outcome::NotFound if self.standing.age_ms >= self.policy.not_found_grace_ms => {
                self.unknown_to_the_provider()
            }
            Outcome::Pending | Outcome::NotFound => self.asks_again_or_gives_up(),
            Outcome::UnknownStatus if self.is_last_check() => self.gives_up(
                State::Review,
                "the last check answered a word that the status map does not have",
            ),
            Outcome::UnknownStatus => {
                self.asks_again("the status map does not have this word, so nothing changes")
            }
            Outcome::Throttled
            | Outcome::ProviderError
            | Outcome::Unreachable
            | Outcome::Refused => self.without_an_answer(0),
        }
    }

    fn unknown_to_the_provider(&self) -> Decision {
        match self.policy.not_found_as {
            Ending::Pending => self.asks_again_or_gives_up(),
            Ending::Failed => self.settles(
                State::Failed,
                "the provider does not know it after the grace",
            ),
            Ending::Cancelled => self.settles(
                State::Cancelled,
                "the provider does not know it after the grace",
            ),
            Ending::Review => self.settles(
                State::Review,
                "the provider does not know it after the grace",
            ),
        }
    }

    fn asks_again_or_gives_up(&self) -> Decision {
        if !self.is_last_check() {
            return self.asks_again(match self.outcome {
                Outcome::NotFound => "the provider does not know it yet",
                _ => "the provider has no final word yet",
            });
        }
        let state = match self.policy.gives_up_as {
            Ending::Failed => State::Failed,
            Ending::Cancelled => State::Cancelled,
            Ending::Review | Ending::Pending => State::Review,
        };
        self.gives_up(
            state,
            "its deadline or its tries are over, and the last check had no final word",
        )
    }

    pub(super) fn succeeded(&self) -> Decision {
        match self.outcome {
            Outcome::Refunded => self.settles(State::Refunded, "the provider says refunded"),
            Outcome::Failed | Outcome::Cancelled => self.watches_on(
                "the provider contradicts its own success; a success is not taken back",
            ),
            _ => self.watches_on("it has succeeded already"),
        }
    }

    pub(super) fn closed_without_money(&self) -> Decision {
        match (self.outcome, self.policy.late_success) {
            (Outcome::Succeeded, LateSuccess::Revive) => self.settles(
                State::Succeeded,
                "the provider took the money after all: the order is revived",
            ),
            (Outcome::Succeeded, LateSuccess::Review) => self.settles(
                State::Review,
                "the provider took the money for an order that was closed without it",
            ),
            (Outcome::Mismatch, _) => self.settles(
                State::Review,
                "the provider's final word does not agree with the order",
            ),
            (Outcome::Refunded, _) => self.settles(
                State::Refunded,
                "the provider took the money and paid it back",
            ),
            (Outcome::Failed | Outcome::Cancelled, _) => {
                self.stays("the provider confirms that no money was taken")
            }
            _ => self.watches_on("the provider still has no final word"),
        }
    }

    pub(super) fn in_review(&self) -> Decision {
        if self.standing.settled_by != Some(SettledBy::GivingUp) {
            return self.stays("a person has to decide");
        }
        match self.outcome {
            Outcome::Succeeded => self.settles(State::Succeeded, "the provider says succeeded"),
            Outcome::Failed => self.settles(State::Failed, "the provider says failed"),
            Outcome::Cancelled => self.settles(State::Cancelled, "the provider says cancelled"),
            Outcome::Refunded => self.settles(State::Refunded, "the provider says refunded"),
            Outcome::Mismatch => self.settles(
                State::Review,
                "the provider's final word does not agree with the order",
            ),
            _ => self.watches_on("the provider still has no final word"),
        }
    }

    pub(super) fn without_an_answer(&self, retry_after_ms: u64) -> Decision {
        let standing = self.standing;
        let faults = standing.faults.saturating_add(1);
        let trouble = match self.outcome {
            Outcome::Throttled => "the provider asks for fewer calls",
            Outcome::Refused => {
                "the call was refused: the provider's description or its secret needs a look"
            }
            Outcome::Unreachable => "the provider could not be reached",
            _ => "the provider gave no answer about the order",
        };
        if standing.state.is_open() && self.is_last_check() && faults >= FAULTS_BEFORE_REVIEW {
            return self.gives_up(
                State::Review,
                &format!("its deadline or its tries are over, and {trouble}"),
            );
        }
        let asked_again = standing.state.is_open()
            || standing.settled_by == Some(SettledBy::GivingUp)
            || self.watched().is_some();
        let backoff = Backoff::Check.pause_ms(standing.faults);
        let delay = jittered_ms(backoff, standing.order_number, faults).max(retry_after_ms);
        Decision {
            faults,
            next_delay_ms: asked_again.then_some(delay),
            ..self.stays(trouble)
        }
    }

    /// A try is used up, and the schedule says when it is asked again: at the deadline at the latest.
    fn asks_again(&self, reason: &str) -> Decision {
        let standing = self.standing;
        let attempt = standing.attempt.saturating_add(1);
        let mut delay = jittered_ms(
            self.policy.schedule.delay_ms(attempt),
            standing.order_number,
            attempt,
        );
        if let Some(deadline) = self.policy.deadline_ms {
            delay = delay.min(deadline.saturating_sub(standing.known_ms).max(SOONEST_MS));
        }
        Decision {
            next_delay_ms: Some(delay),
            attempt,
            tries: standing.tries.saturating_add(1),
            faults: 0,
            ..self.stays(reason)
        }
    }

    fn watches_on(&self, reason: &str) -> Decision {
        let attempt = self.standing.attempt.saturating_add(1);
        let next_delay_ms = self
            .watched()
            .and_then(|watch| self.watch_delay_ms(watch, attempt));
        Decision {
            next_delay_ms,
            attempt,
            faults: 0,
            ..self.stays(reason)
        }
    }

    /// The watch that an order in this state is on, if it is.
    fn watched(&self) -> Option<&Schedule> {
        match (self.standing.state, self.standing.settled_by) {
            (State::Succeeded, _) => self.policy.refund_watch.as_ref(),
            // Who calls an order off does not stop a payment that is under way.
            (State::Failed | State::Cancelled | State::Review, Some(SettledBy::GivingUp))
            | (State::Failed | State::Cancelled, Some(SettledBy::Application)) => {
                self.policy.late_watch.as_ref()
            }
            _ => None,
        }
    }

    fn gives_up(&self, state: State, reason: &str) -> Decision {
        Decision {
            state,
            settled_by: Some(SettledBy::GivingUp),
            next_delay_ms: self
                .policy
                .late_watch
                .as_ref()
                .and_then(|watch| self.watch_delay_ms(watch, 0)),
            reason: reason.to_owned(),
            attempt: 0,
            tries: self.standing.tries.saturating_add(1),
            faults: 0,
        }
    }

    fn watch_delay_ms(&self, watch: &Schedule, attempt: u32) -> Option<u64> {
        let delay = watch.finite_delay_ms(attempt)?;
        Some(jittered_ms(delay, self.standing.order_number, attempt))
    }

    fn settles(&self, state: State, reason: &str) -> Decision {
        let watch = self
            .policy
            .refund_watch
            .as_ref()
            .filter(|_| state == State::Succeeded);
        Decision {
            state,
            settled_by: Some(SettledBy::Provider),
            next_delay_ms: watch.and_then(|watch| self.watch_delay_ms(watch, 0)),
            attempt: if watch.is_some() {
                0
            } else {
                self.standing.attempt
            },
            faults: 0,
            ..self.stays(reason)
        }
    }

    pub(super) fn stays(&self, reason: &str) -> Decision {
        let standing = self.standing;
        Decision {
            state: standing.state,
            settled_by: standing.settled_by,
            next_delay_ms: None,
            reason: reason.to_owned(),
            attempt: standing.attempt,
            tries: standing.tries,
            faults: if self.outcome.is_fault() {
                standing.faults
            } else {
                0
            },
        }
    }

    /// Asked past its deadline, or with its tries used up: whatever comes of it, nothing more is awaited.
    fn is_last_check(&self) -> bool {
        let late = self
            .policy
            .deadline_ms
            .is_some_and(|deadline| self.standing.known_ms >= deadline);
        late || self
            .policy
            .max_tries
            .is_some_and(|most| self.standing.tries >= most)
    }
}
