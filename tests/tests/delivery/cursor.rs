//! Reading the outbox by a cursor: nothing is skipped, nothing comes twice.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;
use tokio_postgres::Client;

use crate::event;

/// The events after a cursor: ids and order numbers.
async fn read(client: &Client, after: i64, most: i32) -> Result<Vec<(i64, String)>> {
    let read = "select event_id, order_number from reconcile.read_events($1, $2)";
    let rows = client.query(read, &[&after, &most]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Waits until so many events follow the cursor, and gives their orders.
async fn orders(client: &Client, after: i64, count: usize) -> Result<Vec<String>> {
    wait::value(SOON, format!("{count} events"), async || {
        let events = read(client, after, 100).await?;
        Ok((events.len() == count).then(|| events.into_iter().map(|event| event.1).collect()))
    })
    .await
}

async fn decide(client: &Client, order_number: &str) -> Result<()> {
    let resolve = "select reconcile.resolve_order($1, 'succeeded', 'for the test')";
    client.execute(resolve, &[&order_number]).await?;
    Ok(())
}

/// Proves that a transaction which wrote early and commits late holds nobody back and is not skipped: what others
/// committed meanwhile is given to readers at once, and its own events come when it has ended, with the next positions.
#[tokio::test]
async fn a_slow_transaction_holds_nobody_back_and_is_not_skipped() -> Result<()> {
    let shop = Shop::open("cursor_slow").await?;
    let app = shop.database.connect_as("shop_app").await?;
    let slow = shop.database.connect().await?;
    for order in ["SLOW", "FAST", "LATE", "LAST"] {
        shop.track(order).await?;
    }
    slow.batch_execute("begin").await?;
    decide(&slow, "SLOW").await?;
    decide(&shop.client, "FAST").await?;
    assert_eq!(read(&app, 0, 100).await?, [(1, "FAST".to_owned())]);
    slow.batch_execute("commit").await?;
    assert_eq!(read(&app, 1, 100).await?, [(2, "SLOW".to_owned())]);

    // And one that begins early and writes late.
    slow.batch_execute("begin; select pg_current_xact_id()")
        .await?;
    decide(&shop.client, "LAST").await?;
    assert_eq!(read(&app, 2, 100).await?, [(3, "LAST".to_owned())]);
    decide(&slow, "LATE").await?;
    slow.batch_execute("commit").await?;
    assert_eq!(read(&app, 3, 100).await?, [(4, "LATE".to_owned())]);
    let all = ["FAST", "SLOW", "LAST", "LATE"];
    assert_eq!(orders(&app, 0, 4).await?, all, "and so they stay");
    Ok(())
}

/// Proves that a transaction which is rolled back leaves nothing, and holds nobody back any more.
#[tokio::test]
async fn a_rolled_back_transaction_is_no_event() -> Result<()> {
    let shop = Shop::open("cursor_rollback").await?;
    let slow = shop.database.connect().await?;
    shop.track("A").await?;
    slow.batch_execute("begin").await?;
    decide(&slow, "A").await?;
    event(&shop, "B", "failed").await?;
    slow.batch_execute("rollback").await?;
    assert_eq!(orders(&shop.client, 0, 1).await?, ["B"]);
    Ok(())
}

/// One of several writers: transactions of one to three decisions, of different lengths, of which
/// some are rolled back.
async fn write(client: Client, writer: usize) -> Result<()> {
    for n in 0..40 {
        client.batch_execute("begin").await?;
        for part in 0..=(n + writer) % 3 {
            decide(&client, &format!("W{writer}-{n}-{part}")).await?;
            if n % 4 == writer {
                // Not a wait for anything: it puts the commits out of order.
                client
                    .batch_execute("select pg_sleep(random() * 0.02)")
                    .await?;
            }
        }
        let end = if n % 7 == 3 { "rollback" } else { "commit" };
        client.batch_execute(end).await?;
    }
    Ok(())
}

/// The next few events after the last one that was seen.
async fn read_on(client: &Client, seen: &[i64]) -> Result<Vec<i64>> {
    let after = seen.last().copied().unwrap_or(0);
    let events = read(client, after, 7).await?;
    Ok(events.iter().map(|event| event.0).collect())
}

/// Proves that a reader who keeps its cursor gets everything exactly once and without a gap while several writers
/// commit in another order than they began, and in the same order as a reader who comes afterwards.
#[tokio::test]
async fn a_reader_gets_everything_once_under_concurrent_writers() -> Result<()> {
    let shop = Shop::open("cursor_writers").await?;
    let app = shop.app().await?;
    shop.run(
        "select reconcile.track_order(format('W%s-%s-%s', w, n, part), 'vendor', 'inv')
         from generate_series(0, 3) as w, generate_series(0, 39) as n, generate_series(0, 2) as part",
    )
    .await?;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        writers.spawn(write(shop.database.connect().await?, writer));
    }
    let mut seen: Vec<i64> = Vec::new();
    while !writers.is_empty() {
        seen.extend(read_on(&app, &seen).await?);
        if let Some(ended) = writers.try_join_next() {
            ended.context("a writer panicked")??;
        }
    }
    let written: i64 = shop
        .one("select count(*) from reconcile.transitions", &[])
        .await?;
    let what = format!("the last of {written} events");
    let rest = wait::until(SOON, what, async || {
        let more = read_on(&app, &seen).await;
        seen.extend(more.unwrap_or_default());
        seen.len() as i64 >= written
    });
    rest.await?;
    let all: Vec<i64> = read(&app, 0, 10_000)
        .await?
        .iter()
        .map(|event| event.0)
        .collect();
    assert_eq!(seen, all);
    assert_eq!(seen, (1..=written).collect::<Vec<i64>>(), "and no gap");
    Ok(())
}

/// Proves what an event says, what it leaves out, and that a cursor which names no event is refused.
#[tokio::test]
async fn an_event_says_what_happened_and_nothing_sensitive() -> Result<()> {
    let shop = Shop::open("cursor_facts").await?;
    shop.alter_provider(
        "vendor",
        r#"captures => '{"pin": {"path": "$.data.pin", "sensitive": true}, "slot": {"path": "$.data.slot", "sensitive": false}}'"#,
    )
    .await?;
    shop.track("A").await?;
    shop.run(r#"update reconcile.tracked_orders set captured = '{"pin": "4711", "slot": "B7", "dropped": "4711"}'"#)
        .await?;
    let id = crate::decide(&shop, "A", "failed").await?;
    orders(&shop.client, 0, 1).await?;
    let app = shop.app().await?;
    let facts = "select (to_jsonb(e) - 'changed_at')::text from reconcile.read_events() as e";
    let facts: serde_json::Value = serde_json::from_str(app.query_one(facts, &[]).await?.get(0))?;
    let expected = serde_json::json!({
        "event_id": id, "event": "order.failed", "order_number": "A", "from_state": "pending", "to_state": "failed",
        "cause": "operator", "reason": "for the test", "provider": "vendor", "reference": "INV-A", "transaction_id": null,
        "amount": 0.73, "currency": "USD", "details": {}, "captured": {"slot": "B7"}
    });
    assert_eq!(facts, expected);
    for (arguments, expected) in [
        ("99", "there is no event 99"),
        ("-1", "there is no event -1"),
        ("0, 0", "max_events is 0"),
        ("0, null", "max_events is NULL"),
        ("0, 10001", "max_events is 10001"),
    ] {
        let read = format!("select * from reconcile.read_events({arguments})");
        let error = app.batch_execute(&read).await.err().context(read)?;
        let error = error.as_db_error().context("not the database's word")?;
        assert_eq!((error.code().code(), error.message()), ("RC005", expected));
    }
    Ok(())
}
