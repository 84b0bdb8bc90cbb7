//! When something is asked about or tried again: schedules as text, backoffs and bounds by name.

use pgrx::prelude::*;
use reconcile_judge::retry::{Backoff, Bound};
use reconcile_judge::schedule::{Schedule, jittered_ms};
use reconcile_judge::state::UnknownWord;

#[pg_extern]
fn schedule_error(schedule: &str) -> Option<String> {
    Schedule::parse(schedule).err()
}

#[pg_extern]
fn schedule_delay_ms(schedule: &str, attempt: i32, order_number: &str) -> Result<i64, String> {
    let attempt = u32::try_from(attempt).map_err(|_| format!("attempt {attempt} is negative"))?;
    let delay_ms = jittered_ms(
        Schedule::parse(schedule)?.delay_ms(attempt),
        order_number,
        attempt,
    );
    Ok(bigint(delay_ms))
}

/// A number of tries that makes no sense is taken for none.
#[pg_extern]
fn backoff_ms(backoff: &str, tries: i32, subject: &str) -> Result<i64, UnknownWord> {
    let backoff = Backoff::named("backoff", backoff)?;
    let tries = u32::try_from(tries).unwrap_or(0);
    Ok(bigint(backoff.jittered_ms(tries, subject)))
}

/// What is below nothing is nothing.
#[pg_extern]
fn granted_ms(bound: &str, asked_ms: i64) -> Result<i64, UnknownWord> {
    let bound = Bound::named("bound", bound)?;
    Ok(bigint(
        bound.granted_ms(u64::try_from(asked_ms).unwrap_or(0)),
    ))
}

fn bigint(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
