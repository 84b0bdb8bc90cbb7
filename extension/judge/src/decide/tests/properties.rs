//! What must hold whatever the numbers are.

use super::*;
use proptest::prelude::*;
use proptest::sample::select;

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
