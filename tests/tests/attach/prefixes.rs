//! Two tables whose numbers are plain ids, told apart by a prefix that the ledger alone knows: their rows are watched, asked about, written
//! back, looked up and spoken of as what they are.

mod own_numbers;

use anyhow::Result;
use reconcile_tests::shop::{Shop, refusal};

use crate::hand::Hand;
use crate::store::{app, as_owner, attach, list, take_in, watched, with};

const TABLES: &str = "
    create table store.orders (id bigint primary key, invoice_id text, status text, note text);
    create index on store.orders (status, id);
    create table store.others (id bigint primary key, invoice_id text, status text, note text);
    create index on store.others (status, id)";

const WRITE: &str = r#"track => '{processing}', write => '{"succeeded": {"status": "CONFIRMED"}, "failed": {"status": "CANCELLED"}}',
    capture => '{"transaction_id": "note"}'"#;

/// Both tables attached, as `A-` and `B-`.
async fn both(name: &'static str) -> Result<Shop<'static>> {
    let shop = with(name, TABLES).await?;
    for (table, prefix) in [("orders", "A-"), ("others", "B-")] {
        attach(
            &shop,
            &format!("'store.{table}', 'vendor', {WRITE}, order_number_prefix => '{prefix}'"),
        )
        .await?;
    }
    Ok(shop)
}

async fn rows(shop: &Shop<'_>) -> Result<Vec<String>> {
    let sql = "select concat_ws(' ', 'orders', id, status, note) from store.orders
        union all select concat_ws(' ', 'others', id, status, note) from store.others order by 1";
    list(shop, sql).await
}

async fn unwatched(shop: &Shop<'_>) -> Result<Vec<String>> {
    let sql = "select format('%s %s: %s', u.relation, u.order_number, u.problem) from reconcile.unwatched_rows as u order by 1";
    list(shop, sql).await
}

/// Proves that rows of one id in two tables are two orders, each asked about by its own number in the ledger, and each written back to its
/// own row; and that rows which enter, leave, change their reference and are deleted are followed as without a prefix.
#[tokio::test]
async fn one_id_in_two_tables_is_two_orders() -> Result<()> {
    let shop = both("attach_prefixes").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders values (1, 'i-A1', 'processing'), (2, 'i-A2', 'processing'), (3, 'i-A3', 'processing');
         insert into store.others values (1, 'i-B1', 'processing'), (2, 'i-B2', 'processing'), (4, '', 'processing')",
    )
    .await?;
    assert_eq!(
        watched(&shop).await?,
        [
            "A-1 pending",
            "A-2 pending",
            "A-3 pending",
            "B-1 pending",
            "B-2 pending"
        ]
    );
    assert!(
        unwatched(&shop).await?[0].starts_with("store.others B-4: waits for a reference since")
    );
    app.batch_execute(
        "update store.others set invoice_id = 'i-B4' where id = 4; delete from store.orders where id = 3;
         update store.others set invoice_id = 'i-B2b' where id = 2",
    )
    .await?;
    assert_eq!(unwatched(&shop).await?, [""; 0]);
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["A-1", "B-2", "B-4"], "succeeded").await?;
    hand.say(&shop, &["B-1"], "failed").await?;
    assert_eq!(
        rows(&shop).await?,
        [
            "orders 1 CONFIRMED TXN-1",
            "orders 2 processing",
            "others 1 CANCELLED TXN-1",
            "others 2 CONFIRMED TXN-1",
            "others 4 CONFIRMED TXN-1"
        ]
    );
    let known = "select format('%s %s %s %s', o.order_number, o.own_number, o.state, o.reference) from reconcile.orders as o order by 1";
    assert_eq!(
        list(&shop, known).await?,
        [
            "A-1 1 succeeded i-A1",
            "A-2 2 pending i-A2",
            "A-3 3 cancelled i-A3",
            "B-1 1 failed i-B1",
            "B-2 2 succeeded i-B2b",
            "B-4 4 succeeded i-B4"
        ]
    );
    shop.is_sound().await
}

/// Proves that the search finds what no trigger told of in a table with a prefix, in the order of the table's own numbers, page by page;
/// and that detached and attached again the orders have the numbers that they had, and no others.
#[tokio::test]
async fn a_prefix_is_searched_and_kept() -> Result<()> {
    let shop = with("attach_prefix_search", TABLES).await?;
    as_owner(
        &shop,
        "insert into store.orders select n, 'i-' || n, 'processing' from generate_series(1, 2500) as n; analyze store.orders",
    )
    .await?;
    let prefixed = format!("'store.orders', 'vendor', {WRITE}, order_number_prefix => 'A-'");
    attach(&shop, &prefixed).await?;
    assert_eq!(take_in(&shop).await?, (5000, 0));
    shop.run(
        "set session_replication_role = replica; delete from store.orders where id > 3;
         update store.orders set status = 'CANCELLED' where id = 2; reset session_replication_role",
    )
    .await?;
    take_in(&shop).await?;
    let open = "select order_number from reconcile.orders where state = 'pending' order by 1";
    assert_eq!(list(&shop, open).await?, ["A-1", "A-3"]);

    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute("select reconcile.detach_table('store.orders')")
        .await?;
    let other = format!(
        "select from reconcile.attach_table('store.orders', 'vendor', {WRITE}, order_number_prefix => 'B-')"
    );
    let refused = refusal(&dba, &other).await?;
    assert_eq!(refused.code().code(), "RC009");
    assert_eq!(
        refused.message(),
        "attach store.orders: order_number_prefix is 'B-', and its orders of before (1000 or more) have 'A-'"
    );
    attach(&shop, &format!("'store.orders', 'vendor', {WRITE}")).await?;
    take_in(&shop).await?;
    assert_eq!(list(&shop, open).await?, ["A-1", "A-3"]);
    Hand::new(&shop)
        .await?
        .say(&shop, &["A-3"], "succeeded")
        .await?;
    let written = "select id::text from store.orders where status = 'CONFIRMED'";
    assert_eq!(list(&shop, written).await?, ["3"]);
    shop.is_sound().await
}

/// Proves that a prefix which comes later, for a table that has orders, is refused whether it is attached or was, also by a dry run, with
/// what to do; that doing so works; and that a table without orders gets one.
#[tokio::test]
async fn a_prefix_that_comes_later_is_refused_with_what_to_do() -> Result<()> {
    let shop = with("attach_prefix_later", TABLES).await?;
    attach(&shop, &format!("'store.orders', 'vendor', {WRITE}")).await?;
    app(&shop)
        .await?
        .batch_execute("insert into store.orders (id, invoice_id, status) values (1, 'i-1', 'processing'), (2, 'i-2', 'processing')")
        .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    let later = |more: &str| {
        format!(
            "select from reconcile.attach_table('store.orders', 'vendor', {WRITE}, order_number_prefix => 'A-'{more})"
        )
    };
    for detached in [false, true] {
        if detached {
            dba.batch_execute("select reconcile.detach_table('store.orders')")
                .await?;
        }
        for more in ["", ", dry_run => true"] {
            let refused = refusal(&dba, &later(more)).await?;
            assert_eq!(
                refused.message(),
                "attach store.orders: order_number_prefix is 'A-', and its orders of before (2) have none"
            );
            let hint = refused.hint().unwrap_or_default();
            assert!(
                hint.contains("Leave the argument out")
                    && hint.contains("give the other one a prefix"),
                "{hint}"
            );
        }
    }
    attach(&shop, &format!("'store.orders', 'vendor', {WRITE}")).await?;
    attach(&shop, &format!("'store.others', 'vendor', {WRITE}")).await?;
    let again = format!(
        "select from reconcile.attach_table('store.others', 'vendor', {WRITE}, order_number_prefix => 'B-')"
    );
    assert!(
        refusal(&dba, &again)
            .await?
            .message()
            .ends_with("it is attached already")
    );
    dba.batch_execute("select reconcile.detach_table('store.others')")
        .await?;
    attach(
        &shop,
        &format!("'store.others', 'vendor', {WRITE}, order_number_prefix => 'B-'"),
    )
    .await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.others (id, invoice_id, status) values (1, 'j-1', 'processing')",
        )
        .await?;
    let open = "select order_number from reconcile.orders order by 1";
    assert_eq!(list(&shop, open).await?, ["1", "2", "B-1"]);
    shop.is_sound().await
}
