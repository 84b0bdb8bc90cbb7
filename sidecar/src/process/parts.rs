//! Owns the putting together of the parts: who gets which connection, and what they share.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::{
    Notify,
    mpsc::{self, Receiver},
    watch,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{config::Settings, health::Observed, run::StartError};
use crate::{
    call::{
        secrets::Secrets,
        transport::{Limits, Transport},
    },
    database::{
        channels::Channels,
        connection::Connection,
        follower::follow,
        listener::listen,
        protocol::backlog::DatabaseBacklog,
        session::Database,
        sidecar_id::{SidecarId, sidecar_id},
    },
    events::{
        deliverer::{self, Deliverer},
        post::Poster,
    },
    orders::{
        caller::Caller,
        claimer::{self, Claimer},
        last_contact::LastContact,
        reporter::{ReportConnection, Reporter},
        slots::Slots,
        worker::{Finding, Worker},
    },
};

/// An endpoint's answer says nothing: a longer one costs its connection.
const DELIVERY_BODY_BYTES: usize = 65_536;

/// What several parts work with.
pub(crate) struct Shared {
    /// Where PostgreSQL is.
    pub(crate) database: Arc<Database>,
    /// What may be in flight.
    pub(crate) slots: Arc<Slots>,
    sidecar: SidecarId,
    registration: watch::Sender<Option<i64>>,
    /// Whether NOTIFY reaches this process.
    listening: Arc<AtomicBool>,
    /// When the database last answered.
    last_contact: Arc<LastContact>,
    /// Ends claiming and listening.
    shutdown: CancellationToken,
}

/// The parts at work.
pub(crate) struct Parts {
    /// Run by whoever holds this.
    pub(crate) claimer: Claimer,
    /// Makes the calls.
    pub(crate) worker: Arc<Worker>,
    /// Ends calls in flight.
    pub(crate) cancel_calls: CancellationToken,
    /// Hands over what was found.
    pub(crate) reporter: AbortOnDropHandle<()>,
    /// Says that nothing more will be found.
    pub(crate) last_findings: CancellationToken,
    /// None if this process delivers no events.
    pub(crate) deliverer: Option<AbortOnDropHandle<()>>,
    /// Works on applications' tables.
    pub(crate) follower: AbortOnDropHandle<()>,
    /// Wakes the others.
    pub(crate) listener: AbortOnDropHandle<()>,
}

impl Shared {
    /// Nothing has happened yet.
    pub(crate) fn new(database: Database, slots: u32, shutdown: CancellationToken) -> Self {
        let (registration, sidecar) = sidecar_id();
        Self {
            database: Arc::new(database),
            slots: Arc::new(Slots::new(slots)),
            sidecar,
            registration,
            listening: Arc::default(),
            last_contact: Arc::new(LastContact::new()),
            shutdown,
        }
    }

    /// A connection that is not open yet.
    pub(crate) fn connection(&self, name: &'static str) -> Connection {
        Connection::new(Arc::clone(&self.database), name)
    }

    /// What /health shows; without these connections the process can't work.
    pub(crate) fn observed(&self, connections: [&Connection; 2]) -> Arc<Observed> {
        Arc::new(Observed {
            connections: connections.map(Connection::connected).into(),
            listening: Arc::clone(&self.listening),
            last_contact: Arc::clone(&self.last_contact),
            slots: Arc::clone(&self.slots),
        })
    }
}

impl Parts {
    /// Starts all but the claimer, which claims and reports on these connections.
    pub(crate) fn start(
        settings: Settings,
        extra_roots: Option<Vec<u8>>,
        shared: &Shared,
        [claims, reports]: [Connection; 2],
    ) -> Result<Self, StartError> {
        let [due, backlog] = std::array::from_fn(|_| Arc::new(Notify::new()));
        let [cancel_calls, last_findings] = std::array::from_fn(|_| CancellationToken::new());
        let events = (settings.delivery_slots > 0).then(|| Arc::new(Notify::new()));
        let (findings, found) = mpsc::channel(settings.slots as usize);
        let limits = limits(&settings, extra_roots);
        let secrets = Secrets::new(settings.secrets_dir.clone());
        let caller = Caller::new(limits.clone(), secrets)?;
        let worker = Arc::new(Worker::new(caller, findings, cancel_calls.clone()));
        let deliverer = (events.clone())
            .map(|events| deliverer(&settings, limits, shared, events))
            .transpose()?;
        let claimer = Claimer::new(claimer::Parts {
            connection: claims,
            name: settings.sidecar_name(),
            registration: shared.registration.clone(),
            slots: Arc::clone(&shared.slots),
            wake: Arc::clone(&due),
            backlog: Arc::clone(&backlog),
            worker: Arc::clone(&worker),
            last_contact: Arc::clone(&shared.last_contact),
            listening: Arc::clone(&shared.listening),
            stop: shared.shutdown.clone(),
        });
        Ok(Self {
            claimer,
            worker,
            cancel_calls,
            reporter: reporter(reports, shared, found, last_findings.clone()),
            last_findings,
            deliverer,
            follower: follower(shared, backlog),
            listener: listener(shared, Channels { due, events }),
        })
    }
}

/// Of calls to providers.
fn limits(settings: &Settings, extra_roots: Option<Vec<u8>>) -> Limits {
    Limits {
        allowed: settings.allow_hosts.clone(),
        slots: settings.slots,
        max_body_bytes: settings.max_body_bytes as usize,
        connect_timeout: settings.connect_timeout,
        extra_roots,
    }
}

/// Delivers events.
fn deliverer(
    settings: &Settings,
    limits: Limits,
    shared: &Shared,
    wake: Arc<Notify>,
) -> Result<AbortOnDropHandle<()>, reqwest::Error> {
    let transport = Transport::new(Limits {
        slots: settings.delivery_slots,
        max_body_bytes: DELIVERY_BODY_BYTES,
        ..limits
    })?;
    let secrets = Secrets::new(settings.secrets_dir.clone());
    let deliverer = Deliverer::new(deliverer::Parts {
        connection: shared.connection("deliver"),
        sidecar: shared.sidecar.clone(),
        slots: settings.delivery_slots,
        wake,
        poster: Arc::new(Poster::new(transport, secrets)),
        listening: Arc::clone(&shared.listening),
        stop: shared.shutdown.clone(),
        stop_timeout: settings.stop_timeout,
    });
    Ok(AbortOnDropHandle::new(tokio::spawn(deliverer.run())))
}

/// Reports on `first`, and on other connections as they are needed.
fn reporter(
    first: Connection,
    shared: &Shared,
    found: Receiver<Finding>,
    finish: CancellationToken,
) -> AbortOnDropHandle<()> {
    let (database, sidecar) = (Arc::clone(&shared.database), shared.sidecar.clone());
    let first = ReportConnection {
        connection: first,
        sidecar: sidecar.clone(),
    };
    let another = move || ReportConnection {
        connection: Connection::new(Arc::clone(&database), "report"),
        sidecar: sidecar.clone(),
    };
    let slots = Arc::clone(&shared.slots);
    let reporter = Reporter::new(first, Box::new(another), slots, found, finish);
    AbortOnDropHandle::new(tokio::spawn(reporter.run()))
}

/// Works on what touches applications' tables, each time that `wake` is called.
fn follower(shared: &Shared, wake: Arc<Notify>) -> AbortOnDropHandle<()> {
    let backlog = || DatabaseBacklog {
        connection: shared.connection("follow"),
        sidecar: shared.sidecar.clone(),
    };
    let following = follow([backlog(), backlog()], wake, shared.shutdown.clone());
    AbortOnDropHandle::new(tokio::spawn(following))
}

/// Wakes those of `channels`.
fn listener(shared: &Shared, channels: Channels) -> AbortOnDropHandle<()> {
    let connection = shared.connection("listen").waking(channels.clone());
    let (listening, stop) = (Arc::clone(&shared.listening), shared.shutdown.clone());
    AbortOnDropHandle::new(tokio::spawn(listen(connection, channels, listening, stop)))
}
