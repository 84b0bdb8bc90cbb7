//! Owns the work that touches the applications' own tables: following what they noted, and settling
//! webhooks that were kept. On connections of its own, opened when there is such work for the first
//! time, so that a lock or a trigger of an application holds up no claim and no heartbeat. What
//! takes long moves to a connection for the slow, so that a table whose policy sleeps holds up no other
//! table for longer than a moment. What follows from a note is the database's business.
//!
//! - [`slow`]: which items belong to which connection

mod slow;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::slow::SlowItems;
use crate::{
    database::{
        failure::Failure,
        protocol::backlog::{Backlog, Item},
        session::CALL_LIMIT,
    },
    telemetry::log_limit::LogLimit,
};

/// A call on the connection for what is quick is given up after so long: nobody waits for another any
/// longer. The database itself ends one after two seconds, or with the note that it has begun.
const QUICK_LIMIT: Duration = Duration::from_secs(4);

/// One item that failed is left alone for so long, then for twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// One that changed nothing may be waiting for somebody, or may have had nothing to say.
const FIRST_IDLE: Duration = Duration::from_millis(10);
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// Works off the backlog, each time that `wake` says there is one, until told to stop: on the first of
/// these what is quick, on the other what has taken long.
pub(crate) async fn follow<B: Backlog>(
    [quick, slow]: [B; 2],
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    let slow_items = Arc::new(SlowItems::default());
    let wake_slow = Arc::new(Notify::new());
    let quick_follower = Follower {
        limit: QUICK_LIMIT,
        slow: Arc::clone(&slow_items),
        wake_slow: Some(Arc::clone(&wake_slow)),
    };
    let slow_follower = Follower {
        limit: CALL_LIMIT,
        slow: slow_items,
        wake_slow: None,
    };
    tokio::join!(
        quick_follower.follow(quick, &wake, &stop),
        slow_follower.follow(slow, &wake_slow, &stop)
    );
}

/// Works on one connection's share of the backlog.
struct Follower {
    /// For one call.
    limit: Duration,
    slow: Arc<SlowItems>,
    /// Called when there is something for the connection for what is slow; none on that one.
    wake_slow: Option<Arc<Notify>>,
}

impl Follower {
    async fn follow<B: Backlog>(&self, mut backlog: B, wake: &Notify, stop: &CancellationToken) {
        stop.run_until_cancelled(self.follow_for_ever(&mut backlog, wake))
            .await;
        backlog.close().await;
    }

    async fn follow_for_ever<B: Backlog>(&self, backlog: &mut B, wake: &Notify) {
        let mut items = ItemBackoffs::default();
        loop {
            tokio::select! {
                () = wake.notified() => {}
                () = until(items.next()) => {}
                // It is opened again when there is work.
                () = backlog.lost() => continue,
            }
            while self.pass(backlog, &mut items).await {}
        }
    }

    /// Works on each item of this connection that isn't left alone; false if there was none.
    async fn pass<B: Backlog>(&self, backlog: &mut B, items: &mut ItemBackoffs) -> bool {
        backlog.ready().await;
        let listed = match backlog.items().await {
            Ok(listed) => self.own_items(listed),
            Err(failure) => {
                if let Some(times) = items.listing.happened() {
                    tracing::warn!(error = %failure, hint = failure.hint(), times,
                        "the backlog can't be listed; this is logged at most once a minute");
                }
                return true;
            }
        };
        let due = items.due(listed);
        for item in &due {
            backlog.ready().await;
            let began = Instant::now();
            let result = backlog.work(*item, self.limit).await;
            let took = began.elapsed();
            let moved = self.slow.took(*item, took);
            match (result, &self.wake_slow) {
                (_, Some(wake_slow)) if moved => {
                    tracing::debug!(%item, took_s = took.as_secs_f64(), "it takes long, and goes on by itself");
                    wake_slow.notify_one();
                }
                (Ok(changed), _) => items.succeeded(*item, changed, took),
                (Err(failure), _) => items.failed(*item, &failure),
            }
        }
        !due.is_empty()
    }

    /// What of the backlog is this connection's. If there is something slow, the other one is woken.
    fn own_items(&self, listed: Vec<Item>) -> Vec<Item> {
        let (slow, quick): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|item| self.slow.has(*item));
        match &self.wake_slow {
            None => slow,
            Some(wake_slow) => {
                if !slow.is_empty() {
                    wake_slow.notify_one();
                }
                quick
            }
        }
    }
}

/// Which items are left alone.
#[derive(Default)]
struct ItemBackoffs {
    states: HashMap<Item, ItemState>,
    listing: LogLimit,
}

#[derive(Default)]
struct ItemState {
    failures: u32,
    /// In a row that changed nothing.
    idle: u32,
    not_before: Option<Instant>,
    log: LogLimit,
}

impl ItemBackoffs {
    /// Those to work on now, the ones that failed last. What isn't listed any more is forgotten.
    fn due(&mut self, mut listed: Vec<Item>) -> Vec<Item> {
        self.states.retain(|item, _| listed.contains(item));
        let now = Instant::now();
        listed.retain(|item| {
            let not_before = self.states.get(item).and_then(|state| state.not_before);
            not_before.is_none_or(|moment| moment <= now)
        });
        listed.sort_by_key(|item| self.states.get(item).map_or(0, |state| state.failures));
        listed
    }

    /// The next moment at which an item is not left alone any more.
    fn next(&self) -> Option<Instant> {
        self.states
            .values()
            .filter_map(|state| state.not_before)
            .min()
    }

    fn succeeded(&mut self, item: Item, changed: i32, took: Duration) {
        let state = self.states.entry(item).or_default();
        state.failures = 0;
        state.idle = if changed > 0 { 0 } else { state.idle + 1 };
        let idle = (state.idle > 0).then(|| {
            let pause = FIRST_IDLE.saturating_mul(1 << (state.idle - 1).min(10));
            pause.min(LONGEST_IDLE)
        });
        // What is slow has the slow connection for half of the time at most.
        let rest = slow::is_slow(took).then_some(took);
        state.not_before = idle.max(rest).map(|pause| Instant::now() + pause);
    }

    fn failed(&mut self, item: Item, failure: &Failure) {
        let state = self.states.entry(item).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(10));
        let pause = pause.min(LONGEST_PAUSE);
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(Instant::now() + pause);
        if let Some(times) = state.log.happened() {
            let again_in_s = pause.as_secs();
            tracing::warn!(%item, error = %failure, hint = failure.hint(), times, again_in_s,
                "a part of the backlog could not be worked on, and the others go on; this is logged at most once a minute");
        }
    }
}

/// Waits until this moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
