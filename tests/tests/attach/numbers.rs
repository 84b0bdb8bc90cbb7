//! Rows that can't be watched: each is told of, by its number, and stops nobody.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{alerts, app, as_owner, attach, list, watched, with};

/// Anything goes: no order number, the same twice, amounts that are none.
const LOOSE: &str = "
    create table store.orders (id serial primary key, number text, invoice_id text, status text, price text, currency text);
    create index on store.orders (number)";

async fn loose(name: &'static str) -> Result<Shop<'static>> {
    let shop = with(name, LOOSE).await?;
    attach(
        &shop,
        r#"'store.orders', 'vendor', track => '{processing}', amount => 'price', write => '{"succeeded": {"status": "CONFIRMED"}}'"#,
    )
    .await?;
    Ok(shop)
}

async fn refused(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(shop, "select left(order_number, 10) || ': ' || problem from reconcile.refused_rows order by order_number, problem").await
}

/// Proves that rows without a number, with an empty one and with one of 600 characters are told of, that
/// the rows beside them in the same statement are watched, and that the alert ends when they are mended.
#[tokio::test]
async fn numbers_that_are_none() -> Result<()> {
    let shop = loose("attach_numbers").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status)
         values (null, 'i', 'processing'), ('', 'i', 'processing'), (repeat('x', 600), 'i', 'processing'), ('A', 'i', 'processing')",
    )
    .await?;
    let hand = Hand::new(&shop).await?;
    hand.beat().await?;
    assert_eq!(watched(&shop).await?, ["A pending"]);
    assert_eq!(
        refused(&shop).await?,
        [
            ": it has no order number",
            "xxxxxxxxxx: an order number has 1 to 500 characters, and this one 600"
        ]
    );
    let alert = alerts(&shop).await?;
    assert!(
        alert.len() == 1 && alert[0].starts_with("rows_not_watched store.orders: 2 rows"),
        "{alert:?}"
    );
    app.batch_execute("update store.orders set number = 'n-' || id where coalesce(number, '') = ''; update store.orders set number = 'x' where length(number) = 600")
        .await?;
    hand.beat().await?;
    assert_eq!(
        watched(&shop).await?,
        ["A pending", "n-1 pending", "n-2 pending", "x pending"]
    );
    assert_eq!(refused(&shop).await?, [": it has no order number"]);
    shop.is_sound().await
}

/// Proves that two rows of one number are both left alone, that a second one that comes later takes
/// nothing away from the first, and that neither is written back while there are two.
#[tokio::test]
async fn the_same_number_twice_in_one_table() -> Result<()> {
    let shop = loose("attach_twice").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i-1', 'processing'), ('A', 'i-2', 'processing'), ('B', 'i', 'processing')",
    )
    .await?;
    assert_eq!(
        (watched(&shop).await?, refused(&shop).await?),
        (
            vec!["B pending".to_owned()],
            vec!["A: two rows have this order number".to_owned()]
        )
    );
    app.batch_execute("delete from store.orders where invoice_id = 'i-2'")
        .await?;
    assert_eq!(
        (watched(&shop).await?, refused(&shop).await?),
        (vec!["A pending".to_owned(), "B pending".to_owned()], vec![])
    );
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('B', 'i-3', 'CONFIRMED')",
    )
    .await?;
    hand.say(&shop, &["A", "B"], "succeeded").await?;
    assert_eq!(watched(&shop).await?, ["A succeeded", "B pending"]);
    assert_eq!(
        list(
            &shop,
            "select sqlstate || ' ' || problem from reconcile.failed_effects"
        )
        .await?,
        ["RC012 B stands in two rows of store.orders"]
    );
    app.batch_execute("delete from store.orders where invoice_id = 'i-3'")
        .await?;
    hand.say(&shop, &["B"], "succeeded").await?;
    assert_eq!(
        list(
            &shop,
            "select number || ' ' || status from store.orders order by 1"
        )
        .await?,
        ["A CONFIRMED", "B CONFIRMED"]
    );
    shop.is_sound().await
}

/// Proves that an order stays with the table that had it first, that the other table's row is told of,
/// and that writing back touches the first table alone.
#[tokio::test]
async fn the_same_number_in_two_tables() -> Result<()> {
    let shop = loose("attach_two_tables").await?;
    as_owner(
        &shop,
        "create table store.others (number text primary key, invoice_id text, status text)",
    )
    .await?;
    attach(&shop, r#"'store.others', 'vendor', track => '{processing}', write => '{"succeeded": {"status": "CONFIRMED"}}'"#).await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing');
         insert into store.others values ('A', 'i', 'processing'), ('B', 'i', 'processing')",
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["A pending", "B pending"]);
    assert_eq!(
        refused(&shop).await?,
        ["A: the order of this number is watched for store.orders"]
    );
    app.batch_execute("update store.others set status = 'CANCELLED' where number = 'A'; update store.others set status = 'processing' where number = 'A'")
        .await?;
    Hand::new(&shop)
        .await?
        .say(&shop, &["A", "B"], "succeeded")
        .await?;
    let rows = "select 'orders ' || number || ' ' || status from store.orders union all select 'others ' || number || ' ' || status from store.others order by 1";
    assert_eq!(
        list(&shop, rows).await?,
        [
            "orders A CONFIRMED",
            "others A processing",
            "others B CONFIRMED"
        ]
    );
    shop.is_sound().await
}

/// Proves that amounts and currencies that are none keep their row from being watched, for any garbage,
/// and that it is watched when they are mended.
#[tokio::test]
async fn amounts_that_are_none() -> Result<()> {
    let shop = loose("attach_amounts").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status, price, currency)
         select 'N-' || lpad(n::text, 2, '0'), 'i', 'processing', price, 'USD'
         from unnest(array['free', 'NaN', '1e400000', '-Infinity', '', ' ', '12,50', '0x10', repeat('9', 5000), '1e-200000', E'\\u00a05', '12.5.1'])
            with ordinality as given (price, n);
         insert into store.orders (number, invoice_id, status, price, currency) values ('X', 'i', 'processing', '5', 'Dollar'), ('Z', 'i', 'processing', '12.50', 'usd')",
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["Z pending"]);
    assert_eq!(refused(&shop).await?.len(), 13);
    assert_eq!(refused(&shop).await?[0], "N-01: 'free' is not an amount");
    app.batch_execute("update store.orders set price = '5', currency = 'USD'")
        .await?;
    assert_eq!(
        (watched(&shop).await?.len(), refused(&shop).await?.len()),
        (14, 0)
    );
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves that a second row of a closed order's number, in a tracked status, moves that order neither back nor forth, however often the
/// table is searched: the row is told of, and no transition is made of it.
#[tokio::test]
async fn a_second_row_does_not_open_a_closed_order() -> Result<()> {
    let shop = loose("attach_second_row").await?;
    as_owner(&shop, "create index on store.orders (status)").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i-1', 'processing')",
    )
    .await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    let history = shop.history("A").await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i-2', 'processing')",
    )
    .await?;
    for _ in 0..3 {
        shop.signal().await?;
        hand.beat().await?;
    }
    assert_eq!(shop.history("A").await?, history);
    assert_eq!(
        refused(&shop).await?,
        ["A: two rows have this order number"]
    );
    let reference = "select reference from reconcile.orders";
    assert_eq!(list(&shop, reference).await?, ["i-1"]);
    shop.is_sound().await
}

/// Proves that two sessions whose rows can't be watched for the same reason don't wait for each other,
/// nor two that write rows without a number.
#[tokio::test]
async fn bad_rows_of_two_sessions_do_not_wait_for_each_other() -> Result<()> {
    let shop = loose("attach_bad_rows").await?;
    let (one, two) = (app(&shop).await?, app(&shop).await?);
    let insert = "begin; insert into store.orders (number, invoice_id, status) values (null, 'i', 'processing'), ('', 'i', 'processing'), ('A', 'i', 'processing')";
    one.batch_execute(insert).await?;
    // It would be cancelled if it waited for the first to end.
    two.batch_execute(&format!("set statement_timeout = '20s'; {insert}"))
        .await?;
    two.batch_execute("commit").await?;
    one.batch_execute("commit").await?;
    let hand = Hand::new(&shop).await?;
    hand.beat().await?;
    hand.beat().await?;
    assert_eq!(
        refused(&shop).await?.first().map(String::as_str),
        Some(": it has no order number")
    );
    shop.is_sound().await
}
