//! Owns which line a report takes: how many lines there are, which are open, and which one a
//! provider may use. Never sends anything itself.

use std::sync::Arc;

use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::JoinSet,
};

use super::deliver::{Job, Outlet, Said, deliver};
use crate::orders::slots::Slots;

/// The most lines for providers whose reports are quick. The first is always open.
pub(super) const QUICK: usize = 4;

/// The one line for all providers whose reports are slow.
pub(super) const SLOW: usize = QUICK;

/// What a line does.
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
    /// On this line.
    Take(usize),
    /// On this one, once it is open.
    Open(usize),
    /// Nowhere before something ends.
    Wait,
}

/// The lines.
pub(super) struct Lines<O> {
    make: Box<dyn FnMut() -> O + Send>,
    slots: Arc<Slots>,
    said: UnboundedSender<Said>,
    states: [State; QUICK + 1],
    jobs: [Option<mpsc::Sender<Job>>; QUICK + 1],
    tasks: JoinSet<()>,
}

impl<O: Outlet> Lines<O> {
    /// With the first line open. `make` makes the others.
    pub(super) fn new(
        first: O,
        make: Box<dyn FnMut() -> O + Send>,
        slots: Arc<Slots>,
        said: UnboundedSender<Said>,
    ) -> Self {
        let mut lines = Self {
            make,
            slots,
            said,
            states: [State::Closed; QUICK + 1],
            jobs: [const { None }; QUICK + 1],
            tasks: JoinSet::new(),
        };
        lines.start(0, first);
        lines
    }

    /// Where a report of a provider can go. Another line is opened only when all that are open work:
    /// while one is being opened the database may be away.
    pub(super) fn choose(&self, slow: bool) -> Choice {
        let permitted = if slow { SLOW..SLOW + 1 } else { 0..QUICK };
        let first = |state| permitted.clone().find(|line| self.states[*line] == state);
        if let Some(line) = first(State::Ready) {
            return Choice::Take(line);
        }
        match (first(State::Opening), first(State::Closed)) {
            (None, Some(line)) => Choice::Open(line),
            _ => Choice::Wait,
        }
    }

    /// Opens a line; it says when it is ready.
    pub(super) fn open(&mut self, line: usize) {
        let outlet = (self.make)();
        self.start(line, outlet);
    }

    fn start(&mut self, line: usize, outlet: O) {
        let (sender, jobs) = mpsc::channel(1);
        self.states[line] = State::Opening;
        self.jobs[line] = Some(sender);
        let (said, slots) = (self.said.clone(), Arc::clone(&self.slots));
        // The first stays open: without it this process isn't healthy.
        let stays = line == 0;
        self.tasks
            .spawn(deliver(line, stays, outlet, jobs, said, slots));
    }

    /// Has a report made; gives it back if the line has ended.
    pub(super) fn send(&mut self, line: usize, job: Job) -> Result<(), Job> {
        self.states[line] = State::Working;
        let Some(sender) = &self.jobs[line] else {
            return Err(job);
        };
        sender
            .try_send(job)
            .map_err(mpsc::error::TrySendError::into_inner)
    }

    /// The line can take a report.
    pub(super) fn ready(&mut self, line: usize) {
        self.states[line] = State::Ready;
    }

    /// The line has made its report, and isn't ready for another one yet.
    pub(super) fn done(&mut self, line: usize) {
        self.states[line] = State::Opening;
    }

    /// The line has ended.
    pub(super) fn closed(&mut self, line: usize) {
        self.states[line] = State::Closed;
        self.jobs[line] = None;
    }

    /// Ends all lines, and waits for their goodbyes.
    pub(super) async fn close(mut self) {
        self.jobs = [const { None }; QUICK + 1];
        while self.tasks.join_next().await.is_some() {}
    }
}
