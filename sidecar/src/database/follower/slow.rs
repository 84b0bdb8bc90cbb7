//! Owns which items have taken long. One stays so for a while after it was slow for the last time, so
//! that it doesn't hold up the quick ones again and again, whether there is work on it or not.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::database::protocol::backlog::Item;

/// What takes so long is slow.
const LONG: Duration = Duration::from_secs(3);

/// For so long after it was slow for the last time.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Items that have taken long lately.
#[derive(Default)]
pub(super) struct SlowItems {
    since: Mutex<HashMap<Item, Instant>>,
}

/// Whether a call that took so long was slow.
pub(super) fn is_slow(took: Duration) -> bool {
    took >= LONG
}

impl SlowItems {
    /// Notes how long a call about an item took; whether it counts as slow by that.
    pub(super) fn took(&self, item: Item, took: Duration) -> bool {
        if is_slow(took) {
            let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
            since.retain(|_, last| last.elapsed() < REMEMBERED);
            since.insert(item, Instant::now());
        }
        is_slow(took)
    }

    /// Whether an item is slow.
    pub(super) fn has(&self, item: Item) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since
            .get(&item)
            .is_some_and(|last| last.elapsed() < REMEMBERED)
    }
}
