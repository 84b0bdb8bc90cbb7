//! Temporary tables of a caller, which come before all others in code that does not name pg_temp last.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// A hook as most are written: its path is fixed, and pg_temp comes first in it all the same.
const HOOK: &str = "
    create table carrier.log (order_number text);
    create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql set search_path = carrier as
        $$ begin insert into log values (order_number); end $$;
    create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql set search_path = carrier as
        $$ begin insert into log values (order_number); return '{\"status\": \"paid\"}'; end $$";

/// A table of the same name, whose trigger says whose rights it runs with.
const SHADOW: &str = "
    create temporary table log (order_number text);
    create function pg_temp.mine() returns trigger language plpgsql as $$ begin raise warning 'mine, as %', current_user; return new; end $$;
    create trigger mine before insert on pg_temp.log for each row execute function pg_temp.mine();
    grant all on pg_temp.log to public";

/// Proves that no call has code of others meet a temporary table of its caller, who would have its triggers run with their rights: it is
/// refused with RC018; a superuser's, who has all rights, is not, and without one each call goes through.
#[tokio::test]
async fn nobodys_code_meets_a_callers_temporary_table() -> Result<()> {
    let scene = Scene::open("hostile_temporary", HOOK, "").await?;
    run(
        &scene.dba,
        "select reconcile.track_order('T-' || nr, 'by_function', created_at => now() - interval '1 hour') from generate_series(1, 9) as nr",
    )
    .await?;
    let operator = scene.database.connect_as("shop_operator").await?;
    let calls = [
        "select reconcile.resolve_order('T-1', 'succeeded', 'seen')",
        "select * from reconcile_order('T-2')",
        "select * from reconcile_stale_orders(10)",
    ];
    run(&operator, SHADOW).await?;
    for call in calls {
        let refused = failure(&operator, call).await.unwrap_or_default();
        ensure!(refused.starts_with("RC018"), "{call}: {refused:?}");
    }
    let moved =
        "select string_agg(order_number, ' ') from reconcile.orders where state <> 'pending'";
    let moved = text(&scene.dba, moved).await?;
    ensure!(moved.is_none(), "{moved:?}");
    run(&operator, "discard temp").await?;
    for call in calls {
        run(&operator, call).await?;
    }
    run(&scene.dba, "create temporary table log (order_number text)").await?;
    run(
        &scene.dba,
        "select reconcile.resolve_order('T-1', 'pending', 'once more')",
    )
    .await
}

/// Proves that an event which settles its order is kept where its handler has a temporary table, and settled by a sidecar.
#[tokio::test]
async fn an_event_is_kept_where_its_handler_has_a_temporary_table() -> Result<()> {
    let scene = Scene::open("hostile_temporary_event", HOOK, "").await?;
    run(
        &scene.dba,
        "select reconcile.add_provider('evidence', 'http://127.0.0.1:9/{order_number}', status_path => '$.status',
             status_map => '{\"paid\": \"succeeded\"}', webhook => '{\"evidence\": true}');
         select reconcile.track_order('E-1', 'evidence')",
    )
    .await?;
    let app = scene.database.connect_as("shop_app").await?;
    run(&app, SHADOW).await?;
    let handed =
        "select reconcile.record_webhook('evidence', 'e-1', '{\"status\": \"paid\"}', 'E-1')";
    let effect = text(&app, handed).await?;
    ensure!(effect.as_deref() == Some("kept"), "{effect:?}");
    let state = "select state from reconcile.orders where order_number = 'E-1'";
    ensure!(text(&scene.dba, state).await?.as_deref() == Some("pending"));
    let sidecar = scene.database.connect_as("shop_sidecar").await?;
    run(
        &sidecar,
        "select reconcile.sidecar_settle_webhooks(s.id, b.provider_id)
         from reconcile.sidecar_start('by hand', '0', 1) as s (id), reconcile.sidecar_backlog(s.id) as b",
    )
    .await?;
    ensure!(text(&scene.dba, state).await?.as_deref() == Some("succeeded"));
    Ok(())
}

/// Proves that the parts of a run, a sidecar's calls and what a caller's deferred triggers leave are no way round: the order stays, and
/// the caller's trigger runs with nobody's rights.
#[tokio::test]
async fn no_other_door_leads_to_a_callers_temporary_table() -> Result<()> {
    let scene = Scene::open("hostile_temporary_doors", HOOK, "").await?;
    run(
        &scene.dba,
        "select reconcile.add_provider('evidence', 'http://127.0.0.1:9/{order_number}', status_path => '$.status',
             status_map => '{\"paid\": \"succeeded\"}', webhook => '{\"evidence\": true}');
         select reconcile.track_order('D-1', 'by_function', created_at => now() - interval '1 hour');
         select reconcile.track_order('D-2', 'evidence', created_at => now() - interval '1 hour');
         create schema callers authorization shop_app",
    )
    .await?;
    let operator = scene.database.connect_as("shop_operator").await?;
    run(&operator, SHADOW).await?;
    // Each part says so and costs itself this run.
    run(&operator, "call reconcile.check_stale_orders()").await?;
    let sidecar = scene.database.connect_as("shop_sidecar").await?;
    run(&sidecar, SHADOW).await?;
    for call in [
        "select reconcile.sidecar_settle_webhooks(1, 1)",
        "select reconcile.sidecar_follow(1, 1)",
        "select * from reconcile.sidecar_report(1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
    ] {
        let refused = failure(&sidecar, call).await.unwrap_or_default();
        ensure!(refused.starts_with("RC018"), "{call}: {refused:?}");
    }
    let app = scene.database.connect_as("shop_app").await?;
    run(
        &app,
        &format!(
            "create table callers.late (i integer);
             create function callers.late() returns trigger language plpgsql as $late$ begin execute $shadow${SHADOW}$shadow$; return null; end $late$;
             create constraint trigger late after insert on callers.late deferrable initially deferred
                 for each row execute function callers.late()"
        ),
    )
    .await?;
    let refused = failure(
        &app,
        "begin; insert into callers.late values (1);
         select reconcile.record_webhook('evidence', 'd-2', '{\"status\": \"paid\"}', 'D-2')",
    )
    .await
    .unwrap_or_default();
    run(&app, "rollback").await?;
    ensure!(refused.starts_with("RC018"), "{refused:?}");
    let moved =
        "select string_agg(order_number, ' ') from reconcile.orders where state <> 'pending'";
    let moved = text(&scene.dba, moved).await?;
    ensure!(moved.is_none(), "{moved:?}");
    Ok(())
}
