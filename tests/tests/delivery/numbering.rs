//! Positions: dense, each order's in the order of its transitions, and held up by nobody who reads, writes, or is killed.

mod crashes;

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;
use tokio_postgres::Client;

use crate::add_endpoint;
use crate::receiver::Receiver;

/// The events after a cursor: ids, orders and states.
async fn events(client: &Client, after: i64) -> Result<Vec<(i64, String)>> {
    let read =
        "select event_id, order_number || ' ' || to_state from reconcile.read_events($1, 10000)";
    let rows = client.query(read, &[&after]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn told(events: &[(i64, &str)]) -> Vec<(i64, String)> {
    let owned = events.iter().map(|(id, event)| (*id, (*event).to_owned()));
    owned.collect()
}

async fn decide(client: &Client, order_number: &str, state: &str) -> Result<()> {
    let resolve = "select reconcile.resolve_order($1, $2, 'for the test')";
    client.execute(resolve, &[&order_number, &state]).await?;
    Ok(())
}

/// How many events have a position.
async fn numbered(shop: &Shop<'_>) -> Result<i64> {
    shop.one(
        "select coalesce(max(last_number), 0) from reconcile.event_positions",
        &[],
    )
    .await
}

/// Proves that an order's events stand in the order of its transitions, also where the transaction that moved it last
/// has begun first, and so has the lower id.
#[tokio::test]
async fn an_orders_events_stand_in_the_order_of_its_transitions() -> Result<()> {
    let shop = Shop::open("numbering_order").await?;
    let early = shop.database.connect().await?;
    shop.track("A").await?;
    early
        .batch_execute("begin; select pg_current_xact_id()")
        .await?;
    decide(&shop.client, "A", "failed").await?;
    decide(&early, "A", "succeeded").await?;
    early.batch_execute("commit").await?;
    assert_eq!(
        events(&shop.client, 0).await?,
        told(&[(1, "A failed"), (2, "A succeeded")])
    );
    Ok(())
}

/// Proves that a reader which stays in its transaction keeps nobody from numbering, that it gets itself what is
/// committed meanwhile, and that one which may not write or sees one moment only does not keep anything back either.
#[tokio::test]
async fn a_reader_that_stays_in_its_transaction_holds_nobody_up() -> Result<()> {
    let shop = Shop::open("numbering_readers").await?;
    let (staying, app) = (shop.app().await?, shop.app().await?);
    for order in ["A", "B", "C", "D", "E"] {
        shop.track(order).await?;
    }
    staying.batch_execute("begin").await?;
    decide(&shop.client, "A", "failed").await?;
    assert_eq!(events(&staying, 0).await?, told(&[(1, "A failed")]));
    decide(&shop.client, "B", "failed").await?;
    assert_eq!(events(&app, 1).await?, told(&[(2, "B failed")]));
    assert_eq!(events(&staying, 1).await?, told(&[(2, "B failed")]));
    // What it has written itself nobody else can see, and it has no position before the commit.
    let person = shop.database.connect().await?;
    person.batch_execute("begin").await?;
    decide(&person, "C", "failed").await?;
    assert_eq!(events(&person, 2).await?, []);
    decide(&shop.client, "D", "failed").await?;
    assert_eq!(events(&person, 2).await?, told(&[(3, "D failed")]));
    person.batch_execute("commit").await?;
    assert_eq!(events(&app, 3).await?, told(&[(4, "C failed")]));

    staying
        .batch_execute("rollback; begin read only; select 1")
        .await?;
    decide(&shop.client, "E", "failed").await?;
    assert_eq!(events(&staying, 4).await?, told(&[(5, "E failed")]));
    staying
        .batch_execute("rollback; begin isolation level repeatable read; select 1")
        .await?;
    decide(&shop.client, "E", "succeeded").await?;
    assert_eq!(events(&staying, 5).await?, []);
    staying.batch_execute("rollback").await?;
    assert_eq!(events(&staying, 5).await?, told(&[(6, "E succeeded")]));
    Ok(())
}

/// Proves that a reader whose statement goes on after it has read, as one does that pulls its rows slowly, holds nobody up.
#[tokio::test]
async fn a_statement_that_goes_on_holds_nobody_up() -> Result<()> {
    let shop = Shop::open("numbering_long_statement").await?;
    for number in ["A", "B"] {
        shop.track(number).await?;
    }
    decide(&shop.client, "A", "failed").await?;
    let slow = shop.app().await?;
    let pid: i32 = slow.query_one("select pg_backend_pid()", &[]).await?.get(0);
    let reading = tokio::spawn(async move {
        let sql = "do $$ begin perform reconcile.read_events(); perform pg_sleep(600); end $$";
        slow.batch_execute(sql).await
    });
    let sleeps =
        "select count(*) = 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
    wait::until(SOON, "a reader that goes on", async || {
        shop.one::<bool>(sleeps, &[&pid]).await.unwrap_or(false)
    })
    .await?;
    decide(&shop.client, "B", "failed").await?;
    let read = events(&shop.client, 0).await?;
    assert_eq!(read.len(), 2, "{read:?}");
    shop.run(&format!("select pg_terminate_backend({pid})"))
        .await?;
    assert!(reading.await?.is_err(), "it was ended");
    Ok(())
}

/// Proves that events of a ledger that nobody reads get their positions by the schedule, by housekeeping, by a report
/// and by a claim of deliveries; and that none of these holds the next one up.
#[tokio::test]
async fn everything_that_commits_at_once_numbers() -> Result<()> {
    let shop = Shop::open("numbering_everybody").await?;
    for (n, by) in [
        "call reconcile.check_stale_orders()",
        "select reconcile.housekeep()",
    ]
    .iter()
    .enumerate()
    {
        let order = format!("A{n}");
        shop.track(&order).await?;
        decide(&shop.client, &order, "failed").await?;
        assert_eq!(numbered(&shop).await?, n as i64);
        shop.client.batch_execute(by).await?;
        assert_eq!(numbered(&shop).await?, n as i64 + 1, "{by}");
    }
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "shop", &receiver, "").await?;
    shop.track("B").await?;
    decide(&shop.client, "B", "failed").await?;
    let next = "select reconcile.sidecar_next_delivery()";
    assert_eq!(shop.one::<Option<i32>>(next, &[]).await?, Some(0));
    let claimed = "select (body::json #>> '{data,event_id}')::bigint from reconcile.sidecar_claim_deliveries(1, 1)";
    assert_eq!(shop.one::<i64>(claimed, &[]).await?, 3);

    let _sidecar = shop.sidecar().await?;
    shop.track_aged("C", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("C", "succeeded").await?;
    wait::until(SOON, "the report's event to be numbered", async || {
        numbered(&shop).await.is_ok_and(|events| events == 4)
    })
    .await
}

/// Proves that positions are given, and deliveries made, in a database whose transactions see one moment each.
#[tokio::test]
async fn a_database_of_repeatable_reads_is_numbered_too() -> Result<()> {
    let shop = Shop::open("numbering_repeatable").await?;
    shop.run(
        "alter database numbering_repeatable set default_transaction_isolation = 'repeatable read'",
    )
    .await?;
    let client = shop.database.connect().await?;
    client
        .batch_execute("select reconcile.add_endpoint('shop', 'https://s.example/', 'S')")
        .await?;
    for (n, by) in [
        "call reconcile.check_stale_orders()",
        "select reconcile.housekeep()",
        "select reconcile.sidecar_heartbeat(1, 0)",
        "select reconcile.sidecar_claim_deliveries(1, 1)",
        "select reconcile.read_events()",
    ]
    .iter()
    .enumerate()
    {
        let order = format!("A{n}");
        shop.track(&order).await?;
        decide(&client, &order, "failed").await?;
        client.batch_execute(by).await?;
        assert_eq!(numbered(&shop).await?, n as i64 + 1, "{by}");
    }
    assert_eq!(events(&client, 0).await?.len(), 5);
    Ok(())
}

/// Proves that a report which finds the sequencer taken goes through all the same, and that what it left is numbered
/// soon, also where nobody reads and nothing else happens.
#[tokio::test]
async fn what_a_report_leaves_is_numbered_soon() -> Result<()> {
    let shop = Shop::open("numbering_taken").await?;
    let another = shop.database.connect().await?;
    another
        .batch_execute("begin; select from reconcile.event_sequencer for update")
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("A", "succeeded").await?;
    assert_eq!(numbered(&shop).await?, 0);
    another.batch_execute("commit").await?;
    wait::until(SOON, "the event to be numbered", async || {
        numbered(&shop).await.is_ok_and(|events| events == 1)
    })
    .await
}

/// Proves that many events of one moment get their positions at once, and are read and found by them in parts.
#[tokio::test]
async fn many_events_of_a_moment_are_numbered_at_once() -> Result<()> {
    let shop = Shop::open("numbering_many").await?;
    shop.run("select reconcile.track_order('A' || n, 'vendor', 'inv') from generate_series(1, 1001) as n")
        .await?;
    shop.run("select reconcile.resolve_order('A' || n, 'failed', 'x') from generate_series(1, 1001) as n")
        .await?;
    let all = events(&shop.client, 0).await?;
    let ids: Vec<i64> = all.iter().map(|event| event.0).collect();
    assert_eq!(ids, (1..=1001).collect::<Vec<i64>>());
    for after in [1, 199, 200, 201, 1000] {
        let read = "select event_id from reconcile.read_events($1, 3)";
        let rows = shop.client.query(read, &[&after]).await?;
        let next: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(next, (after + 1..=1001).take(3).collect::<Vec<i64>>());
    }
    shop.run("select reconcile.add_endpoint('shop', 'https://s.example/', 'S')")
        .await?;
    let replayed = "select reconcile.replay_events('shop', '{1,200,201,1001,201}')";
    assert_eq!(shop.one::<i32>(replayed, &[]).await?, 4);
    let body = "select string_agg(payload::json #>> '{data,order_number}', ' ' order by event_id) from reconcile.deliveries";
    assert_eq!(shop.one::<String>(body, &[]).await?, "A1 A200 A201 A1001");
    Ok(())
}
