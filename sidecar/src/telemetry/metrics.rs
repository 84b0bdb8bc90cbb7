//! Owns the numbers at /metrics: their names, what they mean, and the bound on their labels. What
//! they count is counted where it happens.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// The most values of a label that are told apart; the rest is counted as `other`.
const MAX_LABELS: usize = 200;

const CALL_SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Counters, and what they count.
const COUNTERS: [(&str, &str); 12] = [
    (
        "reconcile_calls_total",
        "Calls to providers, by provider and result: answered or the fault",
    ),
    ("reconcile_claims_total", "Claims made"),
    ("reconcile_claimed_orders_total", "Orders claimed"),
    (
        "reconcile_reports_total",
        "Report calls that the database acknowledged",
    ),
    (
        "reconcile_reported_orders_total",
        "Orders whose report was applied",
    ),
    (
        "reconcile_stale_reports_total",
        "Reports whose lease was not ours any more",
    ),
    (
        "reconcile_busy_reports_total",
        "Reports put off because the order's row was locked",
    ),
    (
        "reconcile_dropped_reports_total",
        "Reports given up; their leases run out and the orders are asked again",
    ),
    ("reconcile_released_orders_total", "Orders put back unasked"),
    (
        "reconcile_database_reconnects_total",
        "Connections to PostgreSQL opened after one was lost, by connection",
    ),
    (
        "reconcile_notifications_total",
        "Wake-up calls received from PostgreSQL",
    ),
    (
        "reconcile_deliveries_total",
        "Attempts to deliver an event, by endpoint and what follows: delivered, retry, parked, disabled or stale",
    ),
];

/// Counters that are seen as 0 before their first event, so that alerts on them work.
const FROM_ZERO: [&str; 9] = [
    "reconcile_claims_total",
    "reconcile_claimed_orders_total",
    "reconcile_reports_total",
    "reconcile_reported_orders_total",
    "reconcile_stale_reports_total",
    "reconcile_busy_reports_total",
    "reconcile_dropped_reports_total",
    "reconcile_released_orders_total",
    "reconcile_notifications_total",
];

/// Gauges, and what they show.
const GAUGES: [(&str, &str); 2] = [
    (
        "reconcile_in_flight",
        "Orders claimed and not yet acknowledged",
    ),
    ("reconcile_slots", "The most orders in flight"),
];

/// Histograms of seconds, and what they measure.
const HISTOGRAMS: [(&str, &str); 2] = [
    (
        "reconcile_call_seconds",
        "Time of a whole call, by provider",
    ),
    (
        "reconcile_delivery_seconds",
        "Time of a whole attempt, by endpoint",
    ),
];

/// Installs the recorder and describes every instrument. Fails if there is a recorder already.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full("reconcile_call_seconds".to_owned()),
            &CALL_SECONDS,
        )?
        .set_buckets_for_metric(
            Matcher::Full("reconcile_delivery_seconds".to_owned()),
            &CALL_SECONDS,
        )?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    for (name, meaning) in COUNTERS {
        describe_counter!(name, meaning);
    }
    for (name, meaning) in GAUGES {
        describe_gauge!(name, meaning);
    }
    describe_gauge!(
        "reconcile_last_claim_timestamp_seconds",
        Unit::Seconds,
        "When a claim was last answered, Unix time"
    );
    for (name, meaning) in HISTOGRAMS {
        describe_histogram!(name, Unit::Seconds, meaning);
    }
    for name in FROM_ZERO {
        counter!(name).absolute(0);
    }
}

/// The values of one label so far.
pub(crate) struct Labels(Mutex<BTreeSet<String>>);

impl Labels {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// The label of what has this name: itself, or `other` when there are too many.
    pub(crate) fn of(&self, name: &str) -> String {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(name) {
            if seen.len() >= MAX_LABELS {
                return "other".to_owned();
            }
            seen.insert(name.to_owned());
        }
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        let all = Labels::new();
        let labels: BTreeSet<String> = (0..500).map(|n| all.of(&format!("provider {n}"))).collect();
        assert_eq!(labels.len(), MAX_LABELS + 1);
        assert!(labels.contains("other"));
    }
}
