//! Owns the work that touches the applications' own tables: following what they noted, and settling
//! webhooks that were kept. On a connection of its own, opened when there is such work for the first
//! time, so that a lock or a trigger of an application holds up no claim and no heartbeat. What
//! follows from a note is the database's business.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::Failure,
    log_limit::LogLimit,
    protocol::backlog::{Backlog, Item},
};

/// One item that failed is left alone for so long, then for twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// One that changed nothing may be waiting for somebody, or may have had nothing to say.
const FIRST_IDLE: Duration = Duration::from_millis(10);
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// Works off the backlog, each time that `wake` says there is one, until told to stop.
pub(crate) async fn follow<B: Backlog>(mut backlog: B, wake: Arc<Notify>, stop: CancellationToken) {
    stop.run_until_cancelled(follow_for_ever(&mut backlog, &wake))
        .await;
    backlog.close().await;
}

async fn follow_for_ever<B: Backlog>(backlog: &mut B, wake: &Notify) {
    let mut items = Items::default();
    loop {
        tokio::select! {
            () = wake.notified() => {}
            () = until(items.next()) => {}
            // It is opened again when there is work.
            () = backlog.lost() => continue,
        }
        while round(backlog, &mut items).await {}
    }
}

/// Works on each item that isn't left alone; false if there was none.
async fn round<B: Backlog>(backlog: &mut B, items: &mut Items) -> bool {
    backlog.ready().await;
    let listed = match backlog.items().await {
        Ok(listed) => listed,
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
        match backlog.work(*item).await {
            Ok(changed) => items.succeeded(*item, changed),
            Err(failure) => items.failed(*item, &failure),
        }
    }
    !due.is_empty()
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

    fn succeeded(&mut self, item: Item, changed: i32) {
        let known = self.known.entry(item).or_default();
        known.failures = 0;
        known.idle = if changed > 0 { 0 } else { known.idle + 1 };
        known.not_before = (known.idle > 0).then(|| {
            let pause = FIRST_IDLE.saturating_mul(1 << (known.idle - 1).min(10));
            Instant::now() + pause.min(LONGEST_IDLE)
        });
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
