//! A server whose background worker slots are used up, or that was given none.

use anyhow::Result;
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{Shop, settings};

use crate::asked::ask_at_once;

/// Proves that without a worker slot the call says so, and that its request goes out with the
/// caller's transaction: not before its end, and not at all after a rollback.
#[tokio::test]
async fn without_a_worker_slot_the_check_is_queued_at_commit() -> Result<()> {
    let cluster = Cluster::start_new(settings().parameter("max_worker_processes", "0")).await?;
    let shop = Shop::open_in(&cluster, "no_worker_slot").await?;
    let sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    for order_number in ["A", "B", "C"] {
        shop.track(order_number).await?;
    }
    let why = "no background worker slot is free";
    ask_at_once(&app, "A").await?.unchanged_because(why)?;
    shop.becomes("A", "succeeded").await?;
    let told = sidecar.metric("reconcile_notifications_total", "").await?;
    assert!(told > 0.0, "it was found by looking around");

    app.batch_execute("begin").await?;
    ask_at_once(&app, "B").await?.unchanged_because(why)?;
    assert!(!shop.order("B").await?.urgent, "seen before the commit");
    app.batch_execute("commit").await?;
    shop.becomes("B", "succeeded").await?;

    app.batch_execute("begin").await?;
    ask_at_once(&app, "C").await?.unchanged_because(why)?;
    app.batch_execute("rollback").await?;
    let order = shop.order("C").await?;
    assert!(!order.urgent && shop.vendor.count("C") == 0, "{order:?}");
    shop.is_sound().await
}

/// Proves that a transaction that may only read, and so can't queue, gets an answer and no error.
#[tokio::test]
async fn a_read_only_transaction_without_a_worker_slot_gets_an_answer() -> Result<()> {
    let cluster = Cluster::start_new(settings().parameter("max_worker_processes", "0")).await?;
    let shop = Shop::open_in(&cluster, "no_slot_read_only").await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    app.batch_execute("begin read only").await?;
    ask_at_once(&app, "A")
        .await?
        .unchanged_because("no background worker slot is free")?;
    app.query_one("select order_details('A')", &[]).await?;
    app.batch_execute("commit").await?;
    Ok(())
}
