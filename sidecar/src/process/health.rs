//! Owns what the outside can see: /health for supervisors, /metrics for Prometheus. Shows numbers
//! and flags only; never names, orders or addresses.
//!
//! - [`serve`]: the connections of those who look

mod serve;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::orders::{last_contact::LastContact, slots::Slots};
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

/// A heartbeat older than this means that nothing gets through.
const FRESH: Duration = Duration::from_secs(15);

/// How often histograms are tidied up when nobody reads them.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What is asked when somebody looks.
pub(crate) struct Observed {
    /// Whether the connections are open that the process can't work without.
    pub(crate) connections: Vec<Arc<AtomicBool>>,
    /// Whether NOTIFY reaches this process.
    pub(crate) listening: Arc<AtomicBool>,
    /// When the database last answered.
    pub(crate) last_contact: Arc<LastContact>,
    /// What is in flight.
    pub(crate) slots: Arc<Slots>,
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

impl Observed {
    fn report(&self) -> (StatusCode, Report) {
        let connected = self
            .connections
            .iter()
            .all(|connected| connected.load(Ordering::Relaxed));
        let last_heartbeat = self.last_contact.heartbeat_age();
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
            listening: self.listening.load(Ordering::Relaxed),
            last_claim_seconds_ago: self.last_contact.claim_age().map(|age| age.as_secs_f64()),
            last_heartbeat_seconds_ago: last_heartbeat.map(|age| age.as_secs_f64()),
            in_flight: self.slots.in_flight(),
            slots: self.slots.total(),
        };
        (code, report)
    }
}

#[derive(Clone)]
struct ServerState {
    observed: Arc<Observed>,
    metrics: PrometheusHandle,
}

/// Binds the address and serves until the process ends; gives the address that was chosen.
pub(crate) async fn serve(
    address: SocketAddr,
    observed: Arc<Observed>,
    metrics: PrometheusHandle,
) -> std::io::Result<SocketAddr> {
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics_page))
        .with_state(ServerState { observed, metrics });
    serve::serve(address, router, serve::Bounds::default()).await
}

/// Tidies up the histograms for ever.
pub(crate) async fn run_upkeep(metrics: PrometheusHandle) {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tick.tick().await;
        metrics.run_upkeep();
    }
}

async fn health(State(state): State<ServerState>) -> impl IntoResponse {
    let (code, report) = state.observed.report();
    (code, Json(report))
}

async fn metrics_page(State(state): State<ServerState>) -> impl IntoResponse {
    gauge!("reconcile_in_flight").set(state.observed.slots.in_flight());
    gauge!("reconcile_slots").set(state.observed.slots.total());
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        state.metrics.render(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn healthy_means_connected_with_a_fresh_heartbeat() {
        let connected = Arc::new(AtomicBool::new(false));
        let last_contact = Arc::new(LastContact::new());
        let observed = Observed {
            connections: vec![Arc::clone(&connected)],
            listening: Arc::default(),
            last_contact: Arc::clone(&last_contact),
            slots: Arc::new(Slots::new(4)),
        };
        let status = || observed.report().1.status;
        assert_eq!(status(), "no connection to PostgreSQL");
        connected.store(true, Ordering::Relaxed);
        assert_eq!(status(), "no heartbeat");
        last_contact.heartbeat();
        assert_eq!(observed.report().0, StatusCode::OK);
        tokio::time::advance(FRESH + Duration::from_secs(1)).await;
        assert_eq!(status(), "no heartbeat");
    }
}
