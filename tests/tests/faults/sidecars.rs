//! Several sidecars on one queue, and one that dies.

use anyhow::Result;
use reconcile_tests::shop::{LEASE_OVER, Load, SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::Fate;
use reconcile_tests::wait;

/// Sidecars with so few slots that no one of them can do all the work.
async fn small_sidecars(shop: &Shop<'_>, count: usize) -> Result<Vec<Sidecar>> {
    let mut settings = shop.sidecar_settings();
    settings.slots = Some(6);
    let mut sidecars = Vec::new();
    for _ in 0..count {
        sidecars.push(Sidecar::start_ready(&settings).await?);
    }
    Ok(sidecars)
}

async fn share_the_work(shop: &Shop<'_>, count: usize) -> Result<()> {
    shop.alter_provider("vendor", "concurrency => 100").await?;
    let sidecars = small_sidecars(shop, count).await?;
    let load = Load::begin(shop, 400, 30).await?;
    load.ends_well(shop).await?;

    let faults = load.orders.len() as u64 / 5;
    let totals = shop.vendor.totals();
    assert_eq!(
        totals.calls,
        400 + faults,
        "one call each, and one more after a fault"
    );
    let reported = "select count(*) filter (where reported > 0), sum(reported)::bigint, sum(stale_reports)::bigint
        from reconcile.sidecars";
    let row = shop.client.query_one(reported, &[]).await?;
    let reported: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(
        reported,
        (count as i64, totals.calls as i64, 0),
        "sidecars, reports, stale ones"
    );
    drop(sidecars);
    Ok(())
}

/// Proves that two sidecars share one queue: no order is asked about twice, each moves once.
#[tokio::test]
async fn two_sidecars_share_one_queue() -> Result<()> {
    share_the_work(&Shop::open("two_sidecars").await?, 2).await
}

/// Proves the same of three.
#[tokio::test]
async fn three_sidecars_share_one_queue() -> Result<()> {
    share_the_work(&Shop::open("three_sidecars").await?, 3).await
}

/// Proves that a sidecar that is killed under load loses nothing: the other one asks about its orders.
#[tokio::test]
async fn a_killed_sidecar_loses_nothing() -> Result<()> {
    let shop = Shop::open("a_killed_sidecar").await?;
    shop.alter_provider("vendor", "concurrency => 100, timeout => '1 second'")
        .await?;
    let sidecars = small_sidecars(&shop, 2).await?;
    let load = Load::begin(&shop, 200, 50).await?;
    load.reaches(&shop, 40).await?;
    let lost = "select count(*) from reconcile.leases as l join reconcile.registered_sidecars as s using (sidecar_id)
        where s.sidecar_id = (select min(sidecar_id) from reconcile.registered_sidecars)";
    // Between a report and the next claim it holds nothing, and what it committed last may not be seen yet: so it is stopped
    // first, and let go on for as long as it holds nothing.
    wait::value(SOON, "the sidecar holds leases", async || {
        sidecars[0].freeze().await?;
        if shop.one::<i64>(lost, &[]).await? > 0 {
            return Ok(Some(()));
        }
        sidecars[0].thaw()?;
        Ok(None)
    })
    .await?;
    sidecars[0].kill9().await?;
    load.ends_well(&shop).await
}

/// Proves that a sidecar that was killed after the provider answered, and before it could report,
/// leaves an order that is asked about again and moves once.
#[tokio::test]
async fn a_kill_between_the_call_and_the_report_costs_a_second_call() -> Result<()> {
    let shop = Shop::open("between_call_and_report").await?;
    let sidecar = shop.sidecar().await?;
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    sidecar.freeze().await?;
    gate.open();
    shop.vendor.idle(SOON).await?;
    sidecar.kill9().await?;
    assert_eq!(shop.order("A").await?.state, "pending");
    assert!(
        shop.order("A").await?.in_flight,
        "the lease is all that is left of it"
    );

    // Before there is another sidecar, whose own lease would be expired as well.
    shop.expire_leases().await?;
    let _other = shop.sidecar().await?;
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 2);
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    assert_eq!(shop.checks("A").await?.len(), 1);
    shop.is_sound().await
}

/// Proves that a lease runs out by itself, of a sidecar that is not known to be dead: nobody but time and the sidecars' own looking around.
#[tokio::test]
async fn a_lease_runs_out_by_itself() -> Result<()> {
    let shop = Shop::open("a_lease_runs_out").await?;
    shop.alter_provider("vendor", "timeout => '100 milliseconds'")
        .await?;
    let sidecar = shop.sidecar().await?;
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    sidecar.freeze().await?;
    gate.open();
    shop.vendor.set_fate("A", Fate::status("failed"));
    let _other = shop.sidecar().await?;
    wait::until(LEASE_OVER, "a second call", async || {
        shop.vendor.count("A") == 2
    })
    .await?;
    shop.becomes("A", "failed").await?;
    shop.is_sound().await
}
