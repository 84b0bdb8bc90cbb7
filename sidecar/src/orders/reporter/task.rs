//! Owns one connection's work: makes one report at a time, and tells what came of it. What is repeated, and
//! on which connection, is not decided here.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use metrics::counter;
use tokio::{
    sync::mpsc::{Receiver, UnboundedSender},
    time::{Instant, sleep_until},
};

use crate::{
    database::{
        failure::{Failure, Remedy},
        protocol::leases::Verdict,
    },
    orders::{batch::Batch, slots::Slots, worker::Finding},
};

/// A connection that isn't needed for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// What reports go through.
pub(crate) trait ReportSink: Send + 'static {
    /// Waits until a report can be made.
    fn ready(&mut self) -> impl Future<Output = ()> + Send;
    /// Keeps it open while nothing is reported: waits for its loss, or for its return.
    fn keep_open(&mut self) -> impl Future<Output = ()> + Send;
    /// Hands findings over; gives those that were not applied.
    fn report(
        &mut self,
        findings: &[Finding],
    ) -> impl Future<Output = Result<Vec<(i64, Verdict)>, Failure>> + Send;
    /// Closes it.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// One report of one provider.
pub(super) struct Job {
    pub(super) provider: Arc<str>,
    pub(super) batch: Batch,
}

/// What came of a report.
pub(super) struct Done {
    pub(super) provider: Arc<str>,
    pub(super) took: Duration,
    /// To be reported again after a pause: orders that were locked, and one whose report was cancelled.
    pub(super) busy: Batch,
    /// To be reported again, each as a report of its own.
    pub(super) again: Vec<Batch>,
}

/// What happens to a connection.
pub(super) enum PoolEvent {
    /// It can take a report.
    Ready(usize),
    /// It made one.
    Done(usize, Done),
    /// It has ended, and gives back what it was handed too late.
    Closed(usize, Option<Job>),
}

/// Makes reports until there will be no more; a connection that doesn't `stay` also until nobody needed it
/// for a while, or it was lost meanwhile.
pub(super) async fn run_reports<S: ReportSink>(
    connection: usize,
    stays: bool,
    mut sink: S,
    mut jobs: Receiver<Job>,
    events: UnboundedSender<PoolEvent>,
    slots: Arc<Slots>,
) {
    // After the end nobody reads them.
    let send = |event| drop(events.send(event));
    loop {
        tokio::select! {
            biased;
            () = sink.ready() => {}
            // No job is handed to a connection that isn't ready, so this is the end.
            _ = jobs.recv() => break,
        }
        send(PoolEvent::Ready(connection));
        match next(&mut sink, &mut jobs, stays).await {
            Some(job) => send(PoolEvent::Done(
                connection,
                report(&mut sink, job, &slots).await,
            )),
            None => break,
        }
    }
    jobs.close();
    send(PoolEvent::Closed(connection, jobs.try_recv().ok()));
    sink.close().await;
}

/// The next report; none if the connection is to end.
async fn next<S: ReportSink>(sink: &mut S, jobs: &mut Receiver<Job>, stays: bool) -> Option<Job> {
    let idle_until = Instant::now() + IDLE;
    loop {
        tokio::select! {
            biased;
            job = jobs.recv() => return job,
            () = sink.keep_open() => if !stays { return None },
            () = sleep_until(idle_until), if !stays => return None,
        }
    }
}

async fn report<S: ReportSink>(sink: &mut S, job: Job, slots: &Slots) -> Done {
    sink.ready().await;
    let started = Instant::now();
    let (findings, tries): (Vec<Finding>, Vec<u32>) = job.batch.into_iter().unzip();
    let result = sink.report(&findings).await;
    let batch: Batch = findings.into_iter().zip(tries).collect();
    let mut done = Done {
        provider: job.provider,
        took: started.elapsed(),
        busy: Batch::new(),
        again: Vec::new(),
    };
    match result {
        Ok(refused) => done.busy = acknowledged(batch, refused),
        Err(failure) => {
            failure.log("report");
            // What takes too long may be one finding: what follows from it in the database.
            let too_long = matches!(failure, Failure::Silent(_)) && batch.len() > 1;
            done.again = match failure.remedy() {
                // That says nothing of the finding: it is made again as what was locked is.
                _ if failure.is_cancellation() && batch.len() == 1 => {
                    done.busy = batch;
                    vec![]
                }
                Remedy::Reconnect | Remedy::Wait if !too_long => vec![batch],
                _ => halves(batch, &failure),
            };
        }
    }
    slots.notify_freed();
    done
}

/// Drops what was applied, with its slots; gives what was busy.
fn acknowledged(batch: Batch, refused: Vec<(i64, Verdict)>) -> Batch {
    let refused: HashMap<i64, Verdict> = refused.into_iter().collect();
    let (mut applied, mut stale, mut busy) = (0, 0, Batch::new());
    for (finding, tries) in batch {
        match refused.get(&finding.lease.token) {
            None => applied += 1,
            Some(Verdict::Stale) => stale += 1,
            Some(Verdict::Busy) => busy.push((finding, tries)),
        }
    }
    counter!("reconcile_reports_total").increment(1);
    counter!("reconcile_reported_orders_total").increment(applied);
    counter!("reconcile_stale_reports_total").increment(stale);
    counter!("reconcile_busy_reports_total").increment(busy.len() as u64);
    if stale > 0 {
        tracing::info!(stale, "reports came after their leases had run out");
    }
    busy
}

/// Narrows down which finding the database refuses. One that is refused alone is dropped: its lease
/// runs out, and the order is asked again.
fn halves(mut batch: Batch, failure: &Failure) -> Vec<Batch> {
    if batch.len() > 1 {
        let second = batch.split_off(batch.len() / 2);
        return vec![batch, second];
    }
    for (finding, _) in batch {
        counter!("reconcile_dropped_reports_total").increment(1);
        tracing::warn!(order_id = finding.lease.subject.order_id(), error = %failure,
            "the database refuses this report, so it is dropped and the order will be asked again");
    }
    vec![]
}
