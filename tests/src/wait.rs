//! Waiting for something to become true. Owns the polling and the message when it does not happen;
//! a test that sleeps for a fixed time instead is either slow or wrong.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Shortest pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Longest pause between two looks: the pauses double up to here.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Waits until `predicate` answers true.
///
/// # Errors
/// When `within` has passed: the message names `what` and how long was waited.
pub async fn until(
    within: Duration,
    what: impl Display,
    mut predicate: impl AsyncFnMut() -> bool,
) -> Result<()> {
    value(within, what, async || Ok(predicate().await.then_some(()))).await
}

/// Waits until `look` finds something and gives it back. An error of `look` is taken as "not yet":
/// a server that is starting up refuses connections; the last such error is part of the message.
///
/// # Errors
/// When `within` has passed: the message names `what`, how long was waited and the last error.
pub async fn value<T>(
    within: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // A look that hangs must not outlast the deadline; the one at the deadline still gets a moment.
        let patience = within
            .saturating_sub(began.elapsed())
            .max(Duration::from_millis(100));
        let last_error = match tokio::time::timeout(patience, look()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some("the last look did not come back".to_owned()),
        };
        if began.elapsed() >= within {
            let why = last_error.map_or_else(String::new, |error| format!(": {error}"));
            bail!("waited {within:?} in vain for: {what}{why}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
