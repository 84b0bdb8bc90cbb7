//! How often a provider may be called: rate, burst, gap, concurrency. The database keeps them, so they
//! hold for three sidecars together; counted where it matters, at the provider.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::shop::{Load, SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;

use crate::arrivals::{arrivals, most_within, shortest_gap};
use crate::witness::Witness;

const SECOND: Duration = Duration::from_secs(1);

/// Orders that are all due, whose answers take between nothing and `slowest_ms`.
async fn begin(shop: &Shop<'_>, count: u64, slowest_ms: u64) -> Result<Vec<String>> {
    let mut numbers = Vec::new();
    for place in 0..count {
        let number = format!("ORD-{place:02}");
        let slow = Step::status("succeeded").after_ms(place * 7 % 5 * slowest_ms / 4);
        shop.vendor.set_fate(&number, Fate::of([slow]));
        shop.track_aged(&number, "10 minutes").await?;
        numbers.push(number);
    }
    shop.signal().await?;
    Ok(numbers)
}

async fn all_succeed(shop: &Shop<'_>, numbers: &[String]) -> Result<()> {
    for number in numbers {
        shop.becomes(number, "succeeded").await?;
    }
    shop.is_sound().await
}

/// Proves that no window of the interval, wherever it begins, sees more calls arrive than the rate
/// allows: with three eager sidecars, answers that take longer than the interval, a person who waits,
/// and one sidecar killed in the middle, whose orders are asked about again.
#[tokio::test]
async fn a_rate_holds_in_every_window() -> Result<()> {
    let shop = Shop::open("limits_rate").await?;
    let rate = "rate_limit => 6, rate_interval => '1 second', concurrency => 100";
    shop.alter_provider("vendor", rate).await?;
    let mut settings = shop.sidecar_settings();
    let _survivors = [
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
    ];
    settings
        .environment
        .push(("RECONCILE_NAME".into(), "doomed".into()));
    let doomed = Sidecar::start_ready(&settings).await?;
    let numbers = begin(&shop, 36, 1300).await?;
    wait::until(SOON, "a third of the calls", async || {
        shop.vendor.totals().calls >= 12
    })
    .await?;
    doomed.kill9().await?;
    shop.run(
        "update reconcile.leases set expires_at = clock_timestamp() - interval '1 second'
         where sidecar_id = (select sidecar_id from reconcile.registered_sidecars where name = 'doomed')",
    )
    .await?;
    shop.track("AWAITED").await?;
    let app = shop.app().await?;
    app.query_one("select reconcile_order('AWAITED', '30 s')", &[])
        .await?;
    shop.becomes("AWAITED", "succeeded").await?;
    all_succeed(&shop, &numbers).await?;
    let arrived = arrivals(&shop.vendor);
    assert!(arrived.len() >= 37, "{} calls", arrived.len());
    let most = most_within(&arrived, SECOND);
    assert!(most <= 6, "{most} calls arrived within a second");
    Ok(())
}

/// Proves that a rate of many calls in a long interval does not come all at once where the burst is
/// smaller: no second sees more than the burst.
#[tokio::test]
async fn a_burst_holds_in_every_second() -> Result<()> {
    let shop = Shop::open("limits_burst").await?;
    let rate = "rate_limit => 1000, rate_interval => '1 hour', burst => 4, concurrency => 100";
    shop.alter_provider("vendor", rate).await?;
    let _sidecars = [
        shop.sidecar().await?,
        shop.sidecar().await?,
        shop.sidecar().await?,
    ];
    let numbers = begin(&shop, 20, 400).await?;
    all_succeed(&shop, &numbers).await?;
    let arrived = arrivals(&shop.vendor);
    assert_eq!(arrived.len(), 20);
    let most = most_within(&arrived, SECOND);
    assert!(most <= 4, "{most} calls arrived within a second");
    Ok(())
}

/// Proves that calls arrive at least the gap apart, whichever of three sidecars makes them.
#[tokio::test]
async fn a_gap_lies_between_any_two_calls() -> Result<()> {
    let shop = Shop::open("limits_gap").await?;
    shop.alter_provider("vendor", "gap => '200 milliseconds'")
        .await?;
    let _sidecars = [
        shop.sidecar().await?,
        shop.sidecar().await?,
        shop.sidecar().await?,
    ];
    let numbers = begin(&shop, 15, 100).await?;
    all_succeed(&shop, &numbers).await?;
    let arrived = arrivals(&shop.vendor);
    assert_eq!(arrived.len(), 15);
    let gap = shortest_gap(&arrived);
    assert!(
        gap.is_some_and(|gap| gap >= Duration::from_millis(200)),
        "{gap:?}"
    );
    Ok(())
}

/// Proves that a provider has as many calls in flight as its concurrency says and never one more,
/// although three sidecars have slots for twelve.
#[tokio::test]
async fn a_concurrency_holds_over_three_sidecars() -> Result<()> {
    let shop = Shop::open("limits_concurrency").await?;
    shop.alter_provider("vendor", "concurrency => 5").await?;
    let witness = Witness::open(&shop).await?;
    let mut settings = witness.sidecar_settings(&shop);
    settings.slots = Some(4);
    let _sidecars = [
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
    ];
    let gate = shop.vendor.hold_all();
    let load = Load::begin(&shop, 90, 5).await?;
    wait::until(SOON, "five calls in flight", async || {
        shop.vendor.totals().in_flight == 5
    })
    .await?;
    // One more look, which finds no room.
    shop.track_at("witness", "WITNESS", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("WITNESS", "succeeded").await?;
    let leases = "select count(*) from reconcile.leases";
    assert_eq!(shop.one::<i64>(leases, &[]).await?, 5);
    gate.open();
    load.ends_well(&shop).await?;
    assert_eq!(shop.vendor.totals().max_in_flight, 5);
    Ok(())
}
