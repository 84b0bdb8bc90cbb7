//! A sidecar that dies with calls under way: others take over what it held, within the provider's limits.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::wait;

use crate::witness::Witness;

/// Proves that the orders of a sidecar that was killed are asked about again within seconds, and not after leases of more than a minute;
/// that the provider never has more calls at a time, or in its window, than it allows; and that what the dead one might have had to say
/// changes nothing.
#[tokio::test]
async fn orders_of_a_killed_sidecar_are_taken_over_at_once() -> Result<()> {
    let shop = Shop::open("limits_dead").await?;
    let witness = Witness::open(&shop).await?;
    let limits =
        "concurrency => 20, rate_limit => 40, rate_interval => '5 minutes', timeout => '1 minute'";
    shop.alter_provider("vendor", limits).await?;
    let settings = witness.sidecar_settings(&shop);
    let doomed = Sidecar::start_ready(&settings).await?;
    let gate = shop.vendor.hold_all();
    for place in 0..20 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    wait::until(SOON, "twenty calls", async || {
        shop.vendor.totals().in_flight == 20
    })
    .await?;
    let held =
        "select array_agg(order_id), array_agg(token), min(sidecar_id) from reconcile.leases";
    let held = shop.client.query_one(held, &[]).await?;
    let (orders, tokens): (Vec<i64>, Vec<i64>) = (held.get(0), held.get(1));
    let _other = Sidecar::start_ready(&settings).await?;
    doomed.kill9().await?;
    wait::until(SOON, "the same calls by the other one", async || {
        let totals = shop.vendor.totals();
        (totals.calls, totals.in_flight) == (40, 20)
    })
    .await?;
    assert_eq!(shop.vendor.totals().max_in_flight, 20);

    let late = "select count(*) from reconcile.sidecar_report($1, $2, $3, null, array_fill(200, array[20]),
        array_fill('{\"data\": {\"status\": \"failed\"}}'::text, array[20]), null, null, null) where verdict = 'stale'";
    let sidecar: i64 = held.get(2);
    let stale: i64 = shop.one(late, &[&sidecar, &orders, &tokens]).await?;
    assert_eq!(stale, 20);
    gate.open();
    for place in 0..20 {
        shop.becomes(&format!("ORD-{place}"), "succeeded").await?;
    }
    shop.track_aged("ONE-MORE", "10 minutes").await?;
    witness.sees_nobody_asking(&shop, 40).await?;
    shop.is_sound().await
}

/// Proves that a sidecar which lost its connections, and has others a moment later, is not taken for dead: what it holds stays its own,
/// and is asked about once.
#[tokio::test]
async fn a_sidecar_that_was_cut_off_is_not_taken_for_dead() -> Result<()> {
    let shop = Shop::open("limits_cut_off").await?;
    shop.alter_provider("vendor", "timeout => '1 minute'")
        .await?;
    let _cut_off = shop.sidecar().await?;
    let gate = shop.vendor.hold_all();
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    let _other = shop.sidecar().await?;
    shop.run("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'shop_sidecar' and datname = current_database()")
        .await?;
    let beats = "select count(*) from reconcile.registered_sidecars
        where heartbeat_at > $1::text::timestamptz + interval '9 seconds'";
    let now: String = shop
        .one("select reconcile_internal._steady_now()::text", &[])
        .await?;
    wait::until(SOON, "both to have been heard of for a while", async || {
        shop.one::<i64>(beats, &[&now]).await.is_ok_and(|n| n == 2)
    })
    .await?;
    gate.open();
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 1);
    shop.is_sound().await
}
