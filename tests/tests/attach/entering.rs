//! Which rows are watched: whatever statement brings a row into a tracked status or takes it out, the
//! order follows in the same transaction.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::store::{app, attached, list, watched};

async fn reasons(shop: &Shop<'_>, number: &str) -> Result<Vec<String>> {
    let sql = format!(
        "select format('%s %s %s: %s', h.from_state, h.to_state, h.cause, h.reason)
         from reconcile.order_history as h where h.order_number = '{number}' order by h.changed_at"
    );
    list(shop, &sql).await
}

/// Proves that INSERT, COPY, ON CONFLICT, MERGE, UPDATE, DELETE and statements with data-modifying
/// CTEs each have the rows watched that enter a tracked status and let go those that leave it, and
/// that other rows are none of its business.
#[tokio::test]
async fn rows_enter_and_leave_by_every_statement() -> Result<()> {
    let shop = attached("attach_statements").await?;
    let app = app(&shop).await?;
    let entering = "
        insert into store.orders (number, invoice_id, status) values ('A', 'i-A', 'processing'), ('B', 'i-B', 'NEW'), ('C', 'i-C', 'CONFIRMED');
        insert into store.orders (number, invoice_id, status) values ('D', 'i-D', 'NEW');
        insert into store.orders (number, invoice_id, status) values ('D', 'i-D', 'x'), ('E', 'i-E', 'processing')
            on conflict (number) do update set status = 'processing';
        insert into store.orders (number, invoice_id, status) values ('A', 'i-A', 'x') on conflict do nothing;
        merge into store.orders as o using (values ('B', 'processing'), ('F', 'processing')) as given (number, status)
            on o.number = given.number
            when matched then update set status = given.status
            when not matched then insert (number, invoice_id, status) values (given.number, 'i-' || given.number, given.status);
        with moved as (update store.orders set status = 'processing' where number = 'C' returning number)
            insert into store.orders (number, invoice_id, status) select 'G', 'i-G', 'processing' from moved";
    app.batch_execute(entering).await?;
    let copied = shop
        .database
        .psql(
            &["-v", "ON_ERROR_STOP=1"],
            "set role store_app;\ncopy store.orders (number, invoice_id, status) from stdin;\nH\ti-H\tprocessing\nI\ti-I\tNEW\n\\.\n",
        )
        .await?;
    copied.ok()?;
    let pending =
        ["A", "B", "C", "D", "E", "F", "G", "H"].map(|number| format!("{number} pending"));
    assert_eq!(watched(&shop).await?, pending);

    let leaving = "
        update store.orders set status = 'CONFIRMED' where number = 'A';
        update store.orders set status = 'CANCELLED' where number = 'B';
        update store.orders set status = 'LOST' where number = 'C';
        delete from store.orders where number = 'D';
        insert into store.orders (number, status) values ('E', 'x') on conflict (number) do update set status = 'NEW';
        merge into store.orders as o using (values ('F'), ('G')) as given (number) on o.number = given.number
            when matched and o.number = 'F' then delete
            when matched then update set status = 'CANCELLED'";
    app.batch_execute(leaving).await?;
    let now = [
        "A succeeded",
        "B failed",
        "C cancelled",
        "D cancelled",
        "E cancelled",
        "F cancelled",
        "G failed",
        "H pending",
    ];
    assert_eq!(watched(&shop).await?, now);
    assert_eq!(
        reasons(&shop, "A").await?,
        ["pending succeeded application: the application moved its row to 'CONFIRMED'"]
    );
    assert_eq!(
        reasons(&shop, "D").await?,
        ["pending cancelled application: the application deleted its row"]
    );
    let settled = "select distinct settled_by from reconcile.orders where state <> 'pending'";
    assert_eq!(list(&shop, settled).await?, ["application"]);

    app.batch_execute("truncate store.orders").await?;
    let hand = crate::hand::Hand::new(&shop).await?;
    // A note that all may have changed, then the notes of what is known.
    hand.beat().await?;
    hand.beat().await?;
    assert_eq!(watched(&shop).await?[7], "H cancelled");
    shop.is_sound().await
}

/// Proves that what the application's transaction takes back was never watched and never let go.
#[tokio::test]
async fn a_rollback_leaves_no_trace() -> Result<()> {
    let shop = attached("attach_rollback").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i-A', 'processing')",
    )
    .await?;
    let taken_back = "
        begin;
        update store.orders set status = 'CANCELLED' where number = 'A';
        insert into store.orders (number, invoice_id, status) values ('B', 'i-B', 'processing');
        savepoint s;
        insert into store.orders (number, invoice_id, status) values ('C', 'i-C', 'processing');
        rollback to s;
        rollback";
    app.batch_execute(taken_back).await?;
    assert_eq!(watched(&shop).await?, ["A pending"]);
    assert_eq!(reasons(&shop, "A").await?, Vec::<String>::new());
    let in_part = "
        begin;
        savepoint s;
        insert into store.orders (number, invoice_id, status) values ('B', 'i-B', 'processing');
        rollback to s;
        insert into store.orders (number, invoice_id, status) values ('C', 'i-C', 'processing');
        commit";
    app.batch_execute(in_part).await?;
    assert_eq!(watched(&shop).await?, ["A pending", "C pending"]);
    shop.is_sound().await
}

/// Proves that a row is watched from the moment on at which it has the reference that the provider is
/// asked by, and that an order opens again when its row comes back.
#[tokio::test]
async fn a_row_waits_for_its_reference_and_may_come_back() -> Result<()> {
    let shop = attached("attach_reference").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, status) values ('A', 'processing'), ('B', 'processing')",
    )
    .await?;
    assert_eq!(watched(&shop).await?, Vec::<String>::new());
    app.batch_execute("update store.orders set invoice_id = '' where number = 'A'; update store.orders set invoice_id = 'i-A' where number = 'A'")
        .await?;
    assert_eq!(watched(&shop).await?, ["A pending"]);
    assert_eq!(crate::store::alerts(&shop).await?, Vec::<String>::new());
    app.batch_execute(
        "update store.orders set status = 'CANCELLED' where number = 'A';
         update store.orders set status = 'processing', invoice_id = 'i-A2' where number = 'A'",
    )
    .await?;
    assert_eq!(
        reasons(&shop, "A").await?,
        [
            "pending failed application: the application moved its row to 'CANCELLED'",
            "failed pending application: the application moved its row back to 'processing'",
        ]
    );
    let reference = "select reference from reconcile.orders where order_number = 'A'";
    assert_eq!(list(&shop, reference).await?, ["i-A2"]);
    shop.is_sound().await
}

/// Proves that an order's number that changes lets the old order go and has the new one watched.
#[tokio::test]
async fn a_new_number_is_a_new_order() -> Result<()> {
    let shop = attached("attach_renumbered").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i-A', 'processing');
         update store.orders set number = 'B' where number = 'A'",
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["A cancelled", "B pending"]);
    shop.is_sound().await
}

/// Proves that orders of before a given time are left alone, and that of a table of another time zone
/// the time means what it meant to who attached it.
#[tokio::test]
async fn only_rows_of_after_a_time_are_watched() -> Result<()> {
    let table = "create table store.orders (number text primary key, invoice_id text, status text, created_at timestamp)";
    let shop = crate::store::with("attach_after", table).await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute(
        "set timezone = 'Asia/Jakarta';
         select from reconcile.attach_table('store.orders', 'vendor', track => '{processing}', created_after => '2026-01-01 00:00+00')",
    )
    .await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders values ('A', 'i-A', 'processing', '2026-01-01 06:59'), ('B', 'i-B', 'processing', '2026-01-01 07:00'),
                ('C', 'i-C', 'processing', null)",
        )
        .await?;
    assert_eq!(watched(&shop).await?, ["B pending"]);
    let created = "select (created_at at time zone 'UTC')::text from reconcile.orders";
    assert_eq!(list(&shop, created).await?, ["2026-01-01 00:00:00"]);
    shop.is_sound().await
}
