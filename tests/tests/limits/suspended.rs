//! A sidecar that is stopped between a claim and its calls, and goes on when others have taken over.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;

use crate::arrivals::{arrivals, most_within};

/// A lease that a test can wait for.
const SHORT_LEASES: &str = "
    create or replace function reconcile_internal._reporting_time() returns interval
    language sql immutable parallel safe set search_path = pg_catalog, pg_temp
    as $$ select interval '1 second' $$";

/// Proves that a sidecar which was stopped between its claim and its calls makes none of them when it goes on after their leases: another
/// one has taken them over, so the provider would see twice as many calls as it allows. They are put back, and count as no fault.
#[tokio::test]
async fn a_call_does_not_begin_after_its_lease() -> Result<()> {
    let shop = Shop::open("limits_suspended").await?;
    shop.run(SHORT_LEASES).await?;
    let rate = "rate_limit => 5, rate_interval => '6 seconds', timeout => '1 second'";
    shop.alter_provider("vendor", rate).await?;
    let mut locker = shop.database.connect().await?;
    let lock = locker.transaction().await?;
    lock.execute("select from reconcile.provider_traffic for update", &[])
        .await?;
    let stopped = shop.sidecar().await?;
    for place in 0..10 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    let waits = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
    wait::until(SOON, "a claim that waits", async || {
        shop.one::<bool>(waits, &[]).await.is_ok_and(|waits| waits)
    })
    .await?;
    stopped.freeze().await?;
    lock.commit().await?;
    let leases = "select count(*) from reconcile.leases";
    wait::until(SOON, "the stopped sidecar's leases", async || {
        shop.one::<i64>(leases, &[]).await.is_ok_and(|n| n == 5)
    })
    .await?;

    let _other = shop.sidecar().await?;
    wait::until(SOON, "five calls of the other one", async || {
        shop.vendor.totals().calls >= 5
    })
    .await?;
    stopped.thaw()?;
    for place in 0..10 {
        shop.becomes(&format!("ORD-{place}"), "succeeded").await?;
    }
    let arrived = arrivals(&shop.vendor);
    let most = most_within(&arrived, Duration::from_secs(6));
    assert_eq!((arrived.len(), most), (10, 5));
    wait::until(SOON, "what was not begun to be put back", async || {
        stopped
            .stderr()
            .contains("put back orders that were not asked")
    })
    .await?;
    let faults = "select count(*) from reconcile.checks where outcome <> 'succeeded'";
    assert_eq!(shop.one::<i64>(faults, &[]).await?, 0);
    shop.is_sound().await
}
