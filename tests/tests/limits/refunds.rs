//! Money that goes back: a part of it is noted, the whole of it moves the order.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};
use serde_json::json;

const WATCHED: &str = "refunded_path => '$.data.refunded', refund_watch => '1d, 6d, 23d'";

/// The vendor's answer about an order with a status and what was paid back.
fn said(order_number: &str, status: &str, refunded: &str) -> Step {
    let data = json!({
        "status": status, "invoiceId": format!("INV-{order_number}"), "retailPrice": "0.73", "currency": "USD", "refunded": refunded
    });
    Step::http(200, &json!({ "data": data }).to_string())
}

async fn refunded(shop: &Shop<'_>, order_number: &str) -> Result<Option<String>> {
    let sql = "select refunded_amount::text from reconcile.orders where order_number = $1";
    shop.one(sql, &[&order_number]).await
}

/// Proves that an order that has succeeded is asked about again on its refund_watch; that what was paid
/// back in part is recorded and leaves it succeeded, whatever the provider's word is; that the whole
/// makes it refunded; and that the watch ends there.
#[tokio::test]
async fn a_partial_refund_is_noted_and_a_full_one_moves_the_order() -> Result<()> {
    let shop = Shop::open("limits_refunds").await?;
    shop.alter_provider("vendor", WATCHED).await?;
    let _sidecar = shop.sidecar().await?;
    let steps = [
        said("A", "succeeded", "0"),
        said("A", "succeeded", "0.30"),
        said("A", "refunded", "0.5"),
        Step::http(503, ""),
        said("A", "succeeded", "0.730"),
    ];
    shop.vendor.set_fate("A", Fate::of(steps));
    shop.track("A").await?;
    let settled = shop.next_check("A").await?;
    assert_eq!(settled.to_state, "succeeded");
    let a_day = settled.next_check_s.unwrap_or_default() / 86_400.0;
    assert!((1.0..=1.1).contains(&a_day), "{a_day} days");

    let noted = shop.next_check("A").await?;
    assert_eq!(
        (noted.outcome.as_str(), noted.to_state.as_str()),
        ("succeeded", "succeeded")
    );
    assert!(
        noted
            .detail
            .is_some_and(|detail| detail.contains("0.3 was paid back"))
    );
    assert_eq!(refunded(&shop, "A").await?.as_deref(), Some("0.30"));
    let noted = shop.next_check("A").await?;
    assert_eq!(
        (noted.outcome.as_str(), noted.to_state.as_str()),
        ("succeeded", "succeeded")
    );
    assert_eq!(noted.provider_status.as_deref(), Some("refunded"));
    assert_eq!(refunded(&shop, "A").await?.as_deref(), Some("0.5"));
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    assert!(noted.next_check_s.is_some(), "{noted:?}");

    let away = shop.next_check("A").await?;
    assert_eq!(
        (away.outcome.as_str(), away.to_state.as_str()),
        ("provider_error", "succeeded")
    );
    assert!(
        away.next_check_s.is_some(),
        "a fault ended the watch: {away:?}"
    );

    let full = shop.next_check("A").await?;
    assert_eq!(
        (full.outcome.as_str(), full.to_state.as_str()),
        ("refunded", "refunded")
    );
    assert_eq!(full.next_check_s, None);
    assert_eq!(refunded(&shop, "A").await?.as_deref(), Some("0.730"));
    assert_eq!(
        shop.history("A").await?,
        [
            "pending -> succeeded by provider",
            "succeeded -> refunded by provider"
        ]
    );
    shop.is_sound().await
}

/// Proves that the word `refunded` alone, where no amount is said, moves the order; that a refund can
/// be the first that is heard; and that without a watch nobody asks again.
#[tokio::test]
async fn a_refund_may_be_the_first_word_and_need_no_amount() -> Result<()> {
    let shop = Shop::open("limits_refunds_first").await?;
    shop.alter_provider("vendor", "refunded_path => '$.data.refunded'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_fate("WORD", Fate::status("refunded"));
    shop.vendor
        .set_fate("PART", Fate::of([said("PART", "refunded", "0.10")]));
    shop.vendor
        .set_fate("WHOLE", Fate::of([said("WHOLE", "succeeded", "0.73")]));
    for (number, state) in [
        ("WORD", "refunded"),
        ("PART", "succeeded"),
        ("WHOLE", "refunded"),
    ] {
        shop.track(number).await?;
        let check = shop.next_check(number).await?;
        assert_eq!(check.to_state, state, "{number}");
        assert_eq!(check.next_check_s, None, "{number}");
    }
    assert_eq!(refunded(&shop, "PART").await?.as_deref(), Some("0.10"));
    shop.is_sound().await
}
