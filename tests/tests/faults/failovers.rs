//! A standby is promoted: what was lost with the primary is known to be lost, and what was not goes on.

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::{Cluster, Stop};
use reconcile_tests::shop::{SOON, Shop, settings};
use reconcile_tests::wait;
use tokio_postgres::Client;
use tokio_postgres::error::DbError;

/// The events after a cursor: ids and orders.
async fn events(client: &Client, after: i64) -> Result<Vec<(i64, String)>> {
    let read = "select event_id, order_number from reconcile.read_events($1)";
    let rows = client.query(read, &[&after]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// What a reader is told who reads on after a cursor that is refused.
async fn refusal(client: &Client, after: i64) -> Result<DbError> {
    let read = format!("select * from reconcile.read_events({after})");
    let told = client.batch_execute(&read).await.err();
    let told = told.with_context(|| format!("{after} was taken for a cursor"))?;
    told.as_db_error()
        .cloned()
        .context("no error of the server's")
}

async fn decide(client: &Client, order_number: &str) -> Result<()> {
    let resolve = "select reconcile.resolve_order($1, 'failed', 'for the test')";
    client.execute(resolve, &[&order_number]).await?;
    Ok(())
}

/// Waits until the standby has replayed all that the primary has written.
async fn caught_up(primary: &Client, standby: &Client) -> Result<()> {
    let written: String = primary
        .query_one("select pg_current_wal_lsn()::text", &[])
        .await?
        .get(0);
    let replayed = "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
    wait::until(SOON, "the standby to follow", async || {
        let row = standby.query_one(replayed, &[&written]).await;
        row.is_ok_and(|row| row.get::<_, bool>(0))
    })
    .await
}

/// Has a standby receive nothing more: what is committed from here on is lost with the primary.
async fn cut_off(standby: &Client) -> Result<()> {
    standby
        .batch_execute("alter system set primary_conninfo = ''")
        .await?;
    standby.batch_execute("select pg_reload_conf()").await?;
    wait::until(SOON, "the standby to be cut off", async || {
        let receiving = "select exists (select from pg_stat_wal_receiver)";
        let row = standby.query_one(receiving, &[]).await;
        row.is_ok_and(|row| !row.get::<_, bool>(0))
    })
    .await
}

/// What an endpoint is sent: the event and the order, by the message's id.
async fn claimed(client: &Client) -> Result<Vec<(String, i64, String)>> {
    let claim = "select message_id, (body::json #>> '{data,event_id}')::bigint, body::json #>> '{data,order_number}'
        from reconcile.sidecar_claim_deliveries(1, 100) order by 2";
    let rows = client.query(claim, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect())
}

const ERA: i64 = 1 << 40;

/// Proves that after a failover which lost commits a reader from the lost future is told so for as long as it asks, and
/// where to go on, also once other events have higher numbers; that it misses nothing then; that readers who were
/// behind notice nothing; and that an endpoint is sent what happened in place of it, under ids of its own.
#[tokio::test]
async fn a_reader_from_a_lost_future_is_told_so() -> Result<()> {
    let primary = Cluster::start_new(settings()).await?;
    let shop = Shop::open_in(&primary, "shop").await?;
    for n in 1..=12 {
        shop.track(&format!("A{n}")).await?;
    }
    shop.run("select reconcile.add_endpoint('shop', 'https://s.example/', 'S', concurrency => 20)")
        .await?;
    for order in ["A1", "A2", "A3"] {
        decide(&shop.client, order).await?;
    }
    assert_eq!(events(&shop.client, 0).await?.len(), 3);
    let standby = Cluster::standby_of(&primary, settings()).await?;
    let there = standby.existing("shop").connect().await?;
    caught_up(&shop.client, &there).await?;
    assert_eq!(events(&there, 2).await?, [(3, "A3".to_owned())]);
    let ahead = refusal(&there, 4).await?;
    assert_eq!(ahead.code().code(), "RC005", "{ahead}");
    assert!(ahead.hint().is_some_and(|hint| hint.contains("standby")));
    cut_off(&there).await?;

    for order in ["A4", "A5", "A6"] {
        decide(&shop.client, order).await?;
    }
    assert_eq!(events(&shop.client, 3).await?.len(), 3);
    let sent_before = claimed(&shop.client).await?;
    assert_eq!(sent_before.len(), 6);
    primary.stop(Stop::Immediate).await?;
    standby.promote().await?;

    // At once, by who may not write, and before anything has happened here.
    there.batch_execute("begin read only").await?;
    let told = refusal(&there, 6).await?;
    assert_eq!(told.code().code(), "RC017", "{told}");
    there.batch_execute("rollback").await?;
    assert_eq!(events(&there, 3).await?, []);
    for order in ["A7", "A8", "A9", "A10", "A11", "A12", "A5"] {
        decide(&there, order).await?;
        let told = refusal(&there, 6).await?;
        assert_eq!(told.code().code(), "RC017", "{told}");
        assert!(
            told.hint()
                .is_some_and(|hint| hint.starts_with("Read on after 3:"))
        );
    }
    let happened = ["A7", "A8", "A9", "A10", "A11", "A12", "A5"];
    let happened: Vec<(i64, String)> = (ERA + 4..)
        .zip(happened)
        .map(|(id, order)| (id, order.to_owned()))
        .collect();
    assert_eq!(events(&there, 3).await?, happened);
    assert_eq!(
        events(&there, 2).await?.first(),
        Some(&(3, "A3".to_owned()))
    );
    assert_eq!(events(&there, ERA + 4).await?, happened[1..]);
    assert_eq!(refusal(&there, ERA + 3).await?.code().code(), "RC005");

    let sent = claimed(&there).await?;
    let expected: Vec<&str> = "A1 A2 A3 A7 A8 A9 A10 A11 A12 A5".split(' ').collect();
    let orders: Vec<&str> = sent.iter().map(|(_, _, order)| order.as_str()).collect();
    assert_eq!(orders, expected);
    for (message, event, order) in &sent {
        let same = |before: &&(String, i64, String)| before.0 == *message || before.1 == *event;
        let before = sent_before.iter().find(same);
        ensure!(
            before.is_none_or(|before| before.2 == *order),
            "{message} ({event}) was {before:?}, and is {order}"
        );
    }
    let violations = there
        .query("select v::text from reconcile.violations as v", &[])
        .await?;
    assert!(violations.is_empty());
    Ok(())
}

/// Proves that a promotion that loses nothing is none of a reader's business: its cursor is good, and events go on
/// without a gap; and so is the next one.
#[tokio::test]
async fn a_promotion_that_loses_nothing_goes_unnoticed() -> Result<()> {
    let mut clusters = vec![Cluster::start_new(settings()).await?];
    let shop = Shop::open_in(&clusters[0], "shop").await?;
    for n in 0..6 {
        shop.track(&format!("A{n}")).await?;
    }
    drop(shop);
    let mut client = clusters[0].existing("shop").connect().await?;
    let mut cursor = 0;
    for round in 0..3 {
        for n in [2 * round, 2 * round + 1] {
            decide(&client, &format!("A{n}")).await?;
        }
        // One that has a position, and one that nobody has looked at yet.
        let read = "select event_id, order_number from reconcile.read_events($1, 1)";
        let row = client.query_one(read, &[&cursor]).await?;
        let (id, order): (i64, String) = (row.get(0), row.get(1));
        assert_eq!(
            (id % ERA, order),
            (cursor % ERA + 1, format!("A{}", 2 * round))
        );
        cursor = id;
        let primary = clusters.last().context("no primary")?;
        let standby = Cluster::standby_of(primary, settings()).await?;
        let there = standby.existing("shop").connect().await?;
        caught_up(&client, &there).await?;
        primary.stop(Stop::Fast).await?;
        standby.promote().await?;
        clusters.push(standby);
        client = there;
        let rest = events(&client, cursor).await?;
        assert_eq!(rest.len(), 1);
        assert_eq!(
            (rest[0].0 % ERA, rest[0].1.clone()),
            (cursor % ERA + 1, format!("A{}", 2 * round + 1))
        );
        cursor = rest[0].0;
    }
    let eras = "select count(*) from reconcile.event_eras";
    assert_eq!(client.query_one(eras, &[]).await?.get::<_, i64>(0), 4);
    Ok(())
}
