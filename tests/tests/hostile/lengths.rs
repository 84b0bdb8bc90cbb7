//! How long a request becomes: a template and an order's details are bounded each, and what they come to together is, too.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use reconcile_tests::shop::SOON;
use reconcile_tests::wait;

use crate::scene::{Scene, failure, run, text};

/// A provider of the application's whose template names a detail many times; another one's order is due with its orders.
const PROVIDERS: &str = "
    select reconcile.add_provider('long', 'https://l.example/{order_number}', '{\"paid\": \"succeeded\"}', method => 'POST',
        body => '{\"json\": {\"a\": \"\"}}', concurrency => 100);
    select reconcile.track_order('LONG-' || nr, 'long', details => jsonb_build_object('x', repeat('y', 60000))) from generate_series(1, 4) as nr;
    select reconcile.track_order('SHORT', 'vendor');
    update reconcile.due_checks set due_at = now() - interval '1 minute'";

const LENGTHEN: &str = "select reconcile.alter_provider('long', method => 'POST', body => jsonb_build_object('json', jsonb_build_object('a', repeat('{details.x}', 5000))))";

/// Proves that an order whose request would be longer than any server takes is not tracked, with a sentence that says which part, and that one
/// that is tracked already is told by its claim in no time, while others' orders are claimed with it.
#[tokio::test]
async fn no_orders_request_is_longer_than_it_may_be() -> Result<()> {
    let scene = Scene::open("hostile_lengths", "", "").await?;
    run(&scene.dba, PROVIDERS).await?;
    run(&scene.owner, LENGTHEN).await?;
    let began = Instant::now();
    let refused = failure(
        &scene.owner,
        "select reconcile.track_order('LONG-5', 'long', details => jsonb_build_object('x', repeat('y', 60000)))",
    )
    .await
    .unwrap_or_default();
    ensure!(
        refused.starts_with("RC005")
            && refused.contains("the body can't be built: it would be longer than 262144 bytes"),
        "{refused}"
    );
    let claimed = "with sidecar as materialized (select reconcile.sidecar_start('by hand', '0', 100) as id)
        select string_agg(format('%s %s %s', o.order_number, c.body is null, c.problem), '; ' order by o.order_number)
        from sidecar cross join lateral reconcile.sidecar_claim(sidecar.id, 100) as c join reconcile.tracked_orders as o using (order_id)";
    let claimed = text(&scene.dba, claimed).await?.context("no claim")?;
    let told =
        |nr| format!("LONG-{nr} t the body can't be built: it would be longer than 262144 bytes");
    let expected = format!(
        "{}; {}; {}; {}; SHORT t ",
        told(1),
        told(2),
        told(3),
        told(4)
    );
    ensure!(claimed == expected, "{claimed}");
    // Written to their ends, these are 300 MB each.
    ensure!(began.elapsed() < SOON, "{:?}", began.elapsed());
    Ok(())
}

/// Proves that a lease counts from when its claim is done: a claim that waited leaves its calls as much time as any.
#[tokio::test]
async fn a_claim_that_took_long_leaves_its_calls_their_time() -> Result<()> {
    let scene = Scene::open("hostile_late_claim", "", "").await?;
    run(
        &scene.dba,
        "select reconcile.track_order('LATE', 'vendor');
         update reconcile.due_checks set due_at = now() - interval '1 minute';
         select reconcile.sidecar_start('by hand', '0', 100)",
    )
    .await?;
    let holder = scene.database.connect().await?;
    run(
        &holder,
        "begin; select from reconcile.provider_traffic for update",
    )
    .await?;
    let claimer = scene.database.connect().await?;
    let claim = tokio::spawn(async move {
        run(
            &claimer,
            "select from reconcile.registered_sidecars as s cross join lateral reconcile.sidecar_claim(s.sidecar_id, 10)",
        )
        .await
    });
    let waits = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%sidecar_claim(s.%'
        and datname = current_database() and clock_timestamp() - query_start > interval '1 second')";
    wait::until(SOON, "a claim that has waited for a second", async || {
        text(&scene.dba, waits)
            .await
            .is_ok_and(|waits| waits.as_deref() == Some("t"))
    })
    .await?;
    let released = text(&holder, "select clock_timestamp()")
        .await?
        .context("no clock")?;
    run(&holder, "commit").await?;
    claim.await??;
    let whole = format!(
        "select l.expires_at - '{released}' >= p.timeout + interval '20 seconds' from reconcile.leases as l join reconcile.providers as p using (provider_id)"
    );
    ensure!(
        text(&scene.dba, &whole).await?.as_deref() == Some("t"),
        "the lease has lost what its claim has waited"
    );
    Ok(())
}
