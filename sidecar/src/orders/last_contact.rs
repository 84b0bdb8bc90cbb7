//! Owns when the database last answered a claim and a heartbeat. Never judges whether that is long ago.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

const NEVER: u64 = u64::MAX;

/// When the database last answered.
pub(crate) struct LastContact {
    started: Instant,
    claim_ms: AtomicU64,
    heartbeat_ms: AtomicU64,
}

impl LastContact {
    /// It never did.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            claim_ms: AtomicU64::new(NEVER),
            heartbeat_ms: AtomicU64::new(NEVER),
        }
    }

    /// A claim was answered.
    pub(crate) fn claim(&self) {
        self.claim_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// A heartbeat was answered.
    pub(crate) fn heartbeat(&self) {
        self.heartbeat_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// How long ago a claim was answered; none if none was.
    pub(crate) fn claim_age(&self) -> Option<Duration> {
        self.age(&self.claim_ms)
    }

    /// How long ago a heartbeat was answered; none if none was.
    pub(crate) fn heartbeat_age(&self) -> Option<Duration> {
        self.age(&self.heartbeat_ms)
    }

    fn age(&self, moment: &AtomicU64) -> Option<Duration> {
        let moment = moment.load(Ordering::Relaxed);
        (moment != NEVER).then(|| Duration::from_millis(self.now_ms().saturating_sub(moment)))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}
