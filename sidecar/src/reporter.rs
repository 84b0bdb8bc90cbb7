//! Owns the way of findings back into the database: gathers them into batches, repeats what a lost
//! connection may have swallowed (the fencing token makes that safe), and gives slots back once the
//! database acknowledged. Never changes what was found.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use metrics::counter;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    batch::{Batch, Busy, MAX_FINDINGS, cut},
    failure::{Failure, Remedy},
    line::Line,
    protocol::{self, Verdict},
    slots::Slots,
    work::Finding,
};

/// At least this long between two reports while nobody waits for one: under load a batch forms, and
/// a finding that comes after a quiet moment goes at once.
const GATHER: Duration = Duration::from_millis(1);

/// Reports findings.
pub(crate) struct Reporter {
    line: Line,
    sidecar: Arc<AtomicI64>,
    slots: Arc<Slots>,
    findings: Receiver<Finding>,
    finish: CancellationToken,
    busy: Busy,
    last: Instant,
}

impl Reporter {
    /// A reporter for the sidecar whose id is, or will be, in `sidecar`. After `finish` it delivers
    /// what it has, and ends.
    pub(crate) fn new(
        line: Line,
        sidecar: Arc<AtomicI64>,
        slots: Arc<Slots>,
        findings: Receiver<Finding>,
        finish: CancellationToken,
    ) -> Self {
        let last = Instant::now();
        Self {
            line,
            sidecar,
            slots,
            findings,
            finish,
            busy: Busy::default(),
            last,
        }
    }

    /// Reports until there will be no more findings and all are delivered.
    pub(crate) async fn run(mut self) {
        while let Some(gathered) = self.gather().await {
            self.deliver(gathered).await;
            self.last = Instant::now();
        }
        self.line.close().await;
    }

    /// Waits for findings; none when there will be no more.
    async fn gather(&mut self) -> Option<Batch> {
        let mut fresh = Vec::new();
        while fresh.is_empty() {
            let finishing = self.findings.is_closed();
            let exhausted = finishing && self.findings.is_empty();
            if exhausted && self.busy.next().is_none() {
                return None;
            }
            tokio::select! {
                () = self.finish.cancelled(), if !finishing => self.findings.close(),
                () = self.line.tend() => {}
                () = until(self.busy.next()) => break,
                _ = self.findings.recv_many(&mut fresh, MAX_FINDINGS), if !exhausted => {}
            }
        }
        let enough = self.last + GATHER;
        while fresh.len() < MAX_FINDINGS && !fresh.iter().any(|finding| finding.awaited) {
            let room = MAX_FINDINGS - fresh.len();
            match timeout_at(enough, self.findings.recv_many(&mut fresh, room)).await {
                Ok(count) if count > 0 => {}
                _ => break,
            }
        }
        let mut gathered: Batch = fresh.into_iter().map(|finding| (finding, 0)).collect();
        gathered.extend(self.busy.due());
        Some(gathered)
    }

    async fn deliver(&mut self, gathered: Batch) {
        let mut waiting = cut(gathered);
        while let Some(batch) = waiting.pop_front() {
            self.line.ready().await;
            let (findings, tries): (Vec<Finding>, Vec<u32>) = batch.into_iter().unzip();
            let id = self.sidecar.load(Ordering::Relaxed);
            let result = protocol::report(&mut self.line, id, &findings).await;
            let batch: Batch = findings.into_iter().zip(tries).collect();
            match result {
                Ok(refused) => self.acknowledged(batch, refused),
                Err(failure) => {
                    failure.log("report");
                    // What takes too long may be one finding: what follows from it in the database.
                    let too_long = matches!(failure, Failure::Silent(_)) && batch.len() > 1;
                    match failure.remedy() {
                        Remedy::Reconnect | Remedy::Wait if !too_long => waiting.push_front(batch),
                        _ => {
                            for half in self.halves(batch, &failure).into_iter().rev() {
                                waiting.push_front(half);
                            }
                        }
                    }
                }
            }
        }
    }

    fn acknowledged(&mut self, batch: Batch, refused: Vec<(i64, Verdict)>) {
        let refused: HashMap<i64, Verdict> = refused.into_iter().collect();
        let (mut applied, mut stale, mut busy) = (0, 0, 0);
        for (finding, tries) in batch {
            let order_id = finding.lease.order_id;
            match refused.get(&order_id) {
                None => applied += 1,
                Some(Verdict::Stale) => stale += 1,
                Some(Verdict::Busy) => {
                    busy += 1;
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
        counter!("reconcile_reports_total").increment(1);
        counter!("reconcile_reported_orders_total").increment(applied);
        counter!("reconcile_stale_reports_total").increment(stale);
        counter!("reconcile_busy_reports_total").increment(busy);
        if stale > 0 {
            tracing::info!(stale, "reports came after their leases had run out");
        }
        self.slots.tell_freed();
    }

    /// Narrows down which finding the database refuses. One that is refused alone is dropped: its
    /// lease runs out, and the order is asked again.
    fn halves(&mut self, mut batch: Batch, failure: &Failure) -> Vec<Batch> {
        if batch.len() > 1 {
            let second = batch.split_off(batch.len() / 2);
            return vec![batch, second];
        }
        for (finding, _) in batch {
            counter!("reconcile_dropped_reports_total").increment(1);
            tracing::warn!(order_id = finding.lease.order_id, error = %failure,
                "the database refuses this report, so it is dropped and the order will be asked again");
        }
        self.slots.tell_freed();
        vec![]
    }
}

/// Waits until this moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
