//! Rows under a prefix where the application's word and the provider's meet: what is heard, owed and read goes by the row's own number,
//! and stays with that row's order.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{app, as_owner, attach, list, watched, with};

const TABLES: &str = "
    create table store.orders (id bigint primary key, invoice_id text, status text);
    create index on store.orders (status, id);
    create table store.others (id bigint primary key, invoice_id text, status text);
    create index on store.others (status, id)";

/// What writes a status for review too.
const REVIEWED: &str = r#"'vendor', track => '{processing}',
    write => '{"succeeded": {"status": "CONFIRMED"}, "failed": {"status": "CANCELLED"}, "review": {"status": "HELD"}}'"#;

/// One row of one id in each of two tables, which are attached as plain numbers and as `B-`.
async fn both(name: &'static str) -> Result<Shop<'static>> {
    let shop = with(name, TABLES).await?;
    attach(&shop, &format!("'store.orders', {REVIEWED}")).await?;
    let prefixed = format!("'store.others', {REVIEWED}, order_number_prefix => 'B-'");
    attach(&shop, &prefixed).await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders values (1, 'i-1', 'processing'); insert into store.others values (1, 'i-B1', 'processing')",
        )
        .await?;
    Ok(shop)
}

/// Moves the row of `store.others` without any trigger telling of it.
async fn moves_untold(shop: &Shop<'_>, status: &str) -> Result<()> {
    shop.run(&format!(
        "set session_replication_role = replica; update store.others set status = '{status}'; reset session_replication_role"
    ))
    .await
}

async fn rows(shop: &Shop<'_>) -> Result<Vec<String>> {
    let sql = "select status from store.orders union all select status from store.others";
    list(shop, sql).await
}

/// Proves that a decision of the application that an answer meets is followed, and that a person's decision against it is heard once, both
/// for the order of that row and not for the one whose number in the ledger is the row's own.
#[tokio::test]
async fn the_applications_word_is_heard_for_its_own_order() -> Result<()> {
    let shop = both("own_number_heard").await?;
    let hand = Hand::new(&shop).await?;
    let claimed = hand.claim(&shop, &["B-1"]).await?;
    moves_untold(&shop, "LOST").await?;
    hand.report(&claimed, "failed").await?;
    assert_eq!(watched(&shop).await?, ["1 pending", "B-1 cancelled"]);
    shop.run("select reconcile.resolve_order('B-1', 'review', 'looked at')")
        .await?;
    for _ in 0..2 {
        shop.signal().await?;
        assert_eq!(watched(&shop).await?, ["1 pending", "B-1 review"]);
        assert_eq!(rows(&shop).await?, ["processing", "LOST"]);
    }
    let heard =
        "select o.order_number || ' ' || h.word || ' ' || h.status from reconcile.heard_words as h
        join reconcile.tracked_orders as o on o.order_id = h.order_id";
    assert_eq!(list(&shop, heard).await?, ["B-1 other LOST"]);
    shop.is_sound().await
}

/// Proves that what could not be written to a locked row is owed to that row, and written when it is free.
#[tokio::test]
async fn a_locked_row_is_owed_its_own_status() -> Result<()> {
    let shop = both("own_number_owed").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    hand.say(&shop, &["B-1"], "failed").await?;
    assert_eq!(rows(&shop).await?, ["processing", "CANCELLED"]);
    shop.run("select reconcile.record_webhook('vendor', 'e1', '{}', 'B-1')")
        .await?;
    app.batch_execute("begin; select from store.others for update")
        .await?;
    hand.say(&shop, &["B-1"], "succeeded").await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["1 pending", "B-1 review"]);
    assert_eq!(rows(&shop).await?, ["processing", "CANCELLED"]);
    app.batch_execute("commit").await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["1 pending", "B-1 review"]);
    assert_eq!(rows(&shop).await?, ["processing", "HELD"]);
    shop.is_sound().await
}

/// Proves that paths may choose what an answer says by the row's own number, and by the ledger's, which differ under a prefix alone.
#[tokio::test]
async fn a_path_may_name_the_rows_own_number() -> Result<()> {
    let shop = with("own_number_path", TABLES).await?;
    as_owner(
        &shop,
        "create table store.payments (order_id text, called text, status text);
         create index on store.payments (order_id);
         insert into store.payments values ('1', 'A-1', 'paid'), ('2', 'A-2', 'declined'), ('2', '2', 'paid'), ('T', 'T', 'paid')",
    )
    .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute(
        r#"select reconcile.add_provider('payments', kind => 'sql', lookup_table => 'store.payments',
            lookup_columns => '{"order_number": "order_id"}', status_map => '{"paid": "succeeded", "declined": "failed"}',
            status_path => '$[*] ? (@.order_id == $own_number && @.called == $order_number).status')"#,
    )
    .await?;
    attach(
        &shop,
        "'store.orders', 'payments', track => '{processing}', write => '{\"succeeded\": {\"status\": \"CONFIRMED\"}}',
         reference => '', order_number_prefix => 'A-'",
    )
    .await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders (id, status) values (1, 'processing'), (2, 'processing')",
        )
        .await?;
    shop.run("select reconcile.track_order('T', 'payments'); select reconcile_stale_orders()")
        .await?;
    for number in ["A-1", "A-2", "T"] {
        shop.run(&format!("select from reconcile_order('{number}')"))
            .await?;
    }
    assert_eq!(
        watched(&shop).await?,
        ["A-1 succeeded", "A-2 failed", "T succeeded"]
    );
    shop.is_sound().await
}
