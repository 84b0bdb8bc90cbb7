//! Owns the channels of NOTIFY that this process listens to, and whom a call on each of them wakes.
//! Never talks to the database.

use std::sync::Arc;

use tokio::sync::Notify;

/// Said when something became due at once.
const DUE: &str = "reconcile_due";

/// Said when there are new events.
const EVENTS: &str = "reconcile_events";

/// Who is woken by which call.
#[derive(Clone)]
pub(crate) struct Channels {
    /// Woken when something became due at once.
    pub(crate) due: Arc<Notify>,
    /// Woken when there are new events; none if this process sends none.
    pub(crate) events: Option<Arc<Notify>>,
}

impl Channels {
    /// Wakes whom a call on this channel is for.
    pub(crate) fn wake(&self, channel: &str) {
        match channel {
            EVENTS => self.events.iter().for_each(|events| events.notify_one()),
            _ => self.due.notify_one(),
        }
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&self) {
        self.names().for_each(|channel| self.wake(channel));
    }

    /// The channels to listen to.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(DUE).chain(self.events.as_ref().map(|_| EVENTS))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tokio::time::timeout;

    async fn is_woken(notify: &Notify) -> bool {
        timeout(Duration::ZERO, notify.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn each_call_wakes_whom_it_is_for() {
        let events = Arc::new(Notify::new());
        let both = Channels {
            due: Arc::default(),
            events: Some(Arc::clone(&events)),
        };
        both.wake(EVENTS);
        assert_eq!(
            (is_woken(&both.due).await, is_woken(&events).await),
            (false, true)
        );
        both.wake(DUE);
        assert_eq!(
            (is_woken(&both.due).await, is_woken(&events).await),
            (true, false)
        );
        assert_eq!(both.names().count(), 2);
        let one = Channels {
            events: None,
            ..both
        };
        one.wake(EVENTS);
        assert!(!is_woken(&one.due).await, "claims are not for events");
        assert!(one.names().eq([DUE]));
    }
}
