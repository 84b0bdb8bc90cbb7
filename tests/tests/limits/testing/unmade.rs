//! Tests that can't be made.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};

use super::{BEARER, operator, test};
use crate::witness::Witness;

/// Proves that a test that nobody could make says so without waiting: no sidecar runs, whether the
/// provider is paused or not; the transaction can't see the answer; or the provider itself is not
/// committed yet.
#[tokio::test]
async fn a_test_that_nobody_can_make_says_so() -> Result<()> {
    let shop = Shop::open("limits_test_nobody").await?;
    let mut operator = operator(&shop).await?;
    let vendor = "'vendor', 'INV', wait => '60 s'";
    let tested = test(&operator, vendor).await?;
    assert_eq!(
        tested.message,
        "no sidecar is running, so nobody can ask the provider"
    );
    assert!(tested.request.starts_with("GET http://"), "{tested:?}");
    assert_eq!((tested.outcome, tested.decision), (None, None));
    shop.run("select reconcile.pause_provider('vendor', 'not ready yet')")
        .await?;
    let tested = test(&operator, vendor).await?;
    assert_eq!(
        tested.message,
        "no sidecar is running, so nobody can ask the provider"
    );

    let _sidecar = shop.sidecar().await?;
    let repeatable = operator
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .start()
        .await?;
    let tested = test(repeatable.client(), vendor).await?;
    assert!(tested.message.contains("repeatable read"), "{tested:?}");
    repeatable.rollback().await?;

    operator.batch_execute("begin").await?;
    operator
        .execute(
            "select reconcile.add_provider('unborn', 'https://unborn.example/{order_number}', '{\"paid\": \"succeeded\"}')",
            &[],
        )
        .await?;
    let tested = test(&operator, "'unborn', wait => '1 s'").await?;
    assert!(
        tested.message.contains("in this very transaction"),
        "{tested:?}"
    );
    operator.batch_execute("rollback").await?;
    let unknown = operator
        .query("select reconcile.test_provider('nobody')", &[])
        .await
        .err()
        .context("there is no such provider")?;
    assert_eq!(unknown.code().map(|code| code.code()), Some("RC002"));
    assert_eq!(shop.vendor.totals().calls, 0);
    Ok(())
}

/// Proves that a secret that no sidecar has is named by the test, that nothing is sent, and that orders
/// which meet the same show it in provider_health and in the alerts.
#[tokio::test]
async fn a_secret_that_no_sidecar_has_is_named() -> Result<()> {
    let shop = Shop::open("limits_test_secret").await?;
    shop.alter_provider("vendor", BEARER).await?;
    let witness = Witness::open(&shop).await?;
    let _sidecars = witness.three_sidecars(&shop).await?;
    let tested = test(&operator(&shop).await?, "'vendor', 'INV'").await?;
    assert_eq!(tested.outcome.as_deref(), Some("refused"));
    assert!(
        tested.message.contains("no secret named VENDOR_TOKEN"),
        "{tested:?}"
    );
    shop.alter_provider("vendor", "concurrency => 1").await?;
    for place in 0..5 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    let health = "select last_fault || ': ' || last_fault_detail from reconcile.provider_health where name = 'vendor' and health = 'refused'";
    let shown = reconcile_tests::wait::value(SOON, "a provider that is refused", async || {
        Ok(Some(shop.one::<String>(health, &[]).await?))
    });
    assert_eq!(shown.await?, "refused: no secret named VENDOR_TOKEN");
    let alert = "select message from reconcile.alerts where alert = 'provider_refused' and subject = 'vendor'";
    let alert: String = shop.one(alert, &[]).await?;
    assert!(alert.contains("no secret named VENDOR_TOKEN"), "{alert}");
    witness.sees_nobody_asking(&shop, 0).await
}
