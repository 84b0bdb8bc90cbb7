//! The SQL face of [`crate::decide`]: words and numbers in, one row out. Decides nothing itself.

use crate::decide::{Ending, LateSuccess, Policy, Standing, decide};
use crate::outcome::Outcome;
use crate::schedule::Schedule;
use crate::state::{SettledBy, State, UnknownWord};
use pgrx::prelude::*;

/// A watch may be `none`. Numbers that make no sense are taken for the nearest that do.
#[pg_extern]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn decide_row(
    state: &str,
    settled_by: Option<&str>,
    attempt: i32,
    tries: i32,
    faults: i32,
    age_ms: i64,
    known_ms: i64,
    order_number: &str,
    outcome: &str,
    retry_after_ms: Option<i64>,
    schedule: &str,
    max_tries: Option<i32>,
    deadline_ms: Option<i64>,
    not_found_grace_ms: i64,
    not_found_as: &str,
    gives_up_as: &str,
    late_success: &str,
    late_watch: &str,
    refund_watch: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(state, &'static str),
            name!(settled_by, Option<&'static str>),
            name!(next_delay_ms, Option<i64>),
            name!(reason, String),
            name!(attempt, i32),
            name!(tries, i32),
            name!(faults, i32),
        ),
    >,
    Box<dyn std::error::Error>,
> {
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    let span = |ms: i64| u64::try_from(ms).unwrap_or(0);
    let standing = Standing {
        state: known("state", state, State::from_word, State::words)?,
        settled_by: settled_by
            .map(|word| known("settled_by", word, SettledBy::from_word, SettledBy::words))
            .transpose()?,
        attempt: count(attempt),
        tries: count(tries),
        faults: count(faults),
        age_ms: span(age_ms),
        known_ms: span(known_ms),
        order_number,
    };
    let policy = Policy {
        schedule: Schedule::parse(schedule)?,
        max_tries: max_tries.map(count),
        deadline_ms: deadline_ms.map(span),
        not_found_grace_ms: span(not_found_grace_ms),
        not_found_as: known(
            "not_found_as",
            not_found_as,
            Ending::from_word,
            Ending::words,
        )?,
        gives_up_as: known("gives_up_as", gives_up_as, Ending::from_word, Ending::words)?,
        late_success: known(
            "late_success",
            late_success,
            LateSuccess::from_word,
            LateSuccess::words,
        )?,
        late_watch: watch(late_watch)?,
        refund_watch: watch(refund_watch)?,
    };
    let outcome = known("outcome", outcome, Outcome::from_word, Outcome::words)?;
    let decision = decide(&standing, outcome, retry_after_ms.map(span), &policy);
    let back = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    Ok(TableIterator::once((
        decision.state.word(),
        decision.settled_by.map(SettledBy::word),
        decision
            .next_delay_ms
            .map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        decision.reason,
        back(decision.attempt),
        back(decision.tries),
        back(decision.faults),
    )))
}

fn watch(text: &str) -> Result<Option<Schedule>, String> {
    if text == "none" {
        Ok(None)
    } else {
        Schedule::parse(text).map(Some)
    }
}

fn known<T>(
    set: &'static str,
    word: &str,
    from_word: fn(&str) -> Option<T>,
    words: fn() -> String,
) -> Result<T, UnknownWord> {
    from_word(word).ok_or_else(|| UnknownWord {
        set,
        word: word.to_owned(),
        allowed: words(),
    })
}
