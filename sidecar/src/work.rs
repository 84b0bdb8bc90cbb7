//! Owns the way of one claimed order through this process: a task that asks and hands over what it
//! found. Never talks to the database.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    http::{Answer, Caller, Question},
    profile::Profile,
    protocol::{Claimed, Lease},
    slots::Slot,
};

/// What is known about one order after its call.
pub(crate) struct Finding {
    /// The right to report.
    pub(crate) lease: Lease,
    /// Whether a person waits for it.
    pub(crate) awaited: bool,
    /// What came of the call.
    pub(crate) answer: Answer,
    /// Given back when this is dropped, which is after the database acknowledged it.
    #[expect(dead_code, reason = "held for what its drop does")]
    pub(crate) slot: Slot,
}

/// Runs claimed orders.
pub(crate) struct Worker {
    caller: Caller,
    findings: mpsc::Sender<Finding>,
    give_up: CancellationToken,
    tasks: TaskTracker,
    abandoned: Mutex<Vec<Lease>>,
}

impl Worker {
    /// `findings` needs room for as many as there are slots. `give_up` ends calls in flight.
    pub(crate) fn new(
        caller: Caller,
        findings: mpsc::Sender<Finding>,
        give_up: CancellationToken,
    ) -> Self {
        Self {
            caller,
            findings,
            give_up,
            tasks: TaskTracker::new(),
            abandoned: Mutex::default(),
        }
    }

    /// Starts one order's call.
    pub(crate) fn start(self: &Arc<Self>, claimed: Claimed, profile: Arc<Profile>, slot: Slot) {
        let worker = Arc::clone(self);
        self.tasks.spawn(async move {
            let Claimed {
                lease,
                url,
                headers,
                body,
                awaited,
                ..
            } = claimed;
            let question = Question {
                profile: &profile,
                url: url.as_deref(),
                headers: headers.as_ref(),
                body,
            };
            let asked = worker
                .give_up
                .run_until_cancelled(worker.caller.ask(question))
                .await;
            let Some(answer) = asked else {
                worker
                    .abandoned
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(lease);
                return;
            };
            note(lease, url.as_deref(), &profile, &answer);
            // The channel has room for every slot, and closes only when the process ends.
            drop(
                worker
                    .findings
                    .send(Finding {
                        lease,
                        awaited,
                        answer,
                        slot,
                    })
                    .await,
            );
        });
    }

    /// Waits until no call is in flight any more.
    pub(crate) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The orders whose calls were ended by `give_up`.
    pub(crate) fn abandoned(&self) -> Vec<Lease> {
        std::mem::take(
            &mut self
                .abandoned
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

/// Counts and logs. The URL's path and query hold order numbers, so only its origin is shown.
fn note(lease: Lease, url: Option<&str>, profile: &Profile, answer: &Answer) {
    let time = std::time::Duration::from_millis(answer.duration_ms.unsigned_abs().into());
    profile.instruments.count(answer.fault, time);
    tracing::debug!(
        order_id = lease.order_id,
        provider = profile.name,
        fault = answer.fault.map(|fault| fault.as_str()),
        http_status = answer.http_status,
        duration_ms = answer.duration_ms,
        "asked"
    );
    let Some(fault) = answer
        .fault
        .filter(|fault| profile.instruments.worth_a_warning(*fault))
    else {
        return;
    };
    let origin = url
        .and_then(|url| Url::parse(url).ok())
        .map(|url| url.origin().ascii_serialization());
    tracing::warn!(
        provider = profile.name,
        origin,
        fault = fault.as_str(),
        detail = answer.detail,
        order_id = lease.order_id,
        for_the_operator = fault.is_configuration(),
        "a provider could not be asked; this fault of this provider is logged at most once a minute"
    );
}
