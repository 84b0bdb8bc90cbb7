//! Kept evidence, and several runs of the schedule that find it at the same time.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;

use crate::{EVIDENCE, effects, record, said};

/// Proves that an event which a run is just applying, in a transaction that has not ended, is applied by no other run as well, whether
/// that waits or passes it by: there is one check, and the event's effect is what it was.
#[tokio::test]
async fn a_kept_event_is_applied_by_one_run() -> Result<()> {
    let shop = Shop::open("webhooks_overlapping").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    // Committed at the same moment, so that neither could see the other.
    let (tracks, app) = (shop.app().await?, shop.app().await?);
    tracks
        .batch_execute("begin; select reconcile.track_order('A', 'vendor', 'INV-A', 0.73, 'USD')")
        .await?;
    let payload = said("succeeded", "A", "0.73");
    assert_eq!(record(&app, "e1", &payload, None).await?, "kept");
    tracks.batch_execute("commit").await?;

    let first = shop.database.connect().await?;
    first
        .batch_execute("begin; select reconcile_stale_orders()")
        .await?;
    let mut others = vec![];
    for _ in 0..2 {
        let other = shop.database.connect().await?;
        let pid: i32 = other
            .query_one("select pg_backend_pid()", &[])
            .await?
            .get(0);
        let running =
            tokio::spawn(
                async move { other.batch_execute("select reconcile_stale_orders()").await },
            );
        wait::until(SOON, "a run to wait or to be done", async || {
            let waits = "select exists (select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock')";
            running.is_finished() || shop.one::<bool>(waits, &[&pid]).await.unwrap_or(false)
        })
        .await?;
        others.push(running);
    }
    first.batch_execute("commit").await?;
    for other in others {
        other.await??;
    }
    assert_eq!(shop.checks("A").await?.len(), 1);
    assert_eq!(effects(&shop).await?, ["e1 applied"]);
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}
