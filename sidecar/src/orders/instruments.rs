//! Owns what is counted of claims and of each provider's calls. What the numbers are called and mean
//! stands in [`crate::telemetry::metrics`].

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics::{Counter, Histogram, counter, gauge, histogram};

use crate::{call::fault::Fault, telemetry::metrics::Labels};

/// A fault that a provider keeps having is logged as a warning once in this time.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Counts a claim that was answered now.
pub(crate) fn count_claim(orders: usize) {
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
        static LABELS: Labels = Labels::new();
        let provider = LABELS.of(provider);
        let calls = |result: &'static str| counter!("reconcile_calls_total", "provider" => provider.clone(), "result" => result);
        Self {
            answered: calls("answered"),
            faults: std::array::from_fn(|place| calls(Fault::ALL[place].word())),
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
    pub(crate) fn should_warn(&self, fault: Fault) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_a_minute() {
        let instruments = ProviderInstruments::of("warned");
        assert!(instruments.should_warn(Fault::Dns));
        assert!(!instruments.should_warn(Fault::Dns));
        assert!(instruments.should_warn(Fault::Tls));
    }
}
