//! Columns that are called like something of the generated functions, or that stand for two things at once.

use anyhow::Result;

use crate::hand::Hand;
use crate::store::{app, as_owner, attach, list, take_in, watched, with};

/// Proves that a table can be attached whose columns have the names of the generated functions' parameters, and whose order number is
/// also the reference; that its changed rows are followed at once, found by the search, and written back.
#[tokio::test]
async fn columns_named_like_parameters_and_one_column_for_two_things() -> Result<()> {
    let table = "create table store.orders (p_order_numbers text primary key, p_status text, p_limit text, t text);
        create index on store.orders (p_status, p_order_numbers)";
    let shop = with("attach_parameter_names", table).await?;
    let arguments = r#"'store.orders', 'vendor', order_number => 'p_order_numbers', reference => 'p_order_numbers', status => 'p_status',
        track => '{processing}', write => '{"succeeded": {"p_status": "CONFIRMED", "p_limit": "none"}}', capture => '{"transaction_id": "t"}'"#;
    attach(&shop, arguments).await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders values ('A', 'NEW'); update store.orders set p_status = 'processing'",
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["A pending"]);
    let notes = "select count(*) from reconcile.arrivals";
    assert_eq!(shop.one::<i64>(notes, &[]).await?, 0);
    as_owner(&shop, "alter table store.orders disable trigger user").await?;
    app.batch_execute("insert into store.orders values ('B', 'processing')")
        .await?;
    take_in(&shop).await?;
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["A", "B"], "succeeded").await?;
    let rows = "select concat_ws(' ', o.*) from store.orders as o order by 1";
    let written = ["(A,CONFIRMED,none,TXN-1)", "(B,CONFIRMED,none,TXN-1)"];
    assert_eq!(list(&shop, rows).await?, written);
    shop.is_sound().await
}
