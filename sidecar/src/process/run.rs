//! Owns the life of the process: has its parts started, claims until it is told to stop, and ends in
//! good order. Decides nothing about orders.

use std::{path::Path, sync::Arc, time::Duration};

use metrics_exporter_prometheus::BuildError;
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    config::{HttpAddress, Settings},
    health::{self, Observed},
    parts::{Parts, Shared},
};
use crate::{
    database::{
        session::Database,
        tls::{TlsError, read_authorities},
        url::{DatabaseUrlError, Target},
    },
    telemetry::metrics,
};

/// What is left for the last reports after calls in flight were ended.
const LAST_REPORTS: Duration = Duration::from_secs(5);

/// Settings with which the sidecar can't start. A database that is down is none of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// No threads, no signals.
    #[error("the operating system refuses: {0}")]
    System(#[from] std::io::Error),
    /// DATABASE_URL.
    #[error(transparent)]
    DatabaseUrl(#[from] DatabaseUrlError),
    /// TLS or its authorities.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client.
    #[error("the HTTP client can't be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// The address for health and metrics.
    #[error("health and metrics can't be served at {0}: {1}")]
    Address(std::net::SocketAddr, std::io::Error),
    /// The metrics' recorder.
    #[error("metrics can't be set up: {0}")]
    Metrics(#[from] BuildError),
}

/// Runs the sidecar until `shutdown` asks for its end.
pub(crate) async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), StartError> {
    let extra_roots = settings
        .ca_file
        .as_deref()
        .map(Path::new)
        .map(read_authorities)
        .transpose()?;
    let target = Target::parse(
        settings.database_url.expose_secret(),
        settings.connect_timeout,
    )?;
    let database = Database::new(target, extra_roots.as_deref())?;
    let shared = Shared::new(database, settings.slots, shutdown);
    let connections = ["claim", "report"].map(|name| shared.connection(name));
    observe(
        settings.http_address,
        shared.observed(connections.each_ref()),
    )
    .await?;
    tracing::info!(name = settings.sidecar_name(), version = env!("CARGO_PKG_VERSION"),
        slots = settings.slots, database = shared.database.describe(),
        allow_hosts = %settings.allow_hosts, "starting");
    let stop_timeout = settings.stop_timeout;
    let mut parts = Parts::start(settings, extra_roots, &shared, connections)?;
    parts.claimer.run().await;
    stop(parts, &shared, stop_timeout).await;
    Ok(())
}

/// Serves /health and /metrics.
async fn observe(address: HttpAddress, observed: Arc<Observed>) -> Result<(), StartError> {
    let metrics = metrics::install()?;
    tokio::spawn(health::run_upkeep(metrics.clone()));
    if let HttpAddress::At(address) = address {
        let chosen = health::serve(address, observed, metrics)
            .await
            .map_err(|error| StartError::Address(address, error))?;
        tracing::info!(http_address = %chosen, "serving /health and /metrics");
    }
    Ok(())
}

/// Lets calls in flight finish for as long as they may, reports what they found, and closes the connections.
///
/// What has no part in that began to end when the claimer did, and is waited for meanwhile, and not after it: a supervisor gives a process
/// 30 s to stop, as the unit in the README does.
async fn stop(parts: Parts, shared: &Shared, stop_timeout: Duration) {
    tracing::info!(
        in_flight = shared.slots.in_flight(),
        timeout_s = stop_timeout.as_secs_f64(),
        "stopping"
    );
    let Parts {
        mut claimer,
        worker,
        cancel_calls,
        reporter,
        last_findings,
        deliverer,
        follower,
        listener,
    } = parts;
    let orders = async {
        let drained = timeout(stop_timeout, claimer.drain()).await.is_ok();
        cancel_calls.cancel();
        worker.finished().await;
        last_findings.cancel();
        if timeout(LAST_REPORTS, reporter).await.is_err() {
            tracing::warn!(
                "the last reports could not be delivered, so their orders will be asked again"
            );
        }
        claimer.shut_down(worker.take_unasked()).await;
        drained
    };
    let deliveries = async {
        if let Some(deliverer) = deliverer {
            // It keeps to the same limits.
            drop(timeout(stop_timeout + LAST_REPORTS, deliverer).await);
        }
    };
    let (drained, ..) = tokio::join!(
        orders,
        deliveries,
        timeout(LAST_REPORTS, follower),
        timeout(LAST_REPORTS, listener),
    );
    tracing::info!(drained, "stopped");
}

#[cfg(test)]
mod tests;
