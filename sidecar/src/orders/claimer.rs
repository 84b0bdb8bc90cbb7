//! Owns the connection on which this process claims, lives and says goodbye. When it claims is the
//! pace's decision. Never waits for a call.

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
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    database::{
        failure::{Failure, Remedy},
        line::Line,
        pace::Pace,
        protocol::{
            leases::{self, Claimed, Lease},
            providers::{self, ProviderVersion},
            registration,
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

/// How long a goodbye may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// No claims for this time after this machine could not make a call: what is under way ends, and
/// its descriptors with it.
const AFTER_EXHAUSTION: Duration = Duration::from_secs(1);

/// What the claimer works with.
pub(crate) struct Parts {
    /// Its connection.
    pub(crate) line: Line,
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
    known: bool,
    pace: Pace,
    /// Claimed and not asked, to be put back.
    unasked: Vec<Lease>,
    put_backs: LogLimit,
}

impl Claimer {
    /// A claimer that looks at once.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            profiles: Profiles::default(),
            known: false,
            pace: Pace::new(Duration::ZERO),
            unasked: Vec::new(),
            put_backs: LogLimit::default(),
        }
    }

    /// Claims until told to stop. A claim that is under way then is waited for, since its rows are
    /// leased to us.
    pub(crate) async fn run(&mut self) {
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
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        let Some(id) = self.id().filter(|_| self.known) else {
            return self.introduce().await;
        };
        if !self.unasked.is_empty() {
            return self.put_back(id).await;
        }
        let (waiting, hungry) = (self.pace.is_waiting(), self.pace.is_hungry());
        let parts = &mut self.parts;
        tokio::select! {
            biased;
            () = parts.stop.cancelled() => {}
            () = parts.line.closed() => self.pace.everything_now(),
            () = sleep_until(self.pace.next_heartbeat()) => {
                let wait = self.beat(id).await?;
                self.pace.told(wait);
            }
            () = parts.worker.exhausted() => {
                self.unasked.extend(parts.worker.abandoned());
                self.pace.hold(AFTER_EXHAUSTION);
            }
            () = parts.worker.overslept() => self.unasked.extend(parts.worker.abandoned()),
            () = parts.wake.notified(), if waiting => self.pace.called(),
            () = parts.slots.freed(), if waiting && hungry => self.pace.freed(),
            () = sleep_until(self.pace.next_look()), if waiting => {}
            Some(slot) = parts.slots.take(), if !waiting => self.claim(id, slot).await?,
        }
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) {
        failure.log("claim");
        match failure.remedy() {
            Remedy::Reconnect => self.pace.everything_now(),
            Remedy::Wait => self.pace.look_now(),
            Remedy::GiveUp => {
                // The line pauses by itself for all but this one.
                self.parts.line.pause();
                self.pace.look_now();
            }
        }
    }

    async fn introduce(&mut self) -> Result<(), Failure> {
        let slots = i32::try_from(self.parts.slots.total()).unwrap_or(i32::MAX);
        let id = registration::start(&mut self.parts.line, &self.parts.name, slots).await?;
        tracing::info!(
            sidecar_id = id,
            name = self.parts.name,
            slots,
            "known to the database"
        );
        self.parts.registration.send_replace(Some(id));
        self.known = true;
        self.pace.everything_now();
        Ok(())
    }

    fn id(&self) -> Option<i64> {
        *self.parts.registration.borrow()
    }

    /// Says that we live; gives the time until there is work, if there will be.
    async fn beat(&mut self, id: i64) -> Result<Option<Duration>, Failure> {
        let in_flight = i32::try_from(self.parts.slots.in_flight()).unwrap_or(i32::MAX);
        let heartbeat = registration::heartbeat(&mut self.parts.line, id, in_flight).await?;
        self.pace.beaten();
        self.parts.last_contact.heartbeat();
        if heartbeat.backlog {
            self.parts.backlog.notify_one();
        }
        if heartbeat.overlong {
            let sessions = registration::end_overlong_sessions(&mut self.parts.line).await?;
            tracing::warn!(
                sessions,
                "ended sessions whose statement no time limit ended: a hook or a trigger of an \
                 application caught its cancellation; see reconcile.failed_effects and stuck_orders"
            );
        }
        if !heartbeat.known {
            tracing::warn!(
                sidecar_id = id,
                "the database has forgotten this sidecar, so it starts anew"
            );
            self.known = false;
        }
        let wait = heartbeat
            .wait_ms
            .map(|ms| Duration::from_millis(ms.max(0).unsigned_abs().into()));
        Ok(wait)
    }

    async fn claim(&mut self, id: i64, mut slot: Slot) -> Result<(), Failure> {
        let free = slot.num_permits();
        let asked = i32::try_from(free).unwrap_or(i32::MAX);
        let claimed = leases::claim(&mut self.parts.line, id, asked).await?;
        let found = claimed.len();
        self.parts.last_contact.claim();
        instruments::claimed(found);
        if self.parts.stop.is_cancelled() {
            self.unasked
                .extend(claimed.iter().map(|claimed| claimed.lease));
            return Ok(());
        }
        let started = self.start(claimed, &mut slot).await;
        drop(slot);
        started?;
        if found > 0 {
            self.pace.found(found, free);
            return Ok(());
        }
        if self.pace.should_ask() {
            let wait = self.beat(id).await?;
            let listening = self.parts.listening.load(Ordering::Relaxed);
            self.pace.found_nothing(wait, listening);
        } else {
            self.pace.found_nothing_unasked();
        }
        Ok(())
    }

    /// Starts the calls. When a provider's row can't be fetched, what is left is put back.
    async fn start(&mut self, claimed: Vec<Claimed>, slot: &mut Slot) -> Result<(), Failure> {
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

    async fn profile(&mut self, claimed: &Claimed) -> Result<Arc<Profile>, Failure> {
        let name = &claimed.provider;
        let asked = ProviderVersion {
            version: claimed.provider_version,
            by_order_number: claimed.by_order_number,
        };
        if let Some(profile) = self.profiles.get(name, asked) {
            return Ok(profile);
        }
        let row = providers::fetch(&mut self.parts.line, name, asked).await?;
        Ok(self.profiles.put(name, asked, row))
    }

    /// Puts back what was not asked. Said once: if it fails, the leases run out.
    async fn put_back(&mut self, id: i64) -> Result<(), Failure> {
        let leases = std::mem::take(&mut self.unasked);
        let released = leases::release(&mut self.parts.line, id, &leases).await?;
        counter!("reconcile_released_orders_total")
            .increment(released.max(0).unsigned_abs().into());
        if let Some(times) = self.put_backs.happened() {
            tracing::info!(
                orders = leases.len(),
                released,
                times,
                "put back orders that were not asked; this is logged at most once a minute"
            );
        }
        Ok(())
    }

    /// Waits until nothing is in flight, and stays alive in the eyes of the database.
    pub(crate) async fn drain(&mut self) {
        let Some(id) = self.id() else {
            return;
        };
        loop {
            tokio::select! {
                biased;
                () = self.parts.slots.all_free() => return,
                () = sleep_until(self.pace.next_heartbeat()) => {
                    self.parts.line.ready().await;
                    if let Err(failure) = self.beat(id).await {
                        failure.log("heartbeat");
                    }
                }
            }
        }
    }

    /// Puts back what was not asked, and says goodbye.
    pub(crate) async fn leave(mut self, abandoned: Vec<Lease>) {
        self.unasked.extend(abandoned);
        if let Some(id) = self.id()
            && timeout(GOODBYE_LIMIT, self.goodbye(id)).await.is_err()
        {
            tracing::warn!(
                "no goodbye, since the database didn't answer; the leases run out by themselves"
            );
        }
        self.parts.line.close().await;
    }

    async fn goodbye(&mut self, id: i64) {
        self.parts.line.ready().await;
        if !self.unasked.is_empty()
            && let Err(failure) = self.put_back(id).await
        {
            failure.log("release");
        }
        if let Err(failure) = registration::stop(&mut self.parts.line, id).await {
            failure.log("stop");
        }
    }
}
