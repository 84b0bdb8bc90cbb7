//! Orders that the sidecar can't see or can't lock, because a transaction has not ended: the caller's
//! own, or somebody else's.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};

use crate::asked::{ask, ask_at_once};

const LOCK: &str = "select from reconcile.tracked_orders where order_number = 'A' for update";
const LOCKED: &str = "created or is locked by a transaction that has not ended";

/// Proves that a transaction that created the order and asks about it is told so at once, and that
/// the order takes its way after the commit.
#[tokio::test]
async fn an_order_of_the_callers_own_transaction_is_asked_about_later() -> Result<()> {
    let shop = Shop::open("created_by_the_caller").await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    app.batch_execute("begin; select reconcile.track_order('A', 'vendor', 'INV-A', 0.73, 'USD')")
        .await?;
    ask_at_once(&app, "A").await?.unchanged_because(LOCKED)?;
    app.batch_execute("commit").await?;
    assert_eq!(shop.vendor.count("A"), 0);
    assert_eq!(ask(&app, "A", Some("30 s")).await?.state, "succeeded");
    shop.is_sound().await
}

/// Proves that a caller who has locked the order is told so, and neither deadlocks nor waits.
#[tokio::test]
async fn a_lock_of_the_callers_own_is_said() -> Result<()> {
    let shop = Shop::open("locked_by_the_caller").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let caller = shop.database.connect().await?;
    caller.batch_execute("begin").await?;
    caller.execute(LOCK, &[]).await?;
    ask_at_once(&caller, "A").await?.unchanged_because(LOCKED)?;
    caller.batch_execute("commit").await?;
    assert_eq!(ask(&caller, "A", Some("30 s")).await?.state, "succeeded");
    shop.is_sound().await
}

/// Proves that an order that somebody else has locked is said to be so, at once.
#[tokio::test]
async fn a_lock_of_another_session_is_said() -> Result<()> {
    let shop = Shop::open("locked_by_another").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let other = shop.database.connect().await?;
    other.batch_execute("begin").await?;
    other.execute(LOCK, &[]).await?;
    let app = shop.app().await?;
    ask_at_once(&app, "A").await?.unchanged_because(LOCKED)?;
    other.batch_execute("rollback").await?;
    assert_eq!(ask(&app, "A", Some("30 s")).await?.state, "succeeded");
    shop.is_sound().await
}

/// Proves that a caller who has locked an order that is being asked about just now waits no longer
/// than it said, and that the report gets in after its transaction.
#[tokio::test]
async fn a_lock_while_the_call_is_under_way_is_no_deadlock() -> Result<()> {
    let shop = Shop::open("locked_under_way").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track_aged("A", "10 minutes").await?;
    let gate = shop.vendor.hold("A");
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    let caller = shop.database.connect().await?;
    caller.batch_execute("begin").await?;
    caller.execute(LOCK, &[]).await?;
    gate.open();
    shop.vendor.idle(SOON).await?;
    ask(&caller, "A", Some("1 s"))
        .await?
        .unchanged_because("no answer within 00:00:01")?;
    caller.batch_execute("commit").await?;
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 1);
    shop.is_sound().await
}

/// Proves that a queue row that somebody has locked keeps nobody waiting either.
#[tokio::test]
async fn a_locked_queue_row_is_no_deadlock() -> Result<()> {
    let shop = Shop::open("locked_queue_row").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let caller = shop.database.connect().await?;
    caller.batch_execute("begin").await?;
    caller
        .execute("select from reconcile.due_checks for update", &[])
        .await?;
    ask_at_once(&caller, "A").await?.unchanged_because(LOCKED)?;
    caller.batch_execute("commit").await?;
    assert_eq!(ask(&caller, "A", Some("30 s")).await?.state, "succeeded");
    shop.is_sound().await
}
