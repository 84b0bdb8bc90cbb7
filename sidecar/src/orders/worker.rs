//! Owns the way of one claimed order through this process: a task that asks and hands over what it
//! found. Never talks to the database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    call::{
        fault::{Fault, in_words},
        http::Answer,
    },
    database::protocol::leases::{ClaimedOrder, Lease, Report},
    orders::{
        caller::{Caller, OrderCheck},
        profile::Profile,
        slots::Slot,
    },
    telemetry::log_limit::LogLimit,
};

/// What is known about one order after its call.
pub(crate) struct Finding {
    /// The right to report.
    pub(crate) lease: Lease,
    /// Whose order it is: a report is about one provider's orders.
    pub(crate) provider: Arc<str>,
    /// Whether a person waits for it.
    pub(crate) awaited: bool,
    /// What came of the call.
    pub(crate) answer: Answer,
    /// Given back when this is dropped, which is after the database acknowledged it.
    #[expect(dead_code, reason = "held for what its drop does")]
    pub(crate) slot: Slot,
}

impl Finding {
    /// What is reported of it.
    pub(crate) fn report(&self) -> Report<'_> {
        let answer = &self.answer;
        Report {
            lease: self.lease,
            fault: answer.fault.map(Fault::word),
            http_status: answer.http_status,
            body: answer.body.as_deref(),
            detail: answer.detail.as_deref(),
            duration_ms: answer.duration_ms,
            retry_after_s: answer.retry_after_s,
        }
    }
}

/// Runs claimed orders.
pub(crate) struct Worker {
    caller: Caller,
    findings: mpsc::Sender<Finding>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    /// To be released: nothing was learned about these orders.
    unasked: Mutex<Vec<Lease>>,
    exhausted: Notify,
    lease_over: Notify,
    exhaustion: Mutex<LogLimit>,
}

impl Worker {
    /// `findings` needs room for as many as there are slots. `cancel` ends calls in flight.
    pub(crate) fn new(
        caller: Caller,
        findings: mpsc::Sender<Finding>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            caller,
            findings,
            cancel,
            tasks: TaskTracker::new(),
            unasked: Mutex::default(),
            exhausted: Notify::new(),
            lease_over: Notify::new(),
            exhaustion: Mutex::default(),
        }
    }

    /// Starts one order's call.
    pub(crate) fn start(
        self: &Arc<Self>,
        claimed: ClaimedOrder,
        profile: Arc<Profile>,
        slot: Slot,
    ) {
        let worker = Arc::clone(self);
        self.tasks.spawn(async move {
            let ClaimedOrder {
                lease,
                url,
                headers,
                body,
                problem,
                awaited,
                asked_at,
                ..
            } = claimed;
            let check = OrderCheck {
                profile: &profile,
                url: url.as_deref(),
                headers: headers.as_ref(),
                body,
                problem: problem.as_deref(),
                asked_at,
            };
            let asked = worker
                .cancel
                .run_until_cancelled(worker.caller.ask(check))
                .await;
            let Some(answer) = asked else {
                return lock(&worker.unasked).push(lease);
            };
            note(lease, url.as_deref(), &profile, &answer);
            match answer.fault {
                Some(Fault::Exhausted) => return worker.release(lease, &answer),
                Some(Fault::LeaseOver) => {
                    lock(&worker.unasked).push(lease);
                    return worker.lease_over.notify_one();
                }
                _ => {}
            }
            // The channel has room for every slot, and closes only when the process ends.
            drop(
                worker
                    .findings
                    .send(Finding {
                        lease,
                        provider: Arc::clone(&profile.name),
                        awaited,
                        answer,
                        slot,
                    })
                    .await,
            );
        });
    }

    /// Keeps a lease for the claimer to release, since this machine could not make the call.
    fn release(&self, lease: Lease, answer: &Answer) {
        lock(&self.unasked).push(lease);
        if let Some(times) = lock(&self.exhaustion).happened() {
            tracing::warn!(
                detail = answer.detail,
                times,
                "this machine has no descriptors or memory left, so orders are put back unasked; raise the limit of open files or lower RECONCILE_SLOTS; this is logged at most once a minute"
            );
        }
        self.exhausted.notify_one();
    }

    /// Waits until a call could not be made for want of descriptors or memory.
    pub(crate) async fn exhausted(&self) {
        self.exhausted.notified().await;
    }

    /// Waits until a call was not begun, since its lease did not last for it.
    pub(crate) async fn lease_over(&self) {
        self.lease_over.notified().await;
    }

    /// Waits until no call is in flight any more.
    pub(crate) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The orders whose calls were ended by `cancel`, or could not be made by this machine or within their lease.
    pub(crate) fn take_unasked(&self) -> Vec<Lease> {
        std::mem::take(&mut lock(&self.unasked))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts and logs. The URL's path and query hold order numbers, so only its origin is shown.
fn note(lease: Lease, url: Option<&str>, profile: &Profile, answer: &Answer) {
    let time = std::time::Duration::from_millis(answer.duration_ms.unsigned_abs().into());
    profile.instruments.count(answer.fault, time);
    tracing::debug!(
        order_id = lease.subject.order_id(),
        provider = &*profile.name,
        fault = answer.fault.map(Fault::word),
        http_status = answer.http_status,
        duration_ms = answer.duration_ms,
        "asked"
    );
    let Some(fault) = answer
        .fault
        .filter(|fault| !fault.is_unasked())
        .filter(|fault| profile.instruments.should_warn(*fault))
    else {
        return;
    };
    let origin = url
        .and_then(|url| Url::parse(url).ok())
        .map(|url| url.origin().ascii_serialization());
    tracing::warn!(
        provider = &*profile.name,
        origin,
        fault = fault.word(),
        detail = answer.detail,
        order_id = lease.subject.order_id(),
        for_the_operator = fault.is_configuration(),
        "{}; this fault of this provider is logged at most once a minute",
        in_words(fault)
    );
}
