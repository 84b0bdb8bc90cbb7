//! Reports that come after their lease: the fencing token keeps them from changing anything.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;

const FIRST: &str = "select stale_reports from reconcile.sidecars order by sidecar_id limit 1";

/// A sidecar that was frozen while it asked about order A, whose call was told `failed`; its lease
/// has run out.
async fn frozen_in_flight(shop: &Shop<'_>) -> Result<Sidecar> {
    shop.alter_provider("vendor", "timeout => '2 minutes'")
        .await?;
    let sidecar = shop.sidecar().await?;
    shop.vendor.set_fate(
        "A",
        Fate::of([Step::status("failed"), Step::status("succeeded")]),
    );
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    sidecar.freeze().await?;
    gate.open();
    shop.vendor.idle(SOON).await?;
    shop.expire_leases().await?;
    Ok(sidecar)
}

async fn is_counted_as_stale(shop: &Shop<'_>, sidecar: &Sidecar) -> Result<()> {
    wait::until(SOON, "the late report to be counted", async || {
        shop.one::<i64>(FIRST, &[])
            .await
            .is_ok_and(|stale| stale == 1)
    })
    .await?;
    wait::until(SOON, "the sidecar to count it too", async || {
        let stale = sidecar.metric("reconcile_stale_reports_total", "").await;
        stale.is_ok_and(|stale| stale > 0.0)
    })
    .await
}

/// Proves that a report that comes after another sidecar's changes nothing and is counted.
#[tokio::test]
async fn a_late_report_changes_nothing() -> Result<()> {
    let shop = Shop::open("a_late_report").await?;
    let frozen = frozen_in_flight(&shop).await?;
    let _other = shop.sidecar().await?;
    shop.becomes("A", "succeeded").await?;
    frozen.thaw()?;
    is_counted_as_stale(&shop, &frozen).await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    assert_eq!(shop.checks("A").await?.len(), 1);
    assert_eq!(shop.order("A").await?.state, "succeeded");
    shop.is_sound().await
}

/// Proves that a late report does not pass for the one that another sidecar is about to make.
#[tokio::test]
async fn a_late_report_does_not_use_somebody_elses_lease() -> Result<()> {
    let shop = Shop::open("somebody_elses_lease").await?;
    let frozen = frozen_in_flight(&shop).await?;
    let gate = shop.vendor.hold("A");
    let _other = shop.sidecar().await?;
    shop.vendor.arrived("A", 2, SOON).await?;
    frozen.thaw()?;
    is_counted_as_stale(&shop, &frozen).await?;
    let order = shop.order("A").await?;
    assert!(order.in_flight && order.state == "pending", "{order:?}");
    assert_eq!(shop.checks("A").await?.len(), 0);
    gate.open();
    shop.becomes("A", "succeeded").await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}

/// Proves that a report that comes after its order was put back, and before anybody asks again, is
/// late too.
#[tokio::test]
async fn a_late_report_of_an_order_that_waits_changes_nothing() -> Result<()> {
    let shop = Shop::open("an_order_that_waits").await?;
    let frozen = frozen_in_flight(&shop).await?;
    shop.run("select reconcile.pause_provider('vendor', 'so that nobody asks')")
        .await?;
    shop.signal().await?;
    assert!(!shop.order("A").await?.in_flight, "it was put back");
    frozen.thaw()?;
    is_counted_as_stale(&shop, &frozen).await?;
    assert_eq!(shop.order("A").await?.state, "pending");
    shop.run("select reconcile.resume_provider('vendor')")
        .await?;
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 2);
    shop.is_sound().await
}

/// Proves that an answer that comes after a person's decision does not overrule it.
#[tokio::test]
async fn a_report_after_a_persons_decision_changes_nothing() -> Result<()> {
    let shop = Shop::open("a_persons_decision").await?;
    let sidecar = shop.sidecar().await?;
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    shop.run("select reconcile.resolve_order('A', 'cancelled', 'the customer called')")
        .await?;
    gate.open();
    is_counted_as_stale(&shop, &sidecar).await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> cancelled by operator"]
    );
    shop.is_sound().await
}
