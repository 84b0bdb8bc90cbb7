//! Owns the numbers at /metrics: their names, what they mean, and the bound on their labels.
//! Never counts anything by itself.

use std::{
    collections::HashSet,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::call::fault::Fault;

/// The most providers that get a label of their own; the rest is counted as `other`.
const MAX_PROVIDER_LABELS: usize = 200;

/// A fault that a provider keeps having is logged as a warning once in this time.
const WARN_EVERY: Duration = Duration::from_secs(60);

const CALL_SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
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
    describe_counter!(
        "reconcile_calls_total",
        "Calls to providers, by provider and result: answered or the fault"
    );
    describe_histogram!(
        "reconcile_call_seconds",
        Unit::Seconds,
        "Time of a whole call, by provider"
    );
    describe_gauge!(
        "reconcile_in_flight",
        "Orders claimed and not yet acknowledged"
    );
    describe_gauge!("reconcile_slots", "The most orders in flight");
    describe_counter!("reconcile_claims_total", "Claims made");
    describe_counter!("reconcile_claimed_orders_total", "Orders claimed");
    describe_gauge!(
        "reconcile_last_claim_timestamp_seconds",
        Unit::Seconds,
        "When a claim was last answered, Unix time"
    );
    describe_counter!(
        "reconcile_reports_total",
        "Report calls that the database acknowledged"
    );
    describe_counter!(
        "reconcile_reported_orders_total",
        "Orders whose report was applied"
    );
    describe_counter!(
        "reconcile_stale_reports_total",
        "Reports whose lease was not ours any more"
    );
    describe_counter!(
        "reconcile_busy_reports_total",
        "Reports put off because the order's row was locked"
    );
    describe_counter!(
        "reconcile_dropped_reports_total",
        "Reports given up; their leases run out and the orders are asked again"
    );
    describe_counter!("reconcile_released_orders_total", "Orders put back unasked");
    describe_counter!(
        "reconcile_database_reconnects_total",
        "Connections to PostgreSQL opened after one was lost, by connection"
    );
    describe_counter!(
        "reconcile_notifications_total",
        "Wake-up calls received from PostgreSQL"
    );
    describe_counter!(
        "reconcile_deliveries_total",
        "Attempts to deliver an event, by endpoint and what follows: delivered, retry, parked, disabled or stale"
    );
    describe_histogram!(
        "reconcile_delivery_seconds",
        Unit::Seconds,
        "Time of a whole attempt, by endpoint"
    );
    // Counters that should be seen as 0 before their first event, so that alerts on them work.
    for name in [
        "reconcile_claims_total",
        "reconcile_claimed_orders_total",
        "reconcile_reports_total",
        "reconcile_reported_orders_total",
        "reconcile_stale_reports_total",
        "reconcile_busy_reports_total",
        "reconcile_dropped_reports_total",
        "reconcile_released_orders_total",
        "reconcile_notifications_total",
    ] {
        counter!(name).absolute(0);
    }
}

/// Remembers that a claim was answered now.
pub(crate) fn claimed(orders: usize) {
    counter!("reconcile_claims_total").increment(1);
    counter!("reconcile_claimed_orders_total").increment(orders as u64);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    gauge!("reconcile_last_claim_timestamp_seconds").set(now.as_secs_f64());
}

/// The instruments of one provider, looked up once and not for each call.
pub(crate) struct ProviderInstruments {
    answered: Counter,
    faults: [Counter; Fault::ALL.len()],
    seconds: Histogram,
    /// Unix seconds of the last warning, by fault.
    warned: [AtomicU64; Fault::ALL.len()],
}

impl ProviderInstruments {
    /// The instruments of `provider`, which share the label `other` past 200 providers.
    pub(crate) fn of(provider: &str) -> Self {
        static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
        let provider = label(
            &mut SEEN.lock().unwrap_or_else(PoisonError::into_inner),
            provider,
        );
        let calls = |result: &'static str| counter!("reconcile_calls_total", "provider" => provider.clone(), "result" => result);
        Self {
            answered: calls("answered"),
            faults: Fault::ALL.map(|fault| calls(fault.as_str())),
            seconds: histogram!("reconcile_call_seconds", "provider" => provider.clone()),
            warned: [const { AtomicU64::new(0) }; Fault::ALL.len()],
        }
    }

    /// Counts one call.
    pub(crate) fn count(&self, fault: Option<Fault>, time: Duration) {
        self.seconds.record(time.as_secs_f64());
        match fault {
            None => self.answered.increment(1),
            Some(fault) => self.faults[fault as usize].increment(1),
        }
    }

    /// Whether this fault is worth a warning now: the first time, and then once a minute.
    pub(crate) fn worth_a_warning(&self, fault: Fault) -> bool {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let last = self.warned[fault as usize].load(Ordering::Relaxed);
        now >= last.saturating_add(WARN_EVERY.as_secs())
            && self.warned[fault as usize]
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The numbers of one endpoint.
pub(crate) struct EndpointInstruments {
    label: String,
    seconds: Histogram,
    warned: Option<Instant>,
}

impl EndpointInstruments {
    /// The instruments of `endpoint`, which share the label `other` past 200 endpoints.
    pub(crate) fn of(endpoint: &str) -> Self {
        static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let label = label(&mut seen, endpoint);
        Self {
            seconds: histogram!("reconcile_delivery_seconds", "endpoint" => label.clone()),
            label,
            warned: None,
        }
    }

    /// Counts one attempt.
    pub(crate) fn count(&self, result: &'static str, time: Duration) {
        self.seconds.record(time.as_secs_f64());
        counter!("reconcile_deliveries_total", "endpoint" => self.label.clone(), "result" => result)
            .increment(1);
    }

    /// Whether a failure is worth a warning now: the first time, and then once a minute.
    pub(crate) fn worth_a_warning(&mut self) -> bool {
        let worth = self
            .warned
            .is_none_or(|warned| warned.elapsed() >= WARN_EVERY);
        if worth {
            self.warned = Some(Instant::now());
        }
        worth
    }
}

fn label(seen: &mut HashSet<String>, provider: &str) -> String {
    if !seen.contains(provider) {
        if seen.len() >= MAX_PROVIDER_LABELS {
            return "other".to_owned();
        }
        seen.insert(provider.to_owned());
    }
    provider.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        let mut seen = HashSet::new();
        let labels: HashSet<String> = (0..500)
            .map(|n| label(&mut seen, &format!("provider {n}")))
            .collect();
        assert_eq!(labels.len(), MAX_PROVIDER_LABELS + 1);
        assert!(labels.contains("other"));
    }

    #[test]
    fn a_warning_a_minute() {
        let instruments = ProviderInstruments::of("warned");
        assert!(instruments.worth_a_warning(Fault::Dns));
        assert!(!instruments.worth_a_warning(Fault::Dns));
        assert!(instruments.worth_a_warning(Fault::Tls));
    }
}
