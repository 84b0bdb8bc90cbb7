//! Owns how this process is known to the database: its registration, its heartbeats and its end.

use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use super::Claimer;
use crate::database::{
    failure::Failure,
    protocol::{leases::Lease, registration},
};

/// How long the last calls to the database may take.
const LAST_CALLS_LIMIT: Duration = Duration::from_secs(5);

impl Claimer {
    /// Makes this process known to the database.
    pub(super) async fn register(&mut self) -> Result<(), Failure> {
        let slots = i32::try_from(self.parts.slots.total()).unwrap_or(i32::MAX);
        let id = registration::start(&mut self.parts.connection, &self.parts.name, slots).await?;
        tracing::info!(
            sidecar_id = id,
            name = self.parts.name,
            slots,
            "known to the database"
        );
        self.parts.registration.send_replace(Some(id));
        self.registered = true;
        self.polling.start_over();
        Ok(())
    }

    /// Sends a heartbeat; gives the time until there is work, if there will be.
    pub(super) async fn heartbeat(&mut self, id: i64) -> Result<Option<Duration>, Failure> {
        let in_flight = i32::try_from(self.parts.slots.in_flight()).unwrap_or(i32::MAX);
        let heartbeat = registration::heartbeat(&mut self.parts.connection, id, in_flight).await?;
        self.polling.heartbeat_answered();
        self.parts.last_contact.heartbeat();
        if heartbeat.backlog {
            self.parts.backlog.notify_one();
        }
        if heartbeat.overlong {
            let sessions = registration::end_overlong_sessions(&mut self.parts.connection).await?;
            tracing::warn!(
                sessions,
                "ended sessions whose statement no time limit ended: a hook or a trigger of an \
                 application caught its cancellation; see reconcile.failed_effects and stuck_orders"
            );
        }
        if !heartbeat.known {
            tracing::warn!(
                sidecar_id = id,
                "the database has forgotten this sidecar, so it starts anew"
            );
            self.registered = false;
        }
        let wait = heartbeat
            .wait_ms
            .map(|ms| Duration::from_millis(ms.max(0).unsigned_abs().into()));
        Ok(wait)
    }

    /// Waits until nothing is in flight, and sends heartbeats meanwhile.
    pub(crate) async fn drain(&mut self) {
        let Some(id) = self.id() else {
            return;
        };
        loop {
            tokio::select! {
                biased;
                () = self.parts.slots.all_free() => return,
                () = sleep_until(self.polling.next_heartbeat()) => {
                    self.parts.connection.ready().await;
                    if let Err(failure) = self.heartbeat(id).await {
                        failure.log("heartbeat");
                    }
                }
            }
        }
    }

    /// Releases what was not asked, and tells the database that this process ends.
    pub(crate) async fn shut_down(mut self, unasked: Vec<Lease>) {
        self.unasked.extend(unasked);
        if let Some(id) = self.id()
            && timeout(LAST_CALLS_LIMIT, self.deregister(id))
                .await
                .is_err()
        {
            tracing::warn!(
                "the database didn't answer, so it isn't told of the end; the leases run out by themselves"
            );
        }
        self.parts.connection.close().await;
    }

    async fn deregister(&mut self, id: i64) {
        self.parts.connection.ready().await;
        if !self.unasked.is_empty()
            && let Err(failure) = self.release(id).await
        {
            failure.log("release");
        }
        if let Err(failure) = registration::stop(&mut self.parts.connection, id).await {
            failure.log("stop");
        }
    }
}
