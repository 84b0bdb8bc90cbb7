//! Providers that hang, are away, or are paused.

use anyhow::Result;
use reconcile_tests::shop::{Load, SOON, Shop};
use reconcile_tests::simulator::{Fate, Recording, Reply, Simulator, Step};
use reconcile_tests::wait;

/// Proves that a provider that never answers holds up its own orders and no other provider's.
#[tokio::test]
async fn a_provider_that_hangs_holds_up_nobody_else() -> Result<()> {
    let shop = Shop::open("a_provider_that_hangs").await?;
    let stuck = Simulator::start()?;
    stuck.set_default(Fate::of([Reply::Hang.into()]));
    shop.add_provider("stuck", &stuck, "concurrency => 8, timeout => '5 minutes'")
        .await?;
    let mut settings = shop.sidecar_settings();
    settings.slots = Some(16);
    settings.allow_hosts.push(stuck.address().to_string());
    for place in 0..100 {
        shop.track_at("stuck", &format!("STUCK-{place}"), "2 hours")
            .await?;
    }
    let _sidecar = reconcile_tests::sidecar::Sidecar::start_ready(&settings).await?;
    wait::until(SOON, "as many calls to it as it may have", async || {
        stuck.totals().in_flight == 8
    })
    .await?;
    for place in 0..50 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    for place in 0..50 {
        shop.becomes(&format!("ORD-{place}"), "succeeded").await?;
    }
    assert_eq!(stuck.totals().calls, 8, "they were in flight all the time");
    Ok(())
}

/// Proves that a provider with ten thousand orders that are due does not keep another one's few
/// orders waiting until it is done.
#[tokio::test]
async fn a_long_queue_starves_nobody() -> Result<()> {
    let shop = Shop::open("a_long_queue").await?;
    shop.alter_provider("vendor", "concurrency => 10000")
        .await?;
    let other = Simulator::start()?;
    shop.add_provider("other", &other, "").await?;
    shop.run(
        "select reconcile.track_order('LONG-' || n, 'vendor', 'INV', 0.73, 'USD', created_at => now() - interval '2 hours')
         from generate_series(1, 10000) as n",
    )
    .await?;
    shop.vendor.set_default(Fate {
        latency_ms: Some(50),
        ..Fate::status("succeeded")
    });
    let mut settings = shop.sidecar_settings();
    settings.slots = Some(4);
    settings.allow_hosts.push(other.address().to_string());
    let _sidecar = reconcile_tests::sidecar::Sidecar::start_ready(&settings).await?;
    wait::until(SOON, "the long queue to be under way", async || {
        shop.vendor.totals().calls > 10
    })
    .await?;
    shop.run(
        "select reconcile.track_order('ORD-' || n, 'other', 'INV', 0.73, 'USD', created_at => now() - interval '2 minutes')
         from generate_series(1, 10) as n",
    )
    .await?;
    for place in 1..=10 {
        shop.becomes(&format!("ORD-{place}"), "succeeded").await?;
    }
    let overtaken = "
        with short as (
            select min(o.tracked_at) as since, max(c.claimed_at) as until
            from reconcile.tracked_orders as o join reconcile.recorded_checks as c using (order_id)
            where o.order_number like 'ORD-%'
        )
        select count(*) from short
        join reconcile.recorded_checks as c on c.claimed_at between short.since and short.until
        join reconcile.tracked_orders as o using (order_id)
        where o.order_number like 'LONG-%'";
    let overtaken: i64 = shop.one(overtaken, &[]).await?;
    assert!(
        overtaken < 100,
        "{overtaken} of the long queue went before ten others"
    );
    let left = "select count(*) from reconcile.stale_orders where provider = 'vendor'";
    assert!(
        shop.one::<i64>(left, &[]).await? > 0,
        "the long queue was done before"
    );
    Ok(())
}

/// Proves that a paused provider is not asked, that what was in flight is still reported, and that
/// all goes on after the pause.
#[tokio::test]
async fn a_pause_stops_the_asking_and_loses_nothing() -> Result<()> {
    let shop = Shop::open("a_pause").await?;
    shop.alter_provider("vendor", "concurrency => 5").await?;
    let _sidecar = shop.sidecar().await?;
    let gate = shop.vendor.hold_all();
    let load = Load::begin(&shop, 60, 0).await?;
    wait::until(SOON, "five calls in flight", async || {
        shop.vendor.totals().in_flight == 5
    })
    .await?;
    shop.run("select reconcile.pause_provider('vendor', 'they asked for it')")
        .await?;
    gate.open();
    let answered = "select count(*) from reconcile.checks";
    wait::until(SOON, "what was in flight to be reported", async || {
        shop.one::<i64>(answered, &[])
            .await
            .is_ok_and(|answered| answered == 5)
    })
    .await?;
    // Whatever makes a sidecar look, it finds nothing: the look that the signal makes is over when
    // another provider's order has been asked about.
    shop.run("select reconcile.add_provider('other', (select url from reconcile.providers where name = 'vendor'),
        '{\"succeeded\": \"succeeded\"}', status_path => '$.data.status')")
        .await?;
    shop.track_at("other", "OTHER", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("OTHER", "succeeded").await?;
    assert_eq!(shop.vendor.totals().calls, 5 + 1);
    shop.is_sound().await?;
    let told = "select message from reconcile.alerts where alert = 'provider_paused' and subject = 'vendor'";
    assert!(
        shop.one::<String>(told, &[])
            .await?
            .contains("they asked for it")
    );
    shop.run("select reconcile.resume_provider('vendor')")
        .await?;
    load.ends_well(&shop).await
}

/// Proves that a provider that is away for a while costs its orders nothing but time: none is closed,
/// no try is used up, and each settles when it is back.
#[tokio::test]
async fn a_provider_that_comes_back_finds_all_its_orders() -> Result<()> {
    let mut shop = Shop::open("a_provider_that_comes_back").await?;
    let _sidecar = shop.sidecar().await?;
    let address = shop.vendor.address();
    let elsewhere = Simulator::start()?;
    drop(std::mem::replace(&mut shop.vendor, elsewhere));
    for place in 0..10 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    for place in 0..10 {
        let check = shop.check(&format!("ORD-{place}"), 0).await?;
        assert_eq!(
            (check.outcome.as_str(), check.fault.as_deref()),
            ("unreachable", Some("connect"))
        );
    }
    shop.vendor = Simulator::start_with(
        address,
        Fate::of([Step::status("failed")]),
        Recording::Calls,
    )?;
    for place in 0..10 {
        let number = format!("ORD-{place}");
        assert_eq!(shop.order(&number).await?.tries, 0);
        shop.becomes(&number, "failed").await?;
    }
    shop.is_sound().await
}
