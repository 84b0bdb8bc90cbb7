//! What could not be written to a row, and rows that are looked at where nothing is written: neither is a decision of the application.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{ORDERS, app, as_owner, attach, row, watched, with};

const INSERT: &str =
    "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')";

/// What writes a status for review too, and none for cancelled.
const REVIEWED: &str = r#"'store.orders', 'vendor', track => '{processing}', amount => 'price',
    write => '{"succeeded": {"status": "CONFIRMED"}, "failed": {"status": "CANCELLED"}, "review": {"status": "HELD"}}'"#;

async fn reviewed(name: &'static str) -> Result<Shop<'static>> {
    let shop = with(name, ORDERS).await?;
    attach(&shop, REVIEWED).await?;
    Ok(shop)
}

/// Where the order and its row stand.
async fn both(shop: &Shop<'_>) -> Result<(String, String)> {
    Ok((watched(shop).await?.concat(), row(shop, "A").await?))
}

fn are(order: &str, row: &str) -> (String, String) {
    (order.to_owned(), row.to_owned())
}

/// Moves the row without any trigger telling of it.
async fn moves_untold(shop: &Shop<'_>, status: &str) -> Result<()> {
    shop.run(&format!(
        "set session_replication_role = replica; update store.orders set status = '{status}'; reset session_replication_role"
    ))
    .await
}

/// Proves that a late success whose row is locked waits for a person, and that the row, still as a failure left it, is not heard as the
/// application's word meanwhile.
#[tokio::test]
async fn a_row_that_is_behind_is_no_word() -> Result<()> {
    let shop = reviewed("owed_behind").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    hand.say(&shop, &["A"], "failed").await?;
    assert_eq!(both(&shop).await?, are("A failed", "CANCELLED"));
    shop.run("select reconcile.record_webhook('vendor', 'e1', '{}', 'A')")
        .await?;
    app.batch_execute("begin; select from store.orders for update")
        .await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    for _ in 0..2 {
        shop.signal().await?;
        assert_eq!(both(&shop).await?, are("A review", "CANCELLED"));
    }
    app.batch_execute("commit").await?;
    shop.signal().await?;
    assert_eq!(both(&shop).await?, are("A review", "HELD"));
    shop.signal().await?;
    assert_eq!(both(&shop).await?, are("A review", "HELD"));
    assert_eq!(shop.history("A").await?.len(), 2);
    shop.is_sound().await
}

/// Proves that an order whose state writes nothing is not closed past a locked row, and that what the application has decided there
/// holds then.
#[tokio::test]
async fn a_row_is_looked_at_where_nothing_is_written() -> Result<()> {
    let shop = reviewed("owed_looked_at").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    app.batch_execute("begin; select from store.orders for update")
        .await?;
    hand.say(&shop, &["A"], "cancelled").await?;
    assert_eq!(both(&shop).await?, are("A pending", "processing"));
    app.batch_execute("rollback").await?;
    moves_untold(&shop, "CONFIRMED").await?;
    hand.say(&shop, &["A"], "cancelled").await?;
    assert_eq!(both(&shop).await?, are("A succeeded", "CONFIRMED"));
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by application"]
    );
    shop.is_sound().await
}

/// Proves that an answer about other money than the order's is seen by a person, whatever the application said meanwhile.
#[tokio::test]
async fn a_mismatch_outlives_the_applications_word() -> Result<()> {
    let shop = reviewed("owed_mismatch").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    app.batch_execute("update store.orders set price = 17, currency = 'USD'")
        .await?;
    let claimed = hand.claim(&shop, &["A"]).await?;
    moves_untold(&shop, "LOST").await?;
    hand.report(&claimed, "succeeded").await?;
    for _ in 0..2 {
        shop.signal().await?;
        assert_eq!(both(&shop).await?, are("A review", "LOST"));
    }
    shop.is_sound().await
}

/// Proves that a hook which fails on the way to review takes nothing back of what was written to the row.
#[tokio::test]
async fn a_hook_that_fails_leaves_the_row_written() -> Result<()> {
    let shop = reviewed("owed_hook").await?;
    as_owner(
        &shop,
        "create function store.fails(text, jsonb) returns void language plpgsql as 'begin raise ''no''; end'",
    )
    .await?;
    shop.run("select reconcile.add_hook('fails', 'review', 'store.fails(text, jsonb)', every_provider => true)")
        .await?;
    let app = app(&shop).await?;
    app.batch_execute(INSERT).await?;
    shop.run("select reconcile.resolve_order('A', 'review', 'odd')")
        .await?;
    shop.signal().await?;
    assert_eq!(both(&shop).await?, are("A review", "HELD"));
    let failed = "select effect || ' ' || failures from reconcile.failed_effects";
    assert_eq!(
        crate::store::list(&shop, failed).await?,
        ["hook fails 1"],
        "it is told"
    );
    shop.is_sound().await
}

/// Proves that what a person decides against the application's word is not closed again by a look at that word, and that a new word is
/// heard.
#[tokio::test]
async fn a_persons_decision_outlives_the_word_that_it_was_made_against() -> Result<()> {
    let shop = reviewed("owed_person").await?;
    let app = app(&shop).await?;
    app.batch_execute(INSERT).await?;
    app.batch_execute("update store.orders set status = 'LOST'")
        .await?;
    for state in ["pending", "review"] {
        shop.run(&format!(
            "select reconcile.resolve_order('A', '{state}', 'look again')"
        ))
        .await?;
        shop.signal().await?;
        app.batch_execute("update store.orders set price = 1")
            .await?;
        assert_eq!(both(&shop).await?, are(&format!("A {state}"), "LOST"));
    }
    app.batch_execute("update store.orders set status = 'CANCELLED'")
        .await?;
    shop.signal().await?;
    assert_eq!(both(&shop).await?, are("A failed", "CANCELLED"));
    shop.is_sound().await
}

/// Proves that a row for which there was no room is written when there is, and is no decision of the application meanwhile.
#[tokio::test]
async fn want_of_room_on_the_way_to_review_is_owed() -> Result<()> {
    let shop = reviewed("owed_room").await?;
    shop.run("grant pg_write_server_files to store_owner")
        .await?;
    as_owner(
        &shop,
        "create table store.full (yes boolean); insert into store.full values (true);
        create function store.fills() returns trigger language plpgsql as $$ begin
            if (select yes from store.full) then copy (select repeat('x', 100000)) to '/dev/full'; end if; return new; end $$;
        create trigger fills before update of status on store.orders for each row execute function store.fills()",
    )
    .await?;
    let policy = "not_found_as => 'review', not_found_grace => '0'";
    shop.alter_provider("vendor", policy).await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    hand.say(&shop, &["A"], "unheard of").await?;
    for _ in 0..2 {
        shop.signal().await?;
        assert_eq!(both(&shop).await?, are("A review", "processing"));
    }
    let counted = "select failures || ' ' || sqlstate from reconcile.failed_effects";
    assert_eq!(crate::store::list(&shop, counted).await?, ["0 53100"]);
    as_owner(&shop, "update store.full set yes = false").await?;
    shop.signal().await?;
    assert_eq!(both(&shop).await?, are("A review", "HELD"));
    assert_eq!(crate::store::list(&shop, counted).await?.len(), 0);
    shop.is_sound().await
}
