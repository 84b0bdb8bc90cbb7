//! `order_details`: an order with its payment, whatever happens to the provider.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Reply, Step};
use serde_json::Value;
use tokio_postgres::Client;

async fn details(client: &Client, order_number: &str) -> Result<Value> {
    let call = "select order_details($1, '500 ms')";
    Ok(client.query_one(call, &[&order_number]).await?.get(0))
}

/// Proves that the details of an open order have what the provider says now, and whether that is new.
#[tokio::test]
async fn details_are_up_to_date() -> Result<()> {
    let shop = Shop::open("details_are_up_to_date").await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    let track = r#"select reconcile.track_order('A', 'vendor', 'INV-A', 0.73, 'USD', '{"player": 7264265174721866791}')"#;
    app.execute(track, &[]).await?;
    let told: Value = app
        .query_one("select order_details('A', '30 s')", &[])
        .await?
        .get(0);
    assert_eq!(told["status_updated"], true, "{told:#}");
    assert_eq!(told["order"]["order_number"], "A");
    assert_eq!(told["order"]["state"], "succeeded");
    assert_eq!(told["order"]["amount"].to_string(), "0.73");
    assert_eq!(
        told["order"]["details"]["player"],
        7_264_265_174_721_866_791_u64
    );
    assert_eq!(told["payment"]["provider"], "vendor");
    assert_eq!(told["payment"]["reference"], "INV-A");
    assert_eq!(told["payment"]["status"], "succeeded");
    assert_eq!(told["payment"]["transaction_id"], "TXN-A");

    let told = details(&app, "A").await?;
    assert_eq!(
        (&told["status_updated"], shop.vendor.count("A")),
        (&Value::from(false), 1)
    );
    Ok(())
}

/// Proves that the details are there when the provider fails, answers nonsense, hangs, is paused, or
/// there is nobody to ask it, in whatever transaction: they never fail because a provider did.
#[tokio::test]
async fn details_never_fail_because_a_provider_did() -> Result<()> {
    let shop = Shop::open("details_never_fail").await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    let is_pending = |told: &Value| {
        assert_eq!(told["order"]["state"], "pending", "{told:#}");
        assert_eq!(told["status_updated"], false, "{told:#}");
    };
    is_pending(&details(&app, "A").await?);

    let _sidecar = shop.sidecar().await?;
    let bad = [
        Step::http(500, "oops"),
        Step::http(401, ""),
        Reply::NotJson.into(),
        Reply::CloseBefore.into(),
        Step::status("a new word"),
        Reply::Hang.into(),
    ];
    for (place, step) in bad.into_iter().enumerate() {
        let number = format!("BAD-{place}");
        shop.track(&number).await?;
        shop.vendor.set_fate(&number, Fate::of([step]));
        is_pending(&details(&app, &number).await?);
        shop.vendor
            .arrived(&number, 1, reconcile_tests::shop::SOON)
            .await?;
    }

    for begin in [
        "begin isolation level repeatable read",
        "begin read only isolation level serializable",
    ] {
        shop.track(begin).await?;
        app.batch_execute(begin).await?;
        is_pending(&details(&app, begin).await?);
        app.batch_execute("commit").await?;
        shop.becomes(begin, "succeeded").await?;
    }

    shop.track("C").await?;
    shop.run("select reconcile.pause_provider('vendor', 'they moved')")
        .await?;
    is_pending(&details(&app, "C").await?);
    assert_eq!(shop.vendor.count("C"), 0);
    Ok(())
}
