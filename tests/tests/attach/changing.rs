//! The table changes under the attachment: the application goes on, the alerts say what is gone, no
//! order is lost, and all is well when it is mended.

use anyhow::Result;

use crate::hand::Hand;
use crate::store::{alerts, app, as_owner, attach, attached, list, row, take_in, watched, with};

const INSERT: &str = "insert into store.orders (number, invoice_id, status) values";

/// What has to hold while a column that is read is not there: the application writes as ever, the alert
/// has the column's name, and each row is followed when the column is back.
async fn survives(name: &'static str, column: &str, insert: &str) -> Result<()> {
    let shop = attached(name).await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(&format!(
        "{INSERT} ('A', 'i', 'processing'), ('B', 'i', 'processing'), ('C', 'i', 'processing')"
    ))
    .await?;
    as_owner(
        &shop,
        &format!("alter table store.orders rename {column} to elsewhere"),
    )
    .await?;
    app.batch_execute(insert).await?;
    app.batch_execute("delete from store.orders where invoice_id = 'gone'; delete from store.orders where payment = 'gone'").await.ok();
    shop.signal().await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    hand.beat().await?;
    shop.signal().await?;
    let missing = format!(
        "attached_column_missing store.orders.{column}: the column is gone, renamed or dropped"
    );
    let alert = alerts(&shop).await?;
    assert!(
        alert.iter().any(|alert| alert.starts_with(&missing)),
        "{alert:?}"
    );
    shop.is_sound().await?;
    assert_eq!(list(&shop, "select distinct state from reconcile.orders where order_number < 'D' and order_number <> 'A'").await?, ["pending"]);

    as_owner(
        &shop,
        &format!("alter table store.orders rename elsewhere to {column}"),
    )
    .await?;
    hand.beat().await?;
    shop.signal().await?;
    hand.beat().await?;
    if watched(&shop).await?[0] == "A pending" {
        hand.say(&shop, &["A"], "succeeded").await?;
    }
    assert_eq!(
        watched(&shop).await?,
        ["A succeeded", "B pending", "C pending", "D pending"]
    );
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves it of the status column.
#[tokio::test]
async fn the_status_is_renamed() -> Result<()> {
    survives(
        "attach_no_status",
        "status",
        "insert into store.orders (number, invoice_id, elsewhere) values ('D', 'i', 'processing')",
    )
    .await
}

/// Proves it of the order number.
#[tokio::test]
async fn the_number_is_renamed() -> Result<()> {
    survives(
        "attach_no_number",
        "number",
        "insert into store.orders (elsewhere, invoice_id, status) values ('D', 'i', 'processing')",
    )
    .await
}

/// Proves it of the reference.
#[tokio::test]
async fn the_reference_is_renamed() -> Result<()> {
    survives(
        "attach_no_ref",
        "invoice_id",
        "insert into store.orders (number, elsewhere, status) values ('D', 'i', 'processing')",
    )
    .await
}

/// Proves it of a column that is only written.
#[tokio::test]
async fn a_written_column_is_renamed() -> Result<()> {
    survives(
        "attach_no_payment",
        "payment",
        "insert into store.orders (number, invoice_id, status) values ('D', 'i', 'processing')",
    )
    .await
}

/// Proves that a write-back that fails because a column is gone is tried again for as long as that
/// lasts, and does not send its order to a person.
#[tokio::test]
async fn a_missing_column_is_waited_for() -> Result<()> {
    let shop = attached("attach_waits").await?;
    shop.run("update reconcile.settings set effect_tries = 1")
        .await?;
    app(&shop)
        .await?
        .batch_execute(&format!("{INSERT} ('A', 'i', 'processing')"))
        .await?;
    as_owner(&shop, "alter table store.orders drop payment").await?;
    let hand = Hand::new(&shop).await?;
    for _ in 0..3 {
        hand.say(&shop, &["A"], "succeeded").await?;
    }
    assert_eq!(watched(&shop).await?, ["A pending"]);
    let failed =
        "select concat_ws(' ', failures, waits, sqlstate, problem) from reconcile.failed_effects";
    assert_eq!(
        list(&shop, failed).await?,
        ["0 3 RC011 store.orders is not as it was attached: it has no column payment"]
    );
    as_owner(&shop, "alter table store.orders add payment text").await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}

/// Proves that while a column is gone the notes don't multiply, however often they are looked at.
#[tokio::test]
async fn notes_of_an_unreadable_table_do_not_multiply() -> Result<()> {
    let shop = attached("attach_notes").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(&format!("{INSERT} ('A', 'i', 'processing')"))
        .await?;
    as_owner(&shop, "alter table store.orders rename status to elsewhere").await?;
    for _ in 0..5 {
        app.batch_execute("update store.orders set payment = 'x'")
            .await?;
        hand.beat().await?;
    }
    assert_eq!(
        list(&shop, "select count(*)::text from reconcile.arrivals").await?,
        ["1"]
    );
    as_owner(&shop, "alter table store.orders rename elsewhere to status").await?;
    app.batch_execute("update store.orders set status = 'CANCELLED'")
        .await?;
    take_in(&shop).await?;
    assert_eq!(watched(&shop).await?, ["A failed"]);
    shop.is_sound().await
}

/// Proves that a table which takes the place of the attached one, under its name, is not taken for it: no order is let go,
/// the alert says what to do, and done so every order is watched again in the new table.
#[tokio::test]
async fn the_table_is_swapped_for_another() -> Result<()> {
    let shop = attached("attach_table_swapped").await?;
    let app = app(&shop).await?;
    app.batch_execute(&format!(
        "{INSERT} ('A', 'i', 'processing'), ('B', 'i', 'processing')"
    ))
    .await?;
    as_owner(
        &shop,
        "alter table store.orders rename to orders_of_2025;
         create table store.orders (like store.orders_of_2025 including all);
         insert into store.orders select * from store.orders_of_2025",
    )
    .await?;
    for _ in 0..3 {
        shop.signal().await?;
    }
    assert_eq!(watched(&shop).await?, ["A pending", "B pending"]);
    let alert = alerts(&shop).await?;
    assert!(
        alert.iter().any(
            |alert| alert.contains("store.orders was attached and is store.orders_of_2025 now")
        ),
        "{alert:?}"
    );
    shop.run("select reconcile.detach_table('store.orders_of_2025')")
        .await?;
    attach(&shop, crate::store::PLAIN).await?;
    take_in(&shop).await?;
    assert_eq!(watched(&shop).await?, ["A pending", "B pending"]);
    shop.is_sound().await
}

/// Proves that a table that is renamed is told of and followed again under its old name, and that one
/// that is dropped is told of, keeps its orders, and can be detached.
#[tokio::test]
async fn the_table_is_renamed_and_dropped() -> Result<()> {
    let shop = attached("attach_table_gone").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(&format!("{INSERT} ('A', 'i', 'processing')"))
        .await?;
    as_owner(&shop, "alter table store.orders rename to elsewhere").await?;
    app.batch_execute(
        "insert into store.elsewhere (number, invoice_id, status) values ('B', 'i', 'processing')",
    )
    .await?;
    shop.signal().await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    let alert = alerts(&shop).await?;
    assert!(
        alert
            .iter()
            .any(|alert| alert.contains("store.orders was attached and is store.elsewhere now")),
        "{alert:?}"
    );
    as_owner(&shop, "alter table store.elsewhere rename to orders").await?;
    hand.beat().await?;
    shop.signal().await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(
        (watched(&shop).await?, row(&shop, "A").await?),
        (
            vec!["A succeeded".to_owned(), "B pending".to_owned()],
            "CONFIRMED COMPLETED".to_owned()
        )
    );
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());

    let oid: u32 = shop
        .one("select relation::oid from reconcile.attachments", &[])
        .await?;
    as_owner(&shop, "drop table store.orders").await?;
    shop.signal().await?;
    hand.say(&shop, &["B"], "succeeded").await?;
    assert_eq!(watched(&shop).await?[1], "B pending");
    let alert = alerts(&shop).await?;
    assert!(
        alert.iter().any(
            |alert| alert.starts_with("attached_table_gone store.orders")
                && alert.contains(&oid.to_string())
        ),
        "{alert:?}"
    );
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute(&format!("select reconcile.detach_table({oid})"))
        .await?;
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    assert_eq!(watched(&shop).await?[1], "B pending");
    shop.is_sound().await
}

/// Proves that an owner who gives the table away is told that its rows can't be looked at, and that a
/// new attachment works.
#[tokio::test]
async fn the_table_gets_another_owner() -> Result<()> {
    let shop = with("attach_new_owner", crate::store::ORDERS).await?;
    attach(&shop, crate::store::PLAIN).await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    shop.run(
        "alter table store.orders owner to store_dba; grant usage on schema store to store_dba",
    )
    .await?;
    app.batch_execute(&format!("{INSERT} ('A', 'i', 'processing')"))
        .await?;
    hand.beat().await?;
    let alert = alerts(&shop).await?;
    assert!(
        alert.len() == 1
            && alert[0]
                .contains("store.orders: it belongs to store_dba now, and did to store_owner"),
        "{alert:?}"
    );
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute(&format!(
        "select reconcile.detach_table('store.orders'); select from reconcile.attach_table({})",
        crate::store::PLAIN
    ))
    .await?;
    take_in(&shop).await?;
    assert_eq!(
        (watched(&shop).await?, alerts(&shop).await?),
        (vec!["A pending".to_owned()], vec![])
    );
    shop.is_sound().await
}
