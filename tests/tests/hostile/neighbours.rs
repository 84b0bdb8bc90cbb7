//! Trouble of one, and everybody else: callers who can't wait, an owner who is gone, a transaction that stays open.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop, Till};
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;

use crate::scene::{Scene, cluster, failure, run, text};

/// Proves that callers who ask again and again about a few orders of a provider that is called one at a time don't keep it from asking
/// about another customer's order that is due: it is asked about within a bounded number of calls.
#[tokio::test]
async fn callers_in_a_loop_starve_no_order_that_is_due() -> Result<()> {
    let shop = Shop::open_in(cluster().await?, "hostile_loop").await?;
    shop.alter_provider("vendor", "gap => '20 milliseconds', rate_limit => null")
        .await?;
    // Long enough for whoever was answered to have asked again before the next call.
    shop.vendor
        .set_default(Fate::of([Step::status("processing").after_ms(200)]));
    for nth in 0..5 {
        shop.track(&format!("MINE-{nth}")).await?;
    }
    let _sidecar = shop.sidecar().await?;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..3 {
        let client = shop.app().await?;
        callers.spawn(async move {
            // Orders of their own, so that one call doesn't serve two of them.
            for nth in 0.. {
                let ask = format!(
                    "select state from reconcile_order('MINE-{}', '2 s')",
                    (caller * 2 + nth % 2) % 5
                );
                if client.simple_query(&ask).await.is_err() {
                    break;
                }
            }
        });
    }
    wait::until(SOON, "callers who are being served", async || {
        shop.vendor.totals().calls >= 6
    })
    .await?;
    shop.track_aged("OTHERS", "10 minutes").await?;
    let (before, bound) = (shop.vendor.totals().calls, 15);
    wait::until(
        SOON * 2,
        "the other customer's turn, or too many calls",
        async || shop.vendor.count("OTHERS") > 0 || shop.vendor.totals().calls > before + bound,
    )
    .await?;
    callers.abort_all();
    let waited = shop.vendor.totals().calls - before;
    assert!(
        shop.vendor.count("OTHERS") > 0,
        "not asked about within {waited} calls of the same provider"
    );
    Ok(())
}

/// Proves that a hook for all providers whose owner's things are all dropped, function and rights with them, keeps no paid order of
/// anybody from succeeding, and that an alert names the hook.
#[tokio::test]
async fn a_hook_whose_owner_is_gone_stops_no_order() -> Result<()> {
    let scene = Scene::open("hostile_gone", "", "").await?;
    run(
        &scene.dba,
        "grant reconcile_operator to carrier_heir; create schema heirloom authorization carrier_heir",
    )
    .await?;
    let heir = scene.database.connect_as("carrier_heir").await?;
    let called =
        "create function heirloom.called(text, jsonb) returns void language plpgsql as 'begin end'";
    run(&heir, called).await?;
    run(
        &heir,
        "select reconcile.add_hook('heirs_hook', 'succeeded', 'heirloom.called(text, jsonb)', every_provider => true)",
    )
    .await?;
    run(&scene.dba, "drop owned by carrier_heir cascade").await?;
    run(
        &scene.dba,
        "select reconcile.track_order('A', 'by_function', created_at => now() - interval '1 hour')",
    )
    .await?;
    run(&scene.dba, "select * from reconcile_stale_orders(1000)").await?;
    let state = text(
        &scene.dba,
        "select state from reconcile.orders where order_number = 'A'",
    )
    .await?;
    let alerts = "select string_agg(alert || ' ' || coalesce(subject, '') || ': ' || message, E'\\n') from reconcile.alerts";
    let alerts = text(&scene.dba, alerts).await?.context("no alert at all")?;
    assert_eq!(state.as_deref(), Some("succeeded"), "{alerts}");
    assert!(
        alerts.contains("heirs_hook"),
        "no alert names the hook: {alerts}"
    );
    Ok(())
}

/// Proves that a transaction that has written and holds no snapshot, which events wait for and which leaves nothing behind in
/// `backend_xmin`, is an alert after half an hour. The half hour is in the view that sessions are seen in.
#[tokio::test]
async fn a_transaction_that_only_writes_is_an_alert_after_half_an_hour() -> Result<()> {
    let scene = Scene::open("hostile_old", "", "").await?;
    let writer = scene.database.connect_as("carrier_owner").await?;
    run(&writer, "begin").await?;
    run(&writer, "insert into carrier.again values (1)").await?;
    let alert =
        "select string_agg(subject, ' ') from reconcile.alerts where alert = 'old_snapshot'";
    assert_eq!(text(&scene.dba, alert).await?, None, "it has just begun");
    let earlier = "
        set allow_system_table_mods = on;
        do $$ begin execute 'create or replace view pg_catalog.pg_stat_activity as '
            || replace(pg_get_viewdef('pg_catalog.pg_stat_activity'), 's.xact_start,', 's.xact_start - interval ''31 minutes'' as xact_start,'); end $$;
        reset allow_system_table_mods";
    run(&scene.dba, earlier).await?;
    let id = text(&writer, "select pg_backend_pid()")
        .await?
        .context("no pid")?;
    let alerts = text(&scene.dba, alert).await?.unwrap_or_default();
    assert!(
        alerts.contains(&id),
        "no alert names process {id}: {alerts:?}"
    );
    Ok(())
}

/// Proves that a person's transaction that stays open, in which a provider was resumed or altered or house was kept, keeps no sidecar from
/// claiming another provider's orders, nor its heartbeat, and that what was resumed is asked as soon as the transaction is committed.
#[tokio::test]
async fn a_persons_open_transaction_holds_no_claim() -> Result<()> {
    let scene = Scene::open("hostile_open", "", "").await?;
    let add = r#"select reconcile.add_provider('mine', 'https://m.example/{order_number}', '{"paid": "succeeded"}')"#;
    run(&scene.owner, add).await?;
    let failing = "update reconcile.provider_traffic set faults = 20, probe_at = now() + interval '1 hour', rests_until = now() + interval '1 hour'
        where provider_id = (select provider_id from reconcile.providers where name = 'mine')";
    let sidecar = scene.database.connect_as("shop_sidecar").await?;
    run(&sidecar, "set statement_timeout = '10s'").await?;
    let claim = |id: &str| {
        format!(
            "select string_agg(provider, ' ' order by provider) from reconcile.sidecar_claim({id}, 50)"
        )
    };
    let id = text(
        &sidecar,
        "select reconcile.sidecar_start('by hand', '0', 50)",
    )
    .await?
    .context("no id")?;
    let track = |number: usize| {
        format!("select reconcile.track_order('V-{number}', 'vendor', created_at => now() - interval '1 hour'),
            reconcile.track_order('M-{number}', 'mine', created_at => now() - interval '1 hour')")
    };
    let calls = [
        "select reconcile.resume_provider('mine')",
        "select reconcile.alter_provider('mine', deadline => '3 hours')",
        "select * from reconcile.housekeep()",
    ];
    for (nth, call) in calls.into_iter().enumerate() {
        run(&scene.dba, &track(nth)).await?;
        run(&scene.dba, failing).await?;
        run(&scene.owner, "begin").await?;
        run(&scene.owner, call).await?;
        assert_eq!(
            text(&sidecar, &claim(&id)).await?.as_deref(),
            Some("vendor"),
            "{call}"
        );
        run(
            &sidecar,
            &format!("select reconcile.sidecar_heartbeat({id}, 1)"),
        )
        .await?;
        run(&scene.owner, "commit").await?;
        let asked = text(&sidecar, &claim(&id)).await?;
        let health =
            "select health || ' ' || breaker from reconcile.provider_health where name = 'mine'";
        let health = text(&scene.dba, health).await?;
        if nth < 2 {
            assert!(
                asked.as_deref().is_some_and(|asked| asked.contains("mine")),
                "{call}: {health:?}"
            );
        }
    }
    Ok(())
}

/// Proves that an open transaction in which an application without any right on an attached table had an order of it settled holds that
/// order's row and no other, by a call as by a webhook, and nothing once it has ended: as SECURITY.md says.
#[tokio::test]
async fn an_open_call_holds_its_orders_row_and_no_other() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_open_call").await?;
    till.does(
        "create table shop.orders (order_number text primary key, status text not null default 'pending', note text);
         select reconcile.attach_table('shop.orders', 'ledger', amount => '', currency => '', created_at => '', reference => '',
             write => '{\"succeeded\": {\"status\": \"PAID\"}}');
         insert into shop.orders select 'ORD-' || nr from generate_series(1, 3) as nr",
    )
    .await?;
    till.pays("paid", &["ORD-1", "ORD-2"]).await?;
    let app = till.app().await?;
    run(&till.owner, "set lock_timeout = '500ms'").await?;
    let write =
        |number: &str| format!("update shop.orders set note = 'x' where order_number = '{number}'");
    for (call, number, held) in [
        ("select reconcile_order('ORD-1')", "ORD-1", true),
        (
            "select reconcile.record_webhook('ledger', 'e2', '{}', 'ORD-2')",
            "ORD-2",
            true,
        ),
        ("select reconcile_order('ORD-3')", "ORD-3", false),
    ] {
        run(&app, "begin").await?;
        run(&app, call).await?;
        let refused = failure(&till.owner, &write(number)).await;
        assert_eq!(
            refused.is_some_and(|refused| refused.starts_with("55P03")),
            held,
            "{call}"
        );
        for other in ["ORD-1", "ORD-2", "ORD-3"]
            .into_iter()
            .filter(|other| *other != number)
        {
            run(&till.owner, &write(other)).await?;
        }
        run(&app, "rollback").await?;
        run(&till.owner, &write(number)).await?;
    }
    Ok(())
}

/// Proves that rows which were noted of one attached table are followed within seconds while another application's table, whose policy
/// never comes to an end, has rows to be followed, too, also when its turn comes again.
#[tokio::test]
async fn a_table_that_sleeps_delays_no_other_tables_rows() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_sleepy").await?;
    till.does(
        "create function shop.sees() returns boolean language plpgsql as 'begin return true; end';
         create table shop.sleepy (order_number text primary key, status text not null default 'pending');
         create table shop.orders (like shop.sleepy including all);
         alter table shop.sleepy enable row level security; alter table shop.sleepy force row level security;
         create policy all_rows on shop.sleepy using (shop.sees()) with check (true);
         select reconcile.attach_table('shop.sleepy', 'ledger', amount => '', currency => '', created_at => '', reference => '');
         select reconcile.attach_table('shop.orders', 'ledger', amount => '', currency => '', created_at => '', reference => '');
         create or replace function shop.sees() returns boolean language plpgsql as 'begin perform pg_sleep(600); return true; end'",
    )
    .await?;
    let _sidecar = till.sidecar().await?;
    for round in 1..=2 {
        till.does(&format!(
            "insert into shop.sleepy select 'S{round}-' || nr from generate_series(1, 1000) as nr"
        ))
        .await?;
        wait::until(SOON, "a call that sleeps", async || {
            let sleeps = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')";
            till.one::<bool>(sleeps, &[]).await.unwrap_or(false)
        })
        .await?;
        till.does(&format!(
            "insert into shop.orders select '{round}-' || nr from generate_series(1, 200) as nr"
        ))
        .await?;
        let seconds = std::time::Duration::from_secs(15);
        wait::until(seconds, "the other table's rows", async || {
            let followed = "select count(*) from reconcile.orders where order_number like $1";
            let like = format!("{round}-%");
            till.one::<i64>(followed, &[&like]).await.unwrap_or(0) == 200
        })
        .await?;
    }
    Ok(())
}
