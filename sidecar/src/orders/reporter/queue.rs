//! Owns the findings that wait to be reported, provider by provider: when there are enough for a
//! report, whose turn it is, and who is slow. Never sends anything.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::orders::{
    batch::{Batch, MAX_FINDINGS, into_reports},
    worker::Finding,
};

/// At least this long between two reports of a provider while nobody waits for one: under load a
/// batch forms, and a finding that comes after a quiet moment goes at once.
const GATHER: Duration = Duration::from_millis(1);

/// A provider whose last report took longer is slow: what follows from its answers in the database
/// holds up no other provider's reports.
const SLOW_REPORT: Duration = Duration::from_secs(1);

/// What waits.
#[derive(Default)]
pub(super) struct ReportQueue(HashMap<Arc<str>, Provider>);

struct Provider {
    fresh: Batch,
    /// Whether a person waits for one of them.
    awaited: bool,
    /// Reports that are made up already, and go first.
    reports: VecDeque<Batch>,
    reporting: bool,
    slow: bool,
    last: Instant,
    /// Since when it is this provider's turn.
    since: Instant,
}

impl ReportQueue {
    /// One more finding, reported and found busy so often.
    pub(super) fn add(&mut self, finding: Finding, tries: u32) {
        let now = Instant::now();
        let provider = self
            .0
            .entry(Arc::clone(&finding.provider))
            .or_insert_with(|| Provider {
                fresh: Batch::new(),
                awaited: false,
                reports: VecDeque::new(),
                reporting: false,
                slow: false,
                // A provider that is heard of for the first time was quiet before.
                last: now.checked_sub(GATHER).unwrap_or(now),
                since: now,
            });
        if provider.is_empty() && !provider.reporting {
            provider.since = now;
        }
        provider.awaited |= finding.awaited;
        provider.fresh.push((finding, tries));
    }

    /// Whose findings may be reported now, those first for whom a person waits, then in turn; with
    /// whether the provider is slow.
    pub(super) fn due(&self) -> Vec<(Arc<str>, bool)> {
        let now = Instant::now();
        let mut due: Vec<_> = self
            .0
            .iter()
            .filter(|(_, provider)| provider.due_at().is_some_and(|at| at <= now))
            .collect();
        due.sort_by_key(|(_, provider)| (!provider.awaited, provider.since));
        due.into_iter()
            .map(|(name, provider)| (Arc::clone(name), provider.slow))
            .collect()
    }

    /// When there will be more to report.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let moments = self.0.values().filter_map(Provider::due_at);
        moments.filter(|at| *at > now).min()
    }

    /// The provider's next report, which is under way from now on.
    pub(super) fn take(&mut self, name: &str) -> Batch {
        let Some(provider) = self.0.get_mut(name) else {
            return Batch::new();
        };
        if provider.reports.is_empty() {
            provider.reports = into_reports(provider.gathered());
        }
        provider.reporting = true;
        provider.reports.pop_front().unwrap_or_default()
    }

    /// The provider's report took so long; these are to be reported again before others.
    pub(super) fn done(&mut self, name: &str, took: Duration, again: Vec<Batch>) {
        let Some(provider) = self.0.get_mut(name) else {
            return;
        };
        let now = Instant::now();
        (provider.reporting, provider.last, provider.since) = (false, now, now);
        // A report that failed soon, as on a lost connection, says nothing about a slow one.
        provider.slow = took > SLOW_REPORT || provider.slow && !again.is_empty();
        self.requeue(name, again);
    }

    /// These were not reported after all.
    pub(super) fn requeue(&mut self, name: &str, again: Vec<Batch>) {
        if let Some(provider) = self.0.get_mut(name) {
            provider.reporting = false;
            for batch in again.into_iter().rev() {
                provider.reports.push_front(batch);
            }
        }
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.0
            .values()
            .all(|provider| provider.is_empty() && !provider.reporting)
    }
}

impl Provider {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.reports.is_empty()
    }

    /// When the next report may be made; none if there is none to make, or one is under way.
    fn due_at(&self) -> Option<Instant> {
        if self.reporting || self.is_empty() {
            return None;
        }
        let enough = self.awaited || self.fresh.len() >= MAX_FINDINGS || !self.reports.is_empty();
        Some(if enough {
            self.last
        } else {
            self.last + GATHER
        })
    }

    /// As many as make a report; those first for whom a person waits.
    fn gathered(&mut self) -> Batch {
        let mut gathered = std::mem::take(&mut self.fresh);
        if gathered.len() > MAX_FINDINGS {
            gathered.sort_by_key(|(finding, _)| !finding.awaited);
            self.fresh = gathered.split_off(MAX_FINDINGS);
        }
        self.awaited = self.fresh.iter().any(|(finding, _)| finding.awaited);
        gathered
    }
}
