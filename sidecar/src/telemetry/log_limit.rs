//! Owns how often the same thing is logged: at once when it is new, and then once a minute with how
//! often it happened meanwhile. Never logs anything by itself.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two lines about the same thing.
const EVERY: Duration = Duration::from_secs(60);

/// The most different things that are told apart.
const MAX_KINDS: usize = 32;

/// When one thing was last logged.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    logged: Option<Instant>,
    meanwhile: u64,
}

impl LogLimit {
    /// It happened again: how often since the last line, if it is time for one.
    pub(crate) fn happened(&mut self) -> Option<u64> {
        self.meanwhile += 1;
        let now = Instant::now();
        if self.logged.is_some_and(|logged| now < logged + EVERY) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.meanwhile))
    }
}

/// When each of several things was last logged, told apart by a text.
#[derive(Debug, Default)]
pub(crate) struct LogLimits(Vec<(String, LogLimit)>);

impl LogLimits {
    /// This happened again: how often since its last line, if it is time for one.
    pub(crate) fn happened(&mut self, what: &str) -> Option<u64> {
        if let Some((_, limit)) = self.0.iter_mut().find(|(known, _)| known == what) {
            return limit.happened();
        }
        if self.0.len() >= MAX_KINDS {
            // What came first is most likely over.
            self.0.remove(0);
        }
        let mut limit = LogLimit::default();
        let times = limit.happened();
        self.0.push((what.to_owned(), limit));
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_logged_once_a_minute_with_its_number() {
        let mut limits = LogLimits::default();
        assert_eq!(limits.happened("wrong password"), Some(1));
        for _ in 0..24 {
            assert_eq!(limits.happened("wrong password"), None);
        }
        assert_eq!(limits.happened("no such database"), Some(1));
        advance(EVERY).await;
        assert_eq!(limits.happened("wrong password"), Some(25));
        assert_eq!(limits.happened("wrong password"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let mut limits = LogLimits::default();
        for number in 0..10 * MAX_KINDS {
            limits.happened(&number.to_string());
        }
        assert_eq!(limits.0.len(), MAX_KINDS);
    }
}
