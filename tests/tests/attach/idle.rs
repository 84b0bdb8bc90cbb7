//! A session of the application that has changed a row and then does nothing: what only noted or unnoticed rows are taken in by goes on.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;
use tokio_postgres::Client;

use crate::hand::Hand;
use crate::store::{app, attached, list, watched};

const LOAD: &str = "
    insert into store.orders (number, invoice_id, status)
    select 'B-' || lpad(n::text, 4, '0'), 'i', 'processing' from generate_series(1, 1200) as n";

/// A session that has changed B-0007, so that this order is taken in by a transaction that does not end.
async fn idle(shop: &Shop<'_>) -> Result<Client> {
    let idle = app(shop).await?;
    idle.batch_execute("begin; update store.orders set price = 2 where number = 'B-0007'")
        .await?;
    Ok(idle)
}

/// Does this again and again, each time to its end, until all orders but the busy one are watched.
async fn goes_on(shop: &Shop<'_>, act: impl AsyncFn() -> Result<()>) -> Result<()> {
    wait::value(SOON, "all but the busy order", async || {
        act().await?;
        Ok((watched(shop).await?.len() == 1199).then_some(()))
    })
    .await?;
    let busy = "select order_number from reconcile.orders where order_number = 'B-0007'";
    assert_eq!(list(shop, busy).await?, Vec::<String>::new());
    Ok(())
}

/// The session ends, and its order is followed with what it has changed.
async fn ends(shop: &Shop<'_>, idle: &Client, act: impl AsyncFn() -> Result<()>) -> Result<()> {
    idle.batch_execute("commit").await?;
    act().await?;
    let busy = "select state || ' ' || trim_scale(amount) from reconcile.orders where order_number = 'B-0007'";
    assert_eq!(list(shop, busy).await?, ["pending 2"]);
    assert_eq!(watched(shop).await?.len(), 1200);
    shop.is_sound().await
}

/// Proves that a heartbeat returns and takes in what a bulk load noted, all but the order that the application's open transaction is
/// taking in, and that one afterwards.
#[tokio::test]
async fn it_stops_no_heartbeat() -> Result<()> {
    let shop = attached("attach_idle_heartbeat").await?;
    app(&shop).await?.batch_execute(LOAD).await?;
    let idle = idle(&shop).await?;
    let hand = Hand::new(&shop).await?;
    let beat = async || {
        let beat = tokio::time::timeout(SOON, hand.beat()).await;
        beat.context("the heartbeat waits for the application")?
    };
    beat().await?;
    goes_on(&shop, beat).await?;
    ends(&shop, &idle, beat).await
}

/// Proves the same of the schedule, which finds rows that no trigger told of, and that it keeps what it has found.
#[tokio::test]
async fn it_stops_no_search() -> Result<()> {
    let shop = attached("attach_idle_search").await?;
    shop.run(&format!(
        "create index on store.orders (status, number);
         set session_replication_role = replica; {LOAD}; reset session_replication_role"
    ))
    .await?;
    let idle = idle(&shop).await?;
    let signal = async || {
        let signal = tokio::time::timeout(SOON, shop.signal()).await;
        signal.context("reconcile_stale_orders waits for the application")?
    };
    signal().await?;
    goes_on(&shop, signal).await?;
    ends(&shop, &idle, signal).await
}
