//! Owns the way of findings back into the database: gathers them into reports of one provider each,
//! has them made on several connections, so that what follows from one provider's answers holds up no
//! other's, and repeats what a lost connection may have swallowed (the fencing token makes that
//! safe). Never changes what was found.
//!
//! - [`queue`]: what is to be reported, provider by provider
//! - [`pool`]: which connection a report takes
//! - [`task`]: one connection's work; gives slots back once the database acknowledged

mod pool;
mod queue;
mod task;

use std::sync::Arc;

use metrics::counter;
use tokio::{
    sync::mpsc::{self, Receiver, UnboundedReceiver},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    pool::{Choice, Pool},
    queue::ReportQueue,
    task::{Done, Job, PoolEvent, ReportSink},
};
use crate::{
    database::{
        connection::Connection,
        failure::Failure,
        protocol::leases::{self, Verdict},
        sidecar_id::SidecarId,
    },
    orders::{
        batch::{BusyFindings, MAX_FINDINGS},
        slots::Slots,
        worker::Finding,
    },
};

/// A connection on which findings are reported.
pub(crate) struct ReportConnection {
    /// The connection.
    pub(crate) connection: Connection,
    /// Who reports.
    pub(crate) sidecar: SidecarId,
}

impl ReportSink for ReportConnection {
    async fn ready(&mut self) {
        self.connection.ready().await;
    }

    async fn keep_open(&mut self) {
        self.connection.keep_open().await;
    }

    async fn report(&mut self, findings: &[Finding]) -> Result<Vec<(i64, Verdict)>, Failure> {
        let id = self.sidecar.given().await?;
        let reports: Vec<_> = findings.iter().map(Finding::report).collect();
        leases::report(&mut self.connection, id, &reports).await
    }

    async fn close(self) {
        self.connection.close().await;
    }
}

/// Reports findings.
pub(crate) struct Reporter<S> {
    pool: Pool<S>,
    events: UnboundedReceiver<PoolEvent>,
    findings: Receiver<Finding>,
    finish: CancellationToken,
    queue: ReportQueue,
    busy: BusyFindings,
}

impl<S: ReportSink> Reporter<S> {
    /// A reporter whose first connection is `first`; `make` makes others as they are needed. After `finish`
    /// it delivers what it has, and ends.
    pub(crate) fn new(
        first: S,
        make: Box<dyn FnMut() -> S + Send>,
        slots: Arc<Slots>,
        findings: Receiver<Finding>,
        finish: CancellationToken,
    ) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            pool: Pool::new(first, make, slots, sender),
            events,
            findings,
            finish,
            queue: ReportQueue::default(),
            busy: BusyFindings::default(),
        }
    }

    /// Reports until there will be no more findings and all are delivered.
    pub(crate) async fn run(mut self) {
        let mut fresh = Vec::new();
        loop {
            self.assign();
            let finishing = self.findings.is_closed();
            let exhausted = finishing && self.findings.is_empty();
            if exhausted && self.queue.is_idle() && self.busy.next().is_none() {
                return self.pool.close().await;
            }
            let next = [self.queue.next_due(), self.busy.next()];
            tokio::select! {
                () = self.finish.cancelled(), if !finishing => self.findings.close(),
                Some(event) = self.events.recv() => self.handle(event),
                _ = self.findings.recv_many(&mut fresh, MAX_FINDINGS), if !exhausted => {}
                () = until(next.into_iter().flatten().min()) => {}
            }
            for finding in fresh.drain(..) {
                self.queue.add(finding, 0);
            }
            for (finding, tries) in self.busy.due() {
                self.queue.add(finding, tries);
            }
        }
    }

    /// Hands out what is to be reported to the connections that can take it.
    fn assign(&mut self) {
        for (provider, slow) in self.queue.due() {
            match self.pool.choose(slow) {
                Choice::Wait => {}
                Choice::Open(connection) => self.pool.open(connection),
                Choice::Take(connection) => {
                    let batch = self.queue.take(&provider);
                    let job = Job { provider, batch };
                    if let Err(job) = self.pool.send(connection, job) {
                        self.queue.requeue(&job.provider, vec![job.batch]);
                    }
                }
            }
        }
    }

    fn handle(&mut self, event: PoolEvent) {
        match event {
            PoolEvent::Ready(connection) => self.pool.ready(connection),
            PoolEvent::Closed(connection, late) => {
                self.pool.closed(connection);
                if let Some(job) = late {
                    self.queue.requeue(&job.provider, vec![job.batch]);
                }
            }
            PoolEvent::Done(connection, done) => {
                self.pool.done(connection);
                self.done(done);
            }
        }
    }

    fn done(&mut self, done: Done) {
        self.queue.done(&done.provider, done.took, done.again);
        for (finding, tries) in done.busy {
            let order_id = finding.lease.subject.order_id();
            if self.busy.retry_later(finding, tries).is_some() {
                counter!("reconcile_dropped_reports_total").increment(1);
                tracing::warn!(
                    order_id,
                    "the order stayed locked or its report was cancelled each time, so the report is dropped and it will be asked again"
                );
            }
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
