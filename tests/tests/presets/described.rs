//! APIs that are no presets, each described by one row: what it takes to ask them is there. The answers are as their pages have them.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::answers::every_answer_of;

/// Proves that two secrets go into two headers, as Cashfree's Get Order wants it.
#[tokio::test]
async fn cashfree_orders() -> Result<()> {
    every_answer_of("cashfree_orders").await
}

/// Proves that a secret goes into the query by its name, percent-encoded, and into no log, as SSLCommerz's Transaction Query wants it.
#[tokio::test]
async fn sslcommerz_transactions() -> Result<()> {
    every_answer_of("sslcommerz_transactions").await
}

/// Proves that an order's own detail says in whose name it is asked about, as Stripe wants it for connected accounts.
#[tokio::test]
async fn stripe_connected_account() -> Result<()> {
    every_answer_of("stripe_connected_account").await
}

/// Proves that an order without a detail that a template names is refused when it is handed over, by the detail's name, and that
/// none is a constant's or a host's.
#[tokio::test]
async fn an_order_without_the_detail_is_refused() -> Result<()> {
    let shop = Shop::open("details_needed").await?;
    let refused = async |statement: &str, part: &str| {
        let error = shop.run(statement).await.expect_err(statement);
        let error = format!("{error:#}");
        assert!(error.contains(part), "{statement}: {error}");
    };
    shop.run(
        r#"select reconcile.add_provider('connected', 'https://api.vendor.example/{details.shop.id}/{reference}', '{"paid": "succeeded"}',
            headers => '{"Account": "{details.account}"}')"#,
    )
    .await?;
    refused(
        "select reconcile.track_order('A', 'connected', 'r')",
        "{details.shop.id}",
    )
    .await;
    refused(
        r#"select reconcile.track_order('A', 'connected', 'r', details => '{"shop": {"id": 7}}')"#,
        "{details.account}",
    )
    .await;
    shop.run(r#"select reconcile.track_order('A', 'connected', 'r', details => '{"shop": {"id": 7}, "account": "acct"}')"#)
        .await?;
    refused(
        r#"select reconcile.add_provider('host', 'https://{details.host}/{reference}', '{"paid": "succeeded"}')"#,
        "host",
    )
    .await;
    refused(
        r#"select reconcile.alter_provider('connected', variables => '{"details": "x"}')"#,
        "details",
    )
    .await;
    Ok(())
}
