//! Positions when the server or a session that gives them dies.

use anyhow::{Context, Result};
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::{shop, wait};

use super::{decide, events, told};
use crate::event;

/// Proves that a position which a reader has seen is given to no other event after a crash, where transactions commit
/// without waiting for the disk.
#[tokio::test]
async fn a_position_that_was_seen_survives_a_crash() -> Result<()> {
    let settings = shop::settings()
        .durable()
        .parameter("synchronous_commit", "off")
        // Nothing is written before somebody asks for it.
        .parameter("wal_writer_delay", "10s")
        .parameter("wal_writer_flush_after", "1GB");
    let cluster = Cluster::start_new(settings).await?;
    let mut shop = Shop::open_in(&cluster, "numbering_crash").await?;
    for n in 0..5 {
        event(&shop, &format!("A{n}"), "failed").await?;
    }
    let seen = events(&shop.client, 0).await?;
    assert_eq!(seen.len(), 5);
    cluster.kill9().await?;
    cluster.start().await?;
    shop.reconnect().await?;
    assert_eq!(events(&shop.client, 0).await?, seen);
    event(&shop, "B", "failed").await?;
    assert_eq!(events(&shop.client, 5).await?, told(&[(6, "B failed")]));
    Ok(())
}

/// Proves that of what was killed while it numbered nothing stays, and that whoever comes next numbers it once.
#[tokio::test]
async fn whoever_is_killed_while_numbering_leaves_it_to_the_next() -> Result<()> {
    let shop = Shop::open("numbering_killed").await?;
    shop.track("A").await?;
    decide(&shop.client, "A", "failed").await?;
    let doomed = shop.database.connect().await?;
    let pid: i32 = doomed
        .query_one("select pg_backend_pid()", &[])
        .await?
        .get(0);
    // One statement: it ends with it, and it takes a while.
    let numbering = tokio::spawn(async move {
        doomed
            .execute(
                "select reconcile_internal._number_events(), pg_sleep(600)",
                &[],
            )
            .await
    });
    let held =
        "select exists (select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep')";
    wait::until(SOON, "it to have numbered", async || {
        let row = shop.client.query_one(held, &[&pid]).await;
        row.is_ok_and(|row| row.get::<_, bool>(0))
    })
    .await?;
    let app = shop.app().await?;
    assert_eq!(events(&app, 0).await?, [], "while another numbers");
    shop.client
        .execute("select pg_terminate_backend($1, 10000)", &[&pid])
        .await?;
    assert!(numbering.await?.is_err());
    assert_eq!(events(&app, 0).await?, told(&[(1, "A failed")]));
    let rows = shop
        .client
        .query("table reconcile.event_positions", &[])
        .await?;
    assert_eq!(rows.len(), 1);
    rows.first().context("no position")?;
    Ok(())
}
