//! A wall clock that steps: what is counted, and what waits, goes by a clock that doesn't.

use anyhow::Result;
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{self, SOON, Shop};
use reconcile_tests::simulator::{Fate, Step};

use crate::witness::Witness;

/// A server whose wall clock can be stepped.
async fn stepping() -> Result<Cluster> {
    Cluster::start_new(shop::settings().stepping_clock()).await
}

/// Proves that a clock that goes back by two minutes makes no rest longer: after a Retry-After of three seconds a person is answered, and
/// what is due is asked about, long before the clock says again what it said.
#[tokio::test]
async fn a_rest_is_no_longer_when_the_clock_goes_back() -> Result<()> {
    let cluster = stepping().await?;
    let shop = Shop::open_in(&cluster, "back").await?;
    let throttled = Step::http(429, "").header("Retry-After", "3");
    shop.vendor
        .set_fate("FIRST", Fate::of([throttled, Step::status("succeeded")]));
    let _sidecar = shop.sidecar().await?;
    shop.track_aged("FIRST", "20 minutes").await?;
    shop.signal().await?;
    assert_eq!(shop.check("FIRST", 0).await?.outcome, "throttled");

    cluster.step_clock(-120)?;
    shop.track("NEW").await?;
    shop.track_aged("DUE", "20 minutes").await?;
    for order_number in ["NEW", "FIRST"] {
        let ask = "select state from reconcile_order($1, '30 s')";
        assert_eq!(
            shop.one::<String>(ask, &[&order_number]).await?,
            "succeeded"
        );
    }
    shop.becomes("DUE", "succeeded").await?;
    let until = "select coalesce(asked_again_at < clock_timestamp(), true) from reconcile.provider_health where name = 'vendor'";
    assert!(
        shop.one::<bool>(until, &[]).await?,
        "people read when the rest ended by the clock that they read"
    );
    let told = "select message from reconcile.alerts where alert = 'date_set'";
    let told: String = shop.one(told, &[]).await?;
    assert!(told.contains("set back by 00:0"), "{told}");
    shop.is_sound().await
}

/// Proves that a clock that goes forward by an hour makes no window shorter: a provider that has had its five calls of a minute gets none
/// before the minute is over.
#[tokio::test]
async fn a_rate_holds_when_the_clock_goes_forward() -> Result<()> {
    let cluster = stepping().await?;
    let shop = Shop::open_in(&cluster, "forward").await?;
    let witness = Witness::open(&shop).await?;
    shop.alter_provider(
        "vendor",
        "rate_limit => 5, rate_interval => '1 minute', burst => 5",
    )
    .await?;
    for place in 0..20 {
        shop.track_aged(&format!("ORD-{place}"), "3 hours").await?;
    }
    let _sidecars = witness.three_sidecars(&shop).await?;
    shop.signal().await?;
    reconcile_tests::wait::until(SOON, "five calls, and their end", async || {
        let settled = "select count(*) from reconcile.orders where state = 'succeeded'";
        shop.one::<i64>(settled, &[]).await.is_ok_and(|n| n == 5)
    })
    .await?;
    witness.sees_nobody_asking(&shop, 5).await?;
    for far in [3600, 0] {
        cluster.step_clock(far)?;
        witness.sees_nobody_asking(&shop, 5).await?;
    }
    Ok(())
}

/// Proves that a lease lasts as long as it should whatever the clock does, and that a sidecar that lives counts as one that does: after an
/// hour's step forward the call that is under way is not made by another sidecar, and nobody is told that there is none.
#[tokio::test]
async fn a_lease_is_no_shorter_when_the_clock_goes_forward() -> Result<()> {
    let cluster = stepping().await?;
    let shop = Shop::open_in(&cluster, "leases").await?;
    shop.alter_provider("vendor", "timeout => '5 minutes'")
        .await?;
    let _sidecars = [shop.sidecar().await?, shop.sidecar().await?];
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "20 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;

    cluster.step_clock(3600)?;
    let kept = "select reconcile_internal._put_back_expired() = 0 and exists (select from reconcile.leases)
        and not exists (select from reconcile.alerts where alert = 'no_sidecar')
        and (select bool_and(alive) from reconcile.sidecars)";
    assert!(shop.one::<bool>(kept, &[]).await?);
    gate.open();
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 1);
    shop.is_sound().await
}

/// Proves that in another life of the machine, and on another machine after a failover, a provider's rest and its window go on from where
/// they were and end: neither is forgotten, and neither lasts longer than it was.
#[tokio::test]
async fn another_life_of_the_machine_goes_on_where_the_last_one_ended() -> Result<()> {
    let cluster = stepping().await?;
    let shop = Shop::open_in(&cluster, "lives").await?;
    let witness = Witness::open(&shop).await?;
    shop.alter_provider("vendor", "rate_limit => 1, rate_interval => '8 seconds'")
        .await?;
    let throttled = Step::http(429, "").header("Retry-After", "4");
    shop.vendor
        .set_fate("FIRST", Fate::of([throttled, Step::status("succeeded")]));
    shop.track_aged("FIRST", "3 hours").await?;
    let _sidecars = witness.three_sidecars(&shop).await?;
    shop.signal().await?;
    assert_eq!(shop.check("FIRST", 0).await?.outcome, "throttled");
    shop.track_aged("NEXT", "3 hours").await?;
    // That life had lasted for ten years, and the date is no help.
    shop.run(
        "update reconcile.steady_clock set boot = 'another', zero_at = zero_at - interval '10 years'",
    )
    .await?;
    cluster.step_clock(3600)?;
    witness.sees_nobody_asking(&shop, 1).await?;
    shop.becomes("NEXT", "succeeded").await?;
    let lives = "select boot = reconcile_internal._boot() and reconcile_internal._steady_now() between
        clock_timestamp() - interval '1 hour 5 minutes' and clock_timestamp() - interval '59 minutes' from reconcile.steady_clock";
    assert!(shop.one::<bool>(lives, &[]).await?);
    shop.is_sound().await
}

/// Proves that what waits when the clock goes back by an hour does not wait for an hour: what is due is asked about all the same, and what is
/// due in a minute is due in a minute.
#[tokio::test]
async fn what_waits_is_not_late_by_what_the_clock_went_back() -> Result<()> {
    let cluster = stepping().await?;
    let shop = Shop::open_in(&cluster, "waiting").await?;
    cluster.step_clock(3600)?;
    let _sidecar = shop.sidecar().await?;
    shop.run("select reconcile.pause_provider('vendor', 'so that it waits')")
        .await?;
    shop.track_aged("DUE", "3 hours").await?;
    shop.track("IN-A-MINUTE").await?;
    cluster.step_clock(0)?;
    shop.run("select reconcile.resume_provider('vendor')")
        .await?;
    shop.becomes("DUE", "succeeded").await?;
    let next = shop.order("IN-A-MINUTE").await?.next_check_s;
    assert!(next.is_none_or(|seconds| seconds <= 120.0), "{next:?}");
    shop.is_sound().await
}
