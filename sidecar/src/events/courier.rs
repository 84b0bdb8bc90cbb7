//! Owns the way of events to the application's endpoints: claims deliveries, has them made, and
//! reports what came of them, on a connection and with slots of its own, so that endpoints and
//! providers never wait for each other. What an answer means, and when to try again, is the
//! database's to say.
//!
//! - [`endpoints`]: what is counted and logged of each endpoint
//! - [`post`]: one attempt over HTTP
//! - [`signature`]: how a receiver knows that it was us

mod endpoints;
mod post;
mod signature;

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

use endpoints::Endpoints;
pub(crate) use post::Poster;

use crate::{
    call::{fault::Fault, http::Answer},
    database::{
        failure::{Failure, Remedy},
        line::Line,
        pace::Pace,
        protocol::deliveries::{self, Errand, Parcel, Report, Upshot},
        sidecar_id::SidecarId,
    },
    telemetry::log_limit::LogLimit,
};

/// The shortest time between two looks that calls ask for: events come in small numbers, and often.
const BETWEEN_CALLS: Duration = Duration::from_millis(25);

/// No claims for this time after this machine could not make a delivery.
const AFTER_EXHAUSTION: Duration = Duration::from_secs(1);

/// How long the last words to the database may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(4);

/// What the courier works with.
pub(crate) struct Parts {
    /// Its connection.
    pub(crate) line: Line,
    /// Who delivers.
    pub(crate) sidecar: SidecarId,
    /// The most deliveries under way at one time.
    pub(crate) slots: u32,
    /// Called when there are new events.
    pub(crate) wake: Arc<Notify>,
    /// Makes deliveries.
    pub(crate) poster: Arc<Poster>,
    /// Whether NOTIFY reaches this process.
    pub(crate) listening: Arc<AtomicBool>,
    /// Ends claiming.
    pub(crate) stop: CancellationToken,
    /// For deliveries that are under way then.
    pub(crate) stop_timeout: Duration,
}

/// An attempt that was made.
struct Made {
    errand: Errand,
    endpoint: String,
    answer: Answer,
}

impl Made {
    fn report(&self) -> Report<'_> {
        let answer = &self.answer;
        Report {
            errand: self.errand,
            fault: answer.fault.map(Fault::as_str),
            http_status: answer.http_status,
            detail: answer.detail.as_deref(),
            duration_ms: answer.duration_ms,
            retry_after_s: answer.retry_after_s,
        }
    }
}

/// Delivers events.
pub(crate) struct Courier {
    parts: Parts,
    pace: Pace,
    under_way: JoinSet<Made>,
    /// Claimed and not reported yet.
    ours: HashMap<i64, Errand>,
    /// Made and not reported yet.
    made: Vec<Made>,
    /// Not made for want of descriptors or memory.
    unmade: Vec<Errand>,
    exhaustion: LogLimit,
    endpoints: Endpoints,
}

impl Courier {
    /// A courier that looks at once.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            pace: Pace::new(BETWEEN_CALLS),
            under_way: JoinSet::new(),
            ours: HashMap::new(),
            made: Vec::new(),
            unmade: Vec::new(),
            exhaustion: LogLimit::default(),
            endpoints: Endpoints::default(),
        }
    }

    /// Delivers until told to stop, and ends in good order.
    pub(crate) async fn run(mut self) {
        let stop = self.parts.stop.clone();
        while !stop.is_cancelled()
            && stop
                .run_until_cancelled(self.parts.line.ready())
                .await
                .is_some()
        {
            if let Err(failure) = self.turn().await {
                self.failed(&failure);
            }
        }
        let finished = timeout(self.parts.stop_timeout, self.finish()).await;
        if finished.is_err() {
            self.under_way.shutdown().await;
        }
        if timeout(GOODBYE_LIMIT, self.leave()).await.is_err() {
            tracing::warn!(
                deliveries = self.ours.len(),
                "the last deliveries could not be reported, so they will be made again"
            );
        }
        self.parts.line.close().await;
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        if !self.made.is_empty() {
            return self.report().await;
        }
        if !self.unmade.is_empty() {
            return self.put_back().await;
        }
        let waiting = self.pace.is_waiting();
        let parts = &mut self.parts;
        if parts.sidecar.now().is_none() {
            // The claimer registers this process.
            return tokio::select! {
                () = parts.stop.cancelled() => Ok(()),
                () = parts.line.closed() => Ok(()),
                id = parts.sidecar.given() => id.map(drop),
            };
        }
        let free = parts.slots.saturating_sub(self.ours.len() as u32);
        tokio::select! {
            biased;
            () = parts.stop.cancelled() => {}
            () = parts.line.closed() => self.pace.everything_now(),
            Some(made) = self.under_way.join_next() => self.gather(made),
            () = parts.wake.notified(), if waiting => self.pace.called(),
            () = sleep_until(self.pace.next_look()), if waiting => {}
            () = std::future::ready(()), if !waiting && free > 0 => self.claim(free).await?,
        }
        Ok(())
    }

    /// Takes this attempt, and all others that have ended.
    fn gather(&mut self, first: Result<Made, tokio::task::JoinError>) {
        let mut next = Some(first);
        while let Some(made) = next {
            // A task that panicked leaves its lease to run out.
            match made {
                Ok(made) if made.answer.fault == Some(Fault::Exhausted) => self.exhausted(made),
                made => self.made.extend(made),
            }
            next = self.under_way.try_join_next();
        }
    }

    /// What this machine lacks is not the endpoint's failure: the delivery is put back.
    fn exhausted(&mut self, made: Made) {
        if let Some(times) = self.exhaustion.happened() {
            tracing::warn!(
                detail = made.answer.detail,
                times,
                "this machine has no descriptors or memory left, so deliveries are put back; this is logged at most once a minute"
            );
        }
        self.unmade.push(made.errand);
        self.pace.hold(AFTER_EXHAUSTION);
    }

    async fn put_back(&mut self) -> Result<(), Failure> {
        let id = self.parts.sidecar.given().await?;
        let errands = std::mem::take(&mut self.unmade);
        for errand in &errands {
            self.ours.remove(&errand.delivery_id);
        }
        // Said once: if it fails, the leases run out.
        let released = deliveries::release(&mut self.parts.line, id, &errands).await?;
        tracing::debug!(released, "put back deliveries that were not made");
        Ok(())
    }

    async fn claim(&mut self, free: u32) -> Result<(), Failure> {
        let id = self.parts.sidecar.given().await?;
        let asked = i32::try_from(free).unwrap_or(i32::MAX);
        let parcels = deliveries::claim(&mut self.parts.line, id, asked).await?;
        if parcels.is_empty() {
            let wait = deliveries::next(&mut self.parts.line).await?;
            let listening = self.parts.listening.load(Ordering::Relaxed);
            self.pace.found_nothing(wait, listening);
            return Ok(());
        }
        self.pace.found(parcels.len(), free as usize);
        for parcel in parcels {
            self.ours.insert(parcel.errand.delivery_id, parcel.errand);
            self.start(parcel);
        }
        Ok(())
    }

    fn start(&mut self, parcel: Parcel) {
        let poster = Arc::clone(&self.parts.poster);
        self.under_way.spawn(async move {
            let answer = poster.post(&parcel).await;
            Made {
                errand: parcel.errand,
                endpoint: parcel.endpoint,
                answer,
            }
        });
    }

    async fn report(&mut self) -> Result<(), Failure> {
        let id = self.parts.sidecar.given().await?;
        let reports: Vec<Report<'_>> = self.made.iter().map(Made::report).collect();
        let result = deliveries::report(&mut self.parts.line, id, &reports).await;
        let upshots: HashMap<i64, Upshot> = match result {
            Ok(upshots) => upshots.into_iter().collect(),
            Err(failure) if failure.remedy() == Remedy::GiveUp => {
                failure.log("report of deliveries");
                HashMap::new()
            }
            Err(failure) => return Err(failure),
        };
        for made in std::mem::take(&mut self.made) {
            self.ours.remove(&made.errand.delivery_id);
            if let Some(upshot) = upshots.get(&made.errand.delivery_id) {
                self.endpoints.note(&made, *upshot);
            }
        }
        // There is room again, and what is to be tried again has a time.
        self.pace.freed();
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) {
        failure.log("deliveries");
        if failure.remedy() == Remedy::GiveUp {
            // The line pauses by itself for all but this one.
            self.parts.line.pause();
        }
        self.pace.everything_now();
    }

    /// Waits for what is under way, and reports it.
    async fn finish(&mut self) {
        while let Some(made) = self.under_way.join_next().await {
            self.gather(made);
            self.report_until_heard().await;
        }
    }

    async fn report_until_heard(&mut self) {
        while !self.made.is_empty() {
            self.parts.line.ready().await;
            if let Err(failure) = self.report().await {
                failure.log("report of deliveries");
            }
        }
    }

    /// Reports what is left, and puts back what was not made.
    async fn leave(&mut self) {
        self.report_until_heard().await;
        if self.ours.is_empty() {
            return;
        }
        self.parts.line.ready().await;
        self.unmade = self.ours.values().copied().collect();
        let deliveries = self.unmade.len();
        match self.put_back().await {
            Ok(()) => tracing::info!(deliveries, "put back deliveries that were not made"),
            Err(failure) => failure.log("release of deliveries"),
        }
    }
}
