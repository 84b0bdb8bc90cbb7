//! What an order is asked by changes while it is watched.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::Fate;
use reconcile_tests::wait;

use crate::hand::Hand;
use crate::store::{app, attached, list, row, watched};

/// Proves that the answer to a question by an old reference is stale and changes nothing, neither in
/// the ledger nor in the row, and that the order is asked about anew, by the new one.
#[tokio::test]
async fn a_late_answer_about_the_old_reference_changes_nothing() -> Result<()> {
    let shop = attached("attach_late").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i-1', 'processing')",
    )
    .await?;
    let asked = hand.claim(&shop, &["A"]).await?;
    app.batch_execute("update store.orders set invoice_id = 'i-2' where number = 'A'")
        .await?;
    assert_eq!(hand.report(&asked, "failed").await?, ["stale"]);
    assert_eq!(watched(&shop).await?, ["A pending"]);
    assert_eq!(row(&shop, "A").await?, "processing");
    assert_eq!(shop.checks("A").await?.len(), 0);
    let due = "select o.reference || ' ' || (o.next_check_at <= clock_timestamp()) from reconcile.orders as o";
    assert_eq!(list(&shop, due).await?, ["i-2 true"]);
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}

/// Proves the same with a real sidecar, whose call is under way when the reference changes.
#[tokio::test]
async fn a_sidecar_asks_again_by_the_new_reference() -> Result<()> {
    let shop = attached("attach_asked_anew").await?;
    let app = app(&shop).await?;
    let gate = shop.vendor.hold_all();
    let _sidecar = shop.sidecar().await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status, price, currency, created_at)
         values ('A', 'i-1', 'processing', 0.73, 'USD', now() - interval '10 minutes')",
    )
    .await?;
    shop.signal().await?;
    wait::until(SOON, "a call under way", async || {
        shop.vendor.totals().in_flight == 1
    })
    .await?;
    shop.vendor.set_fate("A", Fate::status("failed"));
    app.batch_execute("update store.orders set invoice_id = 'i-2' where number = 'A'")
        .await?;
    gate.open();
    shop.becomes("A", "failed").await?;
    assert_eq!(shop.checks("A").await?.len(), 1);
    let answered = "select response #>> '{data,invoiceId}' from reconcile.checks";
    assert_eq!(list(&shop, answered).await?, ["i-2"]);
    assert_eq!(row(&shop, "A").await?, "CANCELLED");
    shop.is_sound().await
}

async fn facts(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(
        shop,
        "select concat_ws(' ', reference, amount, currency) from reconcile.orders",
    )
    .await
}

/// Proves that a changed amount and currency are followed too, and that what can't be followed leaves
/// the order as it was known.
#[tokio::test]
async fn a_changed_amount_is_followed() -> Result<()> {
    let shop = attached("attach_amount").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status, price, currency) values ('A', 'i-1', 'processing', 10, 'usd')",
    )
    .await?;
    assert_eq!(facts(&shop).await?, ["i-1 10 USD"]);
    app.batch_execute("update store.orders set price = 12.50, currency = 'EUR'")
        .await?;
    assert_eq!(facts(&shop).await?, ["i-1 12.50 EUR"]);
    app.batch_execute("update store.orders set currency = 'Euros'")
        .await?;
    app.batch_execute("update store.orders set invoice_id = repeat('x', 600), currency = 'EUR'")
        .await?;
    assert_eq!(facts(&shop).await?, ["i-1 12.50 EUR"]);
    shop.is_sound().await
}
