//! Owns the wake-up call: a session that LISTENs and wakes the claimer and the deliverer. Everything works without
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
    connection::Connection,
    failure::{Failure, Remedy},
};

/// How often an idle session is asked whether it still is one.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How long to leave LISTEN alone after PostgreSQL, or a pooler before it, refused it.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Listens until told to stop. `listening` says whether NOTIFY reaches this process.
pub(crate) async fn listen(
    mut connection: Connection,
    channels: Channels,
    listening: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    let for_ever = listen_for_ever(&mut connection, &channels, &listening);
    stop.run_until_cancelled(for_ever).await;
    listening.store(false, Ordering::Relaxed);
    connection.close().await;
}

async fn listen_for_ever(connection: &mut Connection, channels: &Channels, listening: &AtomicBool) {
    loop {
        connection.ready().await;
        match listen_to(connection, channels.names()).await {
            Ok(()) => {
                listening.store(true, Ordering::Relaxed);
                // Calls that came while nobody listened are lost, so look.
                channels.wake_all();
                until_silent(connection).await;
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
    connection: &mut Connection,
    channels: impl Iterator<Item = &'static str>,
) -> Result<(), Failure> {
    for channel in channels {
        connection.query(&format!("listen {channel}"), &[]).await?;
    }
    Ok(())
}

async fn until_silent(connection: &mut Connection) {
    loop {
        tokio::select! {
            () = connection.closed() => return,
            () = sleep(ASK_EVERY) => {}
        }
        if let Err(failure) = connection.query("select 1", &[]).await {
            failure.log("ping");
            return;
        }
    }
}
