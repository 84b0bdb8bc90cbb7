//! Orders that the application has called off: a payment that was under way does not know of it.

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{app, attached, list, row, watched};

const INSERT: &str =
    "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')";

/// Called off by its row's status, or by its row's end.
const WAYS: [(&str, &str, &str); 3] = [
    (
        "cancelled",
        "update store.orders set status = 'CANCELLED'",
        "A failed",
    ),
    (
        "elsewhere",
        "update store.orders set status = 'LOST'",
        "A cancelled",
    ),
    ("deleted", "delete from store.orders", "A cancelled"),
];

async fn called_off(name: &'static str, how: &str, policy: &str) -> Result<Shop<'static>> {
    let shop = attached(name).await?;
    if !policy.is_empty() {
        shop.alter_provider("vendor", policy).await?;
    }
    let app = app(&shop).await?;
    app.batch_execute(INSERT).await?;
    app.batch_execute(how).await?;
    Ok(shop)
}

/// Proves that an order which the application has called off is asked about when the deadline of its provider's payments is over, and
/// that money which it finds then waits for a person, whatever the search sees in the row.
#[tokio::test]
async fn money_for_a_called_off_order_is_found_without_a_webhook() -> Result<()> {
    for (way, how, closed) in WAYS {
        let name = [
            "called_off_cancelled",
            "called_off_elsewhere",
            "called_off_deleted",
        ];
        let name = name.into_iter().find(|name| name.ends_with(way));
        let shop = called_off(name.context("a name")?, how, "").await?;
        assert_eq!(watched(&shop).await?, [closed], "{way}");
        let next = shop.order("A").await?.next_check_s.context(way)?;
        let hours = next / 3600.0;
        assert!((24.9..25.2).contains(&hours), "{way}: {hours} h");
        let hand = Hand::new(&shop).await?;
        hand.say(&shop, &["A"], "pending").await?;
        assert_eq!(watched(&shop).await?, [closed], "{way}");
        assert!(shop.order("A").await?.next_check_s.is_some(), "{way}");
        hand.say(&shop, &["A"], "succeeded").await?;
        for _ in 0..2 {
            assert_eq!(watched(&shop).await?, ["A review"], "{way}");
            shop.signal().await?;
        }
        shop.is_sound().await?;
    }
    Ok(())
}

/// Proves that the watch ends when the provider confirms that there was no money.
#[tokio::test]
async fn a_confirmed_end_is_not_asked_about_again() -> Result<()> {
    let (_, how, closed) = WAYS[0];
    let shop = called_off("called_off_confirmed", how, "").await?;
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["A"], "cancelled").await?;
    assert_eq!(watched(&shop).await?, [closed]);
    assert_eq!(shop.order("A").await?.next_check_s, None);
    shop.is_sound().await
}

/// Proves that the watch is the provider's: none where it has none, at once where it has no deadline, and reviving where it says so.
#[tokio::test]
async fn the_watch_follows_the_providers_policy() -> Result<()> {
    let (_, how, closed) = WAYS[0];
    let shop = called_off("called_off_none", how, "late_watch => 'none'").await?;
    assert_eq!(watched(&shop).await?, [closed]);
    assert_eq!(shop.order("A").await?.next_check_s, None);
    shop.is_sound().await?;
    let policy = "late_watch => '10m', deadline => '1 second', late_success => 'revive'";
    let shop = called_off("called_off_revived", how, policy).await?;
    let next = shop.order("A").await?.next_check_s.context("no watch")?;
    assert!((590.0..700.0).contains(&next), "{next} s");
    Hand::new(&shop)
        .await?
        .say(&shop, &["A"], "succeeded")
        .await?;
    assert_eq!(watched(&shop).await?, ["A succeeded"]);
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}

/// Proves that an order which the application takes up again is asked about by its schedule, and has no watch beside it.
#[tokio::test]
async fn an_order_that_is_taken_up_again_is_on_no_watch() -> Result<()> {
    let (_, how, closed) = WAYS[0];
    let shop = called_off("called_off_taken_up", how, "").await?;
    assert_eq!(watched(&shop).await?, [closed]);
    app(&shop)
        .await?
        .batch_execute("update store.orders set status = 'processing'")
        .await?;
    assert_eq!(watched(&shop).await?, ["A pending"]);
    let due = "select (due_at <= clock_timestamp())::text from reconcile.due_checks";
    assert_eq!(list(&shop, due).await?, ["true"]);
    shop.is_sound().await
}
