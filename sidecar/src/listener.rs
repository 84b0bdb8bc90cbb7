//! Owns the wake-up call: a session that LISTENs and wakes the claimer. Everything works without
//! it, a few seconds later, so its failures are warnings.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{failure::Remedy, health::Pulse, line::Line};

/// How often an idle session is asked whether it still is one.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How long to leave LISTEN alone after PostgreSQL, or a pooler before it, refused it.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Listens until told to stop.
pub(crate) async fn listen(
    mut line: Line,
    wake: Arc<Notify>,
    pulse: Arc<Pulse>,
    stop: CancellationToken,
) {
    let for_ever = listen_for_ever(&mut line, &wake, &pulse);
    stop.run_until_cancelled(for_ever).await;
    pulse.set_listening(false);
    line.close().await;
}

async fn listen_for_ever(line: &mut Line, wake: &Notify, pulse: &Pulse) {
    loop {
        line.ready().await;
        match line.query("listen reconcile_due", &[]).await {
            Ok(_) => {
                pulse.set_listening(true);
                // Calls that came while nobody listened are lost, so look.
                wake.notify_one();
                until_silent(line).await;
                pulse.set_listening(false);
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
