//! Owns the wake-up call: a session that LISTENs and wakes the claimer and the courier. Everything works without
//! it, a few seconds later, so its failures are warnings.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    database::{
        failure::{Failure, Remedy},
        line::Line,
    },
    process::health::Pulse,
};

/// How often an idle session is asked whether it still is one.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How long to leave LISTEN alone after PostgreSQL, or a pooler before it, refused it.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Said when something became due at once.
const DUE: &str = "reconcile_due";

/// Said when there are new events.
const EVENTS: &str = "reconcile_events";

/// Who is woken by which call.
#[derive(Clone)]
pub(crate) struct Ears {
    /// Woken when something became due at once.
    pub(crate) due: Arc<Notify>,
    /// Woken when there are new events; none if this process sends none.
    pub(crate) events: Option<Arc<Notify>>,
}

impl Ears {
    /// Wakes whom the call is for.
    pub(crate) fn hear(&self, channel: &str) {
        match channel {
            EVENTS => self.events.iter().for_each(|events| events.notify_one()),
            _ => self.due.notify_one(),
        }
    }

    fn channels(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(DUE).chain(self.events.as_ref().map(|_| EVENTS))
    }
}

/// Listens until told to stop.
pub(crate) async fn listen(mut line: Line, ears: Ears, pulse: Arc<Pulse>, stop: CancellationToken) {
    let for_ever = listen_for_ever(&mut line, &ears, &pulse);
    stop.run_until_cancelled(for_ever).await;
    pulse.set_listening(false);
    line.close().await;
}

async fn listen_for_ever(line: &mut Line, ears: &Ears, pulse: &Pulse) {
    loop {
        line.ready().await;
        match listen_to(line, ears.channels()).await {
            Ok(()) => {
                pulse.set_listening(true);
                // Calls that came while nobody listened are lost, so look.
                ears.channels().for_each(|channel| ears.hear(channel));
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    async fn is_woken(notify: &Notify) -> bool {
        timeout(Duration::ZERO, notify.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn each_call_wakes_whom_it_is_for() {
        let events = Arc::new(Notify::new());
        let ears = Ears {
            due: Arc::default(),
            events: Some(Arc::clone(&events)),
        };
        ears.hear(EVENTS);
        assert_eq!(
            (is_woken(&ears.due).await, is_woken(&events).await),
            (false, true)
        );
        ears.hear(DUE);
        assert_eq!(
            (is_woken(&ears.due).await, is_woken(&events).await),
            (true, false)
        );
        assert_eq!(ears.channels().count(), 2);
        let deaf = Ears {
            events: None,
            ..ears
        };
        deaf.hear(EVENTS);
        assert!(!is_woken(&deaf.due).await, "claims are not for events");
        assert!(deaf.channels().eq([DUE]));
    }
}
