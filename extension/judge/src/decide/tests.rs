//! Every state × every outcome, and what is watched afterwards.

use super::*;

mod endings;
mod properties;

fn policy() -> Policy {
    Policy {
        schedule: Schedule::parse("60s, 30s, 1m, 2m, then 5m").expect("a good schedule"),
        max_tries: Some(20),
        deadline_ms: Some(24 * 3_600_000),
        not_found_grace_ms: 15 * 60_000,
        not_found_as: Ending::Pending,
        gives_up_as: Ending::Cancelled,
        late_success: LateSuccess::Revive,
        late_watch: Some(Schedule::parse("1h, 23h, 2d").expect("a good schedule")),
        refund_watch: None,
    }
}

fn standing(state: State) -> Standing<'static> {
    let settled_by = (!state.is_open()).then_some(SettledBy::Provider);
    Standing {
        state,
        settled_by,
        attempt: 1,
        tries: 1,
        faults: 0,
        age_ms: 60_000,
        known_ms: 60_000,
        order_number: "ORD-1",
    }
}

/// What each state becomes by each outcome, early in an order's life: the table of the README, in the enums' order.
#[test]
fn every_state_by_every_outcome() {
    use State::*;
    for (from, becomes) in [
        // succeeded, failed, cancelled, refunded, pending, not_found, unknown_status, mismatch, and the four faults
        (
            Pending,
            [
                Succeeded, Failed, Cancelled, Refunded, Pending, Pending, Pending, Review, Pending,
                Pending, Pending, Pending,
            ],
        ),
        (
            Processing,
            [
                Succeeded, Failed, Cancelled, Refunded, Processing, Processing, Processing, Review,
                Processing, Processing, Processing, Processing,
            ],
        ),
        (
            Succeeded,
            [
                Succeeded, Succeeded, Succeeded, Refunded, Succeeded, Succeeded, Succeeded,
                Succeeded, Succeeded, Succeeded, Succeeded, Succeeded,
            ],
        ),
        (
            Failed,
            [
                Succeeded, Failed, Failed, Refunded, Failed, Failed, Failed, Review, Failed,
                Failed, Failed, Failed,
            ],
        ),
        (
            Cancelled,
            [
                Succeeded, Cancelled, Cancelled, Refunded, Cancelled, Cancelled, Cancelled, Review,
                Cancelled, Cancelled, Cancelled, Cancelled,
            ],
        ),
        (Refunded, [Refunded; 12]),
        (Review, [Review; 12]),
    ] {
        for (outcome, to) in Outcome::ALL.iter().zip(becomes) {
            let decision = decide(&standing(from), *outcome, None, &policy());
            assert_eq!(
                decision.state, to,
                "{from} by {outcome}: {}",
                decision.reason
            );
        }
    }
}

#[test]
fn late_success_goes_to_review_where_the_policy_says_so() {
    let policy = Policy {
        late_success: LateSuccess::Review,
        ..policy()
    };
    for state in [State::Failed, State::Cancelled] {
        assert_eq!(
            decide(&standing(state), Outcome::Succeeded, None, &policy).state,
            State::Review
        );
    }
}

#[test]
fn a_success_is_watched_for_refunds_where_the_policy_says_so() {
    let watching = Policy {
        refund_watch: Some(Schedule::parse("1d, 6d").expect("a good schedule")),
        ..policy()
    };
    let settled = decide(
        &standing(State::Pending),
        Outcome::Succeeded,
        None,
        &watching,
    );
    assert_eq!((settled.state, settled.attempt), (State::Succeeded, 0));
    assert!(settled.next_delay_ms.is_some_and(|ms| ms >= 24 * 3_600_000));
    let first = Standing {
        attempt: 0,
        ..standing(State::Succeeded)
    };
    let second = decide(&first, Outcome::Succeeded, None, &watching);
    assert!(
        second
            .next_delay_ms
            .is_some_and(|ms| ms >= 6 * 24 * 3_600_000)
    );
    let last = Standing {
        attempt: 1,
        ..standing(State::Succeeded)
    };
    assert_eq!(
        decide(&last, Outcome::Succeeded, None, &watching).next_delay_ms,
        None
    );
    assert_eq!(
        decide(&first, Outcome::Refunded, None, &watching).state,
        State::Refunded
    );
    assert_eq!(
        decide(
            &standing(State::Pending),
            Outcome::Succeeded,
            None,
            &policy()
        )
        .next_delay_ms,
        None
    );
}

#[test]
fn a_fault_does_not_end_the_watch_for_refunds() {
    let watching = Policy {
        refund_watch: Some(Schedule::parse("1d, 6d").expect("a good schedule")),
        ..policy()
    };
    for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_fault()) {
        let decision = decide(&standing(State::Succeeded), *outcome, None, &watching);
        assert_eq!(decision.state, State::Succeeded);
        assert_eq!(decision.attempt, 1, "the place in the watch is kept");
        assert!(decision.next_delay_ms.is_some(), "{outcome} ended it");
        let unwatched = decide(&standing(State::Succeeded), *outcome, None, &policy());
        assert_eq!(unwatched.next_delay_ms, None);
    }
}
