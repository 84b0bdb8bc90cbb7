//! How the rows of a table that answers are found: by the operator of their column's own type.

use anyhow::Result;
use reconcile_tests::shop::Till;

/// Proves that a table whose order numbers are citext is read by its index, one row for one order, and compared as citext compares.
#[tokio::test]
async fn a_citext_key_is_found_by_its_index() -> Result<()> {
    let till = Till::open("lookups_citext").await?;
    till.run("create extension citext").await?;
    till.does(
        "create table shop.receipts (number public.citext primary key, status text);
         insert into shop.receipts select 'ord-' || n, 'paid' from generate_series(1, 5000) as n;
         analyze shop.receipts;
         select reconcile.add_provider('receipts', kind => 'sql', lookup_table => 'shop.receipts', status_map => '{\"paid\": \"succeeded\"}');
         select reconcile.track_order('ORD-7', 'receipts')",
    )
    .await?;
    // A session of its own, whose counters have nothing else in them.
    let asks = till.database.connect().await?;
    asks.batch_execute("begin").await?;
    let asked = "select state from reconcile_order('ORD-7')";
    let state: String = asks.query_one(asked, &[]).await?.get(0);
    assert_eq!(state, "succeeded");
    let read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = 'shop.receipts'::regclass";
    let read: i64 = asks.query_one(read, &[]).await?.get(0);
    asks.batch_execute("commit").await?;
    assert!((1..10).contains(&read), "{read} rows were read");
    till.is_sound().await
}
