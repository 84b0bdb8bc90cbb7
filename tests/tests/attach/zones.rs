//! Times in the table's columns: what they mean does not depend on the session that reads or writes them.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{app, as_owner, with};

/// Attaches `store.orders` as an operator who is in India.
async fn attach_in_india(shop: &Shop<'_>, arguments: &str) -> Result<()> {
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute(&format!(
        "set timezone = 'Asia/Kolkata'; select from reconcile.attach_table('store.orders', 'vendor', track => '{{processing}}', {arguments})"
    ))
    .await?;
    Ok(())
}

/// Proves that the time at which a row was created is taken over as it is, where the session's DateStyle writes an abbreviation of its
/// zone that stands for another zone too: IST is India's, and Israel's.
#[tokio::test]
async fn an_ambiguous_zone_moves_no_creation_time() -> Result<()> {
    let shop = with("attach_ist", crate::store::ORDERS).await?;
    attach_in_india(&shop, "created_at => 'created_at'").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "set datestyle = 'SQL, DMY';
         set timezone = 'Asia/Kolkata';
         insert into store.orders (number, invoice_id, status, created_at) values ('A', 'i', 'processing', now() - interval '1 hour')",
    )
    .await?;
    let off = "select (o.created_at - s.created_at)::text from reconcile.orders as o join store.orders as s on s.number = o.order_number";
    assert_eq!(shop.one::<String>(off, &[]).await?, "00:00:00");
    shop.is_sound().await
}

/// Proves that a time that is captured into a column without a time zone is written as the clock shows it where the table was attached,
/// whatever the zone of the session that reports.
#[tokio::test]
async fn a_captured_time_is_in_the_zone_of_who_attached() -> Result<()> {
    let shop = with("attach_captured_time", crate::store::ORDERS).await?;
    as_owner(
        &shop,
        "alter table store.orders alter paid_at type timestamp",
    )
    .await?;
    attach_in_india(
        &shop,
        r#"write => '{"succeeded": {"status": "CONFIRMED"}}', capture => '{"changed_at": "paid_at"}'"#,
    )
    .await?;
    shop.run("alter database attach_captured_time set timezone = 'America/New_York'")
        .await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')",
        )
        .await?;
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    let off = "select (t.changed_at - s.paid_at at time zone 'Asia/Kolkata')::text from reconcile.transitions as t cross join store.orders as s";
    assert_eq!(shop.one::<String>(off, &[]).await?, "00:00:00");
    shop.is_sound().await
}
