//! Owns the wake-up call: a session that LISTENs and wakes the claimer and the courier. Everything works without
//! it, a few seconds later, so its failures are warnings.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::database::{
    channels::Channels,
    failure::{Failure, Remedy},
    line::Line,
};

/// How often an idle session is asked whether it still is one.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How long to leave LISTEN alone after PostgreSQL, or a pooler before it, refused it.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Listens until told to stop. `listening` says whether NOTIFY reaches this process.
pub(crate) async fn listen(
    mut line: Line,
    channels: Channels,
    listening: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    let for_ever = listen_for_ever(&mut line, &channels, &listening);
    stop.run_until_cancelled(for_ever).await;
    listening.store(false, Ordering::Relaxed);
    line.close().await;
}

async fn listen_for_ever(line: &mut Line, channels: &Channels, listening: &AtomicBool) {
    loop {
        line.ready().await;
        match listen_to(line, channels.names()).await {
            Ok(()) => {
                listening.store(true, Ordering::Relaxed);
                // Calls that came while nobody listened are lost, so look.
                channels.wake_all();
                until_silent(line).await;
                listening.store(false, Ordering::Relaxed);
            }
            Err(failure) => {
                failure.log("listen");
                if failure.remedy() != Remedy::Reconnect {
                    tracing::warn!("LISTEN doesn't work, so due orders are found by polling");
                    sleep(AFTER_REFUSAL).await;
                }
            }
        }
    }
}

async fn listen_to(
    line: &mut Line,
    channels: impl Iterator<Item = &'static str>,
) -> Result<(), Failure> {
    for channel in channels {
        line.query(&format!("listen {channel}"), &[]).await?;
    }
    Ok(())
}

async fn until_silent(line: &mut Line) {
    loop {
        tokio::select! {
            () = line.closed() => return,
            () = sleep(ASK_EVERY) => {}
        }
        if let Err(failure) = line.query("select 1", &[]).await {
            failure.log("ping");
            return;
        }
    }
}
