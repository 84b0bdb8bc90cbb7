//! How an order ends that nobody speaks of: deadline, tries, grace, a provider that can't be asked.

use super::*;

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
