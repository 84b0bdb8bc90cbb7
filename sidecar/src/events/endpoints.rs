//! Owns what is counted and logged of each endpoint's deliveries. Never shows a URL or a body.

use std::{collections::HashMap, time::Duration};

use metrics::{Histogram, counter, histogram};

use super::attempt::Attempt;
use crate::{
    database::protocol::deliveries::DeliveryVerdict,
    telemetry::{log_limit::LogLimit, metrics::Labels},
};

/// The numbers of the endpoints that were posted to.
#[derive(Default)]
pub(super) struct Endpoints(HashMap<String, EndpointInstruments>);

impl Endpoints {
    /// Counts and logs. The URL and the body hold what is the application's, so neither is shown.
    pub(super) fn note(&mut self, attempt: &Attempt, verdict: DeliveryVerdict) {
        let instruments = self
            .0
            .entry(attempt.endpoint.clone())
            .or_insert_with(|| EndpointInstruments::of(&attempt.endpoint));
        let answer = &attempt.answer;
        let time = Duration::from_millis(answer.duration_ms.max(0).unsigned_abs().into());
        instruments.count(verdict.word(), time);
        let fault = answer.fault.map(|fault| fault.word());
        tracing::debug!(
            delivery_id = attempt.lease.delivery_id,
            endpoint = attempt.endpoint,
            fault,
            http_status = answer.http_status,
            duration_ms = answer.duration_ms,
            result = verdict.word(),
            "posted"
        );
        if verdict != DeliveryVerdict::Delivered && instruments.warnings.happened().is_some() {
            tracing::warn!(
                endpoint = attempt.endpoint,
                fault,
                http_status = answer.http_status,
                detail = answer.detail,
                delivery_id = attempt.lease.delivery_id,
                result = verdict.word(),
                "an event was not delivered; this is logged at most once a minute for an endpoint"
            );
        }
    }
}

/// The numbers of one endpoint.
struct EndpointInstruments {
    label: String,
    seconds: Histogram,
    warnings: LogLimit,
}

impl EndpointInstruments {
    /// The instruments of `endpoint`, which share the label `other` past 200 endpoints.
    fn of(endpoint: &str) -> Self {
        static LABELS: Labels = Labels::new();
        let label = LABELS.of(endpoint);
        Self {
            seconds: histogram!("reconcile_delivery_seconds", "endpoint" => label.clone()),
            label,
            warnings: LogLimit::default(),
        }
    }

    /// Counts one attempt.
    fn count(&self, result: &'static str, time: Duration) {
        self.seconds.record(time.as_secs_f64());
        counter!("reconcile_deliveries_total", "endpoint" => self.label.clone(), "result" => result)
            .increment(1);
    }
}
