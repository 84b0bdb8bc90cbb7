//! Code of an application that has constraints deferred, in a transaction that goes on after it.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run};

const DEFERS: &str = "
    create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as
        $$ begin set constraints all deferred; end $$;
    create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
        $$ begin set constraints all deferred; return '{\"status\": \"paid\"}'; end $$";

/// Proves that constraints which are initially immediate are so after a call that ran such code, and those that are initially deferred
/// are deferred.
#[tokio::test]
async fn what_code_defers_is_not_left_deferred() -> Result<()> {
    let scene = Scene::open("hostile_deferring", DEFERS, "").await?;
    run(
        &scene.dba,
        "create table public.at_once (nr integer primary key deferrable initially immediate);
         create table public.later (nr integer primary key deferrable initially deferred);
         select reconcile.track_order('D-' || nr, 'by_function', created_at => now() - interval '1 hour') from generate_series(1, 9) as nr",
    )
    .await?;
    for call in [
        "select reconcile.resolve_order('D-1', 'succeeded', 'seen')",
        "select * from reconcile_order('D-2')",
        "select reconcile.record_webhook('by_function', 'event', '{}', 'D-3')",
        "select * from reconcile_stale_orders(10)",
    ] {
        let twice = |table: &str| format!("insert into public.{table} values (1), (1)");
        let said = failure(&scene.dba, &format!("begin; {call}; {}", twice("at_once"))).await;
        run(&scene.dba, "rollback").await?;
        ensure!(
            said.as_ref().is_some_and(|said| said.starts_with("23505")),
            "{call}: {said:?}"
        );
        run(
            &scene.dba,
            &format!("begin; {call}; {}; rollback", twice("later")),
        )
        .await?;
    }
    Ok(())
}
