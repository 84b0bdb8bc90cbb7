//! The application's word against the provider's: which outlives which, and what is nobody's word.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{ORDERS, app, attach, attached, row, watched, with};

const INSERT: &str =
    "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')";

/// What writes a status for review too.
const REVIEWED: &str = r#"'store.orders', 'vendor', track => '{processing}', amount => 'price',
    write => '{"succeeded": {"status": "CONFIRMED"}, "failed": {"status": "CANCELLED"}, "review": {"status": "HELD"}}'"#;

/// Rings for `A`, and has the provider say a word.
async fn rings(shop: &Shop<'_>, hand: &Hand, event: &str, says: &str) -> Result<()> {
    shop.run(&format!(
        "select reconcile.record_webhook('vendor', '{event}', '{{}}', 'A')"
    ))
    .await?;
    hand.say(shop, &["A"], says).await
}

/// Proves that money which comes after the application has cancelled stays in review, whatever the search sees in the cancelled row,
/// until a person decides.
#[tokio::test]
async fn money_after_the_applications_word_outlives_it() -> Result<()> {
    let shop = attached("word_outlives").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    app.batch_execute("update store.orders set status = 'CANCELLED'")
        .await?;
    assert_eq!(watched(&shop).await?, ["A failed"]);
    rings(&shop, &hand, "e1", "succeeded").await?;
    assert_eq!(watched(&shop).await?, ["A review"]);
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A review"]);
    app.batch_execute("update store.orders set payment = 'none'")
        .await?;
    assert_eq!(watched(&shop).await?, ["A review"]);
    shop.run("select reconcile.resolve_order('A', 'failed', 'paid back by hand')")
        .await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A failed"]);
    shop.is_sound().await
}

/// Proves that a refund of an order which the application has closed ends it, or goes to a person where its word is none of ours, and is not tried for ever.
#[tokio::test]
async fn a_refund_after_the_applications_word_is_the_end() -> Result<()> {
    for (name, status, wanted) in [
        ("word_refunded", "LOST", "A review"),
        ("word_refunded_failed", "CANCELLED", "A refunded"),
        ("word_refunded_paid", "CONFIRMED", "A refunded"),
    ] {
        let shop = with(name, ORDERS).await?;
        attach(
            &shop,
            &REVIEWED.replace("HELD\"}", "HELD\"}, \"refunded\": {\"payment\": \"BACK\"}"),
        )
        .await?;
        let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
        app.batch_execute(INSERT).await?;
        app.batch_execute(&format!("update store.orders set status = '{status}'"))
            .await?;
        rings(&shop, &hand, "e1", "refunded").await?;
        assert_eq!(watched(&shop).await?, [wanted], "{name}");
        assert_eq!(shop.order("A").await?.next_check_s, None, "{name}");
        assert!(row(&shop, "A").await?.starts_with(status), "{name}");
        shop.is_sound().await?;
    }
    Ok(())
}

/// Proves that a row that was written for review is nobody's word: the order that a person puts back is asked about, and settled.
#[tokio::test]
async fn what_was_written_for_review_is_no_decision() -> Result<()> {
    let shop = with("word_put_back", ORDERS).await?;
    attach(&shop, REVIEWED).await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    shop.run("select reconcile.resolve_order('A', 'review', 'odd')")
        .await?;
    assert_eq!(row(&shop, "A").await?, "HELD");
    shop.run("select reconcile.resolve_order('A', 'pending', 'ask again')")
        .await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A pending"]);
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(watched(&shop).await?, ["A succeeded"]);
    assert_eq!(row(&shop, "A").await?, "CONFIRMED");
    shop.is_sound().await
}

/// Proves that a row which is locked while its order goes to review is written by the next look, and is not taken for a move back.
#[tokio::test]
async fn what_could_not_be_written_is_owed_and_written() -> Result<()> {
    let shop = with("word_owed", ORDERS).await?;
    attach(&shop, REVIEWED).await?;
    let policy = "not_found_as => 'review', not_found_grace => '0'";
    shop.alter_provider("vendor", policy).await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')",
    )
    .await?;
    let claimed = hand.claim(&shop, &["A"]).await?;
    app.batch_execute("begin; select from store.orders for update")
        .await?;
    assert_eq!(
        hand.report(&claimed, "unheard of").await?,
        Vec::<String>::new()
    );
    assert_eq!(watched(&shop).await?, ["A review"]);
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A review"]);
    assert_eq!(row(&shop, "A").await?, "processing");
    app.batch_execute("commit").await?;
    shop.signal().await?;
    assert_eq!(
        (watched(&shop).await?, row(&shop, "A").await?),
        (vec!["A review".to_owned()], "HELD".to_owned())
    );
    assert_eq!(shop.checks("A").await?.len(), 1);
    shop.is_sound().await
}
