//! Owns the way of events to the application's endpoints: claims deliveries, has them made, and
//! reports what came of them, on a connection and with slots of its own, so that endpoints and
//! providers never wait for each other. What an answer means, and when to try again, is the
//! database's to say.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{attempt::Attempt, endpoints::Endpoints, post::Poster};
use crate::{
    call::fault::Fault,
    database::{
        connection::Connection,
        failure::{Failure, Remedy},
        polling::Polling,
        protocol::deliveries::{self, ClaimedDelivery, DeliveryLease, DeliveryVerdict, Report},
        sidecar_id::SidecarId,
    },
    telemetry::log_limit::LogLimit,
};

/// The shortest time between the polls of two wake-up calls: events come in small numbers, and often.
const BETWEEN_WAKEUPS: Duration = Duration::from_millis(25);

/// No claims for this time after this machine could not make a delivery.
const AFTER_EXHAUSTION: Duration = Duration::from_secs(1);

/// How long the last calls to the database may take.
const LAST_CALLS_LIMIT: Duration = Duration::from_secs(4);

/// What the deliverer works with.
pub(crate) struct Parts {
    /// Its connection.
    pub(crate) connection: Connection,
    /// Who delivers.
    pub(crate) sidecar: SidecarId,
    /// The most deliveries in flight at one time.
    pub(crate) slots: u32,
    /// Called when there are new events.
    pub(crate) wake: Arc<Notify>,
    /// Makes deliveries.
    pub(crate) poster: Arc<Poster>,
    /// Whether NOTIFY reaches this process.
    pub(crate) listening: Arc<AtomicBool>,
    /// Ends claiming.
    pub(crate) stop: CancellationToken,
    /// For deliveries that are in flight then.
    pub(crate) stop_timeout: Duration,
}

/// Delivers events.
pub(crate) struct Deliverer {
    parts: Parts,
    polling: Polling,
    in_flight: JoinSet<Attempt>,
    /// Claimed and not reported yet.
    leased: HashMap<i64, DeliveryLease>,
    /// Attempted and not reported yet.
    unreported: Vec<Attempt>,
    /// Not made for want of descriptors or memory.
    unattempted: Vec<DeliveryLease>,
    exhaustion: LogLimit,
    endpoints: Endpoints,
}

impl Deliverer {
    /// A deliverer that polls at once.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            polling: Polling::new(BETWEEN_WAKEUPS),
            in_flight: JoinSet::new(),
            leased: HashMap::new(),
            unreported: Vec::new(),
            unattempted: Vec::new(),
            exhaustion: LogLimit::default(),
            endpoints: Endpoints::default(),
        }
    }

    /// Delivers until told to stop, and ends in good order.
    pub(crate) async fn run(mut self) {
        let stop = self.parts.stop.clone();
        while !stop.is_cancelled()
            && stop
                .run_until_cancelled(self.parts.connection.ready())
                .await
                .is_some()
        {
            if let Err(failure) = self.step().await {
                self.failed(&failure);
            }
        }
        let finished = timeout(self.parts.stop_timeout, self.drain()).await;
        if finished.is_err() {
            self.in_flight.shutdown().await;
        }
        if timeout(LAST_CALLS_LIMIT, self.shut_down()).await.is_err() {
            tracing::warn!(
                deliveries = self.leased.len(),
                "the last deliveries could not be reported, so they will be made again"
            );
        }
        self.parts.connection.close().await;
    }

    async fn step(&mut self) -> Result<(), Failure> {
        if !self.unreported.is_empty() {
            return self.report().await;
        }
        if !self.unattempted.is_empty() {
            return self.release().await;
        }
        let waiting = self.polling.is_waiting();
        let parts = &mut self.parts;
        if parts.sidecar.now().is_none() {
            // The claimer registers this process.
            return tokio::select! {
                () = parts.stop.cancelled() => Ok(()),
                () = parts.connection.closed() => Ok(()),
                id = parts.sidecar.given() => id.map(drop),
            };
        }
        let free = parts.slots.saturating_sub(self.leased.len() as u32);
        tokio::select! {
            biased;
            () = parts.stop.cancelled() => {}
            () = parts.connection.closed() => self.polling.start_over(),
            Some(ended) = self.in_flight.join_next() => self.collect(ended),
            () = parts.wake.notified(), if waiting => self.polling.woken(),
            () = sleep_until(self.polling.next_poll()), if waiting => {}
            () = std::future::ready(()), if !waiting && free > 0 => self.claim(free).await?,
        }
        Ok(())
    }

    /// Takes this attempt, and all others that have ended.
    fn collect(&mut self, first: Result<Attempt, tokio::task::JoinError>) {
        let mut next = Some(first);
        while let Some(ended) = next {
            // A task that panicked leaves its lease to run out.
            match ended {
                Ok(attempt) if attempt.answer.fault == Some(Fault::Exhausted) => {
                    self.exhausted(attempt);
                }
                ended => self.unreported.extend(ended),
            }
            next = self.in_flight.try_join_next();
        }
    }

    /// What this machine lacks is not the endpoint's failure: the delivery is put back.
    fn exhausted(&mut self, attempt: Attempt) {
        if let Some(times) = self.exhaustion.happened() {
            tracing::warn!(
                detail = attempt.answer.detail,
                times,
                "this machine has no descriptors or memory left, so deliveries are put back; this is logged at most once a minute"
            );
        }
        self.unattempted.push(attempt.lease);
        self.polling.pause_for(AFTER_EXHAUSTION);
    }

    async fn release(&mut self) -> Result<(), Failure> {
        let id = self.parts.sidecar.given().await?;
        let leases = std::mem::take(&mut self.unattempted);
        for lease in &leases {
            self.leased.remove(&lease.delivery_id);
        }
        // Said once: if it fails, the leases run out.
        let released = deliveries::release(&mut self.parts.connection, id, &leases).await?;
        tracing::debug!(released, "put back deliveries that were not made");
        Ok(())
    }

    async fn claim(&mut self, free: u32) -> Result<(), Failure> {
        let id = self.parts.sidecar.given().await?;
        let asked = i32::try_from(free).unwrap_or(i32::MAX);
        let claimed = deliveries::claim(&mut self.parts.connection, id, asked).await?;
        if claimed.is_empty() {
            let wait = deliveries::next(&mut self.parts.connection).await?;
            let listening = self.parts.listening.load(Ordering::Relaxed);
            self.polling.found_nothing(wait, listening);
            return Ok(());
        }
        self.polling.found(claimed.len(), free as usize);
        for delivery in claimed {
            self.leased
                .insert(delivery.lease.delivery_id, delivery.lease);
            self.start(delivery);
        }
        Ok(())
    }

    fn start(&mut self, delivery: ClaimedDelivery) {
        let poster = Arc::clone(&self.parts.poster);
        self.in_flight.spawn(async move {
            let answer = poster.post(&delivery).await;
            Attempt {
                lease: delivery.lease,
                endpoint: delivery.endpoint,
                answer,
            }
        });
    }

    async fn report(&mut self) -> Result<(), Failure> {
        let id = self.parts.sidecar.given().await?;
        let reports: Vec<Report<'_>> = self.unreported.iter().map(Attempt::report).collect();
        let result = deliveries::report(&mut self.parts.connection, id, &reports).await;
        let verdicts: HashMap<i64, DeliveryVerdict> = match result {
            Ok(verdicts) => verdicts.into_iter().collect(),
            Err(failure) if failure.remedy() == Remedy::GiveUp => {
                failure.log("report of deliveries");
                HashMap::new()
            }
            Err(failure) => return Err(failure),
        };
        for attempt in std::mem::take(&mut self.unreported) {
            self.leased.remove(&attempt.lease.delivery_id);
            if let Some(verdict) = verdicts.get(&attempt.lease.delivery_id) {
                self.endpoints.note(&attempt, *verdict);
            }
        }
        // There is room again, and what is to be tried again has a time.
        self.polling.freed();
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) {
        failure.log("deliveries");
        if failure.remedy() == Remedy::GiveUp {
            // The connection pauses by itself for all but this one.
            self.parts.connection.pause();
        }
        self.polling.start_over();
    }

    /// Waits for what is in flight, and reports it.
    async fn drain(&mut self) {
        while let Some(ended) = self.in_flight.join_next().await {
            self.collect(ended);
            self.report_until_acknowledged().await;
        }
    }

    async fn report_until_acknowledged(&mut self) {
        while !self.unreported.is_empty() {
            self.parts.connection.ready().await;
            if let Err(failure) = self.report().await {
                failure.log("report of deliveries");
            }
        }
    }

    /// Reports what is left, and puts back what was not made.
    async fn shut_down(&mut self) {
        self.report_until_acknowledged().await;
        if self.leased.is_empty() {
            return;
        }
        self.parts.connection.ready().await;
        self.unattempted = self.leased.values().copied().collect();
        let deliveries = self.unattempted.len();
        match self.release().await {
            Ok(()) => tracing::info!(deliveries, "put back deliveries that were not made"),
            Err(failure) => failure.log("release of deliveries"),
        }
    }
}
