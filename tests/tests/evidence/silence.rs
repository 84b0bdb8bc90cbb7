//! Silence is no agreement: what a path looks for and a success leaves out is a mismatch, unless the provider's row says otherwise.

use anyhow::Result;
use reconcile_tests::shop::{Check, Shop};
use reconcile_tests::simulator::{Fate, Step};

/// The check that an answer with this body leads to, about an order over 0.73 USD.
async fn answered(shop: &Shop<'_>, order_number: &str, body: &str) -> Result<Check> {
    shop.vendor
        .set_fate(order_number, Fate::of([Step::http(200, body)]));
    shop.track(order_number).await?;
    shop.next_check(order_number).await
}

/// Proves that a success which says nothing of the order closes nothing, and that what is missing is named.
#[tokio::test]
async fn a_success_that_says_nothing_of_the_order_closes_nothing() -> Result<()> {
    let shop = Shop::open("silence").await?;
    let _sidecar = shop.sidecar().await?;
    let cases = [
        ("", "reference_path and amount_path and currency_path"),
        (
            r#", "invoiceId": null, "retailPrice": "0.73", "currency": "USD""#,
            "reference_path, and",
        ),
        (
            r#", "invoiceId": "INV-%", "retailPrice": null, "currency": "USD""#,
            "amount_path, and",
        ),
        (
            r#", "invoiceId": "INV-%", "retailPrice": "0.73""#,
            "currency_path, and",
        ),
    ];
    for (place, (members, missing)) in cases.into_iter().enumerate() {
        let number = format!("ORD-{place}");
        let body =
            format!(r#"{{"data": {{"status": "succeeded"{members}}}}}"#).replace('%', &number);
        let check = answered(&shop, &number, &body).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("mismatch", "review"),
            "{body}"
        );
        let detail = check.detail.unwrap_or_default();
        assert!(
            detail.contains(&format!("nothing at {missing}")),
            "{body}: {detail}"
        );
        assert_eq!(
            shop.history(&number).await?,
            ["pending -> review by provider"]
        );
    }
    let failed = answered(&shop, "FAILED", r#"{"data": {"status": "failed"}}"#).await?;
    assert_eq!(failed.to_state, "failed", "no money, nothing to compare");
    shop.is_sound().await
}

/// Proves that a row may let a success be silent on one thing, that the check says so, and that the others are still wanted.
#[tokio::test]
async fn a_row_that_allows_silence_says_so_and_shows_it() -> Result<()> {
    let shop = Shop::open("allowed_silence").await?;
    shop.alter_provider("vendor", "may_be_silent_on => '{amount, currency}'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    let body = |number: &str| {
        format!(r#"{{"data": {{"status": "succeeded", "invoiceId": "INV-{number}"}}}}"#)
    };
    let check = answered(&shop, "A", &body("A")).await?;
    assert_eq!(check.to_state, "succeeded");
    let detail = check.detail.unwrap_or_default();
    assert_eq!(
        detail,
        "the answer is silent on amount, currency, as may_be_silent_on allows"
    );
    let story: String = shop.one("select reconcile.explain_order('A')", &[]).await?;
    assert!(story.contains(&detail), "{story}");
    let check = answered(&shop, "B", r#"{"data": {"status": "succeeded"}}"#).await?;
    assert_eq!(check.outcome, "mismatch");
    shop.is_sound().await
}

/// Proves that an order without an amount is not held up by it, and that the check says that there was nothing to compare.
#[tokio::test]
async fn an_order_without_an_amount_is_not_compared_in_it() -> Result<()> {
    let shop = Shop::open("no_amount_to_compare").await?;
    let _sidecar = shop.sidecar().await?;
    let body = r#"{"data": {"status": "succeeded", "invoiceId": "INV-A", "retailPrice": "0.73", "currency": "USD"}}"#;
    shop.vendor.set_fate("A", Fate::of([Step::http(200, body)]));
    shop.run("select reconcile.track_order('A', 'vendor', 'INV-A', currency => 'USD')")
        .await?;
    let check = shop.next_check("A").await?;
    assert_eq!(check.to_state, "succeeded");
    assert_eq!(
        check.detail.as_deref(),
        Some("the order has no amount to compare")
    );
    shop.is_sound().await
}
