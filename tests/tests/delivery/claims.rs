//! The protocol by hand: who holds a lease, who has lost it, and who gets the next one.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use tokio_postgres::Client;

use crate::receiver::Receiver;
use crate::{add_endpoint, event};

/// Claims for so many slots; delivery ids and tokens.
async fn claim(hand: &Client, sidecar_id: i64, slots: i32) -> Result<(Vec<i64>, Vec<i64>)> {
    let claim = "select delivery_id, token from reconcile.sidecar_claim_deliveries($1, $2)";
    let rows = hand.query(claim, &[&sidecar_id, &slots]).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1)))
        .unzip())
}

/// Reports all as answered with this status; the verdicts.
async fn report(
    hand: &Client,
    sidecar_id: i64,
    held: &(Vec<i64>, Vec<i64>),
    status: i32,
) -> Result<Vec<String>> {
    let statuses = vec![status; held.0.len()];
    let report = "select verdict from reconcile.sidecar_report_deliveries($1, $2, $3, null, $4, null, null, null) order by delivery_id";
    let rows = hand
        .query(report, &[&sidecar_id, &held.0, &held.1, &statuses])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Proves that no delivery is claimed twice while its lease lives, that a lease which ran out is given
/// to another sidecar, and that the report of the first one then changes nothing.
#[tokio::test]
async fn a_lease_is_one_sidecars_until_it_runs_out() -> Result<()> {
    let shop = Shop::open("delivery_leases").await?;
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "shop", &receiver, "").await?;
    for n in 0..4 {
        event(&shop, &format!("A{n}"), "succeeded").await?;
    }
    // Other tests' transactions may keep a reader back for a moment.
    let (first, second) = (
        shop.database.connect_as("shop_sidecar").await?,
        shop.database.connect_as("shop_sidecar").await?,
    );
    let held =
        reconcile_tests::wait::value(reconcile_tests::shop::SOON, "four leases", async || {
            let mut held = claim(&first, 1, 4).await?;
            while held.0.len() < 4 {
                let more = claim(&first, 1, 4).await?;
                held.0.extend(more.0);
                held.1.extend(more.1);
            }
            Ok(Some(held))
        })
        .await?;
    assert_eq!(claim(&second, 2, 4).await?.0.len(), 0);
    assert_eq!(
        report(&second, 2, &held, 200).await?,
        ["stale"; 4],
        "another sidecar's"
    );

    shop.run("update reconcile.deliveries set lease_expires_at = clock_timestamp() where event_id % 2 = 0")
        .await?;
    let taken = claim(&second, 2, 4).await?;
    assert_eq!(taken.0.len(), 2);
    let mut verdicts = report(&first, 1, &held, 200).await?;
    verdicts.sort();
    assert_eq!(verdicts, ["delivered", "delivered", "stale", "stale"]);
    assert_eq!(
        report(&first, 1, &held, 500).await?,
        ["stale"; 4],
        "once reported, done"
    );
    assert_eq!(report(&second, 2, &taken, 200).await?, ["delivered"; 2]);
    let left = "select count(*) from reconcile.deliveries";
    assert_eq!(shop.one::<i64>(left, &[]).await?, 0);
    let delivered = "select delivered from reconcile.endpoints";
    assert_eq!(shop.one::<i64>(delivered, &[]).await?, 4);
    Ok(())
}

/// Proves that an endpoint's concurrency holds for all sidecars together, and that a claim neither
/// waits for another one nor takes more because of it.
#[tokio::test]
async fn concurrency_holds_for_all_sidecars_together() -> Result<()> {
    let shop = Shop::open("delivery_concurrency").await?;
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "shop", &receiver, "concurrency => 3").await?;
    for n in 0..9 {
        event(&shop, &format!("A{n}"), "succeeded").await?;
    }
    let readable = "select count(*) = 9 from reconcile.read_events()";
    crate::holds(&shop, "the events to be readable", readable).await?;
    let (first, second) = (
        shop.database.connect_as("shop_sidecar").await?,
        shop.database.connect_as("shop_sidecar").await?,
    );
    first.batch_execute("begin").await?;
    let held = claim(&first, 1, 2).await?;
    assert_eq!(held.0.len(), 2);
    assert_eq!(
        claim(&second, 2, 9).await?.0.len(),
        0,
        "while the other claims"
    );
    first.batch_execute("commit").await?;
    assert_eq!(claim(&second, 2, 9).await?.0.len(), 1);
    assert_eq!(claim(&first, 1, 9).await?.0.len(), 0);
    assert_eq!(report(&first, 1, &held, 200).await?, ["delivered"; 2]);
    assert_eq!(claim(&second, 2, 9).await?.0.len(), 2);
    Ok(())
}

/// Proves that few slots are shared: of two endpoints with long queues, none waits for the other.
#[tokio::test]
async fn few_slots_are_shared_between_endpoints() -> Result<()> {
    let shop = Shop::open("delivery_fair").await?;
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "one", &receiver, "").await?;
    for n in 0..10 {
        event(&shop, &format!("A{n}"), "succeeded").await?;
    }
    add_endpoint(&shop, "two", &receiver, "since_event => 0").await?;
    let hand = shop.database.connect_as("shop_sidecar").await?;
    let claimed = "select string_agg(endpoint, ' ' order by endpoint) from reconcile.sidecar_claim_deliveries(1, 4)";
    reconcile_tests::wait::until(
        reconcile_tests::shop::SOON,
        "the events to be readable",
        async || {
            let readable = "select count(*) from reconcile.read_events()";
            shop.one::<i64>(readable, &[])
                .await
                .is_ok_and(|events| events == 10)
        },
    )
    .await?;
    let row = hand.query_one(claimed, &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "one one two two");
    Ok(())
}

/// Proves that a claim looks far ahead for an endpoint that wants few events, makes a bounded number of
/// deliveries for one that wants many, and skips none of them.
#[tokio::test]
async fn a_claim_looks_far_and_makes_little() -> Result<()> {
    let shop = Shop::open("delivery_backlog").await?;
    // One order can't have moved 8,000 times.
    shop.database.is_left_broken();
    shop.track("A").await?;
    shop.run(
        "insert into reconcile.transitions (order_id, from_state, to_state, cause, reason)
         select order_id, 'pending', case when n % 4000 = 0 then 'refunded' else 'succeeded' end, 'provider', 'one of many'
         from reconcile.tracked_orders, generate_series(1, 8000) as n;
         select reconcile.add_endpoint('few', 'https://s.example/', 'S', on_states => '{refunded}', since_event => 0);
         select reconcile.add_endpoint('many', 'https://s.example/', 'S', on_states => '{succeeded}', since_event => 0);
         select reconcile.add_endpoint('all', 'https://s.example/', 'S', since_event => 0)",
    )
    .await?;
    let hand = shop.database.connect_as("shop_sidecar").await?;
    let readable = "select count(*) = 1 from reconcile.read_events(0, 1)";
    crate::holds(&shop, "the events to be readable", readable).await?;
    let made = "select string_agg(format('%s %s', e.name, made.deliveries), ', ' order by e.name)
        from reconcile.event_endpoints as e
        cross join lateral (select count(*) as deliveries from reconcile.deliveries as d where d.endpoint_id = e.endpoint_id) as made";
    claim(&hand, 1, 1).await?;
    assert_eq!(
        shop.one::<String>(made, &[]).await?,
        "all 500, few 1, many 500"
    );
    claim(&hand, 1, 1).await?;
    assert_eq!(
        shop.one::<String>(made, &[]).await?,
        "all 500, few 2, many 500"
    );
    // Those that were tried once make room, until all are there.
    let untried = "update reconcile.deliveries set attempts = 1 where attempts = 0";
    for _ in 0..16 {
        shop.run(untried).await?;
        claim(&hand, 1, 1).await?;
    }
    assert_eq!(
        shop.one::<String>(made, &[]).await?,
        "all 8000, few 2, many 7998"
    );
    Ok(())
}

/// Proves that a sidecar is told when to come back: at once when there is an event, at the next
/// attempt's time or the lease's end when there is none, and never when nothing waits.
#[tokio::test]
async fn a_sidecar_is_told_when_to_come_back() -> Result<()> {
    let shop = Shop::open("delivery_next").await?;
    let receiver = Receiver::start().await?;
    let next = "select reconcile.sidecar_next_delivery()";
    assert_eq!(
        shop.one::<Option<i32>>(next, &[]).await?,
        None,
        "no endpoint"
    );
    add_endpoint(&shop, "shop", &receiver, "timeout => '10 seconds'").await?;
    crate::holds(
        &shop,
        "no event that waits",
        "select reconcile.sidecar_next_delivery() is null",
    )
    .await?;
    event(&shop, "A", "succeeded").await?;
    assert_eq!(shop.one::<Option<i32>>(next, &[]).await?, Some(0));
    let readable = "select count(*) = 1 from reconcile.read_events()";
    crate::holds(&shop, "the event to be readable", readable).await?;
    let held = claim(&shop.client, 1, 1).await?;
    let lease: i32 = shop.one(next, &[]).await?;
    assert!(lease <= 30_000, "{lease} ms of a lease of 30 s");
    report(&shop.client, 1, &held, 500).await?;
    let retry: i32 = shop.one(next, &[]).await?;
    assert!(retry <= 5_500, "{retry} ms until the second attempt");
    shop.run("select reconcile.pause_endpoint('shop', 'ticket 1')")
        .await?;
    assert_eq!(shop.one::<Option<i32>>(next, &[]).await?, None, "paused");
    Ok(())
}

/// Proves that what a sidecar holds that is known to be dead is another one's at once, and that what it reports all the same changes
/// nothing. One that stops puts back itself what it does not send.
#[tokio::test]
async fn deliveries_of_a_sidecar_that_is_gone_are_put_back() -> Result<()> {
    let shop = Shop::open("delivery_put_back").await?;
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "shop", &receiver, "").await?;
    for n in 0..4 {
        event(&shop, &format!("G{n}"), "succeeded").await?;
    }
    let hand = shop.database.connect_as("shop_sidecar").await?;
    let start = "select reconcile.sidecar_start('by hand', '0', 10)";
    let (gone, other): (i64, i64) = (
        hand.query_one(start, &[]).await?.get(0),
        hand.query_one(start, &[]).await?.get(0),
    );
    for goodbye in ["select reconcile_internal._put_back_deliveries_of($1)"; 2] {
        let mut held = claim(&hand, gone, 4).await?;
        while held.0.len() < 4 {
            let more = claim(&hand, gone, 4).await?;
            held.0.extend(more.0);
            held.1.extend(more.1);
        }
        assert_eq!(claim(&hand, other, 4).await?.0.len(), 0);
        shop.client.execute(goodbye, &[&gone]).await?;
        let taken = claim(&hand, other, 4).await?;
        assert_eq!(taken.0.len(), 4, "{goodbye}");
        assert_eq!(report(&hand, gone, &held, 200).await?, vec!["stale"; 4]);
        shop.client
            .execute(
                "select reconcile.sidecar_release_deliveries($1, $2, $3)",
                &[&other, &taken.0, &taken.1],
            )
            .await?;
    }
    Ok(())
}
