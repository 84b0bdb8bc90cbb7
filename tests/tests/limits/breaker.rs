//! A provider that does not answer is left alone, but for a probe now and then; one that refuses every
//! call is left alone at once.

mod faults;

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;

use crate::arrivals::{arrivals, shortest_gap};
use crate::witness::Witness;

/// `health` and `breaker` of the vendor, its faults, and in how many seconds it is asked again.
async fn health(shop: &Shop<'_>) -> Result<(String, String, i32, Option<f64>)> {
    let sql = "
        select health, breaker, faults, extract(epoch from asked_again_at - clock_timestamp())::float8
        from reconcile.provider_health where name = 'vendor' and in_flight = 0";
    let row = shop.client.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2), row.get(3)))
}

/// The alerts about the vendor.
async fn alerts(shop: &Shop<'_>) -> Result<Vec<String>> {
    let sql = "select alert || ': ' || message from reconcile.alerts where subject = 'vendor' and alert like 'provider%'";
    let rows = shop.client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Waits until the vendor's health is this and nothing is in flight.
async fn is(shop: &Shop<'_>, wanted: &str) -> Result<()> {
    wait::value(SOON, format!("a vendor that is {wanted}"), async || {
        Ok((health(shop).await?.0 == wanted).then_some(()))
    })
    .await
}

/// Tracks orders of the vendor that are all due.
async fn track(shop: &Shop<'_>, count: usize) -> Result<Vec<String>> {
    let numbers: Vec<_> = (0..count).map(|place| format!("ORD-{place:02}")).collect();
    for number in &numbers {
        shop.track_aged(number, "10 minutes").await?;
    }
    Ok(numbers)
}

/// Lets no probe go out before the test says so, once the answer to the latest is counted; gives how
/// many have failed.
async fn hold_probes(shop: &Shop<'_>) -> Result<i32> {
    let hold = "
        update reconcile.provider_traffic set probe_at = clock_timestamp() + interval '1 hour'
        where probe_at > clock_timestamp() and in_flight = 0 and faults > 0
          and not exists (select from reconcile.ended_calls)
        returning probes";
    wait::value(SOON, "the answer to a probe to be counted", async || {
        let held = shop.client.query_opt(hold, &[]).await?;
        Ok(held.map(|row| row.get(0)))
    })
    .await
}

/// Has the next probe go out now.
async fn probe(shop: &Shop<'_>) -> Result<()> {
    shop.run("update reconcile.provider_traffic set probe_at = clock_timestamp() where faults > 0; notify reconcile_due")
        .await
}

/// Proves that after `breaker_after` checks in a row without an answer only probes go out, one at a
/// time and ever further apart, with three sidecars and a long queue; that what was in flight when it
/// opened is no probe; that people see it; and that the first answer ends it and the queue drains.
#[tokio::test]
async fn a_breaker_opens_probes_and_closes() -> Result<()> {
    let shop = Shop::open("limits_breaker").await?;
    shop.alter_provider("vendor", "breaker_after => 5, concurrency => 4")
        .await?;
    let witness = Witness::open(&shop).await?;
    shop.vendor.set_default(Fate::of([Step::http(503, "")]));
    let numbers = track(&shop, 24).await?;
    let _sidecars = witness.three_sidecars(&shop).await?;
    // The first probe comes in its own time.
    wait::value(SOON, "a probe that failed", async || {
        let probes = "select probes from reconcile.provider_traffic join reconcile.providers using (provider_id) where name = 'vendor'";
        Ok((shop.one::<i32>(probes, &[]).await? > 0).then_some(()))
    })
    .await?;
    let probes = hold_probes(&shop).await?;
    let arrived = arrivals(&shop.vendor);
    // It opened by the fifth fault at the earliest, and the probe is 5 s away from that.
    let probed_from = arrived[4] + Duration::from_secs(5);
    let opened = arrived.partition_point(|arrival| *arrival < probed_from);
    // The three calls that can be in flight beside the fifth fault are the last.
    assert!(opened <= 8, "{opened} calls before it opened");
    assert_eq!(
        arrived.len() - opened,
        usize::try_from(probes)?,
        "calls that were no probes: {arrived:?}"
    );
    let pauses = shortest_gap(&arrived[opened..]);
    assert!(
        pauses.is_none_or(|pause| pause >= Duration::from_secs(10)),
        "{pauses:?}"
    );

    let mut calls = u64::try_from(arrived.len())?;
    is(&shop, "failing").await?;
    witness.sees_nobody_asking(&shop, calls).await?;
    let (_, breaker, faults, again) = health(&shop).await?;
    assert_eq!((breaker.as_str(), u64::try_from(faults)?), ("open", calls));
    assert!(again.is_some(), "nobody sees when it is asked again");
    let alert = alerts(&shop).await?;
    assert!(
        alert[0].starts_with("provider_failing: ") && alert[0].contains("HTTP 503"),
        "{alert:?}"
    );

    // More of them, when the test says so: each is one call.
    for more in 1..=3 {
        probe(&shop).await?;
        wait::until(SOON, "the next probe", async || {
            shop.vendor.totals().calls > calls
        })
        .await?;
        assert_eq!(hold_probes(&shop).await?, probes + more);
        calls += 1;
        witness.sees_nobody_asking(&shop, calls).await?;
    }

    shop.vendor.set_default(Fate::status("succeeded"));
    probe(&shop).await?;
    for number in &numbers {
        shop.becomes(number, "succeeded").await?;
    }
    is(&shop, "healthy").await?;
    let (_, breaker, faults, again) = health(&shop).await?;
    assert_eq!((breaker.as_str(), faults, again), ("closed", 0, None));
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves that each probe that fails makes the pause before the next one longer, up to five minutes, and
/// that calls which were in flight when the breaker opened, and end one after the other, do not.
#[tokio::test]
async fn the_pause_grows_by_probes_and_not_by_stragglers() -> Result<()> {
    let shop = Shop::open("limits_stragglers").await?;
    shop.alter_provider(
        "vendor",
        "breaker_after => 1, concurrency => 6, timeout => '2 minutes'",
    )
    .await?;
    shop.vendor.set_default(Fate::of([Step::http(503, "")]));
    let gate = shop.vendor.hold_all();
    track(&shop, 12).await?;
    let _sidecar = shop.sidecar().await?;
    wait::until(SOON, "six calls in flight", async || {
        shop.vendor.totals().in_flight == 6
    })
    .await?;
    for ended in 1..=6 {
        gate.let_through(1);
        let faults = "update reconcile.provider_traffic set probe_at = clock_timestamp() + interval '1 hour' where faults = $1 returning probes";
        let probes = wait::value(SOON, format!("{ended} faults"), async || {
            let row = shop.client.query_opt(faults, &[&ended]).await?;
            Ok(row.map(|row| row.get::<_, i32>(0)))
        });
        assert_eq!(probes.await?, 0, "after {ended} faults");
    }
    gate.open();
    let pause = "select round(extract(epoch from probe_at - last_fault_at))::integer from reconcile.provider_traffic";
    let mut pauses = vec![5];
    for failed in 1..=8 {
        probe(&shop).await?;
        // The order's own pause after a fault is not what this is about.
        shop.run("update reconcile.due_checks set due_at = clock_timestamp()")
            .await?;
        let counted = wait::value(SOON, format!("probe {failed}"), async || {
            shop.run("notify reconcile_due").await?;
            let row = shop
                .client
                .query_opt(&format!("{pause} where probes = $1"), &[&failed])
                .await?;
            Ok(row.map(|row| row.get::<_, i32>(0)))
        });
        pauses.push(counted.await?);
    }
    assert!(
        pauses.windows(2).all(|pair| pair[1] >= pair[0]),
        "{pauses:?}"
    );
    assert!((300..=340).contains(&pauses[8]), "{pauses:?}");
    Ok(())
}
