//! Owns the way of findings back into the database: gathers them into reports of one provider each,
//! has them made on several lines, so that what follows from one provider's answers holds up no
//! other's, and repeats what a lost connection may have swallowed (the fencing token makes that
//! safe). Never changes what was found.
//!
//! - [`waiting`]: what is to be reported, provider by provider
//! - [`lines`]: which line a report takes
//! - [`deliver`]: one line's work; gives slots back once the database acknowledged

mod deliver;
mod lines;
mod waiting;

use std::sync::Arc;

use metrics::counter;
use tokio::{
    sync::mpsc::{self, Receiver, UnboundedReceiver},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{
    deliver::{Done, Job, Outlet, Said},
    lines::{Choice, Lines},
    waiting::Waiting,
};
use crate::{
    database::{
        failure::Failure,
        line::Line,
        protocol::leases::{self, Verdict},
        sidecar_id::SidecarId,
    },
    orders::{
        batch::{Busy, MAX_FINDINGS},
        slots::Slots,
        worker::Finding,
    },
};

/// A connection on which findings are reported.
pub(crate) struct ReportLine {
    /// The connection.
    pub(crate) line: Line,
    /// Who reports.
    pub(crate) sidecar: SidecarId,
}

impl Outlet for ReportLine {
    async fn ready(&mut self) {
        self.line.ready().await;
    }

    async fn tend(&mut self) {
        self.line.tend().await;
    }

    async fn report(&mut self, findings: &[Finding]) -> Result<Vec<(i64, Verdict)>, Failure> {
        let id = self.sidecar.given().await?;
        let reports: Vec<_> = findings.iter().map(Finding::report).collect();
        leases::report(&mut self.line, id, &reports).await
    }

    async fn close(self) {
        self.line.close().await;
    }
}

/// Reports findings.
pub(crate) struct Reporter<O> {
    lines: Lines<O>,
    said: UnboundedReceiver<Said>,
    findings: Receiver<Finding>,
    finish: CancellationToken,
    waiting: Waiting,
    busy: Busy,
}

impl<O: Outlet> Reporter<O> {
    /// A reporter whose first line is `first`; `make` makes others as they are needed. After `finish`
    /// it delivers what it has, and ends.
    pub(crate) fn new(
        first: O,
        make: Box<dyn FnMut() -> O + Send>,
        slots: Arc<Slots>,
        findings: Receiver<Finding>,
        finish: CancellationToken,
    ) -> Self {
        let (say, said) = mpsc::unbounded_channel();
        Self {
            lines: Lines::new(first, make, slots, say),
            said,
            findings,
            finish,
            waiting: Waiting::default(),
            busy: Busy::default(),
        }
    }

    /// Reports until there will be no more findings and all are delivered.
    pub(crate) async fn run(mut self) {
        let mut fresh = Vec::new();
        loop {
            self.assign();
            let finishing = self.findings.is_closed();
            let exhausted = finishing && self.findings.is_empty();
            if exhausted && self.waiting.is_over() && self.busy.next().is_none() {
                return self.lines.close().await;
            }
            let next = [self.waiting.next_ripe(), self.busy.next()];
            tokio::select! {
                () = self.finish.cancelled(), if !finishing => self.findings.close(),
                Some(said) = self.said.recv() => self.hear(said),
                _ = self.findings.recv_many(&mut fresh, MAX_FINDINGS), if !exhausted => {}
                () = until(next.into_iter().flatten().min()) => {}
            }
            for finding in fresh.drain(..) {
                self.waiting.add(finding, 0);
            }
            for (finding, tries) in self.busy.due() {
                self.waiting.add(finding, tries);
            }
        }
    }

    /// Hands out what is to be reported to the lines that can take it.
    fn assign(&mut self) {
        for (provider, slow) in self.waiting.ripe() {
            match self.lines.choose(slow) {
                Choice::Wait => {}
                Choice::Open(line) => self.lines.open(line),
                Choice::Take(line) => {
                    let batch = self.waiting.take(&provider);
                    let job = Job { provider, batch };
                    if let Err(job) = self.lines.send(line, job) {
                        self.waiting.put_back(&job.provider, vec![job.batch]);
                    }
                }
            }
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Ready(line) => self.lines.ready(line),
            Said::Closed(line, late) => {
                self.lines.closed(line);
                if let Some(job) = late {
                    self.waiting.put_back(&job.provider, vec![job.batch]);
                }
            }
            Said::Done(line, done) => {
                self.lines.done(line);
                self.done(done);
            }
        }
    }

    fn done(&mut self, done: Done) {
        self.waiting.done(&done.provider, done.took, done.again);
        for (finding, tries) in done.busy {
            let order_id = finding.lease.order_id;
            if self.busy.put_off(finding, tries).is_some() {
                counter!("reconcile_dropped_reports_total").increment(1);
                tracing::warn!(
                    order_id,
                    "the order stayed locked, so its report is dropped and it will be asked again"
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
