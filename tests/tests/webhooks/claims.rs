//! What comes while a claim of the same order is being committed, and its lease can't be seen yet.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop, Till};
use reconcile_tests::wait;
use tokio_postgres::Client;

use crate::{EVIDENCE, said};

/// A claim of everything that is due, by a sidecar that is no process, in a transaction that is open.
async fn claim(shop: &Shop<'_>) -> Result<Client> {
    let sidecar = shop.database.connect_as("shop_sidecar").await?;
    let start = "select reconcile.sidecar_start('by hand', '0', 50)";
    let id: i64 = sidecar.query_one(start, &[]).await?.get(0);
    sidecar
        .batch_execute(&format!("begin; select reconcile.sidecar_claim({id}, 50)"))
        .await?;
    Ok(sidecar)
}

/// Runs this in a session of its own, and commits the claim when that waits for it, or has not had to.
async fn beside(shop: &Shop<'_>, claim: &Client, role: &str, sql: &str) -> Result<()> {
    let client = shop.database.connect_as(role).await?;
    let sql = sql.to_owned();
    let other = tokio::spawn(async move { client.batch_execute(&sql).await });
    let waits = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
    wait::value(SOON, "a session that waits for the claim", async || {
        Ok((other.is_finished() || shop.one::<bool>(waits, &[]).await?).then_some(()))
    })
    .await?;
    claim.batch_execute("commit").await?;
    other.await??;
    Ok(())
}

/// How many places in the queue an order has, how many leases, and how many of these are rung.
async fn places(shop: &Shop<'_>, order_number: &str) -> Result<(i64, i64, i64)> {
    let places = "
        select (select count(*) from reconcile.due_checks as d where d.order_id = o.order_id),
            (select count(*) from reconcile.leases as l where l.order_id = o.order_id),
            (select count(*) from reconcile.leases as l where l.order_id = o.order_id and l.rung)
        from reconcile.tracked_orders as o where o.order_number = $1";
    let row = shop.client.query_one(places, &[&order_number]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// Proves that a doorbell rings the lease of a claim that is being committed, and puts the order into the queue beside it no second
/// time.
#[tokio::test]
async fn a_doorbell_rings_the_lease_that_is_being_committed() -> Result<()> {
    let shop = Shop::open("webhooks_claim_doorbell").await?;
    shop.track_aged("A", "10 minutes").await?;
    let claimed = claim(&shop).await?;
    let ring = "select reconcile.record_webhook('vendor', 'e1', '{}', 'A')";
    beside(&shop, &claimed, "shop_app", ring).await?;
    assert_eq!(places(&shop, "A").await?, (0, 1, 1));
    shop.expire_leases().await?;
    shop.signal().await?;
    assert_eq!(places(&shop, "A").await?, (1, 0, 0));
    Ok(())
}

/// Proves that evidence overtakes a claim that is being committed, as it does one that has been.
#[tokio::test]
async fn evidence_overtakes_a_claim_that_is_being_committed() -> Result<()> {
    let shop = Shop::open("webhooks_claim_evidence").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    shop.track_aged("A", "10 minutes").await?;
    let claimed = claim(&shop).await?;
    let payload = said("succeeded", "A", "0.73");
    let record = format!("select reconcile.record_webhook('vendor', 'e1', '{payload}')");
    beside(&shop, &claimed, "shop_app", &record).await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    assert_eq!(places(&shop, "A").await?, (0, 0, 0));
    Ok(())
}

/// Proves that an application that changes the reference of a row, moves it out or deletes it while its order is being claimed is
/// followed all the same: the claim is called off, what is to be asked anew waits in the queue once, and so does what is watched.
#[tokio::test]
async fn an_application_calls_off_a_claim_that_is_being_committed() -> Result<()> {
    let till = Till::open("webhooks_claim_attached").await?;
    till.does(
        "create table shop.orders (order_number text primary key, invoice_id text, status text not null default 'pending',
            created_at timestamptz default now() - interval '10 minutes');
         select reconcile.attach_table('shop.orders', 'vendor', write => '{\"cancelled\": {\"status\": \"CANCELLED\"}}');
         insert into shop.orders values ('A', 'INV-A'), ('B', 'INV-B'), ('C', 'INV-C')",
    )
    .await?;
    let claimed = claim(&till).await?;
    beside(
        &till,
        &claimed,
        "shop_operator",
        "update shop.orders set invoice_id = 'INV-A2' where order_number = 'A';
         update shop.orders set status = 'CANCELLED' where order_number = 'B';
         delete from shop.orders where order_number = 'C'",
    )
    .await?;
    assert_eq!(
        till.states().await?,
        ["A pending", "B cancelled", "C cancelled"]
    );
    assert_eq!(places(&till, "A").await?, (1, 0, 0));
    // Called off, and so on their watch.
    assert_eq!(places(&till, "B").await?, (1, 0, 0));
    assert_eq!(places(&till, "C").await?, (1, 0, 0));
    let later = "select count(*) from reconcile.due_checks where due_at > clock_timestamp() + interval '12 hours'";
    assert_eq!(till.one::<i64>(later, &[]).await?, 2);
    Ok(())
}
