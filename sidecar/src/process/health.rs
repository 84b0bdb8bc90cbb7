//! Owns what the outside can see: /health for supervisors, /metrics for Prometheus. Shows numbers
//! and flags only; never names, orders or addresses.
//!
//! - [`serve`]: the connections of those who look

mod serve;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::time::Instant;

use crate::orders::slots::Slots;

/// A heartbeat older than this means that nothing gets through.
const FRESH: Duration = Duration::from_secs(15);

/// How often histograms are tidied up when nobody reads them.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

const NEVER: u64 = u64::MAX;

/// What the parts of the process know about how it goes.
pub(crate) struct Pulse {
    born: Instant,
    connections: Vec<Arc<AtomicBool>>,
    listening: AtomicBool,
    last_claim_ms: AtomicU64,
    last_heartbeat_ms: AtomicU64,
    slots: Arc<Slots>,
}

#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    connected: bool,
    listening: bool,
    last_claim_seconds_ago: Option<f64>,
    last_heartbeat_seconds_ago: Option<f64>,
    in_flight: u32,
    slots: u32,
}

impl Pulse {
    /// Nothing happened yet. `connections` are those that the process can't work without.
    pub(crate) fn new(connections: Vec<Arc<AtomicBool>>, slots: Arc<Slots>) -> Self {
        Self {
            born: Instant::now(),
            connections,
            listening: AtomicBool::new(false),
            last_claim_ms: AtomicU64::new(NEVER),
            last_heartbeat_ms: AtomicU64::new(NEVER),
            slots,
        }
    }

    /// Whether NOTIFY reaches us.
    pub(crate) fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Whether NOTIFY reaches us.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// A claim was answered.
    pub(crate) fn claimed(&self) {
        self.last_claim_ms.store(self.age_ms(), Ordering::Relaxed);
    }

    /// A heartbeat was answered.
    pub(crate) fn heartbeat(&self) {
        self.last_heartbeat_ms
            .store(self.age_ms(), Ordering::Relaxed);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn since(&self, moment: &AtomicU64) -> Option<Duration> {
        let moment = moment.load(Ordering::Relaxed);
        (moment != NEVER).then(|| Duration::from_millis(self.age_ms().saturating_sub(moment)))
    }

    fn report(&self) -> (StatusCode, Report) {
        let connected = self
            .connections
            .iter()
            .all(|connected| connected.load(Ordering::Relaxed));
        let last_heartbeat = self.since(&self.last_heartbeat_ms);
        let (code, status) = match (connected, last_heartbeat) {
            (true, Some(age)) if age <= FRESH => (StatusCode::OK, "ok"),
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "no heartbeat"),
            (false, _) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no connection to PostgreSQL",
            ),
        };
        let report = Report {
            status,
            connected,
            listening: self.is_listening(),
            last_claim_seconds_ago: self.since(&self.last_claim_ms).map(|age| age.as_secs_f64()),
            last_heartbeat_seconds_ago: last_heartbeat.map(|age| age.as_secs_f64()),
            in_flight: self.slots.in_flight(),
            slots: self.slots.total(),
        };
        (code, report)
    }
}

#[derive(Clone)]
struct Views {
    pulse: Arc<Pulse>,
    metrics: PrometheusHandle,
}

/// Binds the address and serves until the process ends; gives the address that was chosen.
pub(crate) async fn serve(
    address: SocketAddr,
    pulse: Arc<Pulse>,
    metrics: PrometheusHandle,
) -> std::io::Result<SocketAddr> {
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(numbers))
        .with_state(Views { pulse, metrics });
    serve::serve(address, router, serve::Bounds::default()).await
}

/// Tidies up the histograms for ever.
pub(crate) async fn keep_up(metrics: PrometheusHandle) {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tick.tick().await;
        metrics.run_upkeep();
    }
}

async fn health(State(views): State<Views>) -> impl IntoResponse {
    let (code, report) = views.pulse.report();
    (code, Json(report))
}

async fn numbers(State(views): State<Views>) -> impl IntoResponse {
    gauge!("reconcile_in_flight").set(views.pulse.slots.in_flight());
    gauge!("reconcile_slots").set(views.pulse.slots.total());
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        views.metrics.render(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn healthy_means_connected_with_a_fresh_heartbeat() {
        let connected = Arc::new(AtomicBool::new(false));
        let pulse = Pulse::new(vec![Arc::clone(&connected)], Arc::new(Slots::new(4)));
        let status = || pulse.report().1.status;
        assert_eq!(status(), "no connection to PostgreSQL");
        connected.store(true, Ordering::Relaxed);
        assert_eq!(status(), "no heartbeat");
        pulse.heartbeat();
        assert_eq!(pulse.report().0, StatusCode::OK);
        tokio::time::advance(FRESH + Duration::from_secs(1)).await;
        assert_eq!(status(), "no heartbeat");
    }
}
