//! Owns the life of the process: puts the parts together, waits for a signal, and ends in good
//! order. Decides nothing about orders.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    call::{
        secrets::Secrets,
        transport::{Limits, Transport},
    },
    database::{
        follower::follow,
        line::Line,
        listener::{Ears, listen},
        protocol::backlog::DatabaseBacklog,
        session::Database,
        tls::{TlsError, read_authorities},
        url::{DatabaseUrlError, Target},
    },
    events::courier::{self, Courier, Poster},
    orders::{
        caller::Caller,
        claimer::{Claimer, Parts},
        reporter::{ReportLine, Reporter},
        slots::Slots,
        worker::{Finding, Worker},
    },
    process::{
        config::{HttpAddress, Settings},
        health::{self, Pulse},
    },
    telemetry::instruments,
};

/// For name look-ups and files of secrets; look-ups of one name share one thread.
const BLOCKING_THREADS: usize = 32;

/// What is left for the last reports after calls in flight were ended.
const LAST_REPORTS: Duration = Duration::from_secs(5);

/// An endpoint's answer says nothing: a longer one costs its connection.
const DELIVERY_BODY_BYTES: usize = 65_536;

/// Settings with which the sidecar can't start. A database that is down is none of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// No threads, no signals.
    #[error("the operating system refuses: {0}")]
    System(#[from] io::Error),
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
    Address(std::net::SocketAddr, io::Error),
    /// The metrics' recorder.
    #[error("metrics can't be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Runs the sidecar until a signal ends it.
pub(crate) fn start(settings: Settings) -> Result<(), StartError> {
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let result = runtime.block_on(run(settings));
    // A look-up that hangs in the system's resolver would hold up the end.
    runtime.shutdown_background();
    result
}

async fn run(settings: Settings) -> Result<(), StartError> {
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
    let database = Arc::new(Database::new(target, extra_roots.as_deref())?);
    let slots = Arc::new(Slots::new(settings.slots));
    let claims = Line::new(Arc::clone(&database), "claim");
    let reports = Line::new(Arc::clone(&database), "report");
    let pulse = Arc::new(Pulse::new(
        vec![claims.connected(), reports.connected()],
        Arc::clone(&slots),
    ));
    observe(settings.http_address, &pulse).await?;

    let [stop, give_up, finish] = std::array::from_fn(|_| CancellationToken::new());
    obey_signals(stop.clone())?;

    let name = settings.sidecar_name();
    tracing::info!(name, version = env!("CARGO_PKG_VERSION"), slots = settings.slots,
        database = database.describe(), allow_hosts = %settings.allow_hosts, "starting");
    let limits = Limits {
        allowed: settings.allow_hosts,
        slots: settings.slots,
        max_body_bytes: settings.max_body_bytes as usize,
        connect_timeout: settings.connect_timeout,
        extra_roots,
    };
    let delivery_limits = Limits {
        slots: settings.delivery_slots,
        max_body_bytes: DELIVERY_BODY_BYTES,
        ..limits.clone()
    };
    let secrets = Secrets::new(settings.secrets_dir.clone());
    let caller = Caller::new(limits, Secrets::new(settings.secrets_dir))?;
    let wake = Arc::new(Notify::new());
    let sidecar = Arc::new(AtomicI64::new(0));
    let (findings, found) = mpsc::channel(settings.slots as usize);
    let worker = Arc::new(Worker::new(caller, findings, give_up.clone()));
    let reporter = reporter(reports, &database, &sidecar, &slots, found, finish.clone());
    let reporter = AbortOnDropHandle::new(tokio::spawn(reporter.run()));
    let events = (settings.delivery_slots > 0).then(|| Arc::new(Notify::new()));
    let courier = events
        .clone()
        .map(|events| {
            let parts = courier::Parts {
                line: Line::new(Arc::clone(&database), "deliver"),
                sidecar: Arc::clone(&sidecar),
                slots: settings.delivery_slots,
                wake: events,
                poster: Arc::new(Poster::new(Transport::new(delivery_limits)?, secrets)),
                pulse: Arc::clone(&pulse),
                stop: stop.clone(),
                stop_timeout: settings.stop_timeout,
            };
            Ok::<_, StartError>(tokio::spawn(Courier::new(parts).run()))
        })
        .transpose()?
        .map(AbortOnDropHandle::new);
    let ears = Ears {
        due: Arc::clone(&wake),
        events,
    };
    let line = Line::new(Arc::clone(&database), "listen").telling(ears.clone());
    let listening = listen(line, ears, Arc::clone(&pulse), stop.clone());
    let listener = AbortOnDropHandle::new(tokio::spawn(listening));
    let backlog = Arc::new(Notify::new());
    let follower = follower(&database, &sidecar, &backlog, &stop);
    let mut claimer = Claimer::new(Parts {
        line: claims,
        name,
        sidecar,
        slots: Arc::clone(&slots),
        wake,
        backlog,
        worker: Arc::clone(&worker),
        pulse,
        stop,
    });

    claimer.run().await;

    tracing::info!(
        in_flight = slots.in_flight(),
        timeout_s = settings.stop_timeout.as_secs_f64(),
        "stopping"
    );
    let drained = timeout(settings.stop_timeout, claimer.drain())
        .await
        .is_ok();
    give_up.cancel();
    worker.finished().await;
    finish.cancel();
    if timeout(LAST_REPORTS, reporter).await.is_err() {
        tracing::warn!(
            "the last reports could not be delivered, so their orders will be asked again"
        );
    }
    claimer.leave(worker.abandoned()).await;
    if let Some(courier) = courier {
        // It began to stop when the claimer did, and keeps to the same limits.
        drop(timeout(settings.stop_timeout + LAST_REPORTS, courier).await);
    }
    // They ended when the stop began; this waits for their goodbyes.
    drop(timeout(LAST_REPORTS, follower).await);
    drop(timeout(LAST_REPORTS, listener).await);
    tracing::info!(drained, "stopped");
    Ok(())
}

/// Reports on `first`, and on other lines as they are needed.
fn reporter(
    first: Line,
    database: &Arc<Database>,
    sidecar: &Arc<AtomicI64>,
    slots: &Arc<Slots>,
    found: mpsc::Receiver<Finding>,
    finish: CancellationToken,
) -> Reporter<ReportLine> {
    let (database, sidecar) = (Arc::clone(database), Arc::clone(sidecar));
    let first = ReportLine {
        line: first,
        sidecar: Arc::clone(&sidecar),
    };
    let another = move || ReportLine {
        line: Line::new(Arc::clone(&database), "report"),
        sidecar: Arc::clone(&sidecar),
    };
    Reporter::new(first, Box::new(another), Arc::clone(slots), found, finish)
}

/// Works on what touches applications' tables, each time that `wake` is called.
fn follower(
    database: &Arc<Database>,
    sidecar: &Arc<AtomicI64>,
    wake: &Arc<Notify>,
    stop: &CancellationToken,
) -> AbortOnDropHandle<()> {
    let backlog = || DatabaseBacklog {
        line: Line::new(Arc::clone(database), "follow"),
        sidecar: Arc::clone(sidecar),
    };
    let following = follow([backlog(), backlog()], Arc::clone(wake), stop.clone());
    AbortOnDropHandle::new(tokio::spawn(following))
}

async fn observe(address: HttpAddress, pulse: &Arc<Pulse>) -> Result<(), StartError> {
    let metrics = instruments::install()?;
    tokio::spawn(health::keep_up(metrics.clone()));
    if let HttpAddress::At(address) = address {
        let chosen = health::serve(address, Arc::clone(pulse), metrics)
            .await
            .map_err(|error| StartError::Address(address, error))?;
        tracing::info!(http_address = %chosen, "serving /health and /metrics");
    }
    Ok(())
}

/// The first SIGTERM or SIGINT asks for a graceful stop, the second one ends the process.
fn obey_signals(stop: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                tracing::warn!("a second signal, so the leases are left to run out");
                std::process::exit(1);
            }
            stop.cancel();
        }
    });
    Ok(())
}
