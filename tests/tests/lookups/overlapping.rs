//! A run of the schedule that has selected an order which another run has just settled.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Till};
use reconcile_tests::wait;

/// Proves that an order which was due when a run selected it, and which another run has settled before the first comes to ask, is neither
/// asked about nor counted again. The moment between the two is held open by a lock on a table that only asking needs.
#[tokio::test]
async fn what_another_run_has_settled_meanwhile_is_not_asked_again() -> Result<()> {
    let till = Till::open("lookups_meanwhile").await?;
    till.sells("paid", &["A"]).await?;
    let first = till.database.connect().await?;
    first.batch_execute("begin").await?;
    let run = "select closed from reconcile_stale_orders()";
    let closed: i32 = first.query_one(run, &[]).await?.get(0);
    assert_eq!(closed, 1);
    first
        .batch_execute("lock table reconcile.registered_lookups in access exclusive mode")
        .await?;

    let second = till.database.connect().await?;
    let pid: i32 = second
        .query_one("select pg_backend_pid()", &[])
        .await?
        .get(0);
    let running = tokio::spawn(async move {
        second
            .query_one(run, &[])
            .await
            .map(|row| row.get::<_, i32>(0))
    });
    wait::until(SOON, "the second run to wait or to be done", async || {
        let waits = "select exists (select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock')";
        running.is_finished() || till.one::<bool>(waits, &[&pid]).await.unwrap_or(false)
    })
    .await?;
    first.batch_execute("commit").await?;
    assert_eq!(running.await??, 0, "counted twice");
    assert_eq!(till.checks("A").await?.len(), 1);
    assert_eq!(
        till.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    till.is_sound().await
}
