//! Every state × every outcome, and what must hold whatever the numbers are.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

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
fn an_order_past_its_deadline_gets_one_last_check() {
    let late = Standing {
        age_ms: 24 * 3_600_000,
        known_ms: 24 * 3_600_000,
        ..standing(State::Pending)
    };
    let given_up = decide(&late, Outcome::Pending, None, &policy());
    assert_eq!(
        (given_up.state, given_up.settled_by),
        (State::Cancelled, Some(SettledBy::GivingUp))
    );
    assert!(
        given_up.next_delay_ms.is_some_and(|ms| ms >= 3_600_000),
        "the late watch begins"
    );
    assert_eq!(
        decide(&late, Outcome::NotFound, None, &policy()).state,
        State::Cancelled
    );
    assert_eq!(
        decide(&late, Outcome::UnknownStatus, None, &policy()).state,
        State::Review
    );
    assert_eq!(
        decide(&late, Outcome::Succeeded, None, &policy()).state,
        State::Succeeded
    );
}

#[test]
fn tries_used_up_mean_one_last_check_as_well() {
    let nineteen = decide(
        &Standing {
            tries: 19,
            ..standing(State::Pending)
        },
        Outcome::Pending,
        None,
        &policy(),
    );
    assert_eq!((nineteen.state, nineteen.tries), (State::Pending, 20));
    let twenty = decide(
        &Standing {
            tries: 20,
            ..standing(State::Pending)
        },
        Outcome::Pending,
        None,
        &policy(),
    );
    assert_eq!(twenty.state, State::Cancelled);
}

#[test]
fn a_provider_that_cannot_be_asked_leads_to_review_and_never_to_cancelled() {
    let late = Standing {
        age_ms: u64::MAX,
        known_ms: u64::MAX,
        faults: 3,
        ..standing(State::Pending)
    };
    assert_eq!(
        decide(&late, Outcome::Unreachable, None, &policy()).state,
        State::Pending
    );
    let later = Standing { faults: 4, ..late };
    let decision = decide(&later, Outcome::Unreachable, None, &policy());
    assert_eq!(
        (decision.state, decision.settled_by),
        (State::Review, Some(SettledBy::GivingUp))
    );
    assert!(
        decision.next_delay_ms.is_some(),
        "it is asked about again, in case the provider comes back"
    );
}

#[test]
fn review_for_want_of_an_answer_ends_with_the_answer() {
    let waiting = Standing {
        settled_by: Some(SettledBy::GivingUp),
        ..standing(State::Review)
    };
    assert_eq!(
        decide(&waiting, Outcome::Succeeded, None, &policy()).state,
        State::Succeeded
    );
    assert_eq!(
        decide(&waiting, Outcome::Failed, None, &policy()).state,
        State::Failed
    );
    assert_eq!(
        decide(&waiting, Outcome::Pending, None, &policy()).state,
        State::Review
    );
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

#[test]
fn not_found_waits_for_its_grace() {
    let strict = Policy {
        not_found_as: Ending::Failed,
        ..policy()
    };
    let within = Standing {
        age_ms: 15 * 60_000 - 1,
        ..standing(State::Pending)
    };
    let past = Standing {
        age_ms: 15 * 60_000,
        ..standing(State::Pending)
    };
    assert_eq!(
        decide(&within, Outcome::NotFound, None, &strict).state,
        State::Pending
    );
    assert_eq!(
        decide(&past, Outcome::NotFound, None, &strict).state,
        State::Failed
    );
    assert_eq!(
        decide(&past, Outcome::NotFound, None, &policy()).state,
        State::Pending
    );
}

#[test]
fn the_next_check_is_never_after_the_deadline() {
    let near = Standing {
        known_ms: 24 * 3_600_000 - 5_000,
        ..standing(State::Pending)
    };
    assert_eq!(
        decide(&near, Outcome::Pending, None, &policy()).next_delay_ms,
        Some(5_000)
    );
}

#[test]
fn retry_after_is_obeyed_within_a_day() {
    let again = |ms| {
        decide(
            &standing(State::Pending),
            Outcome::Throttled,
            Some(ms),
            &policy(),
        )
        .next_delay_ms
    };
    assert_eq!(again(120_000), Some(120_000));
    assert_eq!(again(u64::MAX), Some(Bound::RetryAfter.longest_ms()));
}

prop_compose! {
    fn any_standing()(
        state in select(State::ALL), settled_by in select(SettledBy::ALL), attempt: u32, tries: u32, faults: u32, age_ms: u64, known_ms: u64,
        order_number in select(vec!["ORD-1", "", "'; drop table orders; --", "\u{202e}"]),
    ) -> Standing<'static> {
        let settled_by = (!state.is_open()).then_some(settled_by);
        Standing { state, settled_by, attempt, tries, faults, age_ms, known_ms, order_number }
    }
}

prop_compose! {
    fn any_policy()(
        max_tries: Option<u32>, deadline_ms: Option<u64>, not_found_grace_ms: u64,
        not_found_as in select(Ending::ALL), gives_up_as in select(Ending::ALL), late_success in select(LateSuccess::ALL),
        watched: bool, refunds_watched: bool,
    ) -> Policy {
        let late_watch = policy().late_watch.filter(|_| watched);
        let refund_watch = policy().late_watch.filter(|_| refunds_watched);
        Policy {
            max_tries, deadline_ms, not_found_grace_ms, not_found_as, gives_up_as, late_success, late_watch, refund_watch, ..policy()
        }
    }
}

proptest! {
    #[test]
    fn only_an_answer_closes(standing in any_standing(), policy in any_policy(), outcome in select(Outcome::ALL), retry: Option<u64>) {
        let decision = decide(&standing, outcome, retry, &policy);
        if outcome.is_fault() {
            let unchanged = decision.state == standing.state;
            let waits_for_a_person = standing.state.is_open() && decision.state == State::Review;
            prop_assert!(unchanged || waits_for_a_person);
            prop_assert!(waits_for_a_person || decision.tries == standing.tries, "a fault uses up no try");
        }
    }

    #[test]
    fn money_is_never_taken_back(policy in any_policy(), outcome in select(Outcome::ALL), standing in any_standing()) {
        let decision = decide(&standing, outcome, None, &policy);
        match standing.state {
            State::Succeeded => prop_assert!(matches!(decision.state, State::Succeeded | State::Refunded)),
            State::Refunded => prop_assert_eq!(decision.state, State::Refunded),
            _ => {}
        }
    }

    #[test]
    fn an_open_order_is_always_asked_again(policy in any_policy(), outcome in select(Outcome::ALL), standing in any_standing()) {
        let decision = decide(&standing, outcome, None, &policy);
        prop_assert!(!decision.state.is_open() || decision.next_delay_ms.is_some());
        prop_assert!(decision.state.is_open() == decision.settled_by.is_none());
    }

    #[test]
    fn success_is_never_dropped(policy in any_policy(), standing in any_standing()) {
        let decision = decide(&standing, Outcome::Succeeded, None, &policy);
        prop_assert!(matches!(decision.state, State::Succeeded | State::Refunded | State::Review));
    }

    #[test]
    fn the_same_answer_twice_is_one_transition(policy in any_policy(), outcome in select(Outcome::ALL), standing in any_standing()) {
        let first = decide(&standing, outcome, None, &policy);
        if outcome == Outcome::Mismatch {
            return Ok(()); // a person looks at each
        }
        let again = Standing { state: first.state, settled_by: first.settled_by, attempt: first.attempt, ..standing };
        let second = decide(&again, outcome, None, &policy);
        prop_assert_eq!(second.state, first.state);
    }

    #[test]
    fn every_delay_is_between_a_second_and_a_year(policy in any_policy(), outcome in select(Outcome::ALL), standing in any_standing(), retry: Option<u64>) {
        let delay = decide(&standing, outcome, retry, &policy).next_delay_ms;
        prop_assert!(delay.is_none_or(|ms| (1_000..=366 * 24 * 3_600_000).contains(&ms)));
    }
}
