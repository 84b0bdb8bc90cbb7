//! Limits are the database's: however many sidecars there are, a provider sees what its row allows.
//! Counted where it matters, at the provider.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};

/// Proves that in no window of a rate's interval, wherever it begins, more calls arrive than the rate
/// allows, with two sidecars that are both eager, orders that are asked about twice, and people who
/// wait.
#[tokio::test]
async fn a_rate_limit_holds_in_every_window() -> Result<()> {
    let shop = Shop::open("a_rate_limit").await?;
    let (most, interval) = (7, Duration::from_secs(1));
    shop.alter_provider(
        "vendor",
        "rate_limit => 7, rate_interval => '1 second', concurrency => 100",
    )
    .await?;
    let _sidecars = [shop.sidecar().await?, shop.sidecar().await?];
    for place in 0..30 {
        let number = format!("ORD-{place:02}");
        let slow = Step::status("succeeded").after_ms(place % 3 * 100);
        shop.vendor.set_fate(&number, Fate::of([slow]));
        shop.track_aged(&number, "10 minutes").await?;
    }
    shop.signal().await?;
    let app = shop.app().await?;
    shop.track("AWAITED").await?;
    app.query_one("select reconcile_order('AWAITED', '30 s')", &[])
        .await?;
    for place in 0..30 {
        shop.becomes(&format!("ORD-{place:02}"), "succeeded")
            .await?;
    }
    let mut arrived: Vec<_> = shop
        .vendor
        .all_calls()
        .iter()
        .map(|call| call.arrived)
        .collect();
    arrived.sort();
    assert_eq!(arrived.len(), 31);
    for window in arrived.windows(most + 1) {
        let span = window[most] - window[0];
        assert!(
            span >= interval,
            "{} calls arrived within {span:?}",
            most + 1
        );
    }
    shop.is_sound().await
}

/// Proves that a provider never has more calls in flight than its concurrency, and does have that
/// many, with two sidecars.
#[tokio::test]
async fn a_concurrency_holds_over_all_sidecars() -> Result<()> {
    let shop = Shop::open("a_concurrency").await?;
    shop.alter_provider("vendor", "concurrency => 5").await?;
    let mut settings = shop.sidecar_settings();
    settings.slots = Some(4);
    let _sidecars = [
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
    ];
    let load = reconcile_tests::shop::Load::begin(&shop, 100, 20).await?;
    load.ends_well(&shop).await?;
    assert_eq!(shop.vendor.totals().max_in_flight, 5);
    Ok(())
}
