//! Owns the connection on which this process is registered and claims. When it claims is
//! polling's decision. Never waits for a call.
//!
//! - [`registration`]: registration, heartbeats and the end

mod registration;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::counter;
use tokio::{
    sync::{Notify, watch},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use crate::{
    database::{
        connection::Connection,
        failure::{Failure, Remedy},
        polling::Polling,
        protocol::{
            leases::{self, ClaimedOrder, Lease},
            providers::{self, ProviderVersion},
        },
    },
    orders::{
        instruments,
        last_contact::LastContact,
        profile::{Profile, Profiles},
        slots::{Slot, Slots},
        worker::Worker,
    },
    telemetry::log_limit::LogLimit,
};

/// No claims for this time after this machine could not make a call: what is under way ends, and
/// its descriptors with it.
const AFTER_EXHAUSTION: Duration = Duration::from_secs(1);

/// What the claimer works with.
pub(crate) struct Parts {
    /// Its connection.
    pub(crate) connection: Connection,
    /// How this process is called.
    pub(crate) name: String,
    /// Where the id is put that the database gives this process.
    pub(crate) registration: watch::Sender<Option<i64>>,
    /// The slots of this process.
    pub(crate) slots: Arc<Slots>,
    /// Called when something is due.
    pub(crate) wake: Arc<Notify>,
    /// Called when something waits that touches applications' tables.
    pub(crate) backlog: Arc<Notify>,
    /// Runs what is claimed.
    pub(crate) worker: Arc<Worker>,
    /// Told when the database answers.
    pub(crate) last_contact: Arc<LastContact>,
    /// Whether NOTIFY reaches this process.
    pub(crate) listening: Arc<AtomicBool>,
    /// Ends claiming.
    pub(crate) stop: CancellationToken,
}

/// Claims what is due.
pub(crate) struct Claimer {
    parts: Parts,
    profiles: Profiles,
    registered: bool,
    polling: Polling,
    /// Claimed and not asked, to be released.
    unasked: Vec<Lease>,
    release_log: LogLimit,
}

impl Claimer {
    /// A claimer that polls at once.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            profiles: Profiles::default(),
            registered: false,
            polling: Polling::new(Duration::ZERO),
            unasked: Vec::new(),
            release_log: LogLimit::default(),
        }
    }

    /// Claims until told to stop. A claim that is under way then is waited for, since its rows are
    /// leased to us.
    pub(crate) async fn run(&mut self) {
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
    }

    async fn step(&mut self) -> Result<(), Failure> {
        let Some(id) = self.id().filter(|_| self.registered) else {
            return self.register().await;
        };
        if !self.unasked.is_empty() {
            return self.release(id).await;
        }
        let (waiting, polls_when_freed) =
            (self.polling.is_waiting(), self.polling.polls_when_freed());
        let parts = &mut self.parts;
        tokio::select! {
            biased;
            () = parts.stop.cancelled() => {}
            () = parts.connection.closed() => self.polling.start_over(),
            () = sleep_until(self.polling.next_heartbeat()) => {
                let wait = self.heartbeat(id).await?;
                self.polling.work_expected(wait);
            }
            () = parts.worker.exhausted() => {
                self.unasked.extend(parts.worker.take_unasked());
                self.polling.pause_for(AFTER_EXHAUSTION);
            }
            () = parts.worker.lease_over() => self.unasked.extend(parts.worker.take_unasked()),
            () = parts.wake.notified(), if waiting => self.polling.woken(),
            () = parts.slots.freed(), if waiting && polls_when_freed => self.polling.freed(),
            () = sleep_until(self.polling.next_poll()), if waiting => {}
            Some(slot) = parts.slots.take(), if !waiting => self.claim(id, slot).await?,
        }
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) {
        failure.log("claim");
        match failure.remedy() {
            Remedy::Reconnect => self.polling.start_over(),
            Remedy::Wait => self.polling.poll_now(),
            Remedy::GiveUp => {
                // The connection pauses by itself for all but this one.
                self.parts.connection.pause();
                self.polling.poll_now();
            }
        }
    }

    fn id(&self) -> Option<i64> {
        *self.parts.registration.borrow()
    }

    async fn claim(&mut self, id: i64, mut slot: Slot) -> Result<(), Failure> {
        let free = slot.num_permits();
        let asked = i32::try_from(free).unwrap_or(i32::MAX);
        let claimed = leases::claim(&mut self.parts.connection, id, asked).await?;
        let found = claimed.len();
        self.parts.last_contact.claim();
        instruments::count_claim(found);
        if self.parts.stop.is_cancelled() {
            self.unasked
                .extend(claimed.iter().map(|claimed| claimed.lease));
            return Ok(());
        }
        let started = self.start(claimed, &mut slot).await;
        drop(slot);
        started?;
        if found > 0 {
            self.polling.found(found, free);
            return Ok(());
        }
        if self.polling.should_send_heartbeat() {
            let wait = self.heartbeat(id).await?;
            let listening = self.parts.listening.load(Ordering::Relaxed);
            self.polling.found_nothing(wait, listening);
        } else {
            self.polling.found_nothing_unexplained();
        }
        Ok(())
    }

    /// Starts the calls. When a provider's row can't be fetched, what is left is released.
    async fn start(&mut self, claimed: Vec<ClaimedOrder>, slot: &mut Slot) -> Result<(), Failure> {
        let mut rest = claimed.into_iter();
        while let Some(claimed) = rest.next() {
            let profile = match self.profile(&claimed).await {
                Ok(profile) => profile,
                Err(failure) => {
                    self.unasked.push(claimed.lease);
                    self.unasked.extend(rest.map(|claimed| claimed.lease));
                    return Err(failure);
                }
            };
            // A claim gives at most as many rows as there are slots; one too many has none.
            match slot.split(1) {
                Some(slot) => self.parts.worker.start(claimed, profile, slot),
                None => self.unasked.push(claimed.lease),
            }
        }
        Ok(())
    }

    async fn profile(&mut self, claimed: &ClaimedOrder) -> Result<Arc<Profile>, Failure> {
        let name = &claimed.provider;
        let version = ProviderVersion {
            version: claimed.provider_version,
            by_order_number: claimed.by_order_number,
        };
        if let Some(profile) = self.profiles.get(name, version) {
            return Ok(profile);
        }
        let row = providers::fetch(&mut self.parts.connection, name, version).await?;
        Ok(self.profiles.insert(name, version, row))
    }

    /// Releases what was not asked. Said once: if it fails, the leases run out.
    async fn release(&mut self, id: i64) -> Result<(), Failure> {
        let leases = std::mem::take(&mut self.unasked);
        let released = leases::release(&mut self.parts.connection, id, &leases).await?;
        counter!("reconcile_released_orders_total").increment(released.max(0).unsigned_abs());
        if let Some(times) = self.release_log.happened() {
            tracing::info!(
                orders = leases.len(),
                released,
                times,
                "put back orders that were not asked; this is logged at most once a minute"
            );
        }
        Ok(())
    }
}
