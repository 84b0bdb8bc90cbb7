//! When an order is asked about again: schedules as text.

use pgrx::prelude::*;
use reconcile_judge::schedule::{Schedule, jittered_ms};

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
    Ok(i64::try_from(delay_ms).unwrap_or(i64::MAX))
}
