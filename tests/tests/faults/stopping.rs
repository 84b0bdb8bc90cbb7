//! A sidecar that is asked to stop while it asks.

use anyhow::Result;
use nix::sys::signal::Signal;
use reconcile_tests::shop::{Load, SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::wait;

async fn in_flight(shop: &Shop<'_>, count: usize) -> Result<()> {
    for place in 0..count {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    wait::until(SOON, "calls in flight", async || {
        shop.vendor.totals().in_flight == count
    })
    .await
}

/// Proves that SIGTERM lets calls in flight finish and be reported, takes no new ones, and ends with
/// a goodbye and exit code 0.
#[tokio::test]
async fn a_graceful_stop_finishes_what_is_in_flight() -> Result<()> {
    let shop = Shop::open("a_graceful_stop").await?;
    let mut settings = shop.sidecar_settings();
    settings
        .environment
        .push(("RECONCILE_STOP_TIMEOUT".into(), "60".into()));
    let sidecar = Sidecar::start_ready(&settings).await?;
    let gate = shop.vendor.hold_all();
    in_flight(&shop, 5).await?;
    sidecar.process().signal(Signal::SIGTERM)?;
    wait::until(SOON, "the sidecar to be stopping", async || {
        sidecar.stderr().contains("stopping")
    })
    .await?;
    shop.track_aged("TOO-LATE", "10 minutes").await?;
    shop.signal().await?;
    gate.open();
    assert_eq!(sidecar.process().ended(SOON).await?, 0);
    for place in 0..5 {
        assert_eq!(
            shop.order(&format!("ORD-{place}")).await?.state,
            "succeeded"
        );
    }
    assert_eq!(shop.vendor.count("TOO-LATE"), 0);
    let gone =
        "select stopped_at is not null and not alive and in_flight = 0 from reconcile.sidecars";
    assert!(shop.one::<bool>(gone, &[]).await?);
    shop.is_sound().await
}

/// Proves that calls that outlast the stop timeout are put back at once, and that the next sidecar
/// asks about their orders without waiting for any lease.
#[tokio::test]
async fn a_graceful_stop_puts_back_what_does_not_finish() -> Result<()> {
    let shop = Shop::open("a_stop_that_puts_back").await?;
    shop.alter_provider("vendor", "timeout => '5 minutes'")
        .await?;
    let mut settings = shop.sidecar_settings();
    settings
        .environment
        .push(("RECONCILE_STOP_TIMEOUT".into(), "0.2".into()));
    let sidecar = Sidecar::start_ready(&settings).await?;
    let gate = shop.vendor.hold_all();
    in_flight(&shop, 5).await?;
    sidecar.stop().await?;
    for place in 0..5 {
        let order = shop.order(&format!("ORD-{place}")).await?;
        assert!(order.state == "pending" && !order.in_flight, "{order:?}");
        assert!(order.next_check_s.is_some_and(|s| s <= 0.0), "{order:?}");
    }
    shop.is_sound().await?;
    gate.open();
    let _next = shop.sidecar().await?;
    for place in 0..5 {
        shop.becomes(&format!("ORD-{place}"), "succeeded").await?;
    }
    shop.is_sound().await
}

/// Proves that sidecars that come and go under load, as in a rolling restart, lose nothing and ask
/// about no order twice.
#[tokio::test]
async fn a_rolling_restart_under_load_asks_nothing_twice() -> Result<()> {
    let shop = Shop::open("a_rolling_restart").await?;
    shop.alter_provider("vendor", "concurrency => 100").await?;
    let mut settings = shop.sidecar_settings();
    settings.slots = Some(8);
    let mut sidecar = Sidecar::start_ready(&settings).await?;
    let load = Load::begin(&shop, 300, 30).await?;
    for settled in [40, 80, 120] {
        load.reaches(&shop, settled).await?;
        let next = Sidecar::start_ready(&settings).await?;
        sidecar.stop().await?;
        sidecar = next;
    }
    load.ends_well(&shop).await?;
    assert_eq!(
        shop.vendor.totals().calls,
        300 + 60,
        "one more only after a fault"
    );
    Ok(())
}

/// Proves that a goodbye puts back all that is still held, what the sidecar never got to know of too: the answer to a claim that was lost on
/// its way. Nothing of anybody else's is touched.
#[tokio::test]
async fn a_goodbye_leaves_nothing_behind() -> Result<()> {
    let shop = Shop::open("a_goodbye").await?;
    for place in 0..5 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    let start = "select reconcile.sidecar_start('by hand', '1', 10)";
    let (one, other): (i64, i64) = (shop.one(start, &[]).await?, shop.one(start, &[]).await?);
    let claim = "select count(*) from reconcile.sidecar_claim($1, $2)";
    assert_eq!(shop.one::<i64>(claim, &[&one, &3]).await?, 3);
    assert_eq!(shop.one::<i64>(claim, &[&other, &2]).await?, 2);
    shop.client
        .execute("select reconcile.sidecar_stop($1)", &[&one])
        .await?;
    let held = "select (select count(*) from reconcile.leases where sidecar_id = $1), (select count(*) from reconcile.leases),
        (select count(*) from reconcile.due_checks where due_at <= clock_timestamp()), (select in_flight::bigint from reconcile.provider_health)";
    let row = shop.client.query_one(held, &[&one]).await?;
    let held: [i64; 4] = std::array::from_fn(|place| row.get(place));
    assert_eq!(held, [0, 2, 3, 2]);
    shop.client
        .execute("select reconcile.sidecar_stop($1)", &[&other])
        .await?;
    shop.is_sound().await
}
