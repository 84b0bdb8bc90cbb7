//! Owns what is known about one delivery after it was tried, and how that is reported.

use crate::{
    call::{fault::Fault, http::Answer},
    database::protocol::deliveries::{DeliveryLease, Report},
};

/// An attempt that was made.
pub(super) struct Attempt {
    /// The right to report.
    pub(super) lease: DeliveryLease,
    /// The endpoint's name.
    pub(super) endpoint: String,
    /// What came of it.
    pub(super) answer: Answer,
}

impl Attempt {
    /// What is reported of it.
    pub(super) fn report(&self) -> Report<'_> {
        let answer = &self.answer;
        Report {
            lease: self.lease,
            fault: answer.fault.map(Fault::word),
            http_status: answer.http_status,
            detail: answer.detail.as_deref(),
            duration_ms: answer.duration_ms,
            retry_after_s: answer.retry_after_s,
        }
    }
}
