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

/// A table whose times say no zone, with a row of `ago` by the clock of `zone`; what an operator in India reads of its dry run about that,
/// and the zone that is kept when it is attached.
async fn zone_of(
    shop: &Shop<'_>,
    zone: &str,
    ago: &str,
    arguments: &str,
) -> Result<(String, String)> {
    as_owner(
        shop,
        &format!(
            "drop table if exists store.orders;
             create table store.orders (number text primary key, invoice_id text, status text, created_at timestamp);
             insert into store.orders values ('{ago}', 'i', 'processing', (now() - interval '{ago}') at time zone '{zone}')"
        ),
    )
    .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute("set timezone = 'Asia/Kolkata'").await?;
    let attach = format!(
        "reconcile.attach_table('store.orders', 'vendor', track => '{{processing}}' {arguments}"
    );
    let told = format!("select detail from {attach}, dry_run => true) where what = 'time zone'");
    let told: String = dba.query_one(&told, &[]).await?.get(0);
    // To the minute, of which half is left: some seconds have passed since the row was written.
    let told: Vec<&str> = told
        .split(' ')
        .map(|word| match word.as_bytes() {
            [_, _, b':', _, _, b':', _, _] => &word[..5],
            _ => word,
        })
        .collect();
    let told = told.join(" ");
    dba.batch_execute(&format!("select from {attach})")).await?;
    let kept = shop
        .one("select time_zone from reconcile.attached_tables", &[])
        .await?;
    shop.signal().await?;
    // Within the moment that it took to get here.
    let off = "select abs(extract(epoch from o.created_at - $1::text::timestamptz))::float8 from reconcile.orders as o
        where o.order_number = $2";
    let wanted: String = shop
        .one(&format!("select (now() - interval '{ago}')::text"), &[])
        .await?;
    let off: f64 = shop.one(off, &[&wanted, &ago]).await?;
    assert!(off < 30.0, "{zone}, {ago}: {off} s");
    shop.run("select reconcile.detach_table('store.orders')")
        .await?;
    Ok((told, kept))
}

/// Proves that where a table's times say no zone, the newest row tells whether they are in UTC or in the zone of who attaches; that the
/// dry run says which it is and why, that it is kept, and that the times are read by it; and that a zone that is named counts for itself.
#[tokio::test]
async fn the_newest_row_tells_the_zone_of_times_that_say_none() -> Result<()> {
    let shop = with("attach_zone_guessed", crate::store::ORDERS).await?;
    let (told, kept) = zone_of(&shop, "UTC", "2 minutes 30 seconds", "").await?;
    assert_eq!(kept, "UTC");
    assert_eq!(
        told,
        "created_at says none: it is read as UTC, by which the newest row is 00:02 old; by Asia/Kolkata it would be 05:32 old"
    );
    let (told, kept) = zone_of(&shop, "Asia/Kolkata", "3 hours 30 seconds", "").await?;
    assert_eq!(kept, "Asia/Kolkata");
    assert_eq!(
        told,
        "created_at says none: it is read as Asia/Kolkata, by which the newest row is 03:00 old; by UTC it would be of 02:29 from now"
    );
    let (told, kept) = zone_of(&shop, "Asia/Kolkata", "9 days", "").await?;
    assert_eq!(kept, "Asia/Kolkata");
    assert_eq!(
        told,
        "created_at says none, and its rows don't tell: it is read as Asia/Kolkata, the zone of this session. Name it: time_zone => '…'"
    );
    let (told, kept) = zone_of(
        &shop,
        "America/New_York",
        "5 hours",
        ", time_zone => 'america/new_york'",
    )
    .await?;
    assert_eq!(kept, "america/new_york");
    assert_eq!(told, "created_at says none: it is read as america/new_york");
    shop.is_sound().await
}

/// Proves that a zone that is none, or could be two, is refused by name, and that a captured time is written in the zone that was named.
#[tokio::test]
async fn a_zone_that_is_named_is_one() -> Result<()> {
    let shop = with("attach_zone_named", crate::store::ORDERS).await?;
    as_owner(
        &shop,
        "alter table store.orders alter paid_at type timestamp",
    )
    .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    for zone in ["IST", "UTC+5", "+05:30", "nowhere", ""] {
        let refused = crate::store::refusal(
            &dba,
            &format!("select from reconcile.attach_table('store.orders', 'vendor', time_zone => '{zone}')"),
        )
        .await?;
        assert_eq!(
            refused,
            format!(
                "RC009 attach store.orders: time_zone is '{zone}': use a name such as UTC or Asia/Kolkata, see pg_timezone_names"
            )
        );
    }
    attach_in_india(
        &shop,
        r#"time_zone => 'UTC', write => '{"succeeded": {"status": "CONFIRMED"}}', capture => '{"changed_at": "paid_at"}'"#,
    )
    .await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')",
        )
        .await?;
    Hand::new(&shop)
        .await?
        .say(&shop, &["A"], "succeeded")
        .await?;
    let off = "select (t.changed_at - s.paid_at at time zone 'UTC')::text from reconcile.transitions as t cross join store.orders as s";
    assert_eq!(shop.one::<String>(off, &[]).await?, "00:00:00");
    shop.is_sound().await
}
