//! Owns what the operating system gives to the process: its threads, and the signals that end it.

use std::io;

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{
    config::Settings,
    run::{StartError, run},
};

/// For name look-ups and files of secrets; look-ups of one name share one thread.
const BLOCKING_THREADS: usize = 32;

/// Runs the sidecar until a signal ends it.
pub(crate) fn start(settings: Settings) -> Result<(), StartError> {
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let result = runtime.block_on(async { run(settings, signalled()?).await });
    // A look-up that hangs in the system's resolver would hold up the end.
    runtime.shutdown_background();
    result
}

/// The first SIGTERM or SIGINT asks for a graceful stop, the second one ends the process.
fn signalled() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked.is_cancelled() {
                tracing::warn!("a second signal, so the leases are left to run out");
                std::process::exit(1);
            }
            asked.cancel();
        }
    });
    Ok(shutdown)
}
