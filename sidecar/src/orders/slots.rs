//! Owns how many orders may be in flight. A slot is taken before the claim and given back when the
//! report was acknowledged, so what is claimed is bounded by what gets through.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Under load slots come back a few at a time. Waiting this long after the first one makes claims
/// of many rows out of claims of one.
const GATHER: Duration = Duration::from_millis(2);

/// The most orders in one claim.
const MAX_CLAIM: usize = 1000;

/// One slot, or several.
pub(crate) type Slot = OwnedSemaphorePermit;

/// The slots of this process.
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    total: u32,
    freed: Notify,
}

impl Slots {
    /// All free.
    pub(crate) fn new(total: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(total as usize)),
            total,
            freed: Notify::new(),
        }
    }

    /// How many there are.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// How many are taken.
    pub(crate) fn in_flight(&self) -> u32 {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        self.total.saturating_sub(free)
    }

    /// Takes all that are free, once a quarter is, or some are and no more came for a moment.
    /// Only one task may call this at a time. None are taken if it is dropped.
    pub(crate) async fn take(&self) -> Option<Slot> {
        let mut taken = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let quarter = self.total.div_ceil(4);
        if quarter > 1 {
            let more = Arc::clone(&self.free).acquire_many_owned(quarter - 1);
            if let Ok(Ok(more)) = timeout(GATHER, more).await {
                taken.merge(more);
            }
        }
        let rest = self
            .free
            .available_permits()
            .min(MAX_CLAIM.saturating_sub(taken.num_permits()));
        let rest = u32::try_from(rest).unwrap_or(0);
        if let Ok(rest) = Arc::clone(&self.free).try_acquire_many_owned(rest) {
            taken.merge(rest);
        }
        Some(taken)
    }

    /// Waits until all are free.
    pub(crate) async fn all_free(&self) {
        // The semaphore is never closed.
        drop(self.free.acquire_many(self.total).await);
    }

    /// Waits until some came back.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Tells that some came back.
    pub(crate) fn notify_freed(&self) {
        self.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn all_that_is_free_is_taken_at_once() {
        let slots = Slots::new(8);
        let taken = slots.take().await.unwrap();
        assert_eq!((taken.num_permits(), slots.in_flight()), (8, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_taken_after_a_moment_and_a_quarter_at_once() {
        let slots = Slots::new(16);
        let mut taken = slots.take().await.unwrap();
        let started = Instant::now();
        drop(taken.split(2));
        assert_eq!(slots.take().await.unwrap().num_permits(), 2);
        assert_eq!(started.elapsed(), GATHER);
        drop(taken.split(2));
        let started = Instant::now();
        assert_eq!(slots.take().await.unwrap().num_permits(), 4);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_takes_nothing() {
        let slots = Slots::new(100);
        let mut all = slots.take().await.unwrap();
        drop(all.split(3));
        assert!(timeout(GATHER / 2, slots.take()).await.is_err());
        assert_eq!(slots.in_flight(), 97);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_bounded() {
        assert_eq!(Slots::new(1).take().await.unwrap().num_permits(), 1);
        let many = Slots::new(3000);
        assert_eq!(many.take().await.unwrap().num_permits(), MAX_CLAIM);
    }
}
