//! One row of many gets in the way: it costs itself, and nobody else anything.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::wait;
use tokio_postgres::Client;

/// Twenty orders whose answers all come at one moment, so that they are reported together.
async fn twenty_at_once(shop: &Shop<'_>) -> Result<Sidecar> {
    shop.alter_provider("vendor", "concurrency => 100").await?;
    let gate = shop.vendor.hold_all();
    let sidecar = shop.sidecar().await?;
    for place in 0..20 {
        shop.track_aged(&format!("ORD-{place:02}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    wait::until(SOON, "twenty calls in flight", async || {
        shop.vendor.totals().in_flight == 20
    })
    .await?;
    gate.open();
    Ok(sidecar)
}

async fn all_but_one_succeed(shop: &Shop<'_>, one: &str) -> Result<()> {
    for place in 0..20 {
        let number = format!("ORD-{place:02}");
        if number != one {
            shop.becomes(&number, "succeeded").await?;
            assert_eq!(shop.vendor.count(&number), 1, "{number}");
            assert_eq!(shop.checks(&number).await?.len(), 1, "{number}");
        }
    }
    assert_eq!(shop.order(one).await?.state, "pending");
    Ok(())
}

async fn locked(shop: &Shop<'_>, table: &str, order_number: &str) -> Result<Client> {
    let locker = shop.database.connect().await?;
    let lock = format!(
        "begin; select from reconcile.{table} where order_id =
            (select order_id from reconcile.tracked_orders where order_number = '{order_number}') for update"
    );
    locker.batch_execute(&lock).await?;
    Ok(locker)
}

/// Proves that an order that an open transaction has locked is reported when the transaction has
/// ended, with the answer of its one call, while its neighbours in the batch wait for nobody.
#[tokio::test]
async fn a_locked_order_costs_only_itself() -> Result<()> {
    let shop = Shop::open("a_locked_order").await?;
    shop.track_aged("ORD-07", "10 minutes").await?;
    let locker = locked(&shop, "tracked_orders", "ORD-07").await?;
    let sidecar = twenty_at_once(&shop).await?;
    all_but_one_succeed(&shop, "ORD-07").await?;
    wait::until(SOON, "a report that finds it busy", async || {
        let busy = sidecar.metric("reconcile_busy_reports_total", "").await;
        busy.is_ok_and(|busy| busy > 0.0)
    })
    .await?;
    locker.batch_execute("rollback").await?;
    shop.becomes("ORD-07", "succeeded").await?;
    assert_eq!(shop.vendor.count("ORD-07"), 1);
    shop.is_sound().await
}

/// Proves that an order that stays locked until its report is given up is asked about again.
#[tokio::test]
async fn an_order_that_stays_locked_is_asked_about_again() -> Result<()> {
    let shop = Shop::open("stays_locked").await?;
    shop.track_aged("ORD-07", "10 minutes").await?;
    let locker = locked(&shop, "tracked_orders", "ORD-07").await?;
    let sidecar = twenty_at_once(&shop).await?;
    all_but_one_succeed(&shop, "ORD-07").await?;
    wait::until(SOON, "the report to be given up", async || {
        let dropped = sidecar.metric("reconcile_dropped_reports_total", "").await;
        dropped.is_ok_and(|dropped| dropped > 0.0)
    })
    .await?;
    locker.batch_execute("rollback").await?;
    shop.expire_leases().await?;
    shop.becomes("ORD-07", "succeeded").await?;
    assert_eq!(shop.vendor.count("ORD-07"), 2);
    assert_eq!(shop.history("ORD-07").await?.len(), 1);
    shop.is_sound().await
}

/// Proves that a queue row that somebody has locked keeps its own order from being claimed, and no
/// other.
#[tokio::test]
async fn a_locked_queue_row_costs_only_itself() -> Result<()> {
    let shop = Shop::open("a_locked_queue_row").await?;
    shop.track_aged("ORD-00", "20 minutes").await?;
    let locker = locked(&shop, "due_checks", "ORD-00").await?;
    let _sidecar = shop.sidecar().await?;
    for place in 1..20 {
        shop.track_aged(&format!("ORD-{place:02}"), "10 minutes")
            .await?;
    }
    all_but_one_succeed(&shop, "ORD-00").await?;
    assert_eq!(shop.vendor.count("ORD-00"), 0);
    locker.batch_execute("rollback").await?;
    shop.becomes("ORD-00", "succeeded").await?;
    shop.is_sound().await
}

async fn raise_for(shop: &Shop<'_>, order_number: &str, when: &str) -> Result<()> {
    shop.run(&format!(
        "create function refuse() returns trigger language plpgsql as $$
         begin raise exception 'the ledger of the shop is closed'; end $$;
         create trigger refuse before update on reconcile.tracked_orders for each row
         when (old.order_number = '{order_number}' and {when}) execute function refuse()"
    ))
    .await
}

async fn refused_rows_cost_only_themselves(
    shop: &Shop<'_>,
    when: &str,
    kept: (&str, &str),
) -> Result<()> {
    raise_for(shop, "ORD-07", when).await?;
    let _sidecar = twenty_at_once(shop).await?;
    all_but_one_succeed(shop, "ORD-07").await?;
    let check = shop.check("ORD-07", 0).await?;
    assert_eq!(
        (check.outcome.as_str(), check.reason.as_str()),
        kept,
        "{check:?}"
    );
    assert_eq!(check.to_state, "pending");
    let problem: Option<String> = shop
        .one(
            "select problem from reconcile.checks where order_number = 'ORD-07'",
            &[],
        )
        .await?;
    assert_eq!(
        problem.as_deref(),
        Some("P0001: the ledger of the shop is closed")
    );
    let order = shop.order("ORD-07").await?;
    assert!(
        order.tries == 0 && order.next_check_s.is_some_and(|s| s > 0.0),
        "{order:?}"
    );
    shop.is_sound().await?;
    shop.run("drop trigger refuse on reconcile.tracked_orders")
        .await?;
    shop.make_due("ORD-07").await?;
    shop.becomes("ORD-07", "succeeded").await?;
    assert_eq!(shop.history("ORD-07").await?.len(), 1);
    shop.is_sound().await
}

/// Proves that an order whose transition a trigger refuses keeps a record of that, is asked about
/// again, and settles when the trigger is gone; its neighbours don't notice.
#[tokio::test]
async fn a_row_that_cannot_be_applied_costs_only_itself() -> Result<()> {
    let shop = Shop::open("cannot_be_applied").await?;
    let kept = (
        "succeeded",
        "what follows from succeeded could not be done, so nothing changed",
    );
    refused_rows_cost_only_themselves(&shop, "new.state <> old.state", kept).await
}

/// Proves the same of an order to which nothing at all can be written.
#[tokio::test]
async fn a_row_that_cannot_be_touched_costs_only_itself() -> Result<()> {
    let shop = Shop::open("cannot_be_touched").await?;
    let kept = (
        "provider_error",
        "the answer could not be applied, so nothing changed",
    );
    refused_rows_cost_only_themselves(&shop, "true", kept).await
}
