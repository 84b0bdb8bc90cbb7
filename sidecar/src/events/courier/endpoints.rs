//! Owns what is counted and logged of each endpoint's deliveries. Never shows a URL or a body.

use std::{collections::HashMap, time::Duration};

use metrics::{Histogram, counter, histogram};

use super::Made;
use crate::{
    database::protocol::deliveries::Upshot,
    telemetry::{log_limit::LogLimit, metrics::Labels},
};

/// The numbers of the endpoints that were posted to.
#[derive(Default)]
pub(super) struct Endpoints(HashMap<String, EndpointInstruments>);

impl Endpoints {
    /// Counts and logs. The URL and the body hold what is the application's, so neither is shown.
    pub(super) fn note(&mut self, made: &Made, upshot: Upshot) {
        let instruments = self
            .0
            .entry(made.endpoint.clone())
            .or_insert_with(|| EndpointInstruments::of(&made.endpoint));
        let answer = &made.answer;
        let time = Duration::from_millis(answer.duration_ms.max(0).unsigned_abs().into());
        instruments.count(upshot.as_str(), time);
        let fault = answer.fault.map(|fault| fault.as_str());
        tracing::debug!(
            delivery_id = made.errand.delivery_id,
            endpoint = made.endpoint,
            fault,
            http_status = answer.http_status,
            duration_ms = answer.duration_ms,
            upshot = upshot.as_str(),
            "posted"
        );
        if upshot != Upshot::Delivered && instruments.warnings.happened().is_some() {
            tracing::warn!(
                endpoint = made.endpoint,
                fault,
                http_status = answer.http_status,
                detail = answer.detail,
                delivery_id = made.errand.delivery_id,
                upshot = upshot.as_str(),
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
