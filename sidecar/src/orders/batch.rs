//! Owns the make-up of reports: how many findings and bytes go into one, and when one that was busy
//! goes again. Never sends anything.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::orders::worker::Finding;

/// The most findings in one report.
pub(crate) const MAX_FINDINGS: usize = 500;

/// Bodies of this many bytes fill a report, however few: the copy that goes over the wire counts
/// against this process's memory and the server's.
const FULL_BYTES: usize = 4 * 1024 * 1024;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const MAX_TRIES: u32 = 8;

/// Findings with how often each was reported and found busy.
pub(crate) type Batch = Vec<(Finding, u32)>;

/// Cuts what was gathered into reports, each sorted by order: sessions that lock rows in one order
/// don't deadlock.
pub(crate) fn into_reports(mut gathered: Batch) -> VecDeque<Batch> {
    gathered.sort_by_key(|(finding, _)| finding.lease.subject);
    let mut batches = VecDeque::new();
    let mut batch = Batch::new();
    let mut bytes = 0;
    for entry in gathered {
        let length = entry.0.answer.body.as_ref().map_or(0, String::len);
        if batch.len() == MAX_FINDINGS || (!batch.is_empty() && bytes + length > FULL_BYTES) {
            batches.push_back(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += length;
        batch.push(entry);
    }
    if !batch.is_empty() {
        batches.push_back(batch);
    }
    batches
}

/// Findings whose order was locked, each with its next moment.
#[derive(Default)]
pub(crate) struct BusyFindings(Vec<(Instant, Finding, u32)>);

impl BusyFindings {
    /// Keeps the finding for later; gives it back once it was tried often enough.
    pub(crate) fn retry_later(&mut self, finding: Finding, tries: u32) -> Option<Finding> {
        if tries >= MAX_TRIES {
            return Some(finding);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << tries).min(LONGEST_PAUSE);
        self.0.push((Instant::now() + pause, finding, tries + 1));
        None
    }

    /// The earliest moment.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().map(|entry| entry.0).min()
    }

    /// Takes out what is due.
    pub(crate) fn due(&mut self) -> impl Iterator<Item = (Finding, u32)> {
        let now = Instant::now();
        self.0
            .extract_if(.., move |entry| entry.0 <= now)
            .map(|(_, finding, tries)| (finding, tries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call::http::Answer,
        database::protocol::leases::{Lease, Subject},
    };
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn finding(order_id: i64, length: usize) -> Finding {
        let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let answer = Answer {
            body: Some("x".repeat(length)),
            ..Answer::default()
        };
        Finding {
            lease: Lease {
                subject: Subject::Order(order_id),
                token: 1,
            },
            provider: "p".into(),
            awaited: false,
            answer,
            slot,
        }
    }

    fn lengths(gathered: Vec<Finding>) -> Vec<usize> {
        into_reports(gathered.into_iter().map(|finding| (finding, 0)).collect())
            .iter()
            .map(Vec::len)
            .collect()
    }

    #[test]
    fn reports_are_bounded_by_number_and_by_bytes() {
        assert!(lengths(vec![]).is_empty());
        assert_eq!(
            lengths((0..1001).map(|id| finding(id, 1)).collect()),
            [500, 500, 1]
        );
        let big = FULL_BYTES * 2 / 3;
        assert_eq!(
            lengths(vec![finding(1, 9), finding(2, big), finding(3, big)]),
            [2, 1]
        );
        assert_eq!(lengths(vec![finding(1, FULL_BYTES + 1)]), [1]);
    }

    #[test]
    fn reports_are_sorted_by_order() {
        let gathered = [3, 1, 2].map(|id| (finding(id, 0), 0)).into();
        let ids: Vec<i64> = into_reports(gathered)[0]
            .iter()
            .filter_map(|(finding, _)| finding.lease.subject.order_id())
            .collect();
        assert_eq!(ids, [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_finding_goes_again_eight_times_with_growing_pauses() {
        let mut busy = BusyFindings::default();
        let (mut current, mut tries, mut pauses) = (finding(1, 0), 0, vec![]);
        while busy.retry_later(current, tries).is_none() {
            let next = busy.next().unwrap();
            pauses.push((next - Instant::now()).as_millis());
            assert_eq!(busy.due().count(), 0);
            tokio::time::sleep_until(next).await;
            (current, tries) = busy.due().next().unwrap();
            assert!(busy.next().is_none());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    }
}
