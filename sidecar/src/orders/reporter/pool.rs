//! Owns which connection a report takes: how many connections there are, which are open, and which one a
//! provider may use. Never sends anything itself.

use std::sync::Arc;

use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::JoinSet,
};

use super::task::{Job, PoolEvent, ReportSink, run_reports};
use crate::orders::slots::Slots;

/// The most connections for providers whose reports are quick. The first is always open.
pub(super) const QUICK: usize = 4;

/// The one connection for all providers whose reports are slow.
pub(super) const SLOW: usize = QUICK;

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Being opened, or opened again.
    Opening,
    Ready,
    Working,
}

/// Where a report can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// On this connection.
    Take(usize),
    /// On this one, once it is open.
    Open(usize),
    /// Nowhere before something ends.
    Wait,
}

/// The connections.
pub(super) struct Pool<S> {
    make: Box<dyn FnMut() -> S + Send>,
    slots: Arc<Slots>,
    events: UnboundedSender<PoolEvent>,
    states: [State; QUICK + 1],
    jobs: [Option<mpsc::Sender<Job>>; QUICK + 1],
    tasks: JoinSet<()>,
}

impl<S: ReportSink> Pool<S> {
    /// With the first connection open. `make` makes the others.
    pub(super) fn new(
        first: S,
        make: Box<dyn FnMut() -> S + Send>,
        slots: Arc<Slots>,
        events: UnboundedSender<PoolEvent>,
    ) -> Self {
        let mut connections = Self {
            make,
            slots,
            events,
            states: [State::Closed; QUICK + 1],
            jobs: [const { None }; QUICK + 1],
            tasks: JoinSet::new(),
        };
        connections.start(0, first);
        connections
    }

    /// Where a report of a provider can go. Another connection is opened only when all that are open work:
    /// while one is being opened the database may be away.
    pub(super) fn choose(&self, slow: bool) -> Choice {
        let permitted = if slow { SLOW..SLOW + 1 } else { 0..QUICK };
        let first = |state| {
            permitted
                .clone()
                .find(|connection| self.states[*connection] == state)
        };
        if let Some(connection) = first(State::Ready) {
            return Choice::Take(connection);
        }
        match (first(State::Opening), first(State::Closed)) {
            (None, Some(connection)) => Choice::Open(connection),
            _ => Choice::Wait,
        }
    }

    /// Opens a connection; it says when it is ready.
    pub(super) fn open(&mut self, connection: usize) {
        let sink = (self.make)();
        self.start(connection, sink);
    }

    fn start(&mut self, connection: usize, sink: S) {
        let (sender, jobs) = mpsc::channel(1);
        self.states[connection] = State::Opening;
        self.jobs[connection] = Some(sender);
        let (events, slots) = (self.events.clone(), Arc::clone(&self.slots));
        // The first stays open: without it this process isn't healthy.
        let stays = connection == 0;
        self.tasks
            .spawn(run_reports(connection, stays, sink, jobs, events, slots));
    }

    /// Has a report made; gives it back if the connection has ended.
    pub(super) fn send(&mut self, connection: usize, job: Job) -> Result<(), Job> {
        self.states[connection] = State::Working;
        let Some(sender) = &self.jobs[connection] else {
            return Err(job);
        };
        sender
            .try_send(job)
            .map_err(mpsc::error::TrySendError::into_inner)
    }

    /// The connection can take a report.
    pub(super) fn ready(&mut self, connection: usize) {
        self.states[connection] = State::Ready;
    }

    /// The connection has made its report, and isn't ready for another one yet.
    pub(super) fn done(&mut self, connection: usize) {
        self.states[connection] = State::Opening;
    }

    /// The connection has ended.
    pub(super) fn closed(&mut self, connection: usize) {
        self.states[connection] = State::Closed;
        self.jobs[connection] = None;
    }

    /// Ends all connections, and waits for them to close.
    pub(super) async fn close(mut self) {
        self.jobs = [const { None }; QUICK + 1];
        while self.tasks.join_next().await.is_some() {}
    }
}
