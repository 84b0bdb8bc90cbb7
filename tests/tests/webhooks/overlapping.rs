//! Kept evidence, and a heartbeat and runs of the schedule that find it at the same time.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;

use crate::{EVIDENCE, effects, record, said};

/// Proves of the event `e1` of order `A` that a run which is just applying it, in a transaction that has not ended, is the only one that
/// does, whether the others wait or pass it by: there is one check, and the event's effect is what it was.
async fn one_run_applies_it(shop: &Shop<'_>) -> Result<()> {
    assert_eq!(effects(shop).await?, ["e1 kept"]);
    shop.run("select reconcile.sidecar_start('by hand', '1', 10)")
        .await?;
    let first = shop.database.connect().await?;
    first
        .batch_execute("begin; select reconcile_stale_orders()")
        .await?;
    let mut others = vec![];
    for act in [
        "select reconcile.sidecar_settle_webhooks(0, provider_id) from reconcile.providers",
        "select reconcile_stale_orders()",
    ] {
        let other = shop.database.connect().await?;
        let pid: i32 = other
            .query_one("select pg_backend_pid()", &[])
            .await?
            .get(0);
        let running = tokio::spawn(async move { other.batch_execute(act).await });
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
    assert_eq!(effects(shop).await?, ["e1 applied"]);
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}

/// Proves it of an event that was committed at the same moment as its order, so that neither has seen the other.
#[tokio::test]
async fn an_event_that_is_not_matched_yet_is_applied_by_one_run() -> Result<()> {
    let shop = Shop::open("webhooks_unmatched").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    let (tracks, app) = (shop.app().await?, shop.app().await?);
    tracks
        .batch_execute("begin; select reconcile.track_order('A', 'vendor', 'INV-A', 0.73, 'USD')")
        .await?;
    let payload = said("succeeded", "A", "0.73");
    assert_eq!(record(&app, "e1", &payload, None).await?, "kept");
    tracks.batch_execute("commit").await?;
    one_run_applies_it(&shop).await
}

/// Proves it of an event that was there when a row of an attached table brought its order, and is only to be applied.
#[tokio::test]
async fn an_event_that_is_matched_already_is_applied_by_one_run() -> Result<()> {
    let shop = Shop::open("webhooks_matched").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    shop.run(
        "create table public.orders (number text primary key, status text, reference text);
         select from reconcile.attach_table('public.orders', 'vendor', track => '{open}')",
    )
    .await?;
    let app = shop.app().await?;
    let payload = said("succeeded", "A", "0.73");
    assert_eq!(record(&app, "e1", &payload, None).await?, "kept");
    shop.run("insert into public.orders values ('A', 'open', 'INV-A')")
        .await?;
    one_run_applies_it(&shop).await
}
