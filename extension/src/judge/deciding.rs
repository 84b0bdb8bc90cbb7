//! Where an order goes: by an answer, and by what its row in the application's table says.

use pgrx::prelude::*;
use reconcile_judge::decide::{Decision, Ending, LateSuccess, Policy, Standing, decide};
use reconcile_judge::outcome::Outcome;
use reconcile_judge::schedule::Schedule;
use reconcile_judge::state::{SettledBy, State, UnknownWord};
use reconcile_judge::word::{Known, Word, heed};

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
    let standing = Standing {
        state: State::named("state", state)?,
        settled_by: settled(settled_by)?,
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
        not_found_as: Ending::named("not_found_as", not_found_as)?,
        gives_up_as: Ending::named("gives_up_as", gives_up_as)?,
        late_success: LateSuccess::named("late_success", late_success)?,
        late_watch: watch(late_watch)?,
        refund_watch: watch(refund_watch)?,
    };
    let outcome = Outcome::named("outcome", outcome)?;
    let decision = decide(&standing, outcome, retry_after_ms.map(span), &policy);
    Ok(TableIterator::once(row(decision)))
}

#[allow(clippy::type_complexity)]
fn row(
    decision: Decision,
) -> (
    &'static str,
    Option<&'static str>,
    Option<i64>,
    String,
    i32,
    i32,
    i32,
) {
    let back = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    (
        decision.state.word(),
        decision.settled_by.map(SettledBy::word),
        decision
            .next_delay_ms
            .map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        decision.reason,
        back(decision.attempt),
        back(decision.tries),
        back(decision.faults),
    )
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn span(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

fn settled(by: Option<&str>) -> Result<Option<SettledBy>, UnknownWord> {
    by.map(|by| SettledBy::named("settled_by", by)).transpose()
}

fn watch(text: &str) -> Result<Option<Schedule>, String> {
    if text == "none" {
        Ok(None)
    } else {
        Schedule::parse(text).map(Some)
    }
}

#[pg_extern]
fn heed_words(
    state: &str,
    settled_by: Option<&str>,
    word: &str,
    known: &str,
    outcome: Option<&str>,
) -> Result<&'static str, UnknownWord> {
    let settled_by = settled(settled_by)?;
    let outcome = outcome
        .map(|said| Outcome::named("outcome", said))
        .transpose()?;
    Ok(heed(
        State::named("state", state)?,
        settled_by,
        Word::named("word", word)?,
        Known::named("known", known)?,
        outcome,
    )
    .word())
}
