//! Owns the id by which the database knows this process: none before the first registration, and the
//! last one that was given afterwards.

use tokio::sync::watch;

use crate::database::failure::Failure;

/// The id, for those who say it and don't register.
#[derive(Clone)]
pub(crate) struct SidecarId(watch::Receiver<Option<i64>>);

/// An id that isn't given yet, and where it is to be put.
pub(crate) fn sidecar_id() -> (watch::Sender<Option<i64>>, SidecarId) {
    let (sender, receiver) = watch::channel(None);
    (sender, SidecarId(receiver))
}

impl SidecarId {
    /// The id, if there is one yet.
    pub(crate) fn now(&self) -> Option<i64> {
        *self.0.borrow()
    }

    /// Waits until there is an id.
    pub(crate) async fn given(&mut self) -> Result<i64, Failure> {
        let id = self.0.wait_for(Option::is_some).await.ok();
        id.and_then(|id| *id)
            .ok_or_else(|| Failure::Lost("this process ended before it was registered".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that an id is waited for, that a later one takes its place, and that it outlives its giver.
    #[tokio::test]
    async fn an_id_is_there_once_it_is_given() {
        let (giver, mut id) = sidecar_id();
        assert_eq!(id.now(), None);
        let mut waiting = id.clone();
        let waiting = tokio::spawn(async move { waiting.given().await.ok() });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        giver.send_replace(Some(7));
        assert_eq!(waiting.await.unwrap(), Some(7));
        giver.send_replace(Some(8));
        drop(giver);
        assert_eq!((id.now(), id.given().await.ok()), (Some(8), Some(8)));
    }

    /// Proves that nobody waits for an id that will never be given.
    #[tokio::test]
    async fn an_id_that_never_comes_is_not_waited_for() {
        let (giver, mut id) = sidecar_id();
        drop(giver);
        assert!(matches!(id.given().await, Err(Failure::Lost(_))));
    }
}
