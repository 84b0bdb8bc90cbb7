//! Owns the work that touches the applications' own tables: following what they noted, and settling
//! webhooks that were kept. On connections of its own, opened when there is such work for the first
//! time, so that a lock or a trigger of an application holds up no claim and no heartbeat. What
//! takes long moves to a lane for the slow, so that a table whose policy sleeps holds up no other
//! table for longer than a moment. What follows from a note is the database's business.
//!
//! - [`slow`]: which items belong to which lane

mod slow;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::slow::Slow;
use crate::{
    database::{
        failure::Failure,
        protocol::backlog::{Backlog, Item},
        session::CALL_LIMIT,
    },
    telemetry::log_limit::LogLimit,
};

/// A call on the lane for what is quick is given up after so long: nobody waits for another any
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
    let known = Arc::new(Slow::default());
    let slow_wake = Arc::new(Notify::new());
    let quick_lane = Lane {
        limit: QUICK_LIMIT,
        slow: Arc::clone(&known),
        others: Some(Arc::clone(&slow_wake)),
    };
    let slow_lane = Lane {
        limit: CALL_LIMIT,
        slow: known,
        others: None,
    };
    tokio::join!(
        quick_lane.follow(quick, &wake, &stop),
        slow_lane.follow(slow, &slow_wake, &stop)
    );
}

/// A connection's share of the backlog.
struct Lane {
    /// For one call.
    limit: Duration,
    slow: Arc<Slow>,
    /// Whom to tell of what is not this lane's; none is the lane for what is slow.
    others: Option<Arc<Notify>>,
}

impl Lane {
    async fn follow<B: Backlog>(&self, mut backlog: B, wake: &Notify, stop: &CancellationToken) {
        stop.run_until_cancelled(self.follow_for_ever(&mut backlog, wake))
            .await;
        backlog.close().await;
    }

    async fn follow_for_ever<B: Backlog>(&self, backlog: &mut B, wake: &Notify) {
        let mut items = Items::default();
        loop {
            tokio::select! {
                () = wake.notified() => {}
                () = until(items.next()) => {}
                // It is opened again when there is work.
                () = backlog.lost() => continue,
            }
            while self.round(backlog, &mut items).await {}
        }
    }

    /// Works on each item of this lane that isn't left alone; false if there was none.
    async fn round<B: Backlog>(&self, backlog: &mut B, items: &mut Items) -> bool {
        backlog.ready().await;
        let listed = match backlog.items().await {
            Ok(listed) => self.share(listed),
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
            match (result, &self.others) {
                (_, Some(others)) if moved => {
                    tracing::debug!(%item, took_s = took.as_secs_f64(), "it takes long, and goes on by itself");
                    others.notify_one();
                }
                (Ok(changed), _) => items.succeeded(*item, changed, took),
                (Err(failure), _) => items.failed(*item, &failure),
            }
        }
        !due.is_empty()
    }

    /// What of the backlog is this lane's. The others are told of theirs.
    fn share(&self, listed: Vec<Item>) -> Vec<Item> {
        let (slow, quick): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|item| self.slow.has(*item));
        match &self.others {
            None => slow,
            Some(others) => {
                if !slow.is_empty() {
                    others.notify_one();
                }
                quick
            }
        }
    }
}

/// Which items are left alone.
#[derive(Default)]
struct Items {
    known: HashMap<Item, Known>,
    listing: LogLimit,
}

#[derive(Default)]
struct Known {
    failures: u32,
    /// In a row that changed nothing.
    idle: u32,
    not_before: Option<Instant>,
    log: LogLimit,
}

impl Items {
    /// Those to work on now, the ones that failed last. What isn't listed any more is forgotten.
    fn due(&mut self, mut listed: Vec<Item>) -> Vec<Item> {
        self.known.retain(|item, _| listed.contains(item));
        let now = Instant::now();
        listed.retain(|item| {
            let not_before = self.known.get(item).and_then(|known| known.not_before);
            not_before.is_none_or(|moment| moment <= now)
        });
        listed.sort_by_key(|item| self.known.get(item).map_or(0, |known| known.failures));
        listed
    }

    /// The next moment at which an item is not left alone any more.
    fn next(&self) -> Option<Instant> {
        self.known
            .values()
            .filter_map(|known| known.not_before)
            .min()
    }

    fn succeeded(&mut self, item: Item, changed: i32, took: Duration) {
        let known = self.known.entry(item).or_default();
        known.failures = 0;
        known.idle = if changed > 0 { 0 } else { known.idle + 1 };
        let idle = (known.idle > 0).then(|| {
            let pause = FIRST_IDLE.saturating_mul(1 << (known.idle - 1).min(10));
            pause.min(LONGEST_IDLE)
        });
        // What is slow has the slow lane for half of the time at most.
        let rest = slow::is_slow(took).then_some(took);
        known.not_before = idle.max(rest).map(|pause| Instant::now() + pause);
    }

    fn failed(&mut self, item: Item, failure: &Failure) {
        let known = self.known.entry(item).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << known.failures.min(10));
        let pause = pause.min(LONGEST_PAUSE);
        known.failures = known.failures.saturating_add(1);
        known.not_before = Some(Instant::now() + pause);
        if let Some(times) = known.log.happened() {
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
