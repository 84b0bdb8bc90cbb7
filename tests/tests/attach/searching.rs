//! Rows that no trigger told of: those that were there before, and those that came in or left while
//! triggers were off.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;

use crate::hand::Hand;
use crate::store::{
    ORDERS, PLAIN, alerts, as_owner, attach, attached, list, row, take_in, watched, with,
};

const EARLIER: &str = "
    insert into store.orders (number, invoice_id, status)
    select 'ORD-' || lpad(n::text, 5, '0'), 'i-' || n, 'processing' from generate_series(1, 3000) as n";

async fn without_triggers(shop: &Shop<'_>, sql: &str) -> Result<()> {
    shop.run(&format!(
        "set session_replication_role = replica; {sql}; reset session_replication_role"
    ))
    .await
}

async fn progress(shop: &Shop<'_>) -> Result<(i64, i64)> {
    let sql = "select rows_seen, watched from reconcile.attached_tables";
    let row = shop.client.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Proves that rows that came in, left or changed while no trigger was fired are found by the schedule.
#[tokio::test]
async fn the_schedule_finds_what_no_trigger_told_of() -> Result<()> {
    let shop = attached("attach_discovery").await?;
    without_triggers(
        &shop,
        "insert into store.orders (number, invoice_id, status) select n, 'i-' || n, 'processing' from unnest(array['A', 'B', 'C', 'D']) as n",
    )
    .await?;
    assert_eq!(watched(&shop).await?, Vec::<String>::new());
    shop.signal().await?;
    assert_eq!(
        watched(&shop).await?,
        ["A pending", "B pending", "C pending", "D pending"]
    );
    without_triggers(
        &shop,
        "update store.orders set status = 'CONFIRMED' where number = 'A'; delete from store.orders where number = 'B';
         update store.orders set invoice_id = 'other' where number = 'C'",
    )
    .await?;
    shop.signal().await?;
    assert_eq!(
        watched(&shop).await?,
        ["A succeeded", "B cancelled", "C pending", "D pending"]
    );
    let reference = "select reference from reconcile.orders where order_number = 'C'";
    assert_eq!(list(&shop, reference).await?, ["other"]);
    without_triggers(
        &shop,
        "update store.orders set status = 'processing' where number = 'A'",
    )
    .await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?[0], "A pending");
    shop.is_sound().await
}

/// Proves that a table without a useful index is not searched by the schedule, that the alert says
/// which index is missing, and that all is found when it is there.
#[tokio::test]
async fn a_missing_index_is_named_and_nothing_is_searched_meanwhile() -> Result<()> {
    let shop = with("attach_index", ORDERS).await?;
    as_owner(
        &shop,
        "insert into store.orders (number, invoice_id, status, payment)
         select 'ORD-' || n, 'i-' || n, case when n = 1 then 'processing' else 'CONFIRMED' end, repeat('x', 500) from generate_series(1, 5000) as n",
    )
    .await?;
    let lines = attach(&shop, PLAIN).await?;
    let missing = "create index on store.orders (status, number)";
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("index missing: ") && line.contains(missing)),
        "{lines:?}"
    );
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, Vec::<String>::new());
    let wanted = format!(
        "attached_index_missing store.orders: rows that no trigger told of are not looked for without an index: {missing}"
    );
    assert_eq!(alerts(&shop).await?, std::slice::from_ref(&wanted));
    // These are of no use to it: they leave out what is to be found.
    as_owner(
        &shop,
        "create index on store.orders (number) where status = 'CONFIRMED'; create index on store.orders (payment, status);
         create index on store.orders (number) where status <> 'processing'",
    )
    .await?;
    shop.signal().await?;
    assert_eq!(alerts(&shop).await?, [wanted]);
    as_owner(
        &shop,
        "create index on store.orders (number) where status = 'processing'",
    )
    .await?;
    shop.signal().await?;
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    assert_eq!(watched(&shop).await?, ["ORD-1 pending"]);
    shop.is_sound().await
}

/// Proves that rows that were there before are taken in a page at a time, that the progress shows, that
/// what was interrupted goes on where it stood, and that none is missed or taken in twice.
#[tokio::test]
async fn rows_of_before_are_taken_in_and_an_interruption_loses_nothing() -> Result<()> {
    let shop = with("attach_before", ORDERS).await?;
    as_owner(&shop, EARLIER).await?;
    let lines = attach(&shop, PLAIN).await?;
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("rows: 3000 rows are to be watched now")),
        "{lines:?}"
    );
    let page = "select from reconcile.attachments as a, lateral reconcile_internal._search_page(a, 1000, true)";
    shop.run(page).await?;
    assert_eq!(progress(&shop).await?, (1000, 1000));

    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute("begin; select from reconcile.take_in('store.orders', 600)")
        .await?;
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'store_dba' and datname = current_database()";
    assert_eq!(shop.one::<i64>(kill, &[]).await?, 1);
    wait::until(SOON, "the session to end", async || dba.is_closed()).await?;
    assert_eq!(progress(&shop).await?, (1000, 1000));

    shop.run(page).await?;
    assert_eq!(progress(&shop).await?, (2000, 2000));
    // The second half of the search looks at the orders that are open.
    assert_eq!(take_in(&shop).await?, (3000 + 3000, 0));
    assert_eq!(progress(&shop).await?.1, 3000);
    let watched = "select count(distinct order_number) || ' ' || count(*) from reconcile.orders where state = 'pending'";
    assert_eq!(list(&shop, watched).await?, ["3000 3000"]);
    shop.is_sound().await
}

/// Proves that searching a large table and writing back to it read the rows in question and not the
/// table, with each index that is taken for good enough.
#[tokio::test]
async fn a_large_table_is_read_by_its_indexes() -> Result<()> {
    for (name, index) in [
        ("attach_large", "(status, number)"),
        ("attach_large_status", "(status)"),
        ("attach_large_part", "(number) where status = 'processing'"),
    ] {
        let shop = with(name, ORDERS).await?;
        as_owner(
            &shop,
            &format!(
                "insert into store.orders (number, invoice_id, status)
                 select lpad(n::text, 6, '0'), 'i-' || n, case when n % 5000 = 0 then 'processing' else 'CONFIRMED' end
                 from generate_series(1, 50000) as n;
                 create index on store.orders {index}; analyze store.orders"
            ),
        )
        .await?;
        attach(&shop, PLAIN).await?;
        shop.run("select pg_stat_reset()").await?;
        let hand = Hand::new(&shop).await?;
        // As often as it takes a session to settle for a plan of its own.
        for _ in 0..12 {
            shop.signal().await?;
        }
        hand.say(&shop, &["005000", "010000"], "succeeded").await?;
        assert_eq!(watched(&shop).await?.len(), 10);
        let read = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'orders' and n_tup_upd = 2";
        let read = wait::value(SOON, "the counters of the table", async || {
            shop.run("select pg_stat_force_next_flush()").await?;
            let looker = shop.database.connect().await?;
            let row = looker.query_opt(read, &[]).await?;
            Ok(row.map(|row| row.get::<_, i64>(0)))
        });
        let read = read.await?;
        assert!(read < 5000, "{name}: {read} rows were read");
        shop.is_sound().await?;
    }
    Ok(())
}

/// Proves that whoever asks for an order that nobody told of yet, in a table that he may read, has it watched, and its provider asked.
#[tokio::test]
async fn an_order_that_is_asked_for_is_taken_in() -> Result<()> {
    let shop = with("attach_asked_for", ORDERS).await?;
    as_owner(
        &shop,
        "insert into store.orders (number, invoice_id, status) values ('A', 'i-A', 'processing');
         grant select on store.orders to shop_app",
    )
    .await?;
    attach(&shop, PLAIN).await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    app.batch_execute("select reconcile_order('A')").await?;
    shop.becomes("A", "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}
