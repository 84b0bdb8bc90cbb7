//! The example that hooks are for: stock that is taken with the order, and never twice.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::shop::{LEASE_OVER, Till};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::Fate;
use reconcile_tests::wait;

/// Proves that 50 orders that are paid at the same moment for the last 10 pieces, reported by three sidecars in several batches, sell
/// exactly 10: the stock ends at 0 and was never below, 10 orders succeed with a piece each, and the other 40, whose money was taken,
/// wait for a person. None is lost.
#[tokio::test]
async fn fifty_orders_for_the_last_ten_pieces() -> Result<()> {
    let till = Till::open("hooks_stock").await?;
    till.run("update reconcile.settings set effect_tries = 2")
        .await?;
    till.does(
        "create table shop.stock (sku text primary key, pieces integer not null check (pieces >= 0));
         create table shop.sold (order_number text primary key, sku text not null);
         insert into shop.stock values ('LAST', 10)",
    )
    .await?;
    till.hook(
        "commit_order",
        "succeeded",
        "begin
            update shop.stock set pieces = pieces - 1 where sku = facts #>> '{details,sku}' and pieces > 0;
            if not found then
                raise exception 'out of stock: %', facts #>> '{details,sku}';
            end if;
            insert into shop.sold values (order_number, facts #>> '{details,sku}');
        end",
    )
    .await?;
    till.vendor.set_default(Fate::status("succeeded"));
    let gate = till.vendor.hold_all();
    till.run(
        "select reconcile.track_order('ORD-' || n, 'vendor', 'INV-' || n, 0.73, 'USD', '{\"sku\": \"LAST\"}', now() - interval '10 minutes')
         from generate_series(1, 50) as n;
         select reconcile.alter_provider('vendor', concurrency => 50)",
    )
    .await?;
    let mut settings = till.sidecar_settings();
    settings.slots = Some(20);
    let _sidecars = [
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
    ];
    till.signal().await?;
    let leased = "select count(*) from reconcile.leases";
    wait::value(LEASE_OVER, "50 calls at a time", async || {
        Ok((till.one::<i64>(leased, &[]).await? == 50).then_some(()))
    })
    .await?;
    gate.open();
    let settled = "select count(*) from reconcile.orders where state <> 'pending'";
    wait::value(LEASE_OVER + Duration::from_secs(60), "50 settled orders", async || {
        // The second try need not be waited for.
        till.run("update reconcile.due_checks set due_at = clock_timestamp() where due_at > clock_timestamp() + interval '1 second'")
            .await?;
        Ok((till.one::<i64>(settled, &[]).await? == 50).then_some(()))
    })
    .await?;
    let count = async |sql: &str| till.one::<i64>(sql, &[]).await;
    assert_eq!(count("select pieces::bigint from shop.stock").await?, 0);
    assert_eq!(count("select count(*) from shop.sold").await?, 10);
    let sold = "select count(*) from reconcile.orders join shop.sold using (order_number) where state = 'succeeded'";
    assert_eq!(count(sold).await?, 10);
    assert_eq!(
        count("select count(*) from reconcile.orders where state = 'review'").await?,
        40
    );
    let kept = "select count(*) from reconcile.failed_effects where problem = 'out of stock: LAST' and state = 'review'";
    assert_eq!(count(kept).await?, 40);
    assert_eq!(
        count("select count(*) from reconcile.transitions").await?,
        50
    );
    till.is_sound().await
}
